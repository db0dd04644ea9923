"""What an LVM datastore does."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.volumes import Capacity, Format, Volume
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import transfer
from datastores.hosts import lvm
from datastores.hosts.checksums import BytesHashed
from datastores.hosts.copies import FileCopied, Ownership
from datastores.hosts.device_inspection import DeviceIsSafe
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.lvm_clones import CloneLinked
from datastores.hosts.lvm_contents import DeviceTaken, VolumeFilled
from datastores.hosts.lvm_groups import GroupReady, PoolReady
from datastores.hosts.lvm_tails import TailEmpty
from datastores.hosts.lvm_volumes import (
    ReturnPrepared,
    VolumeAbsent,
    VolumeCloned,
    VolumeGrown,
    VolumeRenamed,
    VolumeReturned,
    Wipe,
)
from datastores.hosts.opened import Opened
from datastores.hosts.stored import FileStored
from tests.fakes import FakeShell, said

BASE = "/srv/ds"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
NAME = f"lv-one-{UUID}"
SIZE = (64 << 20) - 512
IMAGE = Volume(f"{BASE}/{UUID}.raw", Format.RAW, SIZE)
DISK = Volume(f"{BASE}/7/disk.0", Format.RAW, SIZE)
CD = Volume(f"{BASE}/{UUID}.iso", Format.ISO, 4096)
LINK = DeviceLinked("h1", IMAGE.path, f"/dev/vg-one/{NAME}")
TAIL = TailEmpty("h1", f"/dev/vg-one/{NAME}", SIZE)


def store(**options: Any) -> LvmDriver:
    made = make_driver("lvm", host="h1", base=BASE, hosts=("h1", "h2"), options=options)
    assert isinstance(made, LvmDriver)
    return made


def test_volumes_are_named_by_image_or_by_disk() -> None:
    assert store().volume_name(IMAGE) == NAME
    assert store().volume_name(DISK) == "lv-one-7-0"
    assert store(prefix="one.").volume_name(DISK) == "one.7-0"
    for path in (f"{BASE}/7/other", f"{BASE}/x/disk.0", f"{BASE}/a/b/c"):
        with pytest.raises(Refused, match="neither an image nor a disk"):
            store().volume_name(Volume(path, Format.RAW))


def test_a_clone_is_a_thin_snapshot_and_a_link_to_it_in_one_step() -> None:
    assert store().clone(IMAGE, DISK) == (CloneLinked("h1", "vg-one", NAME, "lv-one-7-0", DISK.path),)


def test_a_persistent_disk_is_a_link_to_the_volume_of_the_image() -> None:
    assert store().link(IMAGE, DISK.path) == (DeviceLinked("h1", DISK.path, f"/dev/vg-one/{NAME}"),)


def test_a_disk_that_is_handed_over_is_renamed_with_its_link() -> None:
    assert store().rename(DISK, f"{BASE}/8/disk.1") == (
        DiskAbsent("h1", DISK.path, BASE),
        VolumeRenamed("h1", "vg-one", "lv-one-7-0", "lv-one-8-1"),
        DeviceLinked("h1", f"{BASE}/8/disk.1", "/dev/vg-one/lv-one-8-1"),
    )


def test_what_is_deleted_is_the_link_and_then_the_volume() -> None:
    gone = DiskAbsent("h1", DISK.path, BASE), VolumeAbsent("h1", "vg-one", "lv-one-7-0", Wipe.NONE)
    assert store().delete(DISK) == gone
    assert store(wipe="zero").delete(DISK)[1] == VolumeAbsent("h1", "vg-one", "lv-one-7-0", Wipe.ZERO)


def test_snapshots_are_volumes_that_go_with_their_image() -> None:
    made = store().snapshot(IMAGE, "before upgrade")[0]
    assert isinstance(made, VolumeCloned) and made.origin == NAME
    prepared, returned = store().revert(IMAGE, "before upgrade")
    assert prepared == ReturnPrepared("h1", "vg-one", made.name, NAME)
    assert returned == VolumeReturned("h1", "vg-one", NAME)
    gone = store().delete_image(IMAGE, ("before upgrade",))
    assert [step.name for step in gone if isinstance(step, VolumeAbsent)] == [made.name, NAME]
    assert gone[1] == DiskAbsent("h1", f"{IMAGE.path}.sha256", BASE)


def test_a_copy_is_of_the_disk_and_not_of_what_rounding_added() -> None:
    other = Volume(f"{BASE}/{UUID[:-1]}2.raw", Format.RAW, SIZE)
    source = Opened(f"/dev/vg-one/{NAME}", "raw", SIZE, device=True)
    tail, filled, _ = store().copy(IMAGE, other)
    assert tail == TAIL
    assert filled == VolumeFilled("h1", "vg-one", f"lv-one-{UUID[:-1]}2", SIZE, "pool", source)
    assert source.options[-1] == f"driver=raw,size={SIZE},file.driver=host_device,file.filename=/dev/vg-one/{NAME}"


def test_a_checksum_is_of_the_disk_and_computed_anew() -> None:
    kept = f"{IMAGE.path}.sha256"
    assert store().checksum(IMAGE) == (DiskAbsent("h1", kept, BASE), BytesHashed("h1", IMAGE.path, SIZE))


def test_images_leave_as_files_and_come_as_volumes() -> None:
    other = make_driver("shared", host="h1", base="/srv/else", options={"mounted": "nowhere"})
    there = Volume(f"/srv/else/{UUID}.raw", Format.RAW, SIZE)
    owned = Ownership("root", "root", "0660")
    assert transfer(store(), IMAGE, other, there, "h1") == (
        TAIL,
        DeviceTaken("h1", f"/dev/vg-one/{NAME}", SIZE, there.path, owned),
    )
    filled = VolumeFilled("h1", "vg-one", NAME, SIZE, "pool", Opened(there.path, "raw", SIZE))
    assert transfer(other, there, store(), IMAGE, "h1") == (filled, LINK)
    tail, between, _ = transfer(store(prefix="a-"), IMAGE, store(), IMAGE, "h1")
    assert tail == TailEmpty("h1", f"/dev/vg-one/a-{UUID}", SIZE)
    assert isinstance(between, VolumeFilled) and between.source and between.source.device


def test_what_was_qcow2_is_written_as_it_is_seen() -> None:
    other = make_driver("shared", host="h1", base="/srv/else", options={"mounted": "nowhere"})
    filled = transfer(other, Volume(f"/srv/else/{UUID}.qcow2", Format.QCOW2, SIZE), store(), IMAGE, "h1")[0]
    assert isinstance(filled, VolumeFilled) and filled.source == Opened(f"/srv/else/{UUID}.qcow2", "qcow2", SIZE)


def test_a_file_is_registered_before_its_size_is_known_and_looked_at_on_its_device() -> None:
    new = Volume(IMAGE.path, Format.RAW)
    filled = store().import_file("/var/tmp/a.raw", new)[0]
    assert filled == VolumeFilled("h1", "vg-one", NAME, 0, "pool", Opened("/var/tmp/a.raw", "raw", 0))
    assert store().inspected(new) == (DeviceIsSafe("h1", IMAGE.path),)
    assert store().inspected(CD) == (ImageIsSafe("h1", CD.path, Format.ISO),)


def test_cds_are_files() -> None:
    assert store().import_file("/var/tmp/a.iso", CD) == (
        FileCopied("h1", "/var/tmp/a.iso", CD.path, Ownership("root", "root", "0660")),
    )
    assert store().delete(CD) == (DiskAbsent("h1", CD.path, BASE),)
    assert store().capabilities(Format.ISO) == frozenset()
    with pytest.raises(Unsupported):
        store().clone(CD, DISK)


def test_qcow2_is_refused() -> None:
    with pytest.raises(Unsupported, match="store raw, iso images, not qcow2"):
        store().create(Volume(f"{BASE}/{UUID}.qcow2", Format.QCOW2, SIZE))


def test_thick_volumes_are_copied() -> None:
    thick = store(thin=False)
    assert thick.capabilities(Format.RAW) == frozenset()
    assert thick.create(IMAGE)[0] == VolumeFilled("h1", "vg-one", NAME, SIZE)
    assert not [step for step in thick.activate("h1") if isinstance(step, PoolReady)]
    with pytest.raises(Unsupported):
        thick.clone(IMAGE, DISK)


def test_the_group_is_made_of_the_disks_that_were_named() -> None:
    steps = store(disks="/dev/vdb /dev/vdc").activate("h1")
    assert GroupReady("h1", "vg-one", ("/dev/vdb", "/dev/vdc")) in steps
    assert PoolReady("h1", "vg-one", "pool") in steps
    assert store().resize(IMAGE, 128 << 20) == (VolumeGrown("h1", "vg-one", NAME, 128 << 20),)


def test_the_link_tells_that_a_volume_is_stored() -> None:
    (kept,) = store().stored(IMAGE)
    assert kept == FileStored("h1", BASE, IMAGE.path, link=LINK.target)
    (linked,) = store().stored(DISK, link=IMAGE.path)
    assert linked == FileStored("h1", BASE, DISK.path, link=LINK.target)


def test_capacity_is_that_of_the_pool() -> None:
    group = '{"report":[{"vg":[{"vg_name":"vg-one","vg_extent_size":"4194304","vg_size":"4000","vg_free":"400"}]}]}'
    pool = ('{"report":[{"lv":[{"lv_name":"pool","lv_size":"1000","pool_lv":"","origin":"","lv_tags":"",'
            '"lv_attr":"twi-aotz--","data_percent":"25.00"}]}]}')  # fmt: skip
    asked = lvm.ask_group("vg-one").argv, lvm.ask_volumes("vg-one", "pool").argv
    shell = FakeShell("h1", {asked[0]: said(group), asked[1]: said(pool)}, strict=True)
    assert store().capacity(shell) == Capacity(1000, 250, 750)
    assert store(thin=False).capacity(shell) == Capacity(4000, 3600, 400)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"group_name": "vg/one"}, "The volume group"),
        ({"pool": "-x"}, "The logical volume"),
        ({"prefix": ""}, "The beginning of names"),
        ({"disks": "sdb"}, "must be absolute"),
        ({"wipe": "burn"}, "wiped by none, discard, zero"),
        ({"pool": "lv-one-pool"}, "named like a volume"),
    ],
)
def test_options_that_would_not_work_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        store(**options)
