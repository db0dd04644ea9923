"""ZFS on a machine with disks of its own: pools, data sets, and what stands in the way of clones and of going back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from datastores.domain.errors import Cancelled, CommandFailed, Refused
from datastores.domain.plan import AnyStep, Command
from datastores.domain.volumes import Format
from datastores.domain.zfs import Disks, Layout, Property
from datastores.hosts.zfs import PoolReady, ZfsReady
from datastores.hosts.zfs_clones import CloneExists, GoldTaken
from datastores.hosts.zfs_datasets import DatasetExists, OnlyKnownDatasets
from datastores.hosts.zfs_delegation import PermissionsDelegated
from datastores.hosts.zfs_limits import DatasetLimited, RoomReserved
from datastores.hosts.zfs_pools import PoolExists
from datastores.hosts.zfs_promotion import ClonePromoted, MasterGone
from datastores.hosts.zfs_snapshots import DatasetRolledBack, DatasetSnapshotTaken
from datastores.hosts.zfs_streams import StreamReceived
from datastores.hosts.zfs_volumes import VolumeDatasetAbsent, VolumeDatasetExists
from tests.lab.carrying import Diary, Hosts

pytestmark = pytest.mark.vm

SET, BASE = "tank/cloud", "/srv/cloud"
IMAGE, PLACE = f"{SET}/images/a", f"{BASE}/images/a"
POOL = PoolExists("h1", "tank", Disks(Layout.MIRROR, ("/dev/vdb", "/dev/vdc")))
DATASETS = (
    DatasetExists("h1", SET, BASE, (Property("compression", "lz4"), Property("quota", str(1 << 30))), places=True),
    DatasetExists("h1", f"{SET}/images", f"{BASE}/images"),
    DatasetExists("h1", f"{SET}/var", f"{BASE}/var"),
)


def told(machines: Hosts, *argv: str) -> str:
    return machines.lab.host("h1").run(argv, check=True).stdout


def snapshots(machines: Hosts) -> list[str]:
    return told(machines, "zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-r", "tank").splitlines()


def clone(vm: int, source: str = "a") -> CloneExists:
    own = f"var/{vm}.0"
    here = (f"{SET}/images/{source}", f"{BASE}/images/{source}")
    return CloneExists("h1", *here, f"{SET}/{own}", f"{BASE}/{own}", Format.RAW, f"{BASE}/{vm}/disk.0")


def no_clone(vm: int) -> VolumeDatasetAbsent:
    return VolumeDatasetAbsent("h1", f"{SET}/var/{vm}.0", f"{BASE}/{vm}/disk.0", BASE)


@pytest.fixture(scope="module")
def cloud(machines: Hosts) -> Hosts:
    """A pool with the data sets of a datastore, made twice and taken back once."""
    machines.run([ZfsReady("h1")])
    machines.there_and_back(POOL)
    machines.there_and_back(*DATASETS)
    return machines


@pytest.fixture
def image(cloud: Hosts) -> Iterator[None]:
    """An image with its golden snapshot; afterwards nothing is left."""
    cloud.there_and_back(VolumeDatasetExists("h1", IMAGE, PLACE, Format.RAW))
    told(cloud, "dd", "if=/dev/urandom", f"of={PLACE}/disk.0", "bs=64K", "count=16", "status=none")
    cloud.run([GoldTaken("h1", IMAGE, PLACE)])
    yield
    cloud.run([VolumeDatasetAbsent("h1", IMAGE)])
    cloud.run([OnlyKnownDatasets("h1", f"{SET}/images"), OnlyKnownDatasets("h1", f"{SET}/var")])
    assert snapshots(cloud) == []


def refused(machines: Hosts, step: AnyStep, words: str) -> None:
    with pytest.raises(Refused, match=words):
        machines.run([step])


def test_a_pool_is_made_of_empty_disks_alone(cloud: Hosts) -> None:
    told(cloud, "pvcreate", "-q", "/dev/vdd")
    told(cloud, "udevadm", "settle")
    more = Disks(Layout.STRIPE, ("/dev/vdd",))
    refused(cloud, PoolExists("h1", "more", more), "/dev/vdd holds LVM2_member")
    refused(cloud, PoolExists("h1", "more", Disks(Layout.STRIPE, ("/dev/vdb",))), "holds zfs_member tank")
    refused(cloud, PoolExists("h1", "more", Disks(Layout.STRIPE, ("/dev/vda",))), "is mounted at /")
    refused(cloud, PoolReady("h1", "more"), "no pool more on h1")
    refused(cloud, PoolExists("h1", "tank", more), "/dev/vdd is no disk of it")
    told(cloud, "pvremove", "-q", "/dev/vdd")


def test_properties_are_set_and_set_back(cloud: Hosts) -> None:
    other = DatasetExists("h1", SET, BASE, (Property("compression", "zstd"), Property("atime", "off")))
    cloud.take_back(cloud.run([other]))
    read = told(cloud, "zfs", "get", "-H", "-p", "-o", "value,source", "compression,atime,quota", SET)
    assert read.splitlines() == ["lz4\tlocal", "on\tdefault", f"{1 << 30}\tlocal"]
    refused(cloud, DatasetExists("h1", SET, "/srv/elsewhere"), f"has the mount point {BASE}")


def test_files_are_not_hidden_below_a_data_set(cloud: Hosts) -> None:
    told(cloud, "mkdir", "/srv/full")
    told(cloud, "touch", "/srv/full/precious")
    refused(cloud, DatasetExists("h1", "tank/full", "/srv/full", places=True), "precious lies in it")


def test_an_account_may_clone_but_only_root_mounts(cloud: Hosts, image: None) -> None:
    told(cloud, "useradd", "op1")
    cloud.there_and_back(PermissionsDelegated("h1", SET, "op1"))
    host, own = cloud.lab.host("h1"), f"{SET}/var/90.0"
    as_op1 = ("runuser", "-u", "op1", "--", "/usr/sbin/zfs")
    assert "may only be mounted by root" in host.run([*as_op1, "clone", f"{IMAGE}@gold", own]).stderr
    told(cloud, *as_op1, "destroy", own)
    cloud.run([clone(90)])
    assert "cannot unmount" in host.run([*as_op1, "destroy", own]).stderr
    cloud.run([no_clone(90)])


def test_a_disk_that_is_in_use_is_not_half_deleted(cloud: Hosts, image: None) -> None:
    cloud.there_and_back(clone(7))
    told(cloud, "zfs", "snapshot", f"{SET}/var/7.0@kept")
    unit = ("--unit=holder", "--property=Type=exec", "--quiet")
    told(cloud, "systemd-run", *unit, "sh", "-c", f"exec sleep 600 <{BASE}/var/7.0/disk.0")
    with pytest.raises(CommandFailed, match="busy"):
        cloud.run([no_clone(7)])
    assert cloud.needs(clone(7)) == [False]
    assert f"{SET}/var/7.0@kept" in snapshots(cloud)
    told(cloud, "systemctl", "stop", "holder")
    cloud.run([no_clone(7)])
    assert "7" not in told(cloud, "ls", BASE).split()


def test_clones_of_an_image_that_was_written_to_are_made_side_by_side(cloud: Hosts, image: None) -> None:
    told(cloud, "sh", "-c", f"echo written >> {PLACE}/disk.0")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda vm: cloud.run([clone(vm)]), range(20, 24)))
    for vm in range(20, 24):
        assert told(cloud, "tail", "-c", "8", f"{BASE}/{vm}/disk.0") == "written\n"
    assert f"{IMAGE}@for:21.0" in snapshots(cloud)
    refused(cloud, VolumeDatasetAbsent("h1", IMAGE), f"{SET}/var/2.[.]0 stands on it")
    cloud.run([no_clone(vm) for vm in range(20, 24)])
    assert snapshots(cloud) == [f"{IMAGE}@gold"]


def test_going_back_takes_what_is_younger_unless_a_clone_stands_on_it(cloud: Hosts, image: None) -> None:
    take, back = (
        [kind("h1", IMAGE, PLACE, name) for name in ("one", "two")]
        for kind in (DatasetSnapshotTaken, lambda *words: DatasetRolledBack(*words, Format.RAW))
    )
    cloud.there_and_back(take[0])
    told(cloud, "sh", "-c", f"echo more >> {PLACE}/disk.0")
    cloud.run([take[1]])
    told(cloud, "zfs", "clone", f"{IMAGE}@snap:two", f"{SET}/var/30.0")
    refused(cloud, back[0], f"{SET}/var/30.0 stands on it")
    told(cloud, "zfs", "destroy", f"{SET}/var/30.0")
    run = cloud.run([back[0]])
    assert run.plan and snapshots(cloud) == [f"{IMAGE}@gold", f"{IMAGE}@snap:one"]
    assert told(cloud, "stat", "-c", "%s", f"{PLACE}/disk.0") == f"{1 << 20}\n"
    again = Diary()
    cloud.run([back[0]], diary=again)
    assert {state.name for state in again.states} == {"UNCHANGED"}
    refused(cloud, back[1], "has no snapshot two")


def test_an_image_that_clones_need_is_deleted_when_one_of_them_takes_its_place(cloud: Hosts) -> None:
    cloud.run([VolumeDatasetExists("h1", IMAGE, PLACE, Format.RAW)])
    told(cloud, "dd", "if=/dev/urandom", f"of={PLACE}/disk.0", "bs=64K", "count=16", "status=none")
    cloud.run([GoldTaken("h1", IMAGE, PLACE), DatasetSnapshotTaken("h1", IMAGE, PLACE, "old")])
    heir, there = f"{SET}/images/heir", f"{BASE}/images/heir"
    cloud.run([CloneExists("h1", IMAGE, PLACE, heir, there, Format.RAW), GoldTaken("h1", heir, there), clone(40)])
    taken = ClonePromoted("h1", IMAGE, heir)
    cloud.there_and_back(taken)
    assert told(cloud, "zfs", "get", "-H", "-o", "value", "origin", IMAGE, f"{SET}/var/40.0").split() == [
        f"{heir}@from:a:0", f"{heir}@from:a:0"
    ]  # fmt: skip
    known = told(cloud, "sha256sum", f"{there}/disk.0").split()[0]
    cloud.run([taken, MasterGone("h1", IMAGE, heir)])
    assert snapshots(cloud) == [f"{heir}@from:a:0", f"{heir}@gold"]
    assert told(cloud, "sha256sum", f"{BASE}/40/disk.0").split()[0] == known
    refused(cloud, VolumeDatasetAbsent("h1", heir), f"{SET}/var/40.0 stands on it")
    cloud.run([no_clone(40)])
    assert snapshots(cloud) == [f"{heir}@gold"]  # what the master left went with the last that stood on it
    cloud.run([VolumeDatasetAbsent("h1", heir)])


def test_a_clone_of_an_earlier_state_does_not_take_the_place(cloud: Hosts, image: None) -> None:
    cloud.run([clone(41)])
    told(cloud, "sh", "-c", f"echo written >> {PLACE}/disk.0")
    cloud.run([clone(42)])
    refused(cloud, ClonePromoted("h1", IMAGE, f"{SET}/var/41.0"), f"Let {SET}/var/42.0 take its place instead")
    both = IMAGE, f"{SET}/var/42.0"
    assert cloud.needs(ClonePromoted("h1", *both), MasterGone("h1", *both)) == [True, True]
    cloud.run([no_clone(41), no_clone(42)])


def test_limits_are_set_and_set_back_and_never_below_what_is_taken(cloud: Hosts, image: None) -> None:
    more = DatasetLimited("h1", SET, 512 << 20, 256 << 20)
    less = DatasetLimited("h1", SET, 128 << 20, 64 << 20)
    for run in [cloud.run([more]), cloud.run([less])][::-1]:
        cloud.take_back(run)
    read = told(cloud, "zfs", "get", "-H", "-p", "-o", "value", "quota,reservation", SET)
    assert read.split() == [str(1 << 30), "0"]
    refused(cloud, DatasetLimited("h1", SET, 1 << 20, 0), "cannot be limited to 1 MiB")


def test_room_is_kept_for_a_disk_and_counts_as_used(cloud: Hosts, image: None) -> None:
    def used() -> int:
        return int(told(cloud, "zfs", "get", "-H", "-p", "-o", "value", "used", SET))

    cloud.run([clone(43)])
    before = used()
    cloud.there_and_back(RoomReserved("h1", f"{SET}/var/43.0", 64 << 20))
    assert used() - before > 62 << 20
    cloud.run([RoomReserved("h1", f"{SET}/var/43.0", 0)])
    made = replace(clone(44), reserved=32 << 20)
    cloud.there_and_back(made)
    assert 30 << 20 < used() - before < 40 << 20
    with pytest.raises(CommandFailed, match="out of space"):
        cloud.run([replace(clone(45), reserved=1 << 40)])
    cloud.run([no_clone(43), no_clone(44)])


@pytest.fixture(scope="module")
def other(cloud: Hosts) -> Hosts:
    """A second pool on the same machine, with the data sets of a datastore."""
    cloud.run([PoolExists("h1", "other", Disks(Layout.STRIPE, ("/dev/vdd",)))])
    cloud.run([DatasetExists("h1", "other/images", "/srv/other/images", places=True)])
    return cloud


def test_an_image_is_sent_to_another_pool_with_its_progress_and_can_be_cancelled(other: Hosts, image: None) -> None:
    received = StreamReceived("h1", IMAGE, "gold", "other/images/b", "/srv/other/images/b", Format.RAW)
    told(other, "dd", "if=/dev/urandom", f"of={PLACE}/disk.0", "bs=1M", "count=24", "status=none", "conv=notrunc,fsync")
    other.run([GoldTaken("h1", IMAGE, PLACE)])
    other.there_and_back(received)
    told(other, "cmp", f"{PLACE}/disk.0", "/srv/other/images/b/disk.0")
    other.run([GoldTaken("h1", "other/images/b", "/srv/other/images/b"), VolumeDatasetAbsent("h1", "other/images/b")])
    begun: list[bool] = []
    with pytest.raises(Cancelled):
        other.run([received], diary=Diary(lambda _: begun.append(True)), cancelled=lambda: bool(begun))
    other.run([OnlyKnownDatasets("h1", "other/images")])


def test_what_was_cut_off_on_the_way_goes_on_from_there(other: Hosts, image: None) -> None:
    received = StreamReceived("h1", IMAGE, "gold", "other/images/c", "/srv/other/images/c", Format.RAW)
    told(other, "dd", "if=/dev/urandom", f"of={PLACE}/disk.0", "bs=1M", "count=24", "status=none", "conv=notrunc,fsync")
    other.run([GoldTaken("h1", IMAGE, PLACE)])
    cut = f"zfs send {IMAGE}@gold | head -c 12M | zfs receive -s -u other/images/c"
    other.lab.host("h1").run(["sh", "-c", cut])
    token = told(other, "zfs", "get", "-H", "-o", "value", "receive_resume_token", "other/images/c").strip()
    assert len(token) > 40
    diary = Diary()
    other.run([received], diary=diary)
    assert diary.reached[-1][0] == diary.reached[-1][1] > 24 << 20
    told(other, "cmp", f"{PLACE}/disk.0", "/srv/other/images/c/disk.0")
    other.run([VolumeDatasetAbsent("h1", "other/images/c")])


def test_a_clone_takes_little_longer_than_zfs_itself(cloud: Hosts, image: None) -> None:
    """Both are slow here; what is compared is how much is done besides."""
    cloud.run([clone(50)])
    shell, raw, ours = cloud.shell("h1"), [], []
    for vm in range(51, 55):
        begun = time.monotonic()
        assert shell.run(Command(("zfs", "clone", f"{IMAGE}@gold", f"{SET}/var/1{vm}.0"))).ok
        between = time.monotonic()
        cloud.run([clone(vm)])
        ours.append(time.monotonic() - between)
        raw.append(between - begun)
    print(f"zfs clone {min(raw):.3f} s, with all else {min(ours):.3f} s")
    for vm in range(51, 55):
        told(cloud, "zfs", "destroy", f"{SET}/var/1{vm}.0")
    cloud.run([no_clone(vm) for vm in range(50, 55)])
    assert min(ours) < 6 * min(raw)
