"""LVM beyond what all kinds do: disks that change hands, clones that are made together, and what is behind a disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.errors import Refused
from datastores.domain.volumes import Format, Volume
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.registry import make_driver
from datastores.hosts import together
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB

pytestmark = pytest.mark.vm

SIZE = 15 * MIB
"""No whole number of extents: a volume for it has 16 MiB."""
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"


def told(machines: Hosts, *argv: str) -> str:
    return machines.lab.host("h1").run(argv, check=True).stdout


@pytest.fixture(scope="module")
def store(machines: Hosts) -> LvmDriver:
    made = make_driver("lvm", host="h1", base="/srv/ds", hosts=("h1",), options={"disks": "/dev/vdb"})
    assert isinstance(made, LvmDriver)
    machines.run(made.set_up())
    return made


@pytest.fixture
def gold(machines: Hosts, store: LvmDriver) -> Iterator[Volume]:
    """A master; afterwards the group holds nothing but its pool."""
    image = Volume(store.image_path(UUID, Format.RAW), Format.RAW, SIZE)
    machines.run(store.create(image))
    write(machines, image, 7, 0)
    yield image
    machines.run(store.delete_image(image))
    assert told(machines, "lvs", "--noheadings", "-o", "lv_name", "vg-one").split() == ["pool"]
    assert told(machines, "find", "/srv/ds", "-mindepth", "1") == ""


def write(machines: Hosts, volume: Volume, pattern: int, at: int) -> None:
    told(machines, "qemu-io", "-f", "raw", "-c", f"write -P {pattern} {at} 64k", volume.path)


def holds(machines: Hosts, path: str, pattern: int, at: int) -> bool:
    said = told(machines, "qemu-io", "-r", "-f", "raw", "-c", f"read -P {pattern} {at} 64k", path)
    return "Pattern verification failed" not in said


def test_clones_are_made_together_in_two_round_trips(machines: Hosts, store: LvmDriver, gold: Volume) -> None:
    disks = [Volume(store.disk_path(vm, 0), Format.RAW, SIZE) for vm in range(20, 24)]
    steps = [step for disk in disks for step in store.clone(gold, disk)]
    shell = machines.shell("h1")
    changes = {place: found.change for place, found in together.look(shell, steps).items() if found.change}
    assert len(changes) == len(steps) == 4
    assert {place: found.change for place, found in together.apply(shell, steps, changes).items()} == dict.fromkeys(
        range(4)
    )
    assert all(holds(machines, disk.path, 7, 0) for disk in disks)
    machines.run([step for disk in disks for step in store.delete(disk)])


def test_a_disk_that_is_handed_over_is_renamed_there_and_back(machines: Hosts, store: LvmDriver, gold: Volume) -> None:
    disk = Volume(store.disk_path(7, 0), Format.RAW, SIZE)
    machines.run(store.clone(gold, disk))
    write(machines, disk, 8, MIB)
    given = replace(disk, path=store.disk_path(8, 1))
    machines.there_and_back(store.rename(disk, given.path)[1])
    machines.run(store.rename(disk, given.path))
    assert holds(machines, given.path, 8, MIB) and holds(machines, given.path, 7, 0)
    assert told(machines, "ls", "/srv/ds").split() == sorted(["8", f"{UUID}.raw"])
    machines.run(store.delete(given))


def test_what_a_machine_wrote_behind_its_disk_is_never_cut_off(machines: Hosts, store: LvmDriver, gold: Volume) -> None:
    copy = replace(gold, path=store.image_path(f"{UUID[:-1]}2", Format.RAW))
    machines.run(store.copy(gold, copy))
    machines.run(store.delete_image(copy))
    write(machines, gold, 9, SIZE)
    with pytest.raises(Refused, match=f"machine has written to these.*resize the disk to {16 * MIB}"):
        machines.run(store.copy(gold, copy))
    machines.run(store.resize(gold, 16 * MIB))
    machines.run(store.copy(replace(gold, virtual_size=16 * MIB), replace(copy, virtual_size=16 * MIB)))
    assert holds(machines, copy.path, 9, SIZE)
    machines.run(store.delete_image(copy))
