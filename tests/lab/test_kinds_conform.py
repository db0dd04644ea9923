"""The same for every kind of datastore: what a kind declares it does on real hosts, whatever happens meanwhile.

A kind is added by a rig in ``kinds.py``. The table of kinds and operations is printed at the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from datastores.domain.errors import Cancelled, Refused
from datastores.domain.plan import Action, AnyStep, Detached
from datastores.domain.volumes import Capability, Format, Volume
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import transfer, way
from datastores.hosts import actions
from datastores.hosts.blocks import Filesystem
from tests.lab import places
from tests.lab.carrying import Diary, Hosts, connected
from tests.lab.disks import MIB, image_script
from tests.lab.kinds import RIGS, SIZE, Rig, Store, set_up

hosts, storage_hosts = places.hosts, places.storage_hosts
GOLD, OTHER = 0x5A, 0xC3
"""Bytes of the master, and bytes that were written later."""
FAR = 48 * MIB


class PowerCut(BaseException):
    """The worker is gone, at once: nobody takes anything back."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(rig, id=rig.name, marks=pytest.mark.vm if rig.lab == "machines" else pytest.mark.lab)
        for rig in RIGS
    ],
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    rig: Rig = request.param
    with hosts_of(rig, request) as found, set_up(rig, found) as made:
        yield made


