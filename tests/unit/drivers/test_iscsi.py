"""What an iSCSI datastore does on the storage host, and on the host of a VM."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from datastores.domain.errors import BadInput, Unsupported
from datastores.domain.iscsi import Lun, Names, Portal
from datastores.domain.plan import Output
from datastores.domain.volumes import Capability, Format, Volume
from datastores.domain.zfs import Disks, Layout
from datastores.drivers.iscsi import IscsiDriver
from datastores.drivers.iscsi_options import OF_ZFS
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import transfer, way
from datastores.drivers.zfs_options import ZfsOptions
from datastores.hosts.chap import SecretFacts, SecretGone, SecretPresent
from datastores.hosts.copies import FileCopied
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.files import DirectorySwept
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.initiator_names import InterfaceNamed
from datastores.hosts.libvirt_secrets import LibvirtSecretDefined
from datastores.hosts.lio import LioTargetGone, LioTargetServed
from datastores.hosts.lvm_clones import CloneLinked
from datastores.hosts.lvm_groups import GroupReady
from datastores.hosts.open_iscsi import SessionClosed, SessionOpen
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.portals import Listener, PortalFree
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.services import ServiceRunning
from datastores.hosts.sizes import ImageResized
from datastores.hosts.tgt_targets import TargetGone, TargetRenewed, TargetServed, TargetUnserved, TargetUnused
from datastores.hosts.zfs_clones import CloneExists
from datastores.hosts.zfs_limits import DatasetLimited, RoomReserved
from datastores.hosts.zfs_pools import PoolExists
from datastores.hosts.zfs_promotion import ClonePromoted, MasterGone
from datastores.hosts.zfs_snapshots import DatasetRolledBack
from datastores.hosts.zfs_streams import StreamReceived
from datastores.hosts.zfs_volumes import VolumeDatasetExists
from datastores.jobs.codec import encode_change

BASE = "/srv/ds"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
ADDRESSES = {"h1": "10.0.0.1", "h2": "10.0.0.2"}
SIZE = 64 << 20
DISK = Volume(f"{BASE}/luns/7/disk.0", Format.RAW, SIZE)
IMAGE = Volume(f"{BASE}/luns/{UUID}.raw", Format.RAW, SIZE)
LINK = f"{BASE}/7/disk.0"
NAME = "iqn.2013-10.org.opennebula:h1.vg-one.lv-one-7-0"
LUN = Lun(Portal("10.0.0.1"), NAME)


SECRET = "Abcdefgh12345678"


def store(base: str = BASE, secret: str = "", names: Names | None = None, **options: Any) -> IscsiDriver:
    made = make_driver(
        "iscsi", host="h1", base=base, hosts=("h1", "h2"), options=options, locate=ADDRESSES.__getitem__, secret=secret,
        names=names,
    )  # fmt: skip
    assert isinstance(made, IscsiDriver)
    return made


def test_a_disk_is_served_to_its_host_alone_before_that_logs_in() -> None:
    assert store().attach(DISK, "h2", LINK) == (
        TargetServed("h1", NAME, DISK.path, SIZE, ("10.0.0.2",)),
        SessionOpen("h2", LUN),
        DeviceLinked("h2", LINK, f"/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-{NAME}-lun-1"),
    )


def test_a_target_goes_when_nobody_is_logged_in_any_more() -> None:
    assert store().detach(DISK, "h2", LINK) == (
        DiskAbsent("h2", LINK, BASE),
        SessionClosed("h2", LUN),
        TargetGone("h1", NAME, ("10.0.0.2",)),
    )


def test_qemu_needs_an_address_alone() -> None:
    served, link = store(initiator="qemu").attach(DISK, "h2", LINK)
    assert isinstance(served, TargetServed)
    assert link == DeviceLinked("h2", LINK, f"iscsi://10.0.0.1:3260/{NAME}/1")
    assert len(store(initiator="qemu").detach(DISK, "h2", LINK)) == 2


def test_nothing_is_deleted_that_is_served() -> None:
    assert store().delete(DISK)[0] == TargetGone("h1", NAME, ("10.0.0.1", "10.0.0.2"))
    assert isinstance(store().delete_image(IMAGE)[0], TargetGone)


def test_a_disk_grows_while_nobody_uses_it_and_its_target_takes_note() -> None:
    first, *_, last = store().resize(DISK, 2 * SIZE)
    assert (first, last) == (TargetUnused("h1", NAME), TargetRenewed("h1", NAME, 2 * SIZE))


def test_names_tell_host_group_and_volume() -> None:
    assert store().target(IMAGE) == f"iqn.2013-10.org.opennebula:h1.vg-one.lv-one-{UUID}"
    assert store(authority="iqn.2026-11.lab").target(DISK) == "iqn.2026-11.lab:h1.vg-one.lv-one-7-0"
    assert store(backing="files").target(DISK) == "iqn.2013-10.org.opennebula:h1.srv-ds-f565b593-luns-7-disk.0"


def test_others_are_let_in_when_they_are_named() -> None:
    served = store(clients="10.0.0.0/24 iqn.1993-08.org.debian:01:abc").attach(DISK, "h2", LINK)[0]
    assert isinstance(served, TargetServed)
    assert served.initiators == ("10.0.0.0/24", "iqn.1993-08.org.debian:01:abc")
    assert store(portal="10.9.9.9", port=3261).lun(DISK).portal == Portal("10.9.9.9", 3261)


@pytest.mark.parametrize(
    ("backing", "can"),
    [
        ("lvm", {Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT}),
        ("xfs", {Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT}),
        ("files", {Capability.RESIZE}),
    ],
)
def test_what_it_can_do_is_what_the_bytes_can(backing: str, can: set[Capability]) -> None:
    made = store(backing=backing)
    assert made.capabilities(Format.RAW) == can | {Capability.ATTACH}
    for missing in (lambda: made.promote(DISK, IMAGE), lambda: made.reserve(DISK)):
        with pytest.raises(Unsupported, match="have no"):
            missing()
    assert store(backing=backing).capabilities(Format.QCOW2) == frozenset()


def test_data_sets_on_several_disks_need_a_layout_that_somebody_chose() -> None:
    with pytest.raises(BadInput, match="Choose a layout for the 2 disks"):
        store(**ZFS, disks="/dev/sdb /dev/sdc").check_new()
    store(**ZFS, disks="/dev/sdb /dev/sdc", layout="mirror").check_new()


def test_clones_are_made_where_the_bytes_are() -> None:
    assert isinstance(store().clone(IMAGE, DISK)[0], CloneLinked)
    assert isinstance(store(backing="btrfs").clone(IMAGE, DISK)[0], ReflinkExists)


ZFS = {"backing": "zfs", "dataset": "tank/luns"}
IN_SET = Volume(f"{BASE}/luns/images/{UUID}/disk.0", Format.RAW, SIZE)


def test_bytes_in_zfs_are_files_in_data_sets() -> None:
    made = store(**ZFS, quota="1G", disks="/dev/sdb")
    steps = made.activate("h1")
    assert PoolExists("h1", "tank", Disks(Layout.SINGLE, ("/dev/sdb",))) in steps
    assert {PackageInstalled("h1", "tgt"), BaseReady("h1", f"{BASE}/luns", f"{BASE}/luns", coming=True)} <= set(steps)
    assert not any("zfs" in step.title or "pool" in step.title for step in made.activate("h2"))
    assert made.image_path(UUID, Format.RAW) == IN_SET.path
    assert made.target(DISK) == "iqn.2013-10.org.opennebula:h1.srv-ds-f565b593-luns-7-disk.0"
    home = f"tank/luns/images/{UUID}", f"{BASE}/luns/images/{UUID}"
    place = "tank/luns/var/7.0", f"{BASE}/luns/var/7.0"
    assert made.clone(IN_SET, DISK) == (CloneExists("h1", *home, *place, Format.RAW, DISK.path),)
    assert made.ownership.mode == "0600"
    assert DirectorySwept("h1", f"{BASE}/luns") not in made.deactivate("h1")  # a data set is mounted there
    assert made.inside.options.quota == "1G"


def test_what_data_sets_can_is_offered_and_nothing_is_done_to_what_is_served() -> None:
    made = store(**ZFS, reserve=True)
    assert made.capabilities(Format.RAW) == frozenset(made.can)
    name = made.target(IN_SET)
    assert made.promote(DISK, IN_SET) == (
        TargetGone("h1", name, ("10.0.0.1", "10.0.0.2")),
        ClonePromoted("h1", f"tank/luns/images/{UUID}", "tank/luns/var/7.0"),
        MasterGone("h1", f"tank/luns/images/{UUID}", "tank/luns/var/7.0"),
    )
    unserved, back = made.revert(IN_SET, "one")
    assert unserved == TargetUnserved("h1", name) and isinstance(back, DatasetRolledBack)
    assert made.reserves and made.room_of(SIZE) > SIZE
    assert made.reserve(replace(DISK, reserved=SIZE)) == (RoomReserved("h1", "tank/luns/var/7.0", SIZE),)
    assert made.limited() == (DatasetLimited("h1", "tank/luns", 0, 0),)
    unused, *grown, renewed = made.resize(replace(DISK, reserved=SIZE), 2 * SIZE)
    assert (unused, renewed) == (
        TargetUnused("h1", made.target(DISK)), TargetRenewed("h1", made.target(DISK), 2 * SIZE),
    )  # fmt: skip
    assert [type(step) for step in grown] == [RoomReserved, ImageResized]


def test_data_sets_are_sent_between_two_that_keep_them() -> None:
    other = make_driver("iscsi", host="h1", base="/srv/two", options={"backing": "zfs", "dataset": "other/luns"})
    copy = Volume(other.image_path(UUID, Format.RAW), Format.RAW, SIZE)
    _, received = transfer(store(**ZFS), IN_SET, other, copy, "h1")
    assert isinstance(received, StreamReceived) and received.dataset == f"other/luns/images/{UUID}"
    file = Volume("/srv/xfs/a.raw", Format.RAW, SIZE)
    room, copied = transfer(make_driver("xfs", host="h1", base="/srv/xfs"), file, store(**ZFS), IN_SET, "h1")
    assert isinstance(room, VolumeDatasetExists)
    assert isinstance(copied, FileCopied) and copied.target == IN_SET.path
    plain = make_driver("zfs", host="h2", base="/srv/zfs", options={"dataset": "tank/zfs", "mode": "0600"})
    travelled = way(store(**ZFS), Format.RAW, plain)
    assert (travelled.host, travelled.sender) == ("h2", "h1")
    assert store(**ZFS).keeper.streams_to(plain) == ""
    with pytest.raises(Unsupported, match="iSCSI datastores are not sent"):
        way(store(), Format.RAW, plain)


@pytest.mark.parametrize(
    ("backing", "needs", "younger", "limits"),
    [
        ({}, False, False, ()),
        ({"backing": "btrfs"}, False, False, ("quota",)),
        (ZFS, True, True, ("quota", "reservation", "reserve")),
    ],
)
def test_what_keeps_the_bytes_says_what_clones_and_snapshots_are_like(
    backing: dict[str, str], needs: bool, younger: bool, limits: tuple[str, ...]
) -> None:
    keeper = IscsiDriver.keeps_with(backing)
    assert (keeper.clone_needs_source, keeper.revert_takes_younger, keeper.limits) == (needs, younger, limits)
    assert isinstance(store(**backing).keeper, keeper)
    assert set(limits) <= IscsiDriver.Options.__dataclass_fields__.keys()


def test_options_of_zfs_are_the_same_as_in_zfs() -> None:
    own, known = IscsiDriver.Options.__dataclass_fields__, ZfsOptions.__dataclass_fields__
    assert all(own[name].default == known[name].default for name in OF_ZFS)


def test_the_storage_host_serves_and_every_host_can_log_in() -> None:
    steps = store(disks="/dev/sdb").activate("h1")
    assert {PackageInstalled("h1", "tgt"), ServiceRunning("h1", "tgt.service")} <= set(steps)
    assert GroupReady("h1", "vg-one", ("/dev/sdb",)) in steps
    assert store().activate("h2")[0] == PackageInstalled("h2", "open-iscsi")
    assert store(initiator="qemu").activate("h2")[0] == PackageInstalled("h2", "qemu-block-extra")


def test_lio_knows_a_host_by_the_name_under_which_it_logs_in() -> None:
    name, interface = "iqn.2013-10.org.opennebula:h2", "cloudstore-fe13e221"
    assert store(target="lio").attach(DISK, "h2", LINK)[:4] == (
        PortalFree("h1", 3260, Listener.KERNEL),
        LioTargetServed("h1", NAME, "/dev/vg-one/lv-one-7-0", (name,)),
        InterfaceNamed("h2", interface, name),
        SessionOpen("h2", LUN, interface),
    )
    assert store(target="lio").detach(DISK, "h2", LINK)[1:] == (
        SessionClosed("h2", LUN, interface),
        LioTargetGone("h1", NAME, (name,)),
    )
    with pytest.raises(Unsupported, match="CDs are files"):
        store(target="lio").attach(Volume(f"{BASE}/luns/{UUID}.iso", Format.ISO, 4096), "h2", LINK)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target": "scst"}, "tgt or lio"),
        ({"target": "lio", "initiator": "qemu"}, "to initiators in the kernel"),
        ({"target": "lio", "backing": "files"}, "volumes of LVM alone"),
        ({"target": "lio", "clients": "10.0.0.2"}, "by their names"),
        ({"backing": "tape"}, "Bytes are in"),
        ({"backing": "zfs"}, "Name the data set"),
        ({"backing": "zfs", "dataset": "tank/a b"}, "data set"),
        ({"backing": "zfs", "dataset": "tank/luns", "layout": "mirror", "disks": "/dev/vdb"}, "mirror"),
        ({"backing": "zfs", "dataset": "tank/luns", "target": "lio"}, "volumes of LVM alone"),
        ({"dataset": "tank/luns"}, "options of bytes in zfs"),
        ({"backing": "xfs", "quota": "1T"}, "zfs or btrfs"),
        ({"initiator": "hardware"}, "kernel or qemu"),
        ({"clients": "0.0.0.0/0"}, "everybody"),
        ({"clients": "10.0.0.1/32"}, "usually written 10.0.0.1"),
        ({"authority": "iqn.x"}, "begin with"),
        ({"portal": "a b"}, "neither a host name"),
        ({"port": 0}, "port"),
        ({"target": "lio", "portal": "storage.example.org"}, "at an address"),
        ({"group_name": "a b"}, "The volume group"),
    ],
)
def test_options_that_would_not_work_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        store(**options)


def test_a_base_path_that_a_target_cannot_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be served"):
        store(base="/srv/my images")


def test_where_there_is_a_secret_hosts_log_in_as_an_account_of_the_datastore() -> None:
    made = store(secret=SECRET)
    account = made.account
    assert account and account.name == "cloudstore-srv-ds-f565b593-e3914a"
    assert made.attach(DISK, "h2", LINK) == (
        SecretPresent("h1", account, SECRET),
        TargetServed("h1", NAME, DISK.path, SIZE, ("10.0.0.2",), account),
        SecretPresent("h2", account, SECRET),
        SessionOpen("h2", LUN, "", account),
        DeviceLinked("h2", LINK, f"/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-{NAME}-lun-1"),
    )
    assert SessionClosed("h2", LUN, "", account) in made.detach(DISK, "h2", LINK)
    for host in ("h1", "h2"):
        assert SecretPresent(host, account, SECRET) in {*made.activate(host)} & {*made.keeps(host)}
        assert made.deactivate(host)[-1] == SecretGone(host, account)
    assert store(secret=SECRET, chap=False).account is None is store().account


def test_libvirt_knows_the_secret_where_qemu_logs_in_by_itself() -> None:
    (secret,) = (
        step for step in store(secret=SECRET, initiator="qemu").activate("h2") if isinstance(step, LibvirtSecretDefined)
    )
    assert secret.usage.xml == "<usage type='iscsi'><target>cloudstore-srv-ds-f565b593-e3914a</target></usage>"
    assert b64decode(secret.key).decode() == SECRET and SECRET not in repr(secret)


def test_the_longest_path_gives_names_that_targets_may_have() -> None:
    made = store(base="/srv/" + "d" * 200, backing="xfs")
    assert made.set_up() and len(made.target(Volume(made.image_path(UUID, Format.ISO), Format.ISO))) < 223
    assert made.attach(Volume(made.disk_path(7, 0), Format.RAW, SIZE), "h2", LINK)


@pytest.mark.parametrize("options", [{"group_name": "g" * 32}, {"backing": "xfs"}])
def test_names_that_no_target_may_have_are_refused_before_there_is_a_datastore(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="223 are allowed"):
        store(authority="iqn.2026-11." + "a" * 80, names=Names("l" * 100, {"h1": "h" * 64}), **options).set_up()


def test_another_secret_is_another_account_in_the_same_file() -> None:
    one, other = store(secret=SECRET).account, store(secret="x" + SECRET[1:]).account
    assert one and other and one.name != other.name and one.file == other.file


def test_a_secret_is_made_where_none_is_given_unless_that_is_not_wanted() -> None:
    made = IscsiDriver.new_secret({})
    IscsiDriver.check_secret(made)
    assert len(made) == 16 and made != IscsiDriver.new_secret({})
    assert IscsiDriver.new_secret({"chap": False}) == ""


@pytest.mark.parametrize(
    "wrong", ["short", "seventeen-letters", "blank in between", "quote'quote'", "$(reboot)xxxx", "ümlautümlaut"]
)
def test_a_secret_that_some_initiator_would_not_take_is_refused_and_not_told(wrong: str) -> None:
    with pytest.raises(BadInput) as refused:
        store(secret=wrong)
    assert wrong not in str(refused.value)


def test_the_secret_is_in_no_plan_that_is_shown_or_stored() -> None:
    made = store(secret=SECRET, initiator="qemu")
    steps = [*made.attach(DISK, "h2", LINK), *made.activate("h1")]
    assert SECRET not in repr(steps) and not any(SECRET in step.title for step in steps)
    written = SecretPresent("h1", made.account, SECRET).plan(SecretFacts(None)) if made.account else None
    assert written and SECRET not in json.dumps(encode_change(written))


def test_a_host_logs_in_by_another_interface_under_each_of_its_names() -> None:
    """Two datastores may begin the names of initiators in their own ways; open-iscsi has one name for an interface."""
    one, other = (store(target="lio", authority=f"iqn.2026-11.{each}").attach(DISK, "h2", LINK)[2] for each in "ab")
    assert isinstance(one, InterfaceNamed) and isinstance(other, InterfaceNamed)
    assert one.name != other.name and one.interface != other.interface
    assert other.plan(other.facts([Output(0, f"{one.interface} tcp,<empty>,<empty>,<empty>,{one.name}\n".encode())]))


def test_lio_listens_where_it_is_told() -> None:
    free, _, served, *_ = store(target="lio", portal="10.9.9.9", secret=SECRET).attach(DISK, "h2", LINK)
    assert isinstance(served, LioTargetServed)
    assert free == PortalFree("h1", 3260, Listener.KERNEL, "10.9.9.9")
    assert (served.portal, served.account) == ("10.9.9.9", store(secret=SECRET).account)
    assert store(target="lio").attach(DISK, "h2", LINK)[1].portal == "0.0.0.0"


@pytest.mark.parametrize(("target", "server"), [("tgt", Listener.TGTD), ("lio", Listener.KERNEL)])
def test_two_servers_do_not_listen_at_one_port_of_a_host(target: str, server: Listener) -> None:
    made = store(target=target)
    [on_storage] = [step for step in made.activate("h1") if isinstance(step, PortalFree)]
    assert on_storage == PortalFree("h1", 3260, server) and on_storage in made.keeps("h1")
    assert not [step for step in made.activate("h2") if isinstance(step, PortalFree)]
