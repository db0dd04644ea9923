"""The kinds of datastore, other releases, and other accounts, on real hosts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from datastores.domain.errors import CommandFailed, NotVerified, Refused
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import FileDriver
from datastores.drivers.registry import DRIVERS, make_driver
from datastores.drivers.transfers import common_host, transfer
from datastores.hosts import probes
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.contexts import ContextIsoExists, Variable
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskAbsent, DiskLinked
from datastores.hosts.filesystems import BaseReady, CanReflink
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.overlays import OverlayExists
from datastores.hosts.qemu_img import ImageOpens
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.sizes import ImageResized
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotRestored
from datastores.hosts.sources import SourceAllowed
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import GIB, MIB
from tests.lab.places import image, names_in, same, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base


def test_two_hosts_that_see_different_directories_are_found_out(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "CACHE_SECONDS", 0)
    store = make_driver("shared", host="h1", base="/srv", hosts=("h1", "h2"))
    assert isinstance(store, FileDriver)
    with pytest.raises(NotVerified, match="/srv on h2 is the same directory as on the storage host"):
        hosts.run(store.same_directory("5e1f0a"))
    alone = replace(store, hosts=("h1",))
    assert alone.same_directory("5e1f0a") == ()
    assert not [name for name in names_in(hosts, "/srv") if "probe" in name]


def test_an_account_with_sudo_is_enough(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    told(hosts, "chmod", "0700", base)
    as_admin = hosts.shell("h1", "admin1", "admin-pass")
    hosts.run(
        [
            FileCopied("h1", source, f"{base}/1/disk.0", with_directory=True),
            OverlayExists("h1", source, Format.RAW, f"{base}/2/disk.0", True),
        ],
        connect=lambda _: as_admin,
    )
    assert same(hosts, source, f"{base}/1/disk.0")


def store_at(kind: str, base: str) -> StorageDriver:
    return make_driver(kind, host="h1", base=base, hosts=("h1",))


@pytest.mark.parametrize(
    ("kind", "base"),
    [("shared", "/srv/plain"), ("qcow2", "/srv/plain"), ("btrfs", "/srv/btrfs"), ("xfs", "/srv/xfs")],
    indirect=["base"],
)
def test_a_kind_does_what_it_declares(hosts: Hosts, kind: str, base: str) -> None:
    store = store_at(kind, base)
    uuid = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
    master = Volume(store.image_path(uuid, Format.QCOW2), Format.QCOW2, 64 * MIB)
    disk = Volume(store.disk_path(7, 0), Format.QCOW2, 64 * MIB)
    hosts.run([*store.activate("h1"), *store.create(master, Filesystem.EXT4)])
    shell = hosts.shell("h1")
    told(hosts, "touch", f"{base}/other.raw.part", f"{base}/.hidden", f"{master.path}.sha256")
    assert [(volume.path, volume.format) for volume in store.volumes(shell)] == [(master.path, Format.QCOW2)]
    told(hosts, "rm", f"{base}/other.raw.part", f"{base}/.hidden", f"{master.path}.sha256")
    total = int(told(hosts, "df", "-B1", "--output=size", base).split()[1])
    assert store.capacity(shell).total == total
    can = store.capabilities(Format.QCOW2)
    hosts.run(store.clone(master, disk) if "clone" in can else store.copy(master, disk))
    hosts.run([*store.resize(disk, 128 * MIB), *store.snapshot(disk, "one"), *store.revert(disk, "one")])
    hosts.run(store.delete_snapshot(disk, "one"))
    hosts.run([*store.link(master, store.disk_path(8, 0)), *store.delete(Volume(store.disk_path(8, 0), Format.QCOW2))])
    saved = Volume(f"{base}/saved.qcow2", Format.QCOW2)
    hosts.run([*store.copy(disk, saved), *store.delete(disk), *store.delete(master)])
    assert names_in(hosts, base) == {"saved.qcow2"}
    told(hosts, "qemu-img", "check", "-q", "-f", "qcow2", saved.path)


def test_an_image_moves_between_all_kinds(hosts: Hosts) -> None:
    bases = {"shared": "/srv/plain/t", "qcow2": "/srv/plain/q", "btrfs": "/srv/btrfs/t", "xfs": "/srv/xfs/t"}
    try:
        told(hosts, "mkdir", "-p", *bases.values())
        source = image(hosts, "/srv/plain/t/gold.raw", virtual=16 * MIB, data=2 * MIB)
        stores = {kind: store_at(kind, bases[kind]) for kind in DRIVERS}
        kind, volume = "shared", Volume(source, Format.RAW)
        for number, (target, format) in enumerate(
            [("qcow2", Format.QCOW2), ("btrfs", Format.QCOW2), ("xfs", Format.RAW), ("shared", Format.RAW)]
        ):
            copy = Volume(f"{bases[target]}/{number}.{format}", format)
            host = common_host(stores[kind], stores[target])
            hosts.run(transfer(stores[kind], volume, stores[target], copy, host))
            kind, volume = target, copy
        assert same(hosts, source, volume.path)
    finally:
        told(hosts, "rm", "-rf", *bases.values())


@pytest.mark.parametrize("release", ["debian11", "debian13"])
def test_other_releases_understand_every_command(hosts: Hosts, release: str, request: pytest.FixtureRequest) -> None:
    host = request.getfixturevalue(release)
    base = "/srv/test"
    host.run(["rm", "-rf", base], check=True)
    host.run(["mkdir", base], check=True)
    hosts.lab.make_image(host.name, f"{base}/gold.raw", virtual=64 * MIB, data=4 * MIB)
    here, source = host.name, f"{base}/gold.raw"
    evil = f"{base}/a,b;$(id) 'c'.qcow2"
    hosts.there_and_back(
        FileCopied(here, source, f"{base}/1/disk.0", Ownership("nobody", "nogroup", "0640"), True),
        ImageIsSafe(here, source, "raw"),
        OverlayExists(here, source, Format.RAW, f"{base}/2/disk.0", True),
        DiskLinked(here, f"{base}/3/disk.0", source),
        ContextIsoExists(here, f"{base}/3/disk.1", (Variable("A", "it's"),), with_directory=True),
        BaseReady(here, base),
        SourceAllowed(here, source, ("/srv",)),
    )
    hosts.there_and_back(FileConverted(here, source, "raw", evil, Format.QCOW2))
    hosts.there_and_back(SnapshotExists(here, evil, "one"))
    hosts.run([ImageResized(here, evil, Format.QCOW2, 128 * MIB), ImageResized(here, source, Format.RAW, 128 * MIB)])
    hosts.run([SnapshotRestored(here, evil, "one")])
    hosts.run([SnapshotAbsent(here, evil, "one"), ImageOpens(here, evil, Format.QCOW2)])
    for filesystem in (Filesystem.EXT4, Filesystem.XFS, Filesystem.BTRFS, Filesystem.SWAP):
        path = f"{base}/new.{filesystem}"
        hosts.there_and_back(DataBlockExists(here, path, Format.RAW, 512 * MIB, filesystem))
    hosts.run([DiskAbsent(here, f"{base}/{number}/disk.0", base) for number in (1, 2, 3)])
    with pytest.raises(Refused, match="not on xfs"):
        hosts.run([CanReflink(here, base, "xfs")])
    with pytest.raises(CommandFailed, match="failed to clone"):
        hosts.run([ReflinkExists(here, source, f"{base}/clone")])
    left = set(host.run(["find", base, "-mindepth", "1", "-printf", "%P\n"]).stdout.splitlines())
    assert left == {"gold.raw", evil.removeprefix(f"{base}/"), "3", "3/disk.1"} | {
        f"new.{each}" for each in ("ext4", "xfs", "btrfs", "swap")
    }


@pytest.mark.parametrize("base", ["/srv/btrfs", "/srv/xfs"], indirect=True)
def test_a_clone_of_a_large_image_takes_no_time(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw", virtual=25 * GIB, data=800 * MIB)
    told(hosts, "sync", "-f", source)
    steps = [ReflinkExists("h1", source, f"{base}/{number}/disk.0", True) for number in range(20)]
    started = time.monotonic()
    for step in steps:
        hosts.run([step])
    assert (time.monotonic() - started) / len(steps) < 0.2  # 16 ms on a quiet machine
