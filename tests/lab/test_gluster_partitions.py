"""Partitions of a volume on three real hosts: h1 and h2 have it, h3 is the tenant's and mounts its directory alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.gluster import Brick
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.gluster_partitions import Partition
from datastores.domain.plan import Plan
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.gluster_quota import ask_limits, limits
from datastores.models import Job
from datastores.services import partitions, volume_bricks
from datastores.services.partitions import PartitionGive, PartitionTake
from datastores.services.volume_bricks import BricksAdd, BricksRemove
from datastores.services.volumes import VolumeRebalance
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.kinds import Rig, set_up
from tests.lab.places import told

pytestmark = pytest.mark.lab
hosts = places.storage_hosts

PARTS = Rig("gluster", "/srv/parts", ("h1", "h2"), {"layout": "distribute"}, "storage_hosts", bricks="/srv/xfs/parts")
MOUNT = "/srv/mine"
WRITE = """
for i in $(seq 30); do
    dd if=/dev/zero of="$1" bs=1M count="$2" oflag=append conv=notrunc,fsync 2>&1 || exit 0
    sleep 1
done
exit 1
"""
LOST = 'for i in $(seq 30); do timeout 5 cat "$1" || exit 0; sleep 1; done; exit 1'
REACH = 'for i in $(seq 30); do cat "$1" && exit; sleep 1; done; exit 1'


@pytest.fixture(scope="module")
def driver(hosts: Hosts) -> Iterator[GlusterDriver]:
    told(hosts, "mkdir", "-p", MOUNT, name="h3")
    with set_up(PARTS, hosts) as made:
        assert isinstance(made.driver, GlusterDriver)
        yield made.driver
        hosts.lab.host("h3").run(["umount", "-l", MOUNT])


def address(hosts: Hosts, name: str) -> str:
    return str(hosts.lab.host(name).address)


def given(driver: GlusterDriver, after: tuple[Partition, ...], **params: object) -> Plan:
    """Return the stages of a job that gives the partition blue, or takes it back."""
    case = PartitionGive() if after else PartitionTake()
    return case.stages(
        Job(params={"name": "blue", "after": partitions.plain(after), "had": None, "before": [], **params}), driver
    )


def mounts(hosts: Hosts, name: str, what: str) -> bool:
    """Tell whether a host can mount it, and leave it unmounted."""
    host = hosts.lab.host(name)
    source = f"{address(hosts, 'h1')}:/{what}"
    could = host.run(["timeout", "20", "mount", "-t", "glusterfs", source, "/mnt"]).returncode == 0
    told(hosts, "sleep", "4", name=name)  # who is not let in may find out a moment after the mount
    could = could and host.run(["findmnt", "/mnt"]).returncode == 0 and host.run(["ls", "/mnt"]).returncode == 0
    host.run(["umount", "/mnt"])
    return could


def test_a_partition_is_mounted_by_its_hosts_alone_and_holds_no_more_than_its_limit(
    hosts: Hosts, driver: GlusterDriver
) -> None:
    volume = driver.volume
    blue = (Partition("blue", (address(hosts, "h3"), "10.99.0.0/24")),)
    plan = given(driver, blue, size=20 << 20)
    run = hosts.run(plan)
    ours = replace(driver, partitions=blue)
    assert not any(hosts.needs(*(step for name in ("h1", "h2") for step in ours.keeps(name))))
    assert [mounts(hosts, name, volume) for name in ("h1", "h2", "h3")] == [True, True, False]
    assert [mounts(hosts, name, f"{volume}/partitions/blue") for name in ("h2", "h3")] == [False, True]
    assert None not in hosts.take_back(run).undone
    assert [mounts(hosts, "h3", what) for what in (volume, f"{volume}/partitions/blue")] == [False, False]
    assert told(hosts, "ls", driver.base) == ""
    assert not any(hosts.needs(*driver.keeps("h1")))
    hosts.run(plan)
    told(hosts, "mount", "-t", "glusterfs", f"{address(hosts, 'h1')}:/{volume}/partitions/blue", MOUNT, name="h3")
    assert told(hosts, "df", "--output=size", "-B1", MOUNT, name="h3").split()[1] == str(20 << 20)
    assert "Disk quota exceeded" in told(hosts, "sh", "-c", WRITE, "sh", f"{MOUNT}/big", "8", name="h3")
    [limit] = limits("h1", ask_limits(volume), hosts.shell("h1").run(ask_limits(volume))).values()
    print(f"limit {limit.hard}, used {limit.used}")
    assert limit.path == "/partitions/blue" and limit.used > 20 << 19
    hosts.run(given(driver, blue, size=200 << 20, had={"size": 20 << 20}))
    assert told(hosts, "df", "--output=size", "-B1", MOUNT, name="h3").split()[1] == str(200 << 20)


def test_bricks_come_and_go_while_a_partition_is_mounted_and_it_is_taken_back(
    hosts: Hosts, driver: GlusterDriver
) -> None:
    blue = (Partition("blue", (address(hosts, "h3"),)),)
    ours = replace(driver, partitions=blue)
    hosts.run(ours.serve())
    told(hosts, "sh", "-c", 'cd "$1" && for i in $(seq 30); do echo $i >f$i; done', "sh", MOUNT, name="h3")
    more = PlacedBrick("h1", Brick(address(hosts, "h1"), "/srv/xfs/parts2"))
    sides = {"before": volume_bricks.plain(driver.bricks), "after": volume_bricks.plain([*driver.bricks, more])}
    hosts.run(BricksAdd().stages(Job(params={**sides, "silent": []}), ours))
    grown = replace(ours, bricks=(*driver.bricks, more))
    assert not any(hosts.needs(*grown.keeps("h1")))
    assert told(hosts, "sh", "-c", REACH, "sh", f"{MOUNT}/f7", name="h3") == "7\n"
    hosts.run(VolumeRebalance().stages(Job(params={"files": True, "after": ""}), grown))
    sides = {"before": sides["after"], "after": sides["before"]}
    hosts.run(BricksRemove().stages(Job(params={**sides, "silent": [], "clear": True}), grown))
    assert not any(hosts.needs(*(step for name in ("h1", "h2") for step in ours.keeps(name))))
    assert told(hosts, "sh", "-c", REACH, "sh", f"{MOUNT}/f7", name="h3") == "7\n"
    hosts.run(given(ours, ()))
    told(hosts, "sh", "-c", LOST, "sh", f"{MOUNT}/f7", name="h3")
    assert told(hosts, "cat", f"{driver.base}/partitions/blue/f7") == "7\n"
