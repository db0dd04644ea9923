"""Hosts that see different things, other releases, and other accounts, on real hosts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from datastores.domain.errors import CommandFailed, NotVerified, Refused
from datastores.domain.volumes import Format
from datastores.drivers.files import FileDriver
from datastores.drivers.registry import make_driver
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
