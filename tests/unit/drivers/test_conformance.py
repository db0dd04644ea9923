"""Every kind declares exactly what it can do, and keeps to the interface."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from datastores.domain.errors import Refused, Unsupported
from datastores.domain.iscsi import Lun, PinnedLun, Portal
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS, make_driver

BASE = "/srv/ds"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
NEEDS = {
    "clone": Capability.CLONE,
    "flatten": Capability.FLATTEN,
    "resize": Capability.RESIZE,
    "reserve": Capability.RESERVE,
    "promote": Capability.PROMOTE,
    "snapshot": Capability.SNAPSHOT,
    "revert": Capability.SNAPSHOT,
    "delete_snapshot": Capability.SNAPSHOT,
    "attach": Capability.ATTACH,
    "detach": Capability.ATTACH,
}
TOLD = {
    "sends_files": ("sends", "fetches"),
    "sends_streams": ("streams_to", "fetches_stream"),
    "takes_back": ("comes_back",),
}
"""What says of a kind that it has these."""
METHODS = (
    "activate", "deactivate", "create", "import_file", "checksum", "delete", "delete_image", "copy", "link", "unlink",
    "clone", "flatten", "resize", "reserve", "promote", "snapshot", "revert", "delete_snapshot", "attach", "detach",
)  # fmt: skip

BY_HAND = ("create", "import_file", "checksum", "delete", "delete_image", "copy")
"""What a kind whose volumes others make leaves to them."""

kinds = pytest.mark.parametrize("kind", DRIVERS)
able = pytest.mark.parametrize(
    ("kind", "method"),
    [
        (kind, method)
        for kind in DRIVERS
        for method in METHODS
        if NEEDS.get(method) in {None, *DRIVERS[kind].can} and not (DRIVERS[kind].has_luns and method in BY_HAND)
    ],
)


def address(host: str) -> str:
    return f"10.0.0.{host.removeprefix('h')}"


ONLY_WITH: dict[tuple[str, Capability], dict[str, Any]] = {
    ("iscsi", each): {"backing": "zfs", "dataset": "tank/luns"} for each in DRIVERS["iscsi"].at_best
}
"""Options without which a kind lacks a capability that it has otherwise."""


def able_driver(kind: str, method: str) -> StorageDriver:
    """Return a datastore of this kind that can do it, if any can."""
    return driver(kind, **ONLY_WITH.get((kind, NEEDS.get(method, Capability.CLONE)), {}))


def driver(kind: str, **options: Any) -> StorageDriver:
    luns = [PinnedLun(UUID, Lun(Portal("10.0.0.5"), "iqn.2004-04.com.example:one", 3), 1 << 30)]
    return make_driver(kind, host="h1", base=BASE, hosts=("h1", "h2"), options=options, locate=address, luns=luns)


@kinds
def test_each_says_what_it_is_like(kind: str) -> None:
    said = DRIVERS[kind].character
    assert said.parts and said.simplicity and said.performance and said.redundancy and said.capacity


def image(store: StorageDriver) -> Volume:
    format = format_of(store)
    return Volume(store.image_path(UUID, format), format, 1 << 30)


def format_of(store: StorageDriver) -> Format:
    """Return qcow2, or raw where a kind has no qcow2."""
    return Format.QCOW2 if Format.QCOW2 in store.formats else Format.RAW


def arguments(store: StorageDriver, method: str) -> tuple[Any, ...]:
    """Return what the method can be called with."""
    master, disk = image(store), Volume(store.disk_path(7, 0), format_of(store), 1 << 30)
    given: dict[str, tuple[Any, ...]] = {
        "activate": ("h1",),
        "deactivate": ("h1",),
        "import_file": ("/var/tmp/a.qcow2", master),
        "delete_image": (master, ("one",)),
        "copy": (master, disk),
        "link": (master, disk.path),
        "unlink": (master, disk.path),
        "clone": (master, disk),
        "promote": (disk, master),
        "resize": (master, 2 << 30),
        "attach": (master, "h1", disk.path),
        "detach": (master, "h1", disk.path),
    }
    snapshots = dict.fromkeys(("snapshot", "revert", "delete_snapshot"), (master, "one"))
    return (given | snapshots).get(method, (master,))


@kinds
@pytest.mark.parametrize("method", NEEDS)
def test_capabilities_are_exactly_what_is_implemented(kind: str, method: str) -> None:
    implemented = getattr(DRIVERS[kind], method) is not getattr(StorageDriver, method)
    assert implemented == (NEEDS[method] in DRIVERS[kind].can)


@kinds
@pytest.mark.parametrize(("flag", "methods"), TOLD.items())
def test_what_a_kind_says_of_journeys_is_what_is_implemented(kind: str, flag: str, methods: tuple[str, ...]) -> None:
    own = {getattr(DRIVERS[kind], method) is not getattr(StorageDriver, method) for method in methods}
    assert own == {getattr(DRIVERS[kind], flag)}


@kinds
def test_what_a_kind_can_at_best_it_can_with_some_options(kind: str) -> None:
    formats = DRIVERS[kind].formats
    usual = {each for format in formats for each in driver(kind).capabilities(format)}
    assert DRIVERS[kind].can - DRIVERS[kind].at_best <= usual | {Capability.ATTACH}
    for capability in DRIVERS[kind].at_best:
        assert capability not in usual
        assert capability in driver(kind, **ONLY_WITH[kind, capability]).capabilities(formats[0])


@kinds
@pytest.mark.parametrize("method", NEEDS)
def test_what_is_not_declared_is_refused_in_words(kind: str, method: str) -> None:
    store = able_driver(kind, method)
    if NEEDS[method] in DRIVERS[kind].can:
        assert getattr(store, method)(*arguments(store, method))
        return
    with pytest.raises(Unsupported, match=f"{DRIVERS[kind].label} datastores have no {NEEDS[method].value}"):
        getattr(store, method)(*arguments(store, method))


@kinds
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("method", ["resize", "snapshot", "revert", "delete_snapshot"])
def test_the_capabilities_of_a_format_are_exactly_what_is_allowed(kind: str, format: Format, method: str) -> None:
    store = driver(kind)
    volume = Volume(store.image_path(UUID, format), format, 1 << 30)
    call = getattr(store, method)
    if NEEDS[method] in store.capabilities(format):
        assert call(volume, *arguments(store, method)[1:])
        return
    with pytest.raises(Unsupported):
        call(volume, *arguments(store, method)[1:])


@kinds
def test_signatures_are_those_of_the_interface(kind: str) -> None:
    for name, wanted in inspect.getmembers(StorageDriver, inspect.isfunction):
        if not name.startswith("_"):
            own = list(inspect.signature(getattr(DRIVERS[kind], name)).parameters)[1:]
            assert own == list(inspect.signature(wanted).parameters)[1:], name


@able
def test_writing_methods_return_steps_for_the_hosts_of_the_datastore(kind: str, method: str) -> None:
    store = able_driver(kind, method)
    steps = getattr(store, method)(*arguments(store, method))
    assert isinstance(steps, tuple)
    assert all(step.host == "h1" and step.title and step.reads() for step in steps)


@pytest.mark.parametrize("method", BY_HAND)
def test_what_others_make_is_left_to_them(method: str) -> None:
    store = driver("nas")
    with pytest.raises(Unsupported, match=r"at the appliance, by hand|not read here"):
        getattr(store, method)(*arguments(store, method))


@kinds
def test_everything_is_declared(kind: str) -> None:
    declared = DRIVERS[kind]
    assert declared.kind == kind
    assert declared.label and declared.ds and declared.tm
    assert declared.about.endswith(".") and len(declared.about) < 130
    assert isinstance(declared.persistent, Placement) and isinstance(declared.disposable, Placement)
    assert set(declared.exports) <= set(declared.formats) and set(declared.imports) <= set(declared.formats)
    assert is_dataclass(declared.Options)
    for option in fields(declared.Options):
        assert option.metadata["label"] and option.metadata["help"].endswith(".")


@kinds
@pytest.mark.parametrize(
    "method",
    ["create", "checksum", "delete", "delete_image", "resize", "snapshot", "revert", "delete_snapshot"],
)
@pytest.mark.parametrize("path", ["/etc/passwd", "/srv/dsevil/x", BASE])
def test_nothing_outside_the_datastore_is_touched(kind: str, method: str, path: str) -> None:
    store = driver(kind)
    call = getattr(store, method)
    if NEEDS.get(method) not in {None, *DRIVERS[kind].can}:
        return  # refused whatever it is asked of
    with pytest.raises(Refused, match="does not lie in the datastore"):
        call(Volume(path, Format.QCOW2, 1 << 30), *arguments(store, method)[1:])


@kinds
def test_nothing_is_put_outside_the_datastore(kind: str) -> None:
    outside = Volume("/etc/cron.d/x", Format.QCOW2)
    store = driver(kind)
    for make in (store.copy, *((store.clone,) if Capability.CLONE in store.can else ())):
        with pytest.raises(Refused, match="does not lie in the datastore"):
            make(image(store), outside)
    with pytest.raises(Refused, match="does not lie in the datastore"):
        store.import_file("/var/tmp/a.qcow2", outside)


@kinds
def test_stored_names_are_ours(kind: str) -> None:
    store = driver(kind)
    assert UUID in store.image_path(UUID, Format.RAW)
    disks = {store.disk_path(vm, number) for vm in (1, 11) for number in (0, 1, 10)}
    assert len(disks) == 6
    for path in (store.image_path(UUID, Format.RAW), *disks):
        store.check_inside(Volume(path, Format.RAW))
    for name in ("../../etc/passwd", "x", "", "; id"):
        with pytest.raises(ValueError):
            store.image_path(name, Format.RAW)
    with pytest.raises(ValueError):
        store.disk_path("7/../..", 0)  # type: ignore[arg-type]


@kinds
def test_live_migration_is_offered_where_the_bytes_are_on_every_host(kind: str) -> None:
    choices: list[dict[str, Any]] = [{}]
    if "exported" in {option.name for option in fields(DRIVERS[kind].Options)}:
        choices.append({"exported": True})
    for options in choices:
        store = driver(kind, **options)
        assert (Capability.LIVE_MIGRATION in store.capabilities(Format.RAW)) == store.shared
        assert store.seen_from == (("h1", "h2") if store.shared else ("h1",))


def test_an_incomplete_kind_cannot_be_made() -> None:
    class Half(StorageDriver):
        kind = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half("h1", BASE, ("h1",), None)  # type: ignore[abstract]
