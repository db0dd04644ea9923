"""Disks of VMs on real hosts: made empty or as swap, made larger, handed over to another machine."""

from __future__ import annotations

import pytest

from datastores.domain.errors import Refused
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.hosts.blocks import Filesystem
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.places import names_in, on, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base


def store_at(base: str) -> StorageDriver:
    return make_driver("qcow2", host="h1", base=base, options={"owner": "admin1", "group": "ops"})


@on("/srv/btrfs", "/srv/xfs")
@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
def test_a_machine_gets_swap_that_grows(hosts: Hosts, base: str, format: Format) -> None:
    store = store_at(base)
    disk = Volume(store.disk_path(7, 0), format, 16 * MIB)
    hosts.there_and_back(*store.create(disk, Filesystem.SWAP))
    raw = disk.path
    if format is Format.QCOW2:
        raw = "/var/tmp/swap.raw"
        told(hosts, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk.path, raw)
    assert told(hosts, "blkid", "-p", "-s", "TYPE", "-o", "value", raw) == "swap\n"
    assert told(hosts, "stat", "-c", "%U:%G %a", disk.path) == "admin1:ops 660\n"
    hosts.run(store.resize(disk, 32 * MIB))
    assert hosts.needs(*store.resize(disk, 32 * MIB)) == [False]


@on("/srv/btrfs", "/srv/xfs", "/srv/plain")
def test_a_disk_is_handed_over_and_its_directory_follows(hosts: Hosts, base: str) -> None:
    store = store_at(base)
    disk, other = (Volume(store.disk_path(7, number), Format.RAW, 16 * MIB) for number in (0, 1))
    hosts.run([*store.create(disk), *store.create(other)])
    told(hosts, "dd", f"of={disk.path}", "conv=notrunc", "status=none", stdin="of machine 7")
    hosts.there_and_back(*store.rename(disk, store.disk_path(8, 0)))
    assert names_in(hosts, base) == {"7", "7/disk.1", "8", "8/disk.0"}
    hosts.there_and_back(*store.rename(other, store.disk_path(8, 1)))
    assert names_in(hosts, base) == {"8", "8/disk.0", "8/disk.1"}
    assert told(hosts, "head", "-c", "12", store.disk_path(8, 0)) == "of machine 7"
    assert told(hosts, "stat", "-c", "%U:%G %a", store.disk_path(8, 0)) == "admin1:ops 660\n"


@on("/srv/xfs")
def test_a_link_and_an_overlay_are_handed_over_too(hosts: Hosts, base: str) -> None:
    store = store_at(base)
    image = Volume(store.image_path("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11", Format.RAW), Format.RAW, 16 * MIB)
    overlay = Volume(store.disk_path(7, 1), Format.QCOW2, 16 * MIB)
    hosts.run([*store.create(image), *store.prepare(image)])
    hosts.run([*store.link(image, store.disk_path(7, 0)), *store.clone(image, overlay)])
    hosts.run(store.rename(Volume(store.disk_path(7, 0), Format.RAW), store.disk_path(9, 0)))
    hosts.run(store.rename(overlay, store.disk_path(9, 1)))
    assert told(hosts, "readlink", store.disk_path(9, 0)) == f"{image.path}\n"
    assert image.path in told(hosts, "qemu-img", "info", "-f", "qcow2", store.disk_path(9, 1))


@on("/srv/xfs")
def test_nothing_is_handed_over_onto_another_disk(hosts: Hosts, base: str) -> None:
    store = store_at(base)
    disk, there = (Volume(store.disk_path(vm, 0), Format.RAW, 16 * MIB) for vm in (7, 8))
    hosts.run([*store.create(disk), *store.create(there)])
    with pytest.raises(Refused, match="is there already"):
        hosts.run(store.rename(disk, there.path))
    assert names_in(hosts, base) == {"7", "7/disk.0", "8", "8/disk.0"}
