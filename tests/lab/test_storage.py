"""Images and disks on real file systems: made, verified, taken back; and what is left when things go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.errors import Cancelled, CommandFailed, NotVerified, Refused
from datastores.domain.plan import Action, AnyStep, Detached
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import FileDriver
from datastores.drivers.registry import DRIVERS, make_driver
from datastores.drivers.transfers import transfer
from datastores.hosts import probes
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.contexts import ContextFile, ContextIsoExists, Variable
from datastores.hosts.copies import FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskAbsent, DiskLinked
from datastores.hosts.filesystems import BaseReady, CanReflink
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.overlays import OverlayExists
from datastores.hosts.qemu_img import ImageOpens
from datastores.hosts.reflinks import FileReverted, ReflinkExists
from datastores.hosts.sizes import ImageResized
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotRestored
from datastores.hosts.sources import SourceAllowed
from tests.lab.carrying import Diary, Hosts, connected
from tests.lab.disks import GIB, MIB
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab

PLACES = ("/srv/btrfs", "/srv/xfs", "/srv/plain")
NAMES = ("plain", "a b;$(id)`id`'\"|&<>", "-rf", "ä€ \\n%s*?[x]", "a,driver=raw:b=c")


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[Hosts]:
    with connected(lab) as found:
        yield found


@pytest.fixture
def base(hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty directory of h1, on the file system that the test's parameter names."""
    path = f"{getattr(request, 'param', '/srv/plain')}/test"
    told(hosts, "rm", "-rf", "--", path)
    told(hosts, "mkdir", "--", path)
    yield path
    told(hosts, "rm", "-rf", "--", path)


