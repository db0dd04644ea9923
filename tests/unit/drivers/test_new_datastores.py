"""What no new datastore may be like, though an older one may have to go on so."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput
from datastores.drivers.registry import make_driver


def new(kind: str, base: str = "/srv/vms", **options: Any) -> None:
    make_driver(
        kind, host="h1", base=base, hosts=("h1", "h2"), options=options, locate=lambda host: "10.0.0.1"
    ).check_new()


@pytest.mark.parametrize("base", ["/etc/vms", "/usr/share/vms", "/root/vms", "/boot/vms", "/var/lib/cloudstore/vms"])
@pytest.mark.parametrize("kind", ["shared", "nfs", "zfs", "ssh"])
def test_none_lies_among_files_of_the_system(kind: str, base: str) -> None:
    with pytest.raises(BadInput, match="belongs to the system"):
        new(kind, base)


@pytest.mark.parametrize("mode", ["7777", "4755", "0000", "0755", "0440"])
@pytest.mark.parametrize("kind", ["shared", "nfs", "zfs", "ssh"])
def test_disks_can_be_read_and_written_and_not_be_run(kind: str, mode: str) -> None:
    with pytest.raises(BadInput, match=f"With the mode {mode}"):
        new(kind, mode=mode)
    new(kind, mode="0666")


@pytest.mark.parametrize("fsid", ["../../etc", "-oProxy", "-1", "99999999999", "1,rw"])
def test_an_fsid_is_a_number_a_uuid_or_the_root(fsid: str) -> None:
    with pytest.raises(BadInput):
        new("nfs", fsid=fsid)
    for good in ("0", "root", "7", "4294967295", "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"):
        new("nfs", fsid=good)


@pytest.mark.parametrize("portal", ["127.0.0.1", "0.0.0.0", "169.254.169.254", "[::1]", "224.0.0.1"])
def test_an_appliance_answers_from_elsewhere(portal: str) -> None:
    with pytest.raises(BadInput, match="No appliance answers other hosts at"):
        new("nas", portals=portal)


@pytest.mark.parametrize("directory", ["/etc", "/dev/shm/cache", "/var/lib/cloudstore"])
def test_a_cache_lies_among_no_files_of_the_system(directory: str) -> None:
    with pytest.raises(BadInput, match="The directory of the cache"):
        new("ssh", cache=True, cache_directory=directory)


@pytest.mark.parametrize("monitors", ["-oProxy", "../../etc", "-1", "10.0.0.1:99999", "10.0.0.1,,10.0.0.2", "a b"])
def test_monitors_are_addresses_of_hosts(monitors: str) -> None:
    with pytest.raises(BadInput):
        new("ceph", monitors=monitors, fsid="5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b")


@pytest.mark.parametrize(
    "monitors", ["10.0.0.1,10.0.0.2:6789", "mon1,[fd00::1]:3300", "[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]"]
)
def test_monitors_are_written_as_in_ceph_conf(monitors: str) -> None:
    make_driver(
        "ceph", host="h1", base="/srv/vms", hosts=("h1",), secret="AQBaOpJnAAAAABAAxlMkBLGfQZ3Ct1QpPJoFMw==",
        options={"monitors": monitors, "fsid": "5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b"},
    )  # fmt: skip
