"""What an NFS datastore does to its server and its clients."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.domain.exports import Client
from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Capability, Format
from datastores.drivers.nfs import USUAL_MOUNT, NfsDriver
from datastores.drivers.registry import make_driver
from datastores.hosts.accounts import GroupHasId, UserHasId
from datastores.hosts.exports import ExportAbsent, ExportFacts, ExportPresent
from datastores.hosts.files import DirectoryPresent, DirectorySwept
from datastores.hosts.filesystems import BaseFacts, BaseReady
from datastores.hosts.inodes import Inode
from datastores.hosts.mount_points import MountedRootSeen, MountPointPresent
from datastores.hosts.mounts import FstabLineAbsent, FstabLinePresent, MountAbsent, MountPresent
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.parsing import Entry, TextFile
from datastores.hosts.services import ServiceRunning
from datastores.hosts.trials import RootWrites, TrialsSwept

BASE = "/srv/ds"
ADDRESSES = {"h1": "10.0.0.1", "h2": "10.0.0.2", "h3": "fd00::3"}
OPTIONS = ("rw", "sync", "no_root_squash", "no_subtree_check")


def nfs(*hosts: str, base: str = BASE, **options: Any) -> NfsDriver:
    made = make_driver(
        "nfs", host="h1", base=base, hosts=hosts or ("h1", "h2", "h3"), options=options, locate=ADDRESSES.__getitem__
    )
    assert isinstance(made, NfsDriver)
    return made


def the(steps: tuple[AnyStep, ...], kind: type) -> Any:
    (found,) = (step for step in steps if isinstance(step, kind))
    return found


def test_the_server_exports_the_directory_to_its_clients_alone() -> None:
    assert nfs().activate("h1") == (
        PackageInstalled("h1", "nfs-kernel-server"),
        DirectoryPresent("h1", BASE, "root", "root", "0755"),
        BaseReady("h1", BASE),
        DirectoryPresent("h1", "/etc/exports.d"),
        ExportPresent("h1", BASE, (Client("10.0.0.2", OPTIONS), Client("fd00::3", OPTIONS))),
        ServiceRunning("h1", "nfs-server.service"),
    )


def test_a_client_mounts_it_at_the_same_path_now_and_at_boot() -> None:
    assert nfs().activate("h2") == (
        PackageInstalled("h2", "nfs-common"),
        MountPointPresent("h2", BASE),
        FstabLinePresent("h2", f"10.0.0.1:{BASE}", BASE, "nfs4", USUAL_MOUNT),
        MountPresent("h2", f"10.0.0.1:{BASE}", BASE, "nfs4", USUAL_MOUNT),
        BaseReady("h2", BASE, BASE, coming=True),
    )


def test_nothing_is_written_on_a_client_where_it_is_not_mounted() -> None:
    assert nfs().guard("h2") == (BaseReady("h2", BASE, BASE),)
    assert nfs().guard("h1") == ()


def test_a_server_whose_disk_is_not_mounted_neither_exports_nor_takes_anything() -> None:
    store = nfs(base="/srv/disk/ds", mount_point="/srv/disk")
    _, disk, _, ready, *_ = store.activate("h1")
    assert (disk, ready) == (BaseReady("h1", "/srv/disk", "/srv/disk"), BaseReady("h1", "/srv/disk/ds", "/srv/disk"))
    assert store.guard("h1") == (ready,)
    assert "mountpoint=/srv/disk" in the(store.serve(), ExportPresent).clients[0].options
    bare = BaseFacts(Inode("/srv/disk", 0o40755, 1, 1, "1:2", 1, "root", "root", "0755", "1.0"), "/", "/dev/vda1")
    with pytest.raises(Refused, match="Nothing is mounted at /srv/disk on h1"):
        disk.plan(bare)
    assert store.guard("h2") == (BaseReady("h2", "/srv/disk/ds", "/srv/disk/ds"),)


def test_what_is_torn_down_is_what_was_set_up_but_for_packages_and_data() -> None:
    source = f"10.0.0.1:{BASE}"
    clients, server = nfs("h1", "h2").tear_down()
    assert clients.steps == (
        MountAbsent("h2", source, BASE, "nfs4", USUAL_MOUNT),
        FstabLineAbsent("h2", source, BASE),
        DirectorySwept("h2", BASE),
    )
    assert server.steps == (ExportAbsent("h1", BASE), DirectorySwept("h1", BASE))


def test_the_server_lets_in_whoever_was_added_and_nobody_else() -> None:
    assert the(nfs("h1", "h2").serve(), ExportPresent).clients == (Client("10.0.0.2", OPTIONS),)
    assert nfs("h1").serve() == (ExportAbsent("h1", BASE),)


def test_networks_are_exported_to_instead_of_hosts_when_they_are_named() -> None:
    exported = the(nfs(clients="10.0.0.0/24 fd00::/64").serve(), ExportPresent)
    assert [client.name for client in exported.clients] == ["10.0.0.0/24", "fd00::/64"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"writes": "async"}, ("rw", "async", "no_root_squash", "no_subtree_check")),
        ({"squash": "root"}, ("rw", "sync", "root_squash", "no_subtree_check")),
        ({"squash": "all", "insecure": True}, ("rw", "sync", "all_squash", "no_subtree_check", "insecure")),
        (
            {"squash": "all", "anon_id": 1001, "anon_group_id": 1002},
            ("rw", "sync", "all_squash", "anonuid=1001", "anongid=1002", "no_subtree_check"),
        ),
        ({"fsid": "0"}, ("rw", "sync", "no_root_squash", "no_subtree_check", "fsid=0")),
    ],
)
def test_options_of_the_export(options: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert the(nfs(**options).serve(), ExportPresent).clients[0].options == expected


def test_whoever_approves_an_export_is_told_what_it_trades_for_safety() -> None:
    nothing = ExportFacts(TextFile(None, None), ())
    loose = the(nfs(writes="async").serve(), ExportPresent).plan(nothing)
    assert loose.note.startswith("Root on 10.0.0.2 is root on these files.") and "async answers before" in loose.note
    assert the(nfs(squash="root").serve(), ExportPresent).plan(nothing).note == ""


def test_what_clients_mount_follows_the_server() -> None:
    assert nfs(server="192.168.9.1").source == f"192.168.9.1:{BASE}"
    assert nfs(server="fd00::1").source == f"[fd00::1]:{BASE}"
    assert nfs(fsid="0").source == "10.0.0.1:/"


def test_accounts_get_the_same_numbers_on_every_host() -> None:
    store = nfs(owner="oneadmin", owner_id=1001, group="cloud", group_id=1001)
    for host in ("h1", "h2"):
        steps = store.activate(host)
        assert the(steps, GroupHasId) == GroupHasId(host, "cloud", 1001)
        assert the(steps, UserHasId).uid == 1001
    assert store.directory("h1").owner == "oneadmin"


def test_a_client_never_changes_whose_the_directory_of_the_server_is() -> None:
    steps = nfs(owner="oneadmin", group="cloud").activate("h2")
    assert not [step for step in steps if isinstance(step, DirectoryPresent)]
    theirs = Entry(BASE, "d", "0755", 1234, 1234, "oneadmin", "cloud", 4096, 77)
    assert the(steps, MountPointPresent).plan({BASE: theirs}) is None


def test_every_client_sees_whose_it_is_and_writes_before_it_is_ready() -> None:
    seen, tried, *probes = nfs(owner="oneadmin", group="cloud").same_directory("abc")
    assert seen.steps == tuple(MountedRootSeen(host, BASE, "oneadmin", "cloud", "0755") for host in ("h2", "h3"))
    assert tried.steps == (
        RootWrites("h2", BASE, "abc0", "oneadmin", "cloud", "0660"), TrialsSwept("h2", BASE, "abc0"),
        RootWrites("h3", BASE, "abc1", "oneadmin", "cloud", "0660"), TrialsSwept("h3", BASE, "abc1"),
    )  # fmt: skip
    assert probes[0].title == "write a probe"
    assert nfs("h1").same_directory("abc") == ()


def test_root_that_the_server_takes_for_nobody_is_not_asked_to_write() -> None:
    titles = [stage.title for stage in nfs(squash="root").same_directory("abc")]
    assert titles == ["owner on the other hosts", "write a probe", "look for it on the other hosts", "remove the probe"]


def test_disks_are_overlays_unless_copies_are_wanted() -> None:
    assert Capability.CLONE in nfs().capabilities(Format.QCOW2)
    assert Capability.CLONE not in nfs(disks="copies").capabilities(Format.QCOW2)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"clients": "*"}, "everybody"),
        ({"clients": "10.0.0.1/24"}, "the network is"),
        ({"squash": "some"}, "Squash is"),
        ({"anon_id": 1001}, "nobody is squashed"),
        ({"squash": "root", "anon_id": 65534}, "not a number for an account"),
        ({"fsid": "0) *(rw"}, "characters"),
        ({"server": "nas one"}, "neither a host name"),
        ({"mount": "rw,hard"}, "lack _netdev"),
        ({"mount_point": "/srv/other"}, "does not lie below /srv/other"),
        ({"mount_point": "/srv/a b"}, "characters"),
        ({"mount": "rw,_netdev,helper=sh"}, "not among those"),
        ({"owner": "root", "owner_id": 5}, "root is 0 everywhere"),
        ({"owner": "oneadmin", "owner_id": 1001, "group": "cloud"}, "needs its group"),
        ({"directory_mode": "0770"}, r"lacks o\+x"),
        ({"directory_mode": "0788"}, "octal"),
        ({"disks": "links"}, "overlays or copies"),
    ],
)
def test_options_that_would_not_work_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        nfs(**options)


@pytest.mark.parametrize(("mount", "why"), [("rw,_netdev,soft", "soft mount"), ("_netdev,softerr", "soft mount"),
                                             ("ro,_netdev", "read-only")])  # fmt: skip
def test_a_new_one_is_mounted_as_disks_need_it(mount: str, why: str) -> None:
    nfs().check_new()
    with pytest.raises(BadInput, match=why):
        nfs(mount=mount).check_new()


def test_a_base_path_of_which_no_file_can_be_named_is_refused() -> None:
    nfs(base=f"/srv/{'a' * 212}")
    with pytest.raises(BadInput, match="too long"):
        nfs(base=f"/srv/{'a' * 213}")


def test_a_base_path_that_exports_cannot_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="may hold no blanks"):
        nfs(base="/srv/my images")


def test_where_the_server_is_has_to_be_known_only_when_it_is_mounted() -> None:
    store = make_driver("nfs", host="h1", base=BASE, hosts=("h1", "h2"))
    assert store.image_path("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11", Format.RAW).startswith(BASE)
    with pytest.raises(Refused, match="at which address"):
        store.activate("h2")
