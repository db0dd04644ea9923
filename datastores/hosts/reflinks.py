"""Copies that share their blocks until one of the two is written to: btrfs, and XFS made with reflink=1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.plan import Action, Change, Command, Output
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import PART, check_part, scratch, stale
from datastores.hosts.inodes import Files, Inode, around, gone, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

LARGE = 16 << 30
"""Bytes in a file: below, its blocks are shared within the time of a short command, however scattered they are."""
LARGE_SECONDS = 600.0


def reflink(source: Inode, target: str) -> Command:
    """Return the instant copy; ``always`` makes it fail where it would have to copy bytes.

    The kernel takes the longer the more pieces a file is in. What may need more than a short command is given costs a
    round trip of its own, so only a large file gets that time.
    """
    keep = "--preserve=mode,ownership,timestamps"
    copy = Command(("cp", "--reflink=always", keep, "-PT", "--", source.path, target))
    return replace(copy, timeout=LARGE_SECONDS) if source.allocated > LARGE else copy


@dataclass(frozen=True, slots=True)
class ReflinkExists:
    """``target`` is a copy of ``source`` that shared all its blocks when it was made.

    The instant clone, so it costs one process to read, one to make and one to verify; a directory of the target
    that is missing may be made here too. Owner, mode and time are the source's.
    That blocks are shared cannot be read cheaply and need not be: ``cp --reflink=always`` shares them all or fails.
    What is verified is that there is a file of its own with the source's size and time (``Inode.is_copy_of``).
    The kernel makes the clone in one call; but a ``cp`` that fails leaves an empty file, hence the scratch undo.
    """

    host: str
    source: str
    target: str
    with_directory: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.source)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is a clone of {self.source}"

    def reads(self) -> tuple[Command, ...]:
        return (look(self.source, *around(self.target)),)

    def facts(self, outputs: Sequence[Output]) -> Files:
        return seen(self.reads()[0], outputs[0])

    def plan(self, facts: Files) -> Change | None:
        source = the_file(self.host, facts, self.source)
        target = facts.get(self.target)
        if target is not None:
            if not target.is_copy_of(source):
                raise stale(self.host, self.target, self.source)
            return None
        directory = room_for(self.host, facts, self.target, with_directory=self.with_directory)
        clone = Action(reflink(source, self.target), undo=gone(self.target), scratch=True)
        return Change(self.title, (*directory, clone))


@dataclass(frozen=True, slots=True)
class RevertFacts:
    """``virtual_size``: bytes of the disk in the snapshot, for its guest; 0 when there is no snapshot."""

    files: Files
    virtual_size: int


@dataclass(frozen=True, slots=True)
class FileReverted:
    """``path`` is as its file snapshot ``snapshot``, and was not written to since.

    The size is read of the snapshot: the disk has it once it is reverted, and may be beyond reading before.
    """

    host: str
    snapshot: str
    path: str
    format: Format

    def __post_init__(self) -> None:
        canonical_path(self.snapshot)
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is as {self.snapshot}"

    def reads(self) -> tuple[Command, ...]:
        details = (qemu_img.ask_info(self.snapshot, "qcow2"),) if self.format is Format.QCOW2 else ()
        return look(self.snapshot, self.path, self.path + PART), *details

    def facts(self, outputs: Sequence[Output]) -> RevertFacts:
        stat, *details = self.reads()
        files = seen(stat, outputs[0])
        if self.snapshot not in files:
            return RevertFacts(files, 0)
        if details:
            return RevertFacts(files, qemu_img.info(details[0], outputs[1]).virtual_size)
        return RevertFacts(files, files[self.snapshot].size)

    def plan(self, facts: RevertFacts) -> Change | None:
        snapshot = the_file(self.host, facts.files, self.snapshot)
        current = the_file(self.host, facts.files, self.path)
        if current.is_copy_of(snapshot) and current.size == snapshot.size:
            return None
        part = self.path + PART
        check_part(self.host, facts.files, part)
        made = scratch(part, reflink(snapshot, part), Command(("sync", "--", part)))
        swap = Action(Command(("mv", "-fT", "--", part, self.path)), final=True)
        return Change(self.title, (*made, swap), note="What was written since the snapshot is lost.")
