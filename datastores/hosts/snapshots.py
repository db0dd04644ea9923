"""Snapshots inside a qcow2 file. Snapshots as reflink copies beside the image are in ``reflinks``.

All of them need the disk at rest: while a guest has it open, qemu-img gets no lock and says so. They are detached:
one that went on behind a lost connection would keep its lock from the next attempt, which now attaches to it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output
from datastores.domain.values import object_name
from datastores.hosts import qemu_img
from datastores.hosts.inodes import Files, look, seen, the_file
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    files: Files
    info: qemu_img.ImageInfo | None

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk as it is now; 0 when there is none."""
        return self.info.virtual_size if self.info else 0


@dataclass(frozen=True, slots=True)
class _OfSnapshot:
    """What the steps below have in common: the qcow2 disk ``path`` and the name of a snapshot in it.

    qemu-img takes digits for the number of a snapshot first and only then for a name, so digits alone are refused.
    """

    host: str
    path: str
    name: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if object_name(self.name, "The name of the snapshot").isdecimal():
            raise BadInput(f"A snapshot of a qcow2 disk needs more than digits in its name; {self.name} has no other.")

    def reads(self) -> tuple[Command, ...]:
        return look(self.path), qemu_img.ask_info(self.path, "qcow2")

    def facts(self, outputs: Sequence[Output]) -> SnapshotFacts:
        stat, details = self.reads()
        files = seen(stat, outputs[0])
        return SnapshotFacts(files, qemu_img.info(details, outputs[1]) if self.path in files else None)

    def found(self, facts: SnapshotFacts) -> qemu_img.InternalSnapshot | None:
        the_file(self.host, facts.files, self.path)
        return facts.info.snapshot(self.name) if facts.info else None

    def qemu(self, verb: str) -> Command:
        return qemu_img.snapshot(verb, self.name, self.path)


@dataclass(frozen=True, slots=True)
class SnapshotExists(_OfSnapshot):
    """The disk has the snapshot. Undone by deleting it."""

    @property
    def title(self) -> str:
        return f"{self.path} has the snapshot {self.name}"

    def plan(self, facts: SnapshotFacts) -> Change | None:
        if self.found(facts):
            return None
        return Change(self.title, (Action(Detached(self.qemu("-c")), undo=self.qemu("-d")),))


@dataclass(frozen=True, slots=True)
class SnapshotAbsent(_OfSnapshot):
    """The disk does not have the snapshot. Nothing brings a deleted one back."""

    @property
    def title(self) -> str:
        return f"{self.path} has no snapshot {self.name}"

    def plan(self, facts: SnapshotFacts) -> Change | None:
        if self.path not in facts.files or not self.found(facts):
            return None
        delete = Action(Detached(self.qemu("-d")), final=True)
        return Change(f"delete the snapshot {self.name} of {self.path}", (delete,))


@dataclass(frozen=True, slots=True)
class SnapshotRestored(_OfSnapshot):
    """The disk is as its snapshot, and was not written to since.

    That cannot be read from the file, so a restored disk gets the time at which the snapshot was taken.
    """

    @property
    def title(self) -> str:
        return f"{self.path} is as its snapshot {self.name}"

    def plan(self, facts: SnapshotFacts) -> Change | None:
        snapshot = self.found(facts)
        if snapshot is None:
            raise Refused(f"{self.path} on {self.host} has no snapshot {self.name}.")
        if facts.files[self.path].has_time(snapshot.taken):
            return None
        timed = Command(("touch", "-m", "-d", f"@{snapshot.taken}", "--", self.path))
        note = "What was written since the snapshot is lost."
        return Change(self.title, (Action(Detached(self.qemu("-a")), final=True), Action(timed)), note)
