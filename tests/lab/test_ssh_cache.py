"""Copies of images that the hosts of disks keep: brought once, never written to, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Plan, Stage
from datastores.domain.volumes import Format, Volume
from datastores.drivers.registry import make_driver
from datastores.drivers.ssh import SshDriver
from datastores.drivers.transfers import over_ssh, transfer
from datastores.hosts import actions
from datastores.hosts.checksums import PROGRAM, DataDigestKnown
from datastores.hosts.stored import Altered, FileStored, Missing, OnlyKnownFiles
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.kinds import SIZE, Rig, Store, set_up
from tests.lab.places import told
from tests.lab.transfers import route_between

pytestmark = pytest.mark.lab
hosts = places.hosts
GOLD, OTHER = 0x5A, 0xC3
HELD = "00112233445566ff"


class PowerCut(BaseException):
    """The worker is gone, at once: nobody takes anything back."""


@pytest.fixture(params=["", "/srv/xfs/cache"], ids=["below", "elsewhere"])
def store(hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[Store]:
    options = {"cache": True, "cache_directory": request.param}
    with set_up(Rig("ssh", "/srv/kind", ("h1", "h2"), options), hosts) as made:
        yield made
    for host in ("h1", "h2"):
        told(hosts, "rm", "-rf", "/srv/xfs/cache", "/srv/kind", name=host)


@pytest.fixture
def gold(store: Store) -> Volume:
    """A master on the storage host."""
    image = store.image(1)
    store.hosts.run(store.driver.create(image))
    store.write(image, GOLD)
    return image


def there(store: Store) -> SshDriver:
    driver = store.driver.at("h2")
    assert isinstance(driver, SshDriver)
    return driver


def copy_of(store: Store, image: Volume) -> Volume:
    return there(store).cached_copy(image.path.rpartition("/")[2].partition(".")[0], HELD, image.format, SIZE)


def brought(store: Store, image: Volume) -> Plan:
    """Return the stages that bring a copy of an image to the cache of h2."""
    cache, copy = there(store).cache, copy_of(store, image)
    journey = over_ssh(store.driver, image, cache, copy, route_between(store.hosts, "h1", "h2"))
    known, ready = there(store).cached(copy)
    return *journey.stages, Stage("digest", known), Stage("prepare", ready), *journey.after


def disk_of(store: Store, image: Volume, vm: int) -> tuple[Volume, Plan]:
    disk = Volume(there(store).disk_path(vm, 0), Format.QCOW2, SIZE)
    return disk, (Stage("disk", there(store).over(copy_of(store, image), disk)),)


def holds(store: Store, path: str, pattern: int, at: int = 0) -> bool:
    return Store(store.rig, store.hosts, there(store)).holds(Volume(path, Format.QCOW2), pattern, at)


def in_cache(store: Store) -> set[str]:
    return set(told(store.hosts, "ls", "-A", there(store).cache_base, name="h2").split())


def test_the_second_disk_takes_no_transfer(store: Store, gold: Volume, record_property: Callable[..., None]) -> None:
    began = time.monotonic()
    store.hosts.run(brought(store, gold))
    first, plan = disk_of(store, gold, 7)
    store.hosts.run(plan)
    took = time.monotonic() - began
    copy = copy_of(store, gold)
    assert told(store.hosts, "stat", "-c", "%a %U", copy.path, name="h2").split() == ["444", "root"]
    assert told(store.hosts, "stat", "-c", "%a", first.path, name="h2").split() == ["660"]
    there_is = told(store.hosts, "cat", f"{copy.path}.sha256", name="h2").split()
    assert there_is == told(store.hosts, *PROGRAM, gold.path, "0").split()
    second, plan = disk_of(store, gold, 8)
    began = time.monotonic()
    store.hosts.there_and_back(*plan[0].steps)
    record_property("first", f"{1000 * took:.0f} ms")
    began = time.monotonic()
    third, plan = disk_of(store, gold, 9)
    store.hosts.run(plan)
    again = time.monotonic() - began
    record_property("next", f"{1000 * again:.0f} ms")
    print(f"\nfirst {1000 * took:.0f} ms, next {1000 * again:.0f} ms")
    assert again < took / 3
    there_ = Store(store.rig, store.hosts, there(store))
    there_.write(second, OTHER)
    assert holds(store, second.path, OTHER) and holds(store, first.path, GOLD) and holds(store, third.path, GOLD)
    assert holds(store, copy.path, GOLD)


def test_what_is_saved_and_moved_needs_no_cache(store: Store, gold: Volume) -> None:
    store.hosts.run(brought(store, gold))
    disk, plan = disk_of(store, gold, 7)
    store.hosts.run(plan)
    Store(store.rig, store.hosts, there(store)).write(disk, OTHER, 8 * MIB)
    saved = store.image(2)
    journey = over_ssh(there(store), disk, store.driver, saved, route_between(store.hosts, "h2", "h1"))
    store.hosts.run((*journey.stages, *journey.after))
    other = make_driver("shared", host="h2", base="/srv/elsewhere", hosts=("h2",), options={"mounted": "nowhere"})
    store.hosts.run(other.set_up())
    moved = Volume(other.disk_path(7, 0), Format.QCOW2, SIZE)
    store.hosts.run([*transfer(there(store), disk, other, moved, "h2"), *there(store).delete(disk)])
    store.hosts.run(there(store).evicted(copy_of(store, gold)))
    assert in_cache(store) == set()
    assert store.holds(saved, GOLD) and store.holds(saved, OTHER, 8 * MIB)
    assert holds(store, moved.path, GOLD) and holds(store, moved.path, OTHER, 8 * MIB)
    told(store.hosts, "rm", "-rf", "/srv/elsewhere", name="h2")


def test_what_is_open_is_not_evicted(store: Store, gold: Volume) -> None:
    store.hosts.run(brought(store, gold))
    copy = copy_of(store, gold)
    steps = there(store).evicted(copy)
    told(store.hosts, "systemd-run", "--unit=reader", "tail", "-f", copy.path, name="h2")
    try:
        with pytest.raises(Refused, match=r"is in use: tail \(reader.service\)"):
            store.hosts.run(steps)
    finally:
        told(store.hosts, "systemctl", "stop", "reader", name="h2")
    store.hosts.run(steps)
    assert in_cache(store) == set()
    assert store.hosts.needs(*steps) == [False, False]


def test_what_somebody_removed_is_told_and_made_again(store: Store, gold: Volume) -> None:
    store.hosts.run(brought(store, gold))
    first, plan = disk_of(store, gold, 7)
    store.hosts.run(plan)
    copy = copy_of(store, gold)
    told(store.hosts, "rm", copy.path, name="h2")
    _, plan = disk_of(store, gold, 8)
    with pytest.raises(Refused, match="It was cached there, and somebody has removed it"):
        store.hosts.run(plan)
    store.hosts.run(brought(store, gold))
    assert holds(store, first.path, GOLD)
    store.hosts.run(plan)
    with pytest.raises(Refused, match="is there already"):
        store.hosts.run(brought(store, gold))
    assert holds(store, copy.path, GOLD)


def test_a_worker_that_dies_leaves_a_sound_cache(store: Store, gold: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "is_short", lambda action: False)  # each goes by itself, so there is a between
    copy, driver = copy_of(store, gold), there(store)
    digest = told(store.hosts, *PROGRAM, gold.path, "0")
    for number in count():
        plan, ahead = brought(store, gold), count()

        def cut(action: Action, ahead: count[int] = ahead, number: int = number) -> None:
            if next(ahead) == number:
                raise PowerCut

        try:
            store.hosts.run(plan, diary=Diary(cut))
        except PowerCut:
            names = {name for name in in_cache(store) if name.endswith(f".{copy.format}")}
            if names:  # under its own name it is whole
                assert told(store.hosts, *PROGRAM, copy.path, "0", name="h2") == digest
            store.hosts.run(plan)
        finished = next(ahead) <= number
        facts = [f"{copy.path}.sha256", copy.path]
        assert told(store.hosts, "cat", facts[0], name="h2") == digest
        disk, over = disk_of(store, gold, 100 + number)
        store.hosts.run(over)
        assert holds(store, disk.path, GOLD)
        store.hosts.run([*driver.delete(disk), *driver.evicted(copy)])
        assert in_cache(store) == set()
        if finished:
            break
    assert number > 10


def test_what_others_do_to_the_cache_is_noticed(store: Store, gold: Volume) -> None:
    store.hosts.run(brought(store, gold))
    copy, within = copy_of(store, gold), there(store).cache_base
    size = int(told(store.hosts, "stat", "-c", "%s", copy.path, name="h2"))
    kept = FileStored("h2", within, copy.path, size, mode="0444")
    only = OnlyKnownFiles("h2", within, (copy.path.rpartition("/")[2],))
    assert store.hosts.needs(kept, only) == [False, False]
    told(store.hosts, "chmod", "0666", copy.path, name="h2")
    assert store.hosts.needs(kept) == [True]
    store.hosts.run([kept])
    told(store.hosts, "touch", f"{within}/notes", name="h2")
    with pytest.raises(Refused, match="notes"):
        store.hosts.run([only])
    told(store.hosts, "truncate", "-s", "4096", copy.path, name="h2")
    with pytest.raises(Altered, match="it was cut off"):
        store.hosts.run([kept])
    told(store.hosts, "rm", copy.path, f"{within}/notes", name="h2")
    with pytest.raises(Missing):
        store.hosts.run([kept])


def test_the_digest_of_a_copy_is_that_of_its_bytes(store: Store, gold: Volume) -> None:
    store.hosts.run(brought(store, gold))
    path = copy_of(store, gold).path
    step = DataDigestKnown("h2", path)
    assert store.hosts.needs(step) == [False]
    told(store.hosts, "sh", "-c", f"chmod u+w {path}; echo more >>{path}", name="h2")
    assert store.hosts.needs(step) == [True]


def test_nothing_is_left_of_a_datastore(hosts: Hosts) -> None:
    driver = make_driver("ssh", host="h1", base="/srv/gone", hosts=("h1", "h2"), options={"cache": True})
    assert isinstance(driver, SshDriver)
    hosts.run(driver.set_up())
    image = Volume(driver.image_path("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0affff", Format.RAW), Format.RAW, 4 * MIB)
    hosts.run(driver.create(image))
    copy = driver.cached_copy("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0affff", HELD, Format.RAW)
    known, ready = driver.cached(copy)
    hosts.run([*transfer(driver, image, driver.cache, copy, "h1"), *known, *ready, *driver.delete_image(image)])
    told(hosts, "touch", "/srv/gone/.cache/mine", name="h2")
    hosts.run(driver.tear_down())
    assert told(hosts, "find", "/srv/gone").split() == ["/srv/gone"]
    assert told(hosts, "ls", "/srv/gone/.cache", name="h2").split() == ["mine"]
    for host in ("h1", "h2"):
        told(hosts, "rm", "-r", "/srv/gone", name=host)
    assert replace(driver, host="h2").cache.guard("h2") == ()