def on(*places: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("base", places, indirect=True, ids=lambda place: place.rpartition("/")[2])


def told(hosts: Hosts, *argv: str, stdin: str = "", name: str = "h1") -> str:
    return hosts.lab.host(name).run(argv, stdin=stdin, check=True).stdout


def names_in(hosts: Hosts, base: str) -> set[str]:
    return set(told(hosts, "find", base, "-mindepth", "1", "-printf", "%P\n").splitlines())


def image(hosts: Hosts, path: str, *, virtual: int = 64 * MIB, data: int = 8 * MIB) -> str:
    """Make a raw disk image and return its path."""
    hosts.lab.make_image("h1", path, virtual=virtual, data=data)
    return path


def same(hosts: Hosts, one: str, other: str) -> bool:
    return hosts.lab.host("h1").run(["cmp", "--", one, other]).returncode == 0


@on(*PLACES)
def test_a_full_copy_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    target = f"{base}/7/disk.0"
    hosts.there_and_back(FileCopied("h1", source, target, Ownership("nobody", "nogroup", "0640"), True))
    assert same(hosts, source, target)
    assert told(hosts, "stat", "-c", "%U:%G %a", target) == "nobody:nogroup 640\n"
    assert names_in(hosts, base) == {"gold.raw", "7", "7/disk.0"}
    size, blocks = map(int, told(hosts, "stat", "-c", "%s %b", target).split())
    assert size == 64 * MIB and blocks * 512 < 16 * MIB  # still sparse


@on(*PLACES)
def test_a_conversion_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    there, back = f"{base}/gold.qcow2", f"{base}/back.raw"
    hosts.there_and_back(FileConverted("h1", source, "raw", there, Format.QCOW2))
    hosts.there_and_back(FileConverted("h1", there, "qcow2", back, Format.RAW))
    assert same(hosts, source, back)
    assert names_in(hosts, base) == {"gold.raw", "gold.qcow2", "back.raw"}


@on(*PLACES)
def test_an_overlay_is_made_and_taken_back(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    target = f"{base}/7/disk.0"
    hosts.there_and_back(OverlayExists("h1", source, Format.RAW, target, True))
    hosts.run([FileConverted("h1", target, "qcow2", f"{base}/flat.raw", Format.RAW)])
    assert same(hosts, source, f"{base}/flat.raw")


@on("/srv/btrfs", "/srv/xfs")
def test_a_clone_is_made_and_taken_back_and_is_a_disk_of_its_own(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    before = told(hosts, "sha256sum", "--", source)
    target = f"{base}/7/disk.0"
    hosts.there_and_back(ReflinkExists("h1", source, target, True))
    assert same(hosts, source, target)
    told(hosts, "dd", "if=/dev/urandom", f"of={target}", "bs=1M", "count=2", "conv=notrunc,fsync", "status=none")
    assert told(hosts, "sha256sum", "--", source) == before
    assert not same(hosts, source, target)
    with pytest.raises(Refused, match="size or time differ"):
        hosts.run([ReflinkExists("h1", source, target, True)])  # it is a disk in use by now


@on("/srv/btrfs", "/srv/xfs", "/srv/plain")
def test_names_that_mean_something_to_a_shell_or_to_qemu_are_only_names(hosts: Hosts, base: str) -> None:
    for number, name in enumerate(NAMES):
        source = image(hosts, f"{base}/{name}", virtual=4 * MIB, data=MIB)
        qcow2 = f"{base}/{number}{name}.qcow2"
        steps: list[AnyStep] = [
            FileCopied("h1", source, f"{base}/{number}/{name}", with_directory=True),
            FileConverted("h1", source, "raw", qcow2, Format.QCOW2),
            OverlayExists("h1", qcow2, Format.QCOW2, f"{base}/{number}{name}.overlay"),
            DiskLinked("h1", f"{base}/link{number}/{name}", source),
        ]
        if "plain" not in base:
            steps.append(ReflinkExists("h1", source, f"{base}/{number}{name}.clone"))
        hosts.there_and_back(*steps)
        hosts.there_and_back(SnapshotExists("h1", qcow2, "one"))
        hosts.run([SnapshotAbsent("h1", qcow2, "one"), ImageResized("h1", source, Format.RAW, 8 * MIB)])
        hosts.run([DiskAbsent("h1", f"{base}/{number}/{name}", base)])
        assert str(number) not in names_in(hosts, base)


def test_a_clone_where_blocks_cannot_be_shared_leaves_nothing(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw", virtual=MIB, data=MIB // 2)
    elsewhere = "/srv/xfs/crossing"
    for target in (f"{base}/7/disk.0", elsewhere):
        with pytest.raises(CommandFailed, match="failed to clone"):
            hosts.run([ReflinkExists("h1", source, target, target != elsewhere)])
    assert names_in(hosts, base) == {"gold.raw"}
    assert "crossing" not in names_in(hosts, "/srv/xfs")


@on(*PLACES)
def test_growing_keeps_a_copy_recognisable_and_never_shrinks(hosts: Hosts, base: str) -> None:
    source, raw, qcow2 = image(hosts, f"{base}/gold.raw"), f"{base}/1/disk.0", f"{base}/2/disk.0"
    steps: list[AnyStep] = [
        FileCopied("h1", source, raw, with_directory=True),
        ImageResized("h1", raw, Format.RAW, 128 * MIB),
        FileConverted("h1", source, "raw", qcow2, Format.QCOW2, with_directory=True),
        ImageResized("h1", qcow2, Format.QCOW2, 128 * MIB),
    ]
    hosts.run(steps)
    assert hosts.needs(*steps) == [False] * 4
    for path, format in ((raw, Format.RAW), (qcow2, Format.QCOW2)):
        with pytest.raises(Refused, match="would cut off data"):
            hosts.run([ImageResized("h1", path, format, 64 * MIB)])


@on("/srv/btrfs", "/srv/xfs")
def test_a_file_snapshot_brings_the_old_bytes_back(hosts: Hosts, base: str) -> None:
    path = image(hosts, f"{base}/gold.raw")
    before = told(hosts, "sha256sum", "--", path)
    snapshot = f"{path}.snap/before upgrade"
    hosts.there_and_back(ReflinkExists("h1", path, snapshot, True))
    told(hosts, "dd", "if=/dev/urandom", f"of={path}", "bs=1M", "count=2", "conv=notrunc,fsync", "status=none")
    hosts.run([FileReverted("h1", snapshot, path)])
    assert hosts.needs(FileReverted("h1", snapshot, path)) == [False]
    assert told(hosts, "sha256sum", "--", path) == before
    hosts.run([DiskAbsent("h1", snapshot, base)])
    assert names_in(hosts, base) == {"gold.raw"}


@on(*PLACES)
def test_a_qcow2_snapshot_brings_the_old_bytes_back(hosts: Hosts, base: str) -> None:
    source, path = image(hosts, f"{base}/gold.raw"), f"{base}/gold.qcow2"
    hosts.run([FileConverted("h1", source, "raw", path, Format.QCOW2)])
    hosts.there_and_back(SnapshotExists("h1", path, "before upgrade"))
    told(hosts, "qemu-img", "resize", "-q", "-f", "qcow2", path, "128M")
    hosts.run([SnapshotRestored("h1", path, "before upgrade")])
    assert hosts.needs(SnapshotRestored("h1", path, "before upgrade")) == [False]
    hosts.run([FileConverted("h1", path, "qcow2", f"{base}/again.raw", Format.RAW)])
    assert same(hosts, source, f"{base}/again.raw")
    hosts.run([SnapshotAbsent("h1", path, "before upgrade")])
    assert hosts.needs(SnapshotAbsent("h1", path, "before upgrade")) == [False]


@on("/srv/xfs", "/srv/plain")
@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
@pytest.mark.parametrize("filesystem", [each for each in Filesystem if each is not Filesystem.VFAT])
def test_a_data_block_is_made_and_taken_back(hosts: Hosts, base: str, format: Format, filesystem: Filesystem) -> None:
    path = f"{base}/new.{format}"
    hosts.there_and_back(DataBlockExists("h1", path, format, 320 * MIB, filesystem, Ownership("nobody", "", "0600")))
    assert names_in(hosts, base) == {f"new.{format}"}
    assert told(hosts, "stat", "-c", "%U %a", path) == "nobody 600\n"
    if format is Format.QCOW2:
        hosts.run([FileConverted("h1", path, "qcow2", f"{base}/new.raw", Format.RAW)])
    found = hosts.lab.host("h1").run(["blkid", "-p", "-s", "TYPE", "-o", "value", f"{base}/new.raw"])
    assert found.stdout.strip() == filesystem


def test_a_context_says_in_the_guest_what_was_said_here(hosts: Hosts, base: str) -> None:
    evil = 'it\'s "$(touch /tmp/pwned)" `id` \\ $HOME\nsecond line'
    files = (ContextFile("init.sh", "#!/bin/sh\necho ä\n"),)
    step = ContextIsoExists(
        "h1", f"{base}/7/disk.1", (Variable("A", evil), Variable("B", "")), files, with_directory=True
    )
    hosts.there_and_back(step)
    assert names_in(hosts, base) == {"7", "7/disk.1"}
    assert told(hosts, "blkid", "-p", "-s", "LABEL", "-o", "value", step.path) == "CONTEXT\n"
    script = told(hosts, "isoinfo", "-R", "-x", "/context.sh", "-i", step.path)
    shown = told(hosts, "env", "-i", "sh", "-c", '. /dev/stdin; printf "%s|%s" "$A" "$B"', stdin=script)
    assert shown == f"{evil}|"
    assert told(hosts, "isoinfo", "-R", "-x", "/init.sh", "-i", step.path) == files[0].content
    hosts.run([replace(step, variables=(Variable("A", "other"),))])
    assert "other" in told(hosts, "isoinfo", "-R", "-x", "/context.sh", "-i", step.path)
    with pytest.raises(Refused, match="not a context made here"):
        hosts.run([replace(step, path=image(hosts, f"{base}/7/disk.0", virtual=MIB, data=MIB // 2))])


@pytest.mark.parametrize("convert", [False, True], ids=["copy", "convert"])
def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(hosts: Hosts, convert: bool) -> None:
    source = image(hosts, "/srv/plain/large.raw", virtual=40 * MIB, data=40 * MIB)
    target = "/srv/small/copy"

    def fill(action: Action) -> None:
        if isinstance(action.do, Detached) and action.do.growing:
            told(hosts, "fallocate", "-l", "30M", "/srv/small/filler")

    step: AnyStep = FileCopied("h1", source, target)
    if convert:
        step = FileConverted("h1", source, "raw", target, Format.QCOW2)
    try:
        with pytest.raises(CommandFailed, match="No space left on device"):
            hosts.run([step], diary=Diary(fill))
        assert names_in(hosts, "/srv/small") <= {"lost+found", "filler"}
        with pytest.raises(Refused, match="Nothing was copied; make room there"):
            hosts.run([step])
    finally:
        told(hosts, "rm", "-f", "/srv/small/filler", source)


def test_a_read_only_file_system_is_named_before_and_while_it_is_written(hosts: Hosts) -> None:
    source = image(hosts, "/srv/plain/little.raw", virtual=MIB, data=MIB // 2)
    told(hosts, "mount", "-o", "remount,ro", "/srv/small")
    try:
        with pytest.raises(Refused, match="/srv/small on h1 is read-only"):
            hosts.run([BaseReady("h1", "/srv/small", "/srv/small")])
        with pytest.raises(CommandFailed, match="Read-only file system"):
            hosts.run([FileCopied("h1", source, "/srv/small/copy")])
    finally:
        told(hosts, "mount", "-o", "remount,rw", "/srv/small")
    assert hosts.needs(BaseReady("h1", "/srv/small", "/srv/small")) == [False]
    with pytest.raises(Refused, match="Nothing is mounted at /srv/plain"):
        hosts.run([BaseReady("h1", "/srv/plain", "/srv/plain")])


def test_a_cancelled_copy_is_stopped_and_removed(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw", virtual=GIB, data=600 * MIB)
    diary = Diary()
    with pytest.raises(Cancelled):
        hosts.run([FileCopied("h1", source, f"{base}/copy")], diary=diary, cancelled=lambda: bool(diary.reached))
    assert names_in(hosts, base) == {"gold.raw"}


def test_a_source_that_is_written_to_meanwhile_is_no_source(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")

    def write(action: Action) -> None:
        if not isinstance(action.do, Detached):
            told(hosts, "touch", source)

    with pytest.raises(Refused, match="one of the two was written to"):
        hosts.run([FileCopied("h1", source, f"{base}/copy")], diary=Diary(write))
    assert names_in(hosts, base) == {"gold.raw"}


def test_an_earlier_attempt_is_replaced(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw")
    for step in (
        FileCopied("h1", source, f"{base}/copy"),
        FileConverted("h1", source, "raw", f"{base}/copy", Format.QCOW2),
        OverlayExists("h1", source, Format.RAW, f"{base}/copy"),
        DataBlockExists("h1", f"{base}/copy", Format.RAW, MIB, Filesystem.EXT4),
    ):
        told(hosts, "dd", "if=/dev/urandom", f"of={base}/copy.part", "bs=1M", "count=80", "status=none")
        hosts.run([step])
        assert names_in(hosts, base) == {"gold.raw", "copy"}
        told(hosts, "rm", f"{base}/copy")


def test_what_may_share_blocks_is_known_without_trying(hosts: Hosts) -> None:
    told(hosts, "mkdir", "-p", "/srv/xfs/deep/down", "/srv/btrfs/deep")
    assert hosts.needs(CanReflink("h1", "/srv/xfs/deep/down", "xfs"), CanReflink("h1", "/srv/btrfs/deep", "btrfs")) == [
        False,
        False,
    ]
    for path, kind in (("/srv/small", "xfs"), ("/srv/xfs", "btrfs"), ("/srv/plain", "btrfs")):
        with pytest.raises(Refused, match=f"{path} on h1 is on .*, not on {kind}"):
            hosts.run([CanReflink("h1", path, kind)])


def test_a_source_is_only_allowed_where_nobody_can_swap_it(hosts: Hosts, base: str) -> None:
    allowed = f"{base}/up"
    told(hosts, "mkdir", allowed, f"{base}/upevil", f"{allowed}/open", f"{allowed}/open/in")
    told(hosts, "chmod", "1777", allowed)
    told(hosts, "chmod", "0777", f"{allowed}/open")
    for path in (f"{allowed}/a.raw", f"{base}/upevil/a.raw", f"{allowed}/open/a.raw", f"{allowed}/open/in/a.raw"):
        told(hosts, "truncate", "-s", "1M", path)
    told(hosts, "ln", "-s", "/etc/shadow", f"{allowed}/out")
    told(hosts, "ln", "-s", "a.raw", f"{allowed}/near")
    told(hosts, "ln", "-s", "loop", f"{allowed}/loop")
    assert hosts.needs(SourceAllowed("h1", f"{allowed}/a.raw", ("/nowhere", allowed))) == [False]
    assert hosts.needs(SourceAllowed("h1", f"{allowed}/open/a.raw", (allowed,))) == [False]
    for path, reason in (
        ("/etc/passwd", "not below"),
        (f"{base}/upevil/a.raw", "not below"),
        ("/nonexistent/dir/f", "no such file"),
        (f"{allowed}/out", "not below"),
        (f"{allowed}/near", f"Give the real path, {allowed}/a.raw"),
        (f"{allowed}/loop", "no such file"),
        (f"{allowed}/open", "a directory"),
        (f"{allowed}/open/in/a.raw", "could be replaced by another account"),
    ):
        with pytest.raises(Refused, match=reason):
            hosts.run([SourceAllowed("h1", path, (allowed,))])
    with pytest.raises(Refused, match="a symbolic link, not a file"):
        hosts.run([FileCopied("h1", f"{allowed}/out", f"{base}/copy")])


def test_two_hosts_that_see_different_directories_are_found_out(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "CACHE_SECONDS", 0)
    store = make_driver("shared", host="h1", base="/srv", hosts=("h1", "h2"))
    assert isinstance(store, FileDriver)
    with pytest.raises(NotVerified, match="/srv on h2 is the same directory as on the storage host"):
        hosts.run(store.same_directory("5e1f0a"))
    alone = replace(store, hosts=("h1",))
    hosts.run(alone.same_directory("5e1f0a"))
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
            hosts.run(transfer(stores[kind], volume, stores[target], copy))
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