@contextmanager
def hosts_of(rig: Rig, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """Machines begin anew with each rig: the disks of one are those of the next."""
    if rig.lab != "machines":
        yield request.getfixturevalue(rig.lab)
        return
    lab = request.getfixturevalue("machine_lab")
    lab.restore()
    with connected(lab) as found:
        yield found


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> None:
    """Note kind and operation for the table."""
    marker = request.node.get_closest_marker("operation")
    record_property("kind", request.getfixturevalue("store").rig.name)
    record_property("operation", marker.args[0])


@pytest.fixture
def gold(store: Store) -> Iterator[Volume]:
    """A master; afterwards the datastore is empty."""
    image = store.image(1)
    store.hosts.run(store.driver.create(image))
    store.write(image, GOLD)
    store.write(image, GOLD, FAR)
    store.hosts.run(store.driver.prepare(image))
    yield image
    store.hosts.run(store.delete_image(image))
    assert store.names() == set()


operation = pytest.mark.operation
Steps = Sequence[AnyStep]


def needs(store: Store, capability: Capability) -> None:
    if capability not in store.can:
        pytest.skip(f"not applicable: {store.driver.label} datastores have no {capability.value}")


def whole(store: Store, volume: Volume, first: int = GOLD) -> bool:
    return store.holds(volume, first) and store.holds(volume, GOLD, FAR) and store.holds(volume, 0, 8 * MIB)


@operation("create")
def test_an_empty_disk_is_made_listed_and_deleted(store: Store) -> None:
    image = store.image(2)
    store.hosts.there_and_back(*store.driver.create(image, Filesystem.EXT4))
    shell = store.hosts.shell(store.driver.host)
    assert [(volume.path, volume.format) for volume in store.driver.volumes(shell)] == [(image.path, image.format)]
    assert store.size(image) == SIZE
    store.hosts.run(store.driver.delete_image(image))
    assert (store.driver.volumes(shell), store.names()) == ((), set())


@operation("import")
def test_a_file_becomes_an_image_byte_for_byte(store: Store) -> None:
    source, image = "/var/tmp/import.raw", store.image(3, Format.RAW)
    store.told(*image_script(source, virtual=SIZE, data=8 * MIB))
    store.hosts.there_and_back(*store.driver.import_file(source, image))
    store.told("qemu-img", "compare", "-f", "raw", "-F", "raw", source, store.driver.opened(image).path)
    store.hosts.run([*store.driver.delete_image(image)])
    store.told("rm", source)


@operation("copy")
def test_a_copy_stands_alone(store: Store, gold: Volume) -> None:
    copy = store.image(4)
    store.hosts.there_and_back(*store.driver.copy(gold, copy))
    store.write(copy, OTHER)
    assert whole(store, gold) and whole(store, copy, OTHER)
    store.hosts.run(store.driver.delete_image(copy))


@operation("clone")
def test_a_clone_holds_what_the_master_holds_and_never_writes_to_it(store: Store, gold: Volume) -> None:
    needs(store, Capability.CLONE)
    disk = store.disk(7)
    store.hosts.there_and_back(*store.driver.clone(gold, disk))
    store.hosts.run(store.use(disk, 7))
    assert whole(store, disk)
    store.write(disk, OTHER)
    assert whole(store, gold) and whole(store, disk, OTHER)
    store.hosts.run(store.remove(disk))
    assert whole(store, gold)


@operation("dependants")
def test_an_image_goes_only_when_no_disk_needs_it(store: Store, gold: Volume) -> None:
    needs(store, Capability.CLONE)
    kept = store.driver.keeper.clone_needs_source or bool(store.cache)
    if kept and not store.rig.lists:
        pytest.skip("not applicable: a file knows nothing of its overlays; the rows do, and refuse it")
    image, disk = store.image(9), store.disk(7)
    store.hosts.run(store.driver.copy(gold, image))
    store.hosts.run([*store.disk_of(image, disk), *store.use(disk, 7)])
    if kept:
        with pytest.raises(Refused):
            store.hosts.run(store.delete_image(image))
        assert whole(store, image)
    else:
        store.hosts.run(store.delete_image(image))
    assert whole(store, disk)
    store.hosts.run(store.remove(disk))
    if kept:
        store.hosts.run(store.delete_image(image))


@operation("promote")
def test_a_clone_takes_the_place_of_its_image(store: Store) -> None:
    needs(store, Capability.PROMOTE)
    image, disk = store.image(8), store.disk(7)
    store.hosts.run(store.driver.create(image))
    store.write(image, GOLD)
    store.hosts.run([*store.disk_of(image, disk), *store.driver.promote(disk, image)])
    assert store.holds(disk, GOLD) and store.holds(disk, 0, FAR)
    store.hosts.run(store.driver.delete(disk))


@operation("reserve")
def test_room_is_kept_for_a_disk_and_is_free_no_more(store: Store, gold: Volume) -> None:
    needs(store, Capability.RESERVE)
    disk = store.disk(7)
    store.hosts.run(store.driver.clone(gold, disk))
    before = store.settled().free
    store.hosts.there_and_back(*store.driver.reserve(replace(disk, reserved=store.driver.room_of(SIZE))))
    assert before - store.settled().free > SIZE // 2
    store.hosts.run(store.driver.delete(disk))
    assert store.settled().free > before - SIZE // 2


@operation("flatten")
def test_a_flattened_disk_needs_its_image_no_more(store: Store) -> None:
    needs(store, Capability.FLATTEN)
    image, disk = store.image(7), store.disk(7)
    store.hosts.run(store.driver.create(image))
    store.write(image, GOLD)
    store.hosts.run([*store.disk_of(image, disk), *store.driver.flatten(disk), *store.driver.delete_image(image)])
    assert store.holds(disk, GOLD) and store.holds(disk, 0, FAR)
    store.hosts.run(store.driver.delete(disk))


@operation("disk of an image")
def test_a_disk_is_saved_as_an_image_that_outlives_it(store: Store, gold: Volume) -> None:
    disk, saved = store.disk(7), store.image(5)
    store.hosts.run([*store.disk_of(gold, disk), *store.use(disk, 7)])
    store.write(disk, OTHER)
    store.hosts.run([*store.driver.copy(disk, saved), *store.remove(disk)])
    assert whole(store, saved, OTHER)
    store.hosts.run(store.driver.delete_image(saved))


@operation("attach")
def test_a_volume_is_used_where_it_is_attached_and_nowhere_else(store: Store, gold: Volume) -> None:
    needs(store, Capability.ATTACH)
    before = store.names()
    store.hosts.there_and_back(*store.use(gold, 8))
    store.write(gold, OTHER)
    assert whole(store, gold, OTHER)
    store.hosts.run(store.leave(gold))
    assert whole(store, gold, OTHER)
    assert store.names() == before


@operation("link")
def test_a_persistent_disk_is_the_master_itself(store: Store, gold: Volume) -> None:
    place = store.driver.disk_path(8, 0)
    store.hosts.there_and_back(*store.driver.link(gold, place))
    store.write(store.driver.linked(gold, place), OTHER)
    assert whole(store, gold, OTHER)
    store.hosts.run(store.driver.unlink(gold, place))
    assert whole(store, gold, OTHER)
    if Capability.CLONE in store.can:
        store.hosts.run(store.driver.clone(gold, store.disk(7)))
        assert whole(store, store.disk(7), OTHER)
        store.hosts.run(store.driver.delete(store.disk(7)))


@operation("snapshot")
def test_a_snapshot_brings_back_what_was(store: Store, gold: Volume) -> None:
    needs(store, Capability.SNAPSHOT)
    first, second = "before upgrade", "n" * 128
    store.hosts.there_and_back(*store.driver.snapshot(gold, first))
    store.write(gold, OTHER)
    store.hosts.run(store.driver.snapshot(gold, second))
    store.hosts.run(store.driver.revert(gold, first))
    assert whole(store, gold)
    last = GOLD
    if store.driver.keeper.revert_takes_younger:
        with pytest.raises(Refused, match="has no snapshot"):
            store.hosts.run(store.driver.revert(gold, second))
    else:
        store.hosts.run(store.driver.revert(gold, second))
        last = OTHER
    assert whole(store, gold, last)
    store.hosts.run([*store.driver.delete_snapshot(gold, first), *store.driver.delete_snapshot(gold, second)])
    assert whole(store, gold, last)


@operation("resize")
def test_a_disk_grows_and_never_shrinks(store: Store, gold: Volume) -> None:
    needs(store, Capability.RESIZE)
    disk = store.disk(7)
    store.hosts.run([*store.disk_of(gold, disk), *store.use(disk, 7)])
    larger = replace(disk, virtual_size=2 * SIZE)
    store.hosts.run([*store.leave(disk), *store.driver.resize(disk, 2 * SIZE), *store.use(larger, 7)])
    assert store.size(disk) == 2 * SIZE and whole(store, disk)
    store.hosts.run(store.leave(disk))
    with pytest.raises(Refused, match="cut off"):
        store.hosts.run(store.driver.resize(disk, SIZE))
    assert store.size(gold) == SIZE
    store.hosts.run(store.remove(disk))


@operation("capacity")
def test_what_is_stored_is_seen_in_the_capacity(store: Store, gold: Volume) -> None:
    before, image = store.settled(), store.image(6)
    assert 0 < before.free <= before.total and before.used > 0
    store.hosts.run(store.driver.create(image))
    for number in range(16):
        store.write(image, OTHER, number * MIB)
    grown = store.settled().used - before.used
    store.hosts.run(store.driver.delete_image(image))
    assert 12 * MIB <= grown <= 40 * MIB


@operation("many disks")
def test_many_disks_of_one_image(store: Store, gold: Volume) -> None:
    disks = [store.disk(100 + number) for number in range(store.rig.many if Capability.CLONE in store.can else 5)]
    store.hosts.run([step for disk in disks for step in store.disk_of(gold, disk)])
    assert whole(store, disks[0]) and whole(store, disks[-1])
    store.hosts.run([step for disk in disks for step in store.driver.delete(disk)])


@operation("disks at once")
def test_disks_are_made_of_one_image_side_by_side(store: Store, gold: Volume) -> None:
    disks = [store.disk(7, number) for number in range(8)]
    store.hosts.run(store.prepared(gold))

    def make(disk: Volume) -> None:
        store.hosts.run([*store.disk_of(gold, disk), *store.use(disk, 7, disks.index(disk))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, disks))
    assert all(whole(store, disk) for disk in disks)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda disk: store.hosts.run(store.remove(disk)), disks))


