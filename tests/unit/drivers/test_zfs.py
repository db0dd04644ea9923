"""What a ZFS datastore does on its storage host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.exports import Client
from datastores.domain.plan import Output, Stage
from datastores.domain.routes import Route
from datastores.domain.states import StepState
from datastores.domain.volumes import Capability, Capacity, Format, Volume
from datastores.domain.zfs import Disks, Layout, Property
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import Way, over_ssh, transfer, way
from datastores.drivers.zfs import ZfsDriver
from datastores.drivers.zfs_options import EXPORTED_MOUNT
from datastores.hosts.blocks import DataBlockExists
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskLinked
from datastores.hosts.exports import ExportAbsent, ExportPresent
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.mount_points import MountPointPresent
from datastores.hosts.mounts import FstabLinePresent, MountAbsent, MountPresent
from datastores.hosts.nfs_clients import ClosedByClients
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.receiving import FileReceived, ReceivingForgotten, SourceReachable
from datastores.hosts.runner import Run
from datastores.hosts.sending import SendingAllowed, SendingEnded, StreamAllowed
from datastores.hosts.services import ServiceRunning
from datastores.hosts.sights import Sight
from datastores.hosts.stored import FileStored
from datastores.hosts.zfs import PoolReady, ZfsReady
from datastores.hosts.zfs_clones import CloneExists, GoldTaken
from datastores.hosts.zfs_datasets import DatasetExists, OnlyKnownDatasets
from datastores.hosts.zfs_delegation import PermissionsDelegated
from datastores.hosts.zfs_fetching import StreamFetched
from datastores.hosts.zfs_limits import DatasetLimited, RoomReserved
from datastores.hosts.zfs_listings import ask_room, ask_volumes
from datastores.hosts.zfs_pools import PoolExists
from datastores.hosts.zfs_promotion import ClonePromoted, MasterGone
from datastores.hosts.zfs_snapshots import DatasetRolledBack, DatasetSnapshotAbsent, DatasetSnapshotTaken
from datastores.hosts.zfs_streams import StreamReceived
from datastores.hosts.zfs_volumes import VolumeDatasetAbsent, VolumeDatasetExists
from tests.fakes import FakeShell, said
from tests.lab.carrying import Diary

BASE, SET = "/srv/cloud", "tank/cloud"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
IMAGE = Volume(f"{BASE}/images/{UUID}/disk.0", Format.RAW, 64 << 20)
DISK = Volume(f"{BASE}/7/disk.1", Format.RAW, 64 << 20)
HOME = (f"{SET}/images/{UUID}", f"{BASE}/images/{UUID}")
PLACE = (f"{SET}/var/7.1", f"{BASE}/var/7.1")
ROUTE: dict[str, Any] = {
    "token": "9a1f03", "source": "h1", "target": "h2", "address": "10.0.0.1", "port": 22, "account": "root",
    "host_keys": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a",),
    "seen_as": ("10.0.0.2",), "private_key": "private",
    "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3rcWf6S0j9wnYmBkUpxv1vDTy0nRzkrYfXYx8c8Vw1",
}  # fmt: skip
OWNED = Ownership("root", "root", "0660")


def zfs(base: str = BASE, **options: Any) -> ZfsDriver:
    chosen = {"dataset": SET, **options}
    made = make_driver("zfs", host="h1", base=base, hosts=("h1", "h2"), options=chosen)
    assert isinstance(made, ZfsDriver)
    return made


def test_a_pool_that_is_there_is_taken_as_it_is() -> None:
    ready, pool, base, images, disks, mounted = zfs(quota="2T", account="oneadmin").activate("h1")[:6]
    assert (ready, pool) == (ZfsReady("h1"), PoolReady("h1", "tank"))
    chosen = {"compression": "lz4", "atime": "off", "recordsize": "65536", "quota": str(2 << 40), "reservation": "0"}
    assert base == DatasetExists(
        "h1", SET, BASE, tuple(Property(name, value) for name, value in chosen.items()), places=True
    )
    assert images == DatasetExists("h1", f"{SET}/images", f"{BASE}/images")
    assert disks == DatasetExists("h1", f"{SET}/var", f"{BASE}/var")
    assert mounted == PermissionsDelegated("h1", SET, "oneadmin")
    assert zfs().activate("h1")[-1] == BaseReady("h1", BASE, BASE, coming=True)


def test_a_pool_is_made_of_the_disks_that_are_named() -> None:
    store = zfs(layout="raidz1", disks="/dev/vdb /dev/vdc,/dev/vdd", cache="/dev/vde")
    made = Disks(Layout.RAIDZ1, ("/dev/vdb", "/dev/vdc", "/dev/vdd"), (), ("/dev/vde",))
    assert store.activate("h1")[1] == PoolExists("h1", "tank", made)
    assert not any(isinstance(step, PoolExists) for step in store.keeps("h1"))  # a pool that is away is not made anew


def test_several_disks_need_a_layout_that_somebody_chose() -> None:
    with pytest.raises(BadInput, match="Choose a layout for the 2 disks: mirror keeps a copy"):
        zfs(disks="/dev/vdb /dev/vdc").check_new()
    for layout in ("mirror", "stripe"):
        zfs(disks="/dev/vdb /dev/vdc", layout=layout).check_new()
    zfs(disks="/dev/vdb").check_new()
    assert zfs(disks="/dev/vdb").activate("h1")[1] == PoolExists("h1", "tank", Disks(Layout.SINGLE, ("/dev/vdb",)))
    assert Disks(Layout.SINGLE, ("/dev/vdb",)).words == ("/dev/vdb",)


def test_only_the_storage_host_has_to_do_with_it() -> None:
    store = zfs()
    assert (store.activate("h2"), store.keeps("h2"), store.deactivate("h1"), store.seen_from) == ((), (), (), ("h1",))
    assert Capability.LIVE_MIGRATION not in store.capabilities(Format.RAW)


ADDRESSES = {"h1": "10.0.0.1", "h2": "10.0.0.2"}


def exported(**options: Any) -> ZfsDriver:
    chosen = {"dataset": SET, "exported": True, **options}
    made = make_driver(
        "zfs", host="h1", base=BASE, hosts=("h1", "h2"), options=chosen, locate=ADDRESSES.__getitem__
    )  # fmt: skip
    assert isinstance(made, ZfsDriver)
    return made


def test_exported_it_is_seen_on_every_host_which_crosses_into_the_data_sets() -> None:
    store = exported()
    how = ("rw", "sync", "no_root_squash", "no_subtree_check", "crossmnt", f"mountpoint={BASE}")
    export = ExportPresent("h1", BASE, (Client("10.0.0.2", how),))
    served = PackageInstalled("h1", "nfs-kernel-server"), DirectoryPresent("h1", "/etc/exports.d"), export
    for steps in (store.activate("h1"), store.keeps("h1")):
        assert steps[-4:] == (*served, ServiceRunning("h1", "nfs-server.service"))
    assert store.activate("h1")[-5] == BaseReady("h1", BASE, BASE, coming=True)  # what is exported is mounted by then
    what = ("h2", f"10.0.0.1:{BASE}", BASE, "nfs4", EXPORTED_MOUNT)
    client = PackageInstalled("h2", "nfs-common"), MountPointPresent("h2", BASE), FstabLinePresent(*what)
    mounted = MountPresent(*what, nested=True), BaseReady("h2", BASE, BASE, coming=True)
    assert store.activate("h2") == store.keeps("h2") == (*client, *mounted)
    assert store.serve() == (export,)
    assert (store.remembered("h1"), store.remembered("h2")) == ("", f"10.0.0.1:{BASE}")
    assert store.same_directory("abc")[0].title == "write on the other hosts"
    with pytest.raises(BadInput, match="soft mount"):
        exported(mount="_netdev,soft").check_new()
    assert (store.shared, store.seen_from, store.mount_point("h1")) == (True, ("h1", "h2"), "")
    assert Capability.LIVE_MIGRATION in store.capabilities(Format.RAW)


def test_what_a_client_was_told_to_mount_is_what_it_unmounts() -> None:
    made = make_driver(
        "zfs", host="h1", base=BASE, hosts=("h1", "h2"), options={"dataset": SET, "exported": True},
        locate=ADDRESSES.__getitem__, mounted_from={"h1": "", "h2": f"10.9.9.9:{BASE}"}.__getitem__,
    )  # fmt: skip
    assert made.deactivate("h2")[0].source == f"10.9.9.9:{BASE}"  # type: ignore[attr-defined]


def test_no_client_has_it_mounted_when_it_is_taken_down_and_data_sets_stay() -> None:
    clients, server = exported().tear_down()
    assert clients.steps[0] == MountAbsent("h2", f"10.0.0.1:{BASE}", BASE, "nfs4", EXPORTED_MOUNT, nested=True)
    assert server.steps == (ExportAbsent("h1", BASE),)
    assert zfs().tear_down() == ()


def test_nothing_is_written_to_the_bare_directory_of_a_client_and_copies_are_made_at_home() -> None:
    store = exported()
    assert store.guard("h2") == (BaseReady("h2", BASE, BASE),) and store.guard("h1") == ()
    assert store.sight("h2") == Sight(BASE, BASE)
    elsewhere = make_driver("xfs", host="h2", base="/srv/xfs", hosts=("h2",))
    into, out = way(elsewhere, Format.RAW, store), way(store, Format.RAW, elsewhere)
    assert (into.host, into.sender) == ("h1", "h2")  # data sets are made on the storage host
    assert (out.host, out.sender) == ("h2", "")


def test_what_clients_have_open_is_neither_destroyed_nor_taken_back_and_what_they_remember_is_forgotten() -> None:
    store, heir = exported(), Volume(f"{BASE}/8/disk.0", Format.RAW)
    file = ClosedByClients("h1", IMAGE.path)
    assert store.delete_image(IMAGE) == (file, VolumeDatasetAbsent("h1", HOME[0], "", BASE, True))
    assert store.delete(DISK)[0] == ClosedByClients("h1", f"{PLACE[1]}/disk.0")
    assert store.revert(IMAGE, "one") == (file, DatasetRolledBack("h1", *HOME, "one", Format.RAW, True))
    first, promoted, gone = store.promote(heir, IMAGE)
    assert (first, promoted) == (file, ClonePromoted("h1", HOME[0], f"{SET}/var/8.0"))
    assert gone == MasterGone("h1", HOME[0], f"{SET}/var/8.0", True)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"exported": True, "mount": "rw"}, "_netdev"),
        ({"exported": True, "clients": "0.0.0.0/0"}, "everybody"),
        ({"clients": "10.0.0.0/24"}, "together with Exported"),
    ],
)
def test_an_export_is_checked_and_is_chosen_first(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        zfs(**options)


def test_without_a_name_the_data_set_is_the_base_path() -> None:
    assert make_driver("zfs", host="h1", base="/tank/cloud").dataset == "tank/cloud"  # type: ignore[attr-defined]
    with pytest.raises(BadInput):
        make_driver("zfs", host="h1", base="/srv/my cloud")


@pytest.mark.parametrize(
    "options",
    [
        {"dataset": "tank/a b"}, {"dataset": "tank/" + "a" * 60}, {"disks": "vdb"}, {"layout": "raid5"},
        {"layout": "mirror", "disks": "/dev/vdb"}, {"log": "/dev/vdc"}, {"compression": "rar"}, {"record_size": "3K"},
        {"quota": "much"}, {"account": "Root!"},
    ],
)  # fmt: skip
def test_options_are_checked(options: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        zfs(**options)


def test_an_image_has_a_data_set_of_its_own() -> None:
    store = zfs()
    room = VolumeDatasetExists("h1", *HOME, Format.RAW)
    assert store.image_path(UUID, Format.QCOW2) == IMAGE.path
    block = DataBlockExists("h1", IMAGE.path, Format.RAW, 64 << 20, ownership=OWNED, coming=True)
    assert store.create(IMAGE) == (room, block)
    copied = FileCopied("h1", "/var/tmp/a.raw", IMAGE.path, OWNED, coming=True)
    assert store.import_file("/var/tmp/a.raw", IMAGE) == (room, copied)
    assert store.prepare(IMAGE) == (GoldTaken("h1", *HOME),)
    assert store.delete_image(IMAGE, ("one",)) == (VolumeDatasetAbsent("h1", HOME[0], "", BASE),)


def test_a_disk_is_one_clone_with_a_link_to_it() -> None:
    store = zfs()
    assert store.disk_path(7, 1) == DISK.path
    assert store.clone(IMAGE, DISK) == (CloneExists("h1", *HOME, *PLACE, Format.RAW, DISK.path),)
    assert store.clone(IMAGE, IMAGE)[0].link == ""  # type: ignore[attr-defined]
    assert store.delete(DISK) == (VolumeDatasetAbsent("h1", PLACE[0], DISK.path, BASE),)
    assert store.link(IMAGE, DISK.path) == (DiskLinked("h1", DISK.path, IMAGE.path),)


def test_a_copy_that_comes_in_gets_its_data_set_first_and_its_link_last() -> None:
    other, store = make_driver("btrfs", host="h1", base="/srv/ds"), zfs()
    source = Volume("/srv/ds/a.raw", Format.RAW)
    file = f"{PLACE[1]}/disk.0"
    assert transfer(other, source, store, DISK, "h1") == (
        VolumeDatasetExists("h1", *PLACE, Format.RAW),
        FileCopied("h1", source.path, file, OWNED, coming=True),
        DiskLinked("h1", DISK.path, file, coming=True),
    )
    (out,) = transfer(store, DISK, other, source, "h1")
    assert out == FileCopied("h1", file, source.path, OWNED)


def test_another_pool_of_the_same_host_is_sent_the_data_set_itself() -> None:
    source = zfs()
    options = {"dataset": "other/cloud"}
    target = make_driver("zfs", host="h1", base="/srv/other", hosts=("h1",), options=options)
    copy = Volume(target.image_path(UUID, Format.RAW), Format.RAW)
    there = (f"other/cloud/images/{UUID}", f"/srv/other/images/{UUID}")
    assert transfer(source, IMAGE, target, copy, "h1") == (
        GoldTaken("h1", *HOME),
        StreamReceived("h1", HOME[0], "gold", *there, Format.RAW),
    )
    disk = transfer(source, IMAGE, target, Volume(target.disk_path(7, 0), Format.RAW), "h1")
    assert disk[-1] == DiskLinked("h1", "/srv/other/7/disk.0", "/srv/other/var/7.0/disk.0", coming=True)
    others = make_driver("zfs", host="h1", base="/srv/other", hosts=("h1",), options=options | {"mode": "0600"})
    assert any(isinstance(step, FileCopied) for step in transfer(source, IMAGE, others, copy, "h1"))
    as_qcow2 = transfer(source, IMAGE, target, Volume(copy.path, Format.QCOW2), "h1")
    assert any(isinstance(step, FileConverted) for step in as_qcow2)


def test_a_file_from_another_host_gets_its_data_set_first_and_its_link_last() -> None:
    store, other = zfs(), make_driver("xfs", host="h3", base="/srv/xfs")
    source = Volume("/srv/xfs/a.raw", Format.RAW, 64 << 20, 5)
    assert way(other, Format.RAW, store) == Way("h1", Format.RAW, "h3")
    came = Route(**{**ROUTE, "source": "h3", "target": "h1"})
    fetch = next(stage for stage in over_ssh(other, source, store, DISK, came).stages if stage.title == "fetch it")
    file = f"{PLACE[1]}/disk.0"
    assert fetch.steps == (
        VolumeDatasetExists("h1", *PLACE, Format.RAW),
        FileReceived(came, file, OWNED, False, 5, coming=True),
        DiskLinked("h1", DISK.path, file, coming=True),
    )


def test_what_another_host_fetches_is_the_disk_in_the_data_set() -> None:
    store, other = zfs(), make_driver("xfs", host="h2", base="/srv/xfs")
    went = Route(**ROUTE)
    stages = over_ssh(store, DISK, other, Volume("/srv/xfs/a.raw", Format.RAW), went).stages
    assert stages[1].steps == (SendingAllowed(went, f"{PLACE[1]}/disk.0"),)
    assert stages[2].title == "fetch it as a file: XFS datastores take files"
    stages = over_ssh(store, DISK, other, Volume("/srv/xfs/a.qcow2", Format.QCOW2), went).stages
    made = f"{BASE}/transfer-9a1f03.part"
    private = Ownership("root", "root", "0600")
    assert stages[1].steps == (FileConverted("h1", f"{PLACE[1]}/disk.0", "raw", made, Format.QCOW2, private),)
    assert stages[2].steps == (SendingAllowed(went, made, coming=True),)
    assert stages[3].title == "fetch it as a file: its format changes"


def test_a_zfs_datastore_on_another_host_fetches_the_data_set_itself() -> None:
    options = {"dataset": "other/cloud"}
    target = make_driver("zfs", host="h2", base="/srv/other", hosts=("h2",), options=options)
    image = Volume(IMAGE.path, Format.RAW, 64 << 20, 7)
    copy = Volume(target.disk_path(7, 0), Format.RAW, reserved=99)
    went = Route(**ROUTE)
    there = ("other/cloud/var/7.0", "/srv/other/var/7.0")
    journey = over_ssh(zfs(), image, target, copy, went)
    assert [step for stage in (*journey.stages, *journey.after) for step in stage.steps] == [
        SourceReachable(went),
        GoldTaken("h1", *HOME),
        StreamAllowed(went, HOME[0], "gold"),
        StreamFetched(went, "gold", *there, Format.RAW, OWNED, 99, 7),
        DiskLinked("h2", copy.path, f"{there[1]}/disk.0", coming=True),
        SendingEnded(went),
        ReceivingForgotten(went),
    ]
    others = make_driver("zfs", host="h2", base="/srv/other", hosts=("h2",), options=options | {"mode": "0600"})
    titles = [stage.title for stage in over_ssh(zfs(), image, others, copy, went).stages]
    assert "fetch it as a file: the files of the two have other owners or modes" in titles
    as_qcow2 = over_ssh(zfs(), image, target, Volume(copy.path, Format.QCOW2), went)
    assert any(isinstance(step, FileReceived) for stage in as_qcow2.stages for step in stage.steps)


def test_room_is_kept_for_a_disk_when_it_is_made_and_when_it_grows() -> None:
    store, disk = zfs(reserve=True), replace(DISK, reserved=99)
    assert store.reserves and not zfs().reserves
    assert store.clone(IMAGE, disk)[0].reserved == 99  # type: ignore[attr-defined]
    assert store.create(disk)[0].reserved == 99  # type: ignore[attr-defined]
    room, _ = store.resize(disk, 128 << 20)
    assert room == RoomReserved("h1", PLACE[0], store.room_of(128 << 20))
    assert len(zfs().resize(DISK, 128 << 20)) == 1
    assert store.reserve(disk) == (RoomReserved("h1", PLACE[0], 99),)


def test_small_records_have_more_pointers() -> None:
    assert zfs(record_size="4K").room_of(1 << 30) - zfs(record_size="1M").room_of(1 << 30) == 256 * (
        (1 << 18) - (1 << 10)
    )


def test_limits_are_those_of_the_base_data_set() -> None:
    assert zfs(quota="2T", reservation="1T").limited() == (DatasetLimited("h1", SET, 2 << 40, 1 << 40),)
    with pytest.raises(BadInput, match="more than it may take"):
        zfs(quota="1T", reservation="2T")


def test_a_clone_takes_the_place_of_its_image() -> None:
    pair = HOME[0], PLACE[0]
    assert zfs().promote(DISK, IMAGE) == (ClonePromoted("h1", *pair), MasterGone("h1", *pair))


def test_snapshots_are_those_of_the_data_set() -> None:
    store = zfs()
    assert store.snapshot(IMAGE, "one") == (DatasetSnapshotTaken("h1", *HOME, "one"),)
    assert store.revert(IMAGE, "one") == (DatasetRolledBack("h1", *HOME, "one", Format.RAW),)
    assert store.delete_snapshot(IMAGE, "one") == (DatasetSnapshotAbsent("h1", HOME[0], "one"),)


def test_what_lies_elsewhere_is_no_place_of_ours() -> None:
    for path in ("images/x", "images/x/disk.1", "7/disk.x", "var/7.0/disk.0", "a/b/c/disk.0"):
        with pytest.raises(Refused, match="neither the place"):
            zfs().delete(Volume(f"{BASE}/{path}", Format.RAW))


def test_what_is_stored_is_looked_for_where_it_lies() -> None:
    store, file = zfs(), f"{PLACE[1]}/disk.0"
    assert store.stored(IMAGE) == (FileStored("h1", f"{BASE}/images", IMAGE.path, 64 << 20, None, "", "0660"),)
    assert store.stored(DISK) == (
        FileStored("h1", f"{BASE}/var", file, 64 << 20, None, "", "0660"),
        FileStored("h1", BASE, DISK.path, link=file),
    )
    assert store.stored(DISK, link=IMAGE.path) == (FileStored("h1", BASE, DISK.path, link=IMAGE.path),)
    assert store.stores_only([IMAGE]) == (OnlyKnownDatasets("h1", f"{SET}/images", (UUID,)),)


def test_room_is_that_of_the_data_set_with_all_below_it_and_its_quota() -> None:
    ask = ask_room(SET)
    assert zfs().capacity(FakeShell("h1", {ask.argv: said("393216\n3891220480\n")})) == Capacity(
        3891613696, 393216, 3891220480
    )
    gone = Output(1, b"", f"cannot open '{SET}': dataset does not exist\n")
    with pytest.raises(Refused, match="There is no data set tank/cloud on h1"):
        zfs().capacity(FakeShell("h1", {ask.argv: gone}))


def test_images_are_listed_with_the_format_that_was_noted() -> None:
    listing, find = ask_volumes(f"{SET}/images", f"{BASE}/images")
    rows = [(f"{SET}/images", "-"), (f"{SET}/images/a", "qcow2"), (f"{SET}/images/b", "-")]
    table = "".join(f"{name}\tfilesystem\t/x\tyes\t-\t-\t1\t-\t{noted}\t-\n" for name, noted in rows)
    files = "196616 385 a/disk.0\x0067108864 1 b/disk.0\0"
    shell = FakeShell("h1", {listing.argv: said(table), find.argv: said(files)})
    assert zfs().volumes(shell) == (
        Volume(f"{BASE}/images/a/disk.0", Format.QCOW2, 0, 385 * 512),
        Volume(f"{BASE}/images/b/disk.0", Format.RAW, 64 << 20, 512),
    )
    absent = Output(1, b"", f"cannot open '{SET}/images': dataset does not exist\n")
    with pytest.raises(CommandFailed):
        zfs().volumes(FakeShell("h1", {listing.argv: absent, find.argv: said("")}))


def stat(path: str, mode: int = 0o100660, inode: int = 1) -> bytes:
    return f"{mode:x}/67108864/8/512/1:{inode}/1/root/root/{mode & 0o7777:o}/1.000000000/{path}\0".encode()


def test_a_clone_is_two_round_trips() -> None:
    (step,) = zfs().clone(IMAGE, DISK)
    names, look, changed, link = (command.argv for command in step.reads())
    gold = f"{HOME[0]}@gold"
    rows = (
        f"{HOME[0]}\tfilesystem\t{HOME[1]}\tyes\t-\t-\t1\t-\traw\t-\n{gold}\tsnapshot\t-\t-\t-\t-\t2\toff\traw\t5.5\n"
    )
    row = f"{PLACE[0]}\tfilesystem\t{PLACE[1]}\tyes\t{gold}\t-\t3\t-\traw\t-\n"
    own = f"cannot open '{HOME[0]}@for:7.1': dataset does not exist\n"
    file = f"{PLACE[1]}/disk.0"
    missing = "".join(
        f"stat: cannot statx '{path}': No such file or directory\n" for path in (file, DISK.path, f"{BASE}/7")
    )
    before = {
        names: Output(1, rows.encode(), f"{own}cannot open '{PLACE[0]}': dataset does not exist\n"),
        look: Output(1, stat(IMAGE.path) + stat(BASE, 0o40755, 2), missing),
        changed: said("5.5\n"),
        link: Output(1),
    }
    directories = stat(f"{BASE}/7", 0o40755) + stat(BASE, 0o40755)
    made = {
        names: Output(1, (rows + row).encode(), own),
        look: Output(0, stat(IMAGE.path) + stat(file) + stat(DISK.path, 0o120777) + directories),
        link: said(f"{file}\0"),
    }  # fmt: skip
    change = step.plan(step.facts([before[argv] for argv in (names, look, changed, link)]))
    assert change is not None
    does = [action.do.argv for action in change.actions]  # type: ignore[union-attr]
    assert [argv[:2] for argv in does] == [("zfs", "clone"), ("env", "-C"), ("ln", "-sT")]
    shell, diary = FakeShell("h1", before, {does[-1]: made}), Diary()
    Run((Stage("Clone", (step,)),), lambda _: shell, diary, unit="unit").carry_out()
    assert diary.states == [StepState.RUNNING, StepState.CHANGED]
    assert (shell.round_trips, len(shell.units)) == (2, 0)
