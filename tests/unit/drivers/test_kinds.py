"""What each kind plans."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Output
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import FileDriver
from datastores.drivers.registry import DRIVERS, driver_class, make_driver
from datastores.drivers.transfers import transfer
from datastores.hosts import capacity
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.checksums import ChecksumKnown
from datastores.hosts.contexts import ContextIsoExists, Variable
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskAbsent, DiskLinked
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.filesystems import BaseReady, CanReflink
from datastores.hosts.overlays import OverlayExists, OverlayTemplateKept
from datastores.hosts.probes import ProbeGone, ProbePresent, ProbeVisible
from datastores.hosts.reflinks import FileReverted, ReflinkExists
from datastores.hosts.sizes import ImageResized
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotRestored
from tests.fakes import FakeShell, said

BASE = "/srv/ds"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
RAW = Volume(f"{BASE}/a.raw", Format.RAW, 25 << 30)
QCOW2 = Volume(f"{BASE}/a.qcow2", Format.QCOW2, 25 << 30)
DISK = f"{BASE}/7/disk.0"
OWNER = {"owner": "oneadmin", "group": "cloud", "mode": "0660"}
OWNED = Ownership("oneadmin", "cloud", "0660")

reflinking = pytest.mark.parametrize("kind", ["btrfs", "xfs"])
internal = pytest.mark.parametrize("kind", ["shared", "qcow2"])
every = pytest.mark.parametrize("kind", ["shared", "qcow2", "btrfs", "xfs"])


def driver(kind: str, **options: Any) -> StorageDriver:
    return make_driver(kind, host="h1", base=BASE, hosts=("h1", "h2"), options={**OWNER, **options})


@reflinking
def test_a_clone_is_one_reflink_in_the_directory_of_its_vm(kind: str) -> None:
    assert driver(kind).clone(RAW, Volume(DISK, Format.RAW)) == (ReflinkExists("h1", RAW.path, DISK, True),)


@reflinking
def test_snapshots_are_reflinks_beside_the_image(kind: str) -> None:
    there, store = f"{RAW.path}.snap/before upgrade", driver(kind)
    assert store.snapshot(RAW, "before upgrade") == (ReflinkExists("h1", RAW.path, there, True),)
    assert store.revert(RAW, "before upgrade") == (FileReverted("h1", there, RAW.path, Format.RAW),)
    assert store.delete_snapshot(RAW, "before upgrade") == (DiskAbsent("h1", there, BASE),)


@reflinking
def test_an_image_is_deleted_after_what_is_beside_it(kind: str) -> None:
    beside = (f"{RAW.path}.snap/one", f"{RAW.path}.snap/two", f"{RAW.path}.sha256")
    wanted = tuple(DiskAbsent("h1", path, BASE) for path in (*beside, RAW.path))
    assert driver(kind).delete_image(RAW, ("one", "two")) == wanted


@reflinking
@pytest.mark.parametrize("name", ["", "..", "../../x", "a/b", "-rf", " x", "x\n"])
def test_the_name_of_a_snapshot_is_never_a_path(kind: str, name: str) -> None:
    with pytest.raises(BadInput):
        driver(kind).snapshot(RAW, name)


@reflinking
def test_only_the_storage_host_has_to_be_able_to_clone(kind: str) -> None:
    store = driver(kind, exported=True, mounted="clients")
    ready = DirectoryPresent("h1", BASE, "oneadmin", "cloud", "0755"), BaseReady("h1", BASE, "")
    assert store.activate("h1") == (*ready, CanReflink("h1", BASE, kind))
    assert store.activate("h2") == (BaseReady("h2", BASE, BASE),)


@internal
def test_snapshots_are_inside_qcow2(kind: str) -> None:
    store = driver(kind)
    assert store.snapshot(QCOW2, "one") == (SnapshotExists("h1", QCOW2.path, "one"),)
    assert store.revert(QCOW2, "one") == (SnapshotRestored("h1", QCOW2.path, "one"),)
    assert store.delete_snapshot(QCOW2, "one") == (SnapshotAbsent("h1", QCOW2.path, "one"),)
    assert Capability.SNAPSHOT not in store.capabilities(Format.RAW)
    with pytest.raises(Unsupported, match=r"raw images in .* datastores have no snapshot"):
        store.snapshot(RAW, "one")


@internal
def test_snapshots_inside_qcow2_go_with_their_image(kind: str) -> None:
    beside = [".overlay", ".sha256"] if kind == "qcow2" else [".sha256"]
    wanted = tuple(DiskAbsent("h1", QCOW2.path + ending, BASE) for ending in [*beside, ""])
    assert driver(kind).delete_image(QCOW2, ("one",)) == wanted


def test_a_qcow2_clone_is_an_overlay_that_names_the_format_below() -> None:
    store = driver("qcow2")
    for image in (RAW, QCOW2):
        wanted = OverlayExists("h1", image.path, image.format, DISK, True)
        assert store.clone(image, Volume(DISK, Format.QCOW2)) == (wanted,)
        assert store.prepare(image) == (OverlayTemplateKept("h1", image.path, image.format),)
    with pytest.raises(Unsupported, match="An overlay is a qcow2 file"):
        store.clone(QCOW2, Volume(DISK, Format.RAW))


def test_a_copy_of_what_may_be_an_overlay_is_read_through() -> None:
    target = Volume(f"{BASE}/b.qcow2", Format.QCOW2)
    wanted = FileConverted("h1", QCOW2.path, "qcow2", target.path, Format.QCOW2, OWNED)
    assert driver("qcow2").copy(QCOW2, target) == (wanted,)
    assert driver("shared").copy(QCOW2, target) == (FileCopied("h1", QCOW2.path, target.path, OWNED),)


@every
def test_a_copy_keeps_the_format_or_is_converted(kind: str) -> None:
    store = driver(kind)
    assert store.copy(RAW, Volume(DISK, Format.RAW)) == (FileCopied("h1", RAW.path, DISK, OWNED, True),)
    converted = FileConverted("h1", RAW.path, "raw", DISK, Format.QCOW2, OWNED, True)
    assert store.copy(RAW, Volume(DISK, Format.QCOW2)) == (converted,)
    with pytest.raises(Unsupported, match="A CD cannot become a disk"):
        store.copy(Volume(f"{BASE}/a.iso", Format.ISO), Volume(DISK, Format.QCOW2))


@every
def test_the_rest_is_the_same_for_every_kind(kind: str) -> None:
    store = driver(kind)
    assert isinstance(store, FileDriver)
    assert store.image_path(UUID, Format.ISO) == f"{BASE}/{UUID}.iso"
    assert store.disk_path(7, 0) == DISK
    assert store.create(QCOW2, Filesystem.EXT4) == (
        DataBlockExists("h1", QCOW2.path, Format.QCOW2, 25 << 30, Filesystem.EXT4, OWNED),
    )
    assert store.import_file("/var/tmp/a", RAW) == (FileCopied("h1", "/var/tmp/a", RAW.path, OWNED),)
    assert store.checksum(RAW) == (ChecksumKnown("h1", RAW.path, 25 << 30),)
    assert store.delete(RAW) == (DiskAbsent("h1", RAW.path, BASE),)
    assert store.link(RAW, "/srv/vms/7/disk.0") == (DiskLinked("h1", "/srv/vms/7/disk.0", RAW.path),)
    assert store.resize(RAW, 1 << 40) == (ImageResized("h1", RAW.path, Format.RAW, 1 << 40),)
    assert store.deactivate("h2") == ()
    assert store.opened(RAW).path == RAW.path
    (context,) = store.context(DISK, (Variable("A", "b"),))
    assert isinstance(context, ContextIsoExists) and context.with_directory and context.ownership == OWNED


def test_placement_is_in_the_words_of_the_trade() -> None:
    placed = {kind: (each.persistent, each.disposable, each.ds, each.tm) for kind, each in DRIVERS.items()}
    assert placed == {
        "shared": (Placement.NONE, Placement.SYSTEM, "fs", "shared"),
        "qcow2": (Placement.NONE, Placement.SYSTEM, "fs", "qcow2"),
        "btrfs": (Placement.NONE, Placement.SELF, "fs", "btrfs"),
        "xfs": (Placement.NONE, Placement.SELF, "fs", "xfs"),
        "nfs": (Placement.NONE, Placement.SYSTEM, "fs", "nfs"),
        "lvm": (Placement.NONE, Placement.SELF, "lvm", "lvm"),
        "iscsi": (Placement.NONE, Placement.SELF, "iscsi", "iscsi"),
        "nas": (Placement.NONE, Placement.NONE, "iscsi", "nas"),
        "gluster": (Placement.NONE, Placement.SYSTEM, "fs", "gluster"),
        "ssh": (Placement.SYSTEM, Placement.SYSTEM, "fs", "ssh"),
        "zfs": (Placement.NONE, Placement.SELF, "zfs", "zfs"),
        "ceph": (Placement.NONE, Placement.SELF, "ceph", "ceph"),
    }


@pytest.mark.parametrize(
    ("options", "host", "mount_point"),
    [
        ({}, "h1", None),
        ({}, "h2", BASE),
        ({"mounted": "nowhere"}, "h2", ""),
        ({"mounted": "everywhere"}, "h1", BASE),
        ({"mounted": "everywhere", "mount_point": "/srv"}, "h2", "/srv"),
    ],
)
def test_a_bare_directory_is_not_taken_for_the_mount(options: Any, host: str, mount_point: str | None) -> None:
    steps = driver("shared", **options).activate(host)
    assert steps[-1] == BaseReady(host, BASE, mount_point or "")
    makes = any(isinstance(step, DirectoryPresent) for step in steps)
    assert makes == (mount_point is None)  # what is to be mounted is never made by us


def test_that_all_hosts_see_one_directory_is_probed() -> None:
    store = driver("shared")
    assert isinstance(store, FileDriver)
    write, see, remove = store.same_directory("5e1f")
    assert write.steps == (ProbePresent("h1", BASE, "5e1f"),)
    assert see.steps == (ProbeVisible("h2", BASE, "5e1f"),)
    assert remove.steps == (ProbeGone("h1", BASE, "5e1f"),)


def test_hosts_that_see_other_bytes_are_not_compared() -> None:
    assert driver("btrfs").same_directory("5e1f") == ()
    assert len(driver("btrfs", exported=True).same_directory("5e1f")) == 3
    assert replace(driver("shared"), hosts=("h1",)).same_directory("5e1f") == ()


@every
def test_capacity_and_volumes_are_read_in_one_command_each(kind: str) -> None:
    room = Output(0, b"1000 5000 2000 4096 700 600 xfs\0/srv/ds\0")
    files = said("\0".join(("26843545600 1638400 a.raw", "196616 8 b.qcow2", "400 8 c.iso", "7 8 stranger", "")))
    shell = FakeShell("h1", {capacity.ask_room(BASE).argv: room, capacity.list_files(BASE).argv: files}, strict=True)
    store = driver(kind)
    assert store.capacity(shell) == Capacity(5000 * 4096, 3000 * 4096, 1000 * 4096, 700, 100)
    assert store.volumes(shell) == (
        Volume(f"{BASE}/a.raw", Format.RAW, 25 << 30, 800 << 20),
        Volume(f"{BASE}/b.qcow2", Format.QCOW2, 0, 4096),
        Volume(f"{BASE}/c.iso", Format.ISO, 400, 4096),
        Volume(f"{BASE}/stranger", Format.RAW, 7, 4096),
    )
    assert shell.round_trips == 2


def test_a_file_system_that_makes_inodes_as_needed_has_no_number_of_them() -> None:
    room = Output(0, b"1000 5000 2000 4096 0 0 btrfs\0/srv/ds\0")
    shell = FakeShell("h1", {capacity.ask_room(BASE).argv: room}, strict=True)
    found = driver("btrfs").capacity(shell)
    assert (found.inodes, found.used_inodes) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"owner": "root; id"}, "not an account name"),
        ({"group": "-x"}, "not an account name"),
        ({"mode": "rw"}, "not an octal file mode"),
        ({"mode": "660"}, "four digits"),
        ({"mounted": "sometimes"}, "nowhere, clients, everywhere"),
        ({"mount_point": "srv"}, "must be absolute"),
        ({"mount_point": "/mnt"}, "does not lie below the mount point"),
        ({"exported": "yes"}, "cannot be 'yes'"),
        ({"owner": 7}, "cannot be 7"),
        ({"shell": "/bin/sh"}, "no option shell"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make_driver("btrfs", host="h1", base=BASE, options=options)


def test_the_base_path_and_the_hosts_are_checked() -> None:
    with pytest.raises(BadInput, match="The base path must be absolute"):
        make_driver("shared", host="h1", base="srv")
    with pytest.raises(BadInput, match=r"\.\."):
        make_driver("shared", host="h1", base="/srv/../etc")
    with pytest.raises(BadInput, match="not one of the datastore's hosts"):
        make_driver("shared", host="h1", base=BASE, hosts=("h2",))
    with pytest.raises(BadInput, match="no kind of datastore called 'zip'; there are shared"):
        driver_class("zip")


GUARD = BaseReady("h1", BASE, "/srv")
guarded = {"mounted": "everywhere", "mount_point": "/srv"}


@every
def test_where_something_must_be_mounted_nothing_is_written_without_it(kind: str) -> None:
    store, plain = driver(kind, **guarded), driver(kind)
    target = Volume(f"{BASE}/{UUID}.raw", Format.RAW, 25 << 30)
    written = (
        store.create(target),
        store.context(f"{BASE}/7/disk.1", ()),
        store.import_file("/var/tmp/golden.raw", target),
        store.copy(RAW, target),
        transfer(plain, RAW, store, target, store.host),
    )
    assert {steps[0] for steps in written} == {GUARD}
    assert GUARD not in plain.create(target)


@every
def test_the_directory_of_a_datastore_is_made_on_what_must_be_mounted(kind: str) -> None:
    mounted, made, ready, *_ = driver(kind, **guarded).activate("h1")
    assert mounted == BaseReady("h1", "/srv", "/srv")
    assert isinstance(made, DirectoryPresent)
    assert ready == GUARD


@every
def test_a_datastore_that_is_not_mounted_is_not_measured(kind: str) -> None:
    stat, findmnt = GUARD.reads()
    root = {"target": "/", "source": "/dev/sda1", "fstype": "ext4", "options": "rw", "size": 1, "used": 0, "avail": 1}
    there = "41ed/0/0/512/27:2/1/oneadmin/cloud/755/1700000000.123456789/" + BASE + "\0"
    shell = FakeShell("h1", {stat.argv: said(there), findmnt.argv: said(json.dumps({"filesystems": [root]}))})
    with pytest.raises(Refused, match="Nothing is mounted at /srv on h1"):
        driver(kind, **guarded).capacity(shell)