@operation("cancel")
def test_a_cancelled_copy_leaves_nothing(store: Store, gold: Volume) -> None:
    before, copy = store.names(), store.image(4)
    begun: list[Action] = []

    def note(action: Action) -> None:
        begun.append(action)

    with pytest.raises(Cancelled):
        store.hosts.run(
            store.driver.copy(gold, copy),
            diary=Diary(note),
            cancelled=lambda: any(isinstance(action.do, Detached) for action in begun),
        )
    assert store.names() == before


def cut_before(number: int) -> Callable[[Action], None]:
    """Return what pulls the plug before action ``number``."""
    ahead = count()

    def look(action: Action) -> None:
        if next(ahead) == number:
            raise PowerCut

    return look


def cut_anywhere(hosts: Hosts, steps_of: Callable[[int], Steps], check: Callable[[int], None]) -> int:
    """Carry out the steps with the power cut before their first action, their second, and so on; then again, whole.

    ``steps_of`` is given the number of the attempt, so that each has a target of its own. Return how many there were.
    """
    for number in count():
        steps = steps_of(number)
        try:
            hosts.run(steps, diary=Diary(cut_before(number)))
        except PowerCut:
            hosts.run(steps_of(number))
            check(number)
        else:
            check(number)
            return number
    raise AssertionError


@operation("crash")
def test_a_worker_that_dies_between_any_two_actions_is_followed_by_one_that_completes_it(
    store: Store, gold: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "is_short", lambda action: False)  # each goes by itself, so there is a between
    driver, run = store.driver, store.hosts.run

    def gone(number: int) -> None:
        assert whole(store, store.disk(number))
        run(driver.delete(store.disk(number)))

    assert cut_anywhere(store.hosts, lambda number: store.disk_of(gold, store.disk(number)), gone) > 0

    def deleted(number: int) -> None:
        run(driver.delete_image(store.image(number + 16)))

    def copied(number: int) -> None:
        assert whole(store, store.image(number + 16))
        deleted(number)

    assert cut_anywhere(store.hosts, lambda number: driver.copy(gold, store.image(number + 16)), copied) > 0
    assert cut_anywhere(store.hosts, lambda number: driver.create(store.image(number + 16)), deleted) > 0
    if Capability.RESIZE in store.can:
        grow = lambda number: driver.resize(gold, SIZE + (number + 1) * MIB)  # noqa: E731
        assert cut_anywhere(store.hosts, grow, lambda number: None) > 0
    assert whole(store, gold)


@operation("move")
def test_an_image_travels_to_another_kind_and_back(store: Store, gold: Volume) -> None:
    other = make_driver("shared", host="h1", base="/srv/elsewhere", hosts=("h1",), options={"mounted": "nowhere"})
    store.hosts.run(other.set_up())
    there = Volume(other.image_path("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0affff", Format.RAW), Format.RAW, SIZE)
    back = store.image(9)
    here = way(store.driver, gold.format, other).host
    store.hosts.run(transfer(store.driver, gold, other, there, here, moved=True))
    store.hosts.run(transfer(other, there, store.driver, back, way(other, Format.RAW, store.driver).host, moved=True))
    assert whole(store, back)
    store.hosts.run([*other.delete_image(there), *store.driver.delete_image(back)])
    store.told("rmdir", other.base)
