"""What a datastore in a Ceph cluster plans."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.ceph import Access, RbdImage
from datastores.domain.errors import BadInput, CommandFailed, Refused, Unsupported
from datastores.domain.plan import Output
from datastores.domain.volumes import Capability, Capacity, Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.received import Received
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import transfer, way
from datastores.hosts.ceph import ask_images
from datastores.hosts.ceph_client import ClusterUsable, PoolReady, QemuOpensRbd
from datastores.hosts.ceph_files import CephConfPresent, CephKeyringPresent
from datastores.hosts.copies import Ownership
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.libvirt_secrets import LibvirtSecretDefined
from datastores.hosts.lvm_contents import VolumeFilled
from datastores.hosts.opened import Opened
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.rbd_checksums import RbdChecksumKnown
from datastores.hosts.rbd_clones import RbdCloned, RbdClonesPrepared
from datastores.hosts.rbd_copies import RbdImageCopied, RbdImageExported, RbdImageImported, ask_pools
from datastores.hosts.rbd_images import RbdImageAbsent
from datastores.hosts.rbd_links import RbdImageLinked, RbdImageUnlinked
from datastores.hosts.rbd_snapshots import RbdSnapshotsAbsent
from datastores.hosts.rbd_stored import OnlyKnownRbdImages, RbdImageStored
from datastores.hosts.rbd_trash import RbdTrashPurged
from tests.fakes import FakeShell, said

KEY = "AQBzWmJlAAAAABAAcT4xcn9gkQe3FwE2l0y3LA=="
FSID = "5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
ACCESS = Access("ceph", "libvirt")
HOSTS = ("h1", "h2")
MASTER = Volume(f"one/one-{UUID}", Format.RAW, 25 << 30)
DISK = Volume("one/one-7-0", Format.RAW, 25 << 30)


def driver(secret: str = "", hosts: tuple[str, ...] = HOSTS, **options: Any) -> StorageDriver:
    return make_driver("ceph", host=hosts[0], base="/var/lib/one", hosts=hosts, options=options, secret=secret)


def rbd(volume: Volume) -> RbdImage:
    return RbdImage(ACCESS, *volume.path.split("/"))


def test_names_are_those_of_opennebula() -> None:
    store = driver()
    assert (store.image_path(UUID, Format.ISO), store.disk_path(7, 0)) == (MASTER.path, DISK.path)
    assert store.opened(DISK).path == "rbd:one/one-7-0:id=libvirt:conf=/etc/ceph/ceph.conf"
    with pytest.raises(Refused, match="does not lie in the datastore's pool one"):
        store.opened(Volume("two/one-7-0", Format.RAW))


def test_a_host_becomes_a_client_before_it_is_asked_what_it_sees() -> None:
    store = driver(KEY, fsid=FSID, monitors="10.0.0.1")
    kinds = [type(step) for step in store.activate("h2")]
    assert kinds == [
        PackageInstalled, PackageInstalled, PackageInstalled, DirectoryPresent, CephConfPresent, CephKeyringPresent,
        LibvirtSecretDefined, ClusterUsable, PoolReady, QemuOpensRbd,
    ]  # fmt: skip
    assert [type(step) for step in store.keeps("h2")] == kinds[:7]
    assert store.deactivate("h2") == store.tear_down() == ()


def test_files_that_are_there_already_are_left_alone() -> None:
    kinds = {type(step) for step in driver().activate("h1")}
    assert not kinds & {CephConfPresent, CephKeyringPresent, LibvirtSecretDefined, RbdTrashPurged}


def test_a_pool_is_made_and_its_trash_emptied_by_the_storage_host_alone() -> None:
    store = driver(create_pool=True, trash_days=7)
    assert PoolReady("h1", ACCESS, "one", create=True) in store.activate("h1")
    assert RbdTrashPurged("h1", ACCESS, "one") in store.activate("h1")
    assert PoolReady("h2", ACCESS, "one") in store.activate("h2")
    assert RbdTrashPurged("h2", ACCESS, "one") not in store.activate("h2")


def test_a_secret_of_libvirt_has_the_same_number_on_every_host() -> None:
    store = driver(KEY, fsid=FSID, monitors="10.0.0.1")
    found = {step.uuid for host in HOSTS for step in store.activate(host) if isinstance(step, LibvirtSecretDefined)}
    assert len(found) == 1


def test_images_go_through_the_trash_and_disks_at_once() -> None:
    store = driver(trash_days=7)
    assert store.delete(DISK) == (RbdImageAbsent("h1", rbd(DISK)),)
    assert store.delete_image(MASTER, ("before",)) == (
        RbdSnapshotsAbsent("h1", rbd(MASTER), ("before",)),
        RbdImageAbsent("h1", rbd(MASTER), 7),
    )


def test_clones_are_made_of_a_snapshot_that_is_prepared() -> None:
    store = driver()
    assert store.prepare(MASTER) == (RbdClonesPrepared("h1", rbd(MASTER)),)
    assert store.clone(MASTER, DISK) == (RbdCloned("h1", rbd(MASTER), rbd(DISK)),)
    assert store.checksum(MASTER) == (*store.prepare(MASTER), RbdChecksumKnown("h1", rbd(MASTER), MASTER.virtual_size))


def test_a_persistent_disk_is_the_image_itself() -> None:
    store = driver()
    assert not store.links
    assert store.link(MASTER, DISK.path) == (RbdImageLinked("h1", rbd(MASTER), "one-7-0"),)
    unlinked = RbdImageUnlinked("h1", rbd(MASTER), "one-7-0")
    assert store.unlink(MASTER, DISK.path) == (unlinked, RbdClonesPrepared("h1", rbd(MASTER)))
    assert store.linked(MASTER, DISK.path) == MASTER
    assert store.stored(DISK, link=MASTER.path) == ()


def test_a_cd_has_neither_size_nor_snapshots_to_change() -> None:
    assert driver().capabilities(Format.ISO) == {
        Capability.CLONE,
        Capability.FLATTEN,
        Capability.LIVE_MIGRATION,
    }


def test_what_is_stored_is_told_by_one_listing() -> None:
    store = driver()
    (stored,), (only,) = store.stored(MASTER), store.stores_only([MASTER])
    assert stored == RbdImageStored("h1", rbd(MASTER), 25 << 30)
    assert only == OnlyKnownRbdImages("h1", ACCESS, "one", (f"one-{UUID}",))
    assert stored.reads() == only.reads()


def test_files_become_images_and_back_on_a_host_that_sees_both() -> None:
    store = driver()
    files = make_driver("qcow2", host="h2", base="/srv/images", hosts=("h2",), options={"owner": "oneadmin"})
    image = Volume(f"/srv/images/{UUID}.qcow2", Format.QCOW2, 25 << 30)
    there = way(files, Format.QCOW2, store)
    assert (there.host, there.format) == ("h2", Format.RAW)
    assert transfer(files, image, store, MASTER, "h2") == (
        RbdImageImported("h2", Opened(image.path, "qcow2", 25 << 30), rbd(MASTER)),
    )
    back = Volume(f"/srv/images/{UUID}.raw", Format.RAW, 25 << 30)
    *_, export = transfer(store, MASTER, files, back, "h2")
    assert export == RbdImageExported("h2", rbd(MASTER), back.path, Format.RAW, Ownership("oneadmin", "root", "0660"))
    with pytest.raises(Unsupported, match="A CD cannot become"):
        store.export("h2", Volume(MASTER.path, Format.ISO), Received(back))


def test_within_a_cluster_no_host_carries_the_bytes() -> None:
    store, other = driver(), driver(pool="two")
    copy = Volume(f"two/one-{UUID}", Format.RAW, 25 << 30)
    target = RbdImage(ACCESS, "two", f"one-{UUID}")
    assert transfer(store, MASTER, other, copy, "h1") == (RbdImageCopied("h1", rbd(MASTER), target),)
    moved = transfer(store, MASTER, other, copy, "h1", moved=True)
    assert moved == (RbdImageCopied("h1", rbd(MASTER), target, compared=True),), "before the original goes"
    elsewhere = driver(pool="two", cluster="east")
    (step,) = transfer(store, MASTER, elsewhere, copy, "h1")
    assert isinstance(step, RbdImageImported) and step.source == Opened(store.opened(MASTER).path, "raw", 25 << 30)


def test_images_become_volumes_and_disks_on_devices_become_images_of_their_own_size() -> None:
    store, lvm = driver(), make_driver("lvm", host="h1", base="/srv/lvm")
    device = f"/dev/vg-one/lv-one-{UUID}"
    volume = Volume(f"/srv/lvm/{UUID}.raw", Format.RAW, 25 << 30)
    (_, taken) = transfer(lvm, volume, store, MASTER, "h1")
    assert taken == RbdImageImported("h1", Opened(device, "raw", 25 << 30, device=True), rbd(MASTER))
    assert all(device not in command.argv for command in taken.reads())  # a link: only QEMU follows it
    filled, _ = transfer(store, MASTER, lvm, volume, "h1")
    assert isinstance(filled, VolumeFilled) and filled.source == Opened(store.opened(MASTER).path, "raw", 25 << 30)


def test_the_disk_of_a_data_set_is_read_where_it_lies_and_an_image_comes_into_one_that_is_made_first() -> None:
    store, zfs = driver(), make_driver("zfs", host="h1", base="/tank")
    (taken,) = transfer(zfs, Volume("/tank/7/disk.0", Format.RAW, 1 << 30), store, DISK, "h1")
    assert isinstance(taken, RbdImageImported) and taken.source.path == "/tank/var/7.0/disk.0"
    _, export, _ = transfer(store, DISK, zfs, Volume("/tank/7/disk.0", Format.RAW, 1 << 30), "h1")
    assert isinstance(export, RbdImageExported) and export.coming and export.target == "/tank/var/7.0/disk.0"


def test_images_are_not_sent_to_hosts_that_are_no_clients() -> None:
    elsewhere = make_driver("xfs", host="h9", base="/srv/xfs")
    for source, target in ((driver(), elsewhere), (elsewhere, driver())):
        with pytest.raises(Unsupported, match="Ceph datastores are not sent from host to host"):
            way(source, Format.RAW, target)


def test_capacity_and_volumes_are_read_in_one_command_each() -> None:
    pools = '{"pools":[{"name":"one","stats":{"stored":1000,"max_avail":9000}}]}'
    images = (
        f'{{"images":[{{"name":"one-{UUID}","snapshot":"snap","provisioned_size":64,"used_size":8}},'
        f'{{"name":"one-{UUID}","provisioned_size":64,"used_size":4}},'
        '{"name":"one-7-0","provisioned_size":64,"used_size":4},{"name":"glance","provisioned_size":1,"used_size":1}]}'
    )
    shell = FakeShell("h1", {ask_pools(ACCESS).argv: said(pools), ask_images(ACCESS, "one").argv: said(images)})
    store = driver()
    assert store.capacity(shell) == Capacity(10000, 1000, 9000)
    assert store.volumes(shell) == (Volume(MASTER.path, Format.RAW, 64, 12),)
    with pytest.raises(Refused, match="There is no pool two"):
        driver(pool="two").capacity(shell)


def test_a_cluster_that_hangs_is_told_of() -> None:
    shell = FakeShell("h1", {ask_pools(ACCESS).argv: Output(124)})
    with pytest.raises(CommandFailed, match="did not answer within 20 s"):
        driver().capacity(shell)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("AuthRegistry(0x7fa7) no keyring found at /etc/ceph/ceph.keyring", "no keyring of client.libvirt"),
        (
            "monclient(hunting): handle_auth_bad_method server allowed_methods [2]",
            "not accept the key of client.libvirt",
        ),
        ("monclient: get_monmap_and_config cannot identify monitors to contact", "no /etc/ceph/ceph.conf that names"),
        (
            "Error initializing cluster client: (error calling conf_read_file)",
            "no /etc/ceph/ceph.conf that can be read",
        ),
        ("monclient(hunting): authenticate timed out after 10", "does not answer: no monitor in /etc/ceph/ceph.conf"),
    ],
)
def test_why_a_cluster_cannot_be_asked_is_told_in_a_sentence(said: str, meaning: str) -> None:
    told = f"2026-11-22T15:38:45 7f0a -1 {said}\nrbd: couldn't connect to the cluster!\n"
    shell = FakeShell("h1", {ask_pools(ACCESS).argv: Output(1, b"", told)})
    with pytest.raises(CommandFailed, match=meaning):
        driver().capacity(shell)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "a/b"}, "not the name of a pool"),
        ({"monitors": "10.0.0.1"}, "both the monitors and the fsid"),
        ({"fsid": FSID}, "both the monitors and the fsid"),
        ({"fsid": "x", "monitors": "10.0.0.1"}, "no fsid"),
        ({"user": "client libvirt"}, "for client.libvirt say libvirt"),
        ({"cluster": "../x"}, "not the name of a cluster"),
        ({"keyring_group": "a b"}, "not an account name"),
        ({"trash_days": -1}, "at most"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        driver(**options)


def test_a_key_is_checked_and_not_taken_by_kinds_that_need_none() -> None:
    with pytest.raises(BadInput, match="no key of Ceph"):
        driver("hunter2")
    with pytest.raises(BadInput, match="XFS datastores need no secret"):
        make_driver("xfs", host="h1", base="/srv", secret=KEY)
    assert KEY not in repr(driver(KEY))
