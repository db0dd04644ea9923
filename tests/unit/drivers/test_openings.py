"""What each kind of datastore needs of the firewalls between its hosts."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.gluster import Brick
from datastores.domain.gluster_partitions import Partition
from datastores.drivers.gluster import PlacedBrick
from datastores.drivers.registry import make_driver

HOSTS = ("h1", "h2", "h3")


def openings(kind: str, *hosts: str, bricks: tuple[PlacedBrick, ...] = (), **options: Any) -> list[str]:
    hosts = hosts or HOSTS
    made = make_driver(kind, host="h1", base="/srv/vms", hosts=hosts, options=options, bricks=bricks)
    return [str(each) for each in made.openings]


def test_clients_reach_the_server_of_nfs_at_one_port() -> None:
    assert openings("nfs") == ["h2 and h3 to h1: TCP 2049 (NFSv4)"]
    assert openings("nfs", clients="10.0.0.0/24") == ["10.0.0.0/24 to h1: TCP 2049 (NFSv4)"]


def test_data_sets_are_reached_when_they_are_exported() -> None:
    assert openings("zfs", exported=True) == ["h2 and h3 to h1: TCP 2049 (NFSv4)"]
    assert openings("zfs") == []


def test_every_host_reaches_every_brick() -> None:
    bricks = tuple(PlacedBrick(host, Brick(f"10.0.0.{n}", f"/bricks/{n}")) for n, host in enumerate(HOSTS[:2], 1))
    assert openings("gluster", bricks=bricks) == ["h1, h2 and h3 to h1 and h2: TCP 24007, 49152-60999 (GlusterFS)"]


def test_tenants_reach_the_bricks_from_the_addresses_of_their_partitions() -> None:
    blue = Partition("blue", ("10.1.0.0/24", "10.2.0.7"))
    made = make_driver("gluster", host="h1", base="/srv/vms", hosts=("h1",), partitions=(blue,))
    assert [str(each) for each in made.openings] == [
        "10.1.0.0/24 and 10.2.0.7 to h1: TCP 24007, 49152-60999 (its partitions)"
    ]


def test_luns_are_reached_at_the_port_of_the_portal() -> None:
    assert openings("iscsi", port=3261) == ["h2 and h3 to h1: TCP 3261 (iSCSI)"]
    assert openings("nas", portals="10.0.0.8 10.0.0.9:3261") == [
        "h1, h2 and h3 to 10.0.0.8: TCP 3260 (iSCSI)",
        "h1, h2 and h3 to 10.0.0.9: TCP 3261 (iSCSI)",
    ]


def test_clients_of_ceph_reach_monitors_and_all_daemons() -> None:
    fsid = "5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b"
    assert openings("ceph", "h1", monitors="10.0.0.1,10.0.0.2", fsid=fsid) == [
        "h1 to 10.0.0.1 and 10.0.0.2: TCP 3300, 6789 (Ceph)",
        "h1 to all hosts of the cluster: TCP 6800-7568 (Ceph)",
    ]
    assert "to the monitors:" in openings("ceph")[0]


def test_hosts_that_copy_over_ssh_fetch_from_each_other() -> None:
    assert openings("ssh") == ["h1, h2 and h3 to h1, h2 and h3: TCP 22 (SSH)"]


@pytest.mark.parametrize("kind", ["nfs", "iscsi", "ssh"])
def test_a_host_alone_needs_nothing(kind: str) -> None:
    assert openings(kind, "h1") == []


@pytest.mark.parametrize("kind", ["shared", "xfs", "lvm"])
def test_nor_does_what_is_on_disks_of_the_host(kind: str) -> None:
    assert openings(kind) == []
