"""Storage when things go wrong: what is refused, what is said, and what is left."""

from __future__ import annotations

import pytest

from datastores.domain.errors import Cancelled, CommandFailed, Refused
from datastores.domain.plan import Action, AnyStep, Detached
from datastores.domain.volumes import Format
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.filesystems import BaseReady, CanReflink
from datastores.hosts.overlays import OverlayExists
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.sources import SourceAllowed
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import GIB, MIB
from tests.lab.places import image, names_in, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base


def test_a_clone_where_blocks_cannot_be_shared_leaves_nothing(hosts: Hosts, base: str) -> None:
    source = image(hosts, f"{base}/gold.raw", virtual=MIB, data=MIB // 2)
    elsewhere = "/srv/xfs/crossing"
    for target in (f"{base}/7/disk.0", elsewhere):
        with pytest.raises(CommandFailed, match="failed to clone"):
            hosts.run([ReflinkExists("h1", source, target, target != elsewhere)])
    assert names_in(hosts, base) == {"gold.raw"}
    assert "crossing" not in names_in(hosts, "/srv/xfs")


@pytest.mark.parametrize("convert", [False, True], ids=["copy", "convert"])
def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(hosts: Hosts, convert: bool) -> None:
    source = image(hosts, "/srv/plain/large.raw", virtual=40 * MIB, data=40 * MIB)
    target = "/srv/small/copy"
    before = names_in(hosts, "/srv/small")

    def fill(action: Action) -> None:
        if isinstance(action.do, Detached) and action.do.growing:
            told(hosts, "fallocate", "-l", "30M", "/srv/small/filler")

    step: AnyStep = FileCopied("h1", source, target)
    if convert:
        step = FileConverted("h1", source, "raw", target, Format.QCOW2)
    try:
        with pytest.raises(CommandFailed, match="No space left on device"):
            hosts.run([step], diary=Diary(fill))
        assert names_in(hosts, "/srv/small") - before <= {"filler"}
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


@pytest.mark.parametrize("convert", [False, True], ids=["copy", "convert"])
def test_a_copy_that_was_damaged_on_its_way_never_takes_the_place_of_its_source(
    hosts: Hosts, base: str, convert: bool
) -> None:
    source = image(hosts, f"{base}/gold.raw", virtual=64 * MIB, data=24 * MIB)
    step: AnyStep = FileCopied("h1", source, f"{base}/copy", compared=True)
    if convert:
        step = FileConverted("h1", source, "raw", f"{base}/copy", Format.QCOW2, compared=True)

    def damage(action: Action) -> None:
        if isinstance(action.do, Detached) and "compare" in action.do.command.argv:
            part, time = f"{base}/copy.part", f"{base}/time"
            flip = f"dd if=/dev/urandom of={part} bs=4096 count=1 seek=2000 conv=notrunc status=none"
            told(hosts, "sh", "-c", f"touch -r {part} {time}; {flip}; touch -r {time} {part}; rm {time}")

    with pytest.raises(CommandFailed, match=r"copy\.part differs from what it was made of just now"):
        hosts.run([step], diary=Diary(damage))
    assert names_in(hosts, base) == {"gold.raw"}
    hosts.there_and_back(step)
    told(hosts, "rm", f"{base}/copy")
    told(hosts, "mv", "/usr/bin/qemu-img", "/usr/bin/qemu-img.away")
    try:
        if not convert:
            hosts.run([step])
    finally:
        told(hosts, "mv", "/usr/bin/qemu-img.away", "/usr/bin/qemu-img")


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
