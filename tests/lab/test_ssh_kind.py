"""A datastore of the kind ssh on two hosts: a disk goes to the host of its machine, works there, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.plan import Plan
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.transfers import over_ssh, way
from datastores.hosts.copies import PART
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.kinds import Rig, Store, set_up
from tests.lab.places import told
from tests.lab.transfers import route_between

pytestmark = pytest.mark.lab
hosts = places.hosts
GOLD, OTHER = 0x5A, 0xC3


@pytest.fixture
def store(hosts: Hosts) -> Iterator[Store]:
    with set_up(Rig("ssh", "/srv/kind", ("h1", "h2")), hosts) as made:
        yield made


@pytest.fixture
def gold(store: Store) -> Volume:
    """A master on the storage host."""
    image = store.image(1)
    store.hosts.run(store.driver.create(image))
    store.write(image, GOLD)
    return image


def carried(store: Store, source: StorageDriver, volume: Volume, target: StorageDriver, made: Volume) -> Plan:
    found = way(source, volume.format, target)
    assert (found.sender, found.host) == (source.host, target.host)
    journey = over_ssh(source, volume, target, made, route_between(store.hosts, source.host, target.host))
    return *journey.stages, *journey.after


def holds(store: Store, host: str, path: str, pattern: int) -> bool:
    there = Store(store.rig, store.hosts, replace(store.driver, host=host))
    return there.holds(Volume(path, Format.QCOW2), pattern)


def test_a_disk_is_made_on_the_host_of_its_machine(store: Store, gold: Volume) -> None:
    there = store.driver.at("h2")
    disk = Volume(there.disk_path(7, 0), gold.format, gold.virtual_size)
    run = store.hosts.run(carried(store, store.driver, gold, there, disk))
    assert holds(store, "h2", disk.path, GOLD)
    assert told(store.hosts, "ls", "-A", "/srv/kind").split() == [gold.path.rpartition("/")[2]]
    store.hosts.take_back(run)
    assert told(store.hosts, "ls", "-A", "/srv/kind", name="h2") == ""


def test_a_persistent_disk_comes_back_to_its_master(store: Store, gold: Volume) -> None:
    there = store.driver.at("h2")
    disk = Volume(there.disk_path(7, 0), gold.format, gold.virtual_size)
    store.hosts.run(carried(store, store.driver, gold, there, disk))
    written = Store(store.rig, store.hosts, there)
    written.write(disk, OTHER)
    returned = replace(gold, path=f"{gold.path}.returned{PART}")
    store.hosts.run(carried(store, there, disk, store.driver, returned))
    assert store.holds(gold, GOLD)  # as long as all of it has not arrived
    back = store.driver.comes_back(gold, returned)
    store.hosts.run([*back, *there.delete(disk)])
    assert store.hosts.needs(*back) == [False]
    assert store.holds(gold, OTHER)
    assert told(store.hosts, "ls", "-A", "/srv/kind", name="h2") == ""
    assert store.names() == {gold.path.rpartition("/")[2]}


def test_a_disk_is_saved_as_an_image_from_where_it_lies(store: Store, gold: Volume) -> None:
    there = store.driver.at("h2")
    disk, saved = Volume(there.disk_path(7, 0), gold.format, gold.virtual_size), store.image(2)
    store.hosts.run(carried(store, store.driver, gold, there, disk))
    Store(store.rig, store.hosts, there).write(disk, OTHER, 8 * MIB)
    store.hosts.run(carried(store, there, disk, store.driver, saved))
    assert store.holds(saved, GOLD) and store.holds(saved, OTHER, 8 * MIB)
    assert store.holds(gold, 0, 8 * MIB)
    store.hosts.run(there.delete(disk))
