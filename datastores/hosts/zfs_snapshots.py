"""Snapshots that people take of the disk in a data set, and the way back to one.

Data sets have no tree of snapshots: going back to one destroys all that are younger. They are destroyed by name before,
and ``zfs rollback`` is never told to destroy what it finds (-r): a snapshot that was taken meanwhile stops it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.domain.zfs import dataset_name, of_people, snapshot_name
from datastores.hosts.image_headers import qcow2_head
from datastores.hosts.inodes import Inode, look, seen
from datastores.hosts.nfs_clients import recalled
from datastores.hosts.overlays import HEAD
from datastores.hosts.parsing import canonical_path
from datastores.hosts.zfs import (
    Datasets,
    ask,
    ask_with_snapshots,
    check_unneeded,
    destroy,
    destroy_all,
    found,
    listed,
    snapshots_of,
)
from datastores.hosts.zfs_clones import DiskFacts, ask_disk, disk_seen, take
from datastores.hosts.zfs_volumes import ask_content, content, disk_in


def full_name(dataset: str, name: str) -> str:
    """Return the name of a snapshot that people call ``name``."""
    return snapshot_name(dataset, of_people(name))


@dataclass(frozen=True, slots=True)
class DatasetSnapshotTaken:
    """The disk in ``dataset`` has the snapshot ``name`` (as people call it). Undone by destroying it."""

    host: str
    dataset: str
    mountpoint: str
    name: str

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")
        full_name(self.dataset, self.name)

    @property
    def title(self) -> str:
        return f"{self.dataset} has the snapshot {self.name}"

    @property
    def full(self) -> str:
        return full_name(self.dataset, self.name)

    def reads(self) -> tuple[Command, Command]:
        return ask_disk(self.dataset, self.mountpoint, self.full)

    def facts(self, outputs: Sequence[Output]) -> DiskFacts:
        return disk_seen(self.host, self.reads(), outputs)

    def plan(self, facts: DiskFacts) -> Change | None:
        if self.full in facts.there:
            return None
        if self.dataset not in facts.there or not facts.content:
            raise Refused(f"There is no disk in the data set {self.dataset} on {self.host}.")
        return Change(self.title, (take(self.full, facts.content),))


@dataclass(frozen=True, slots=True)
class DatasetSnapshotAbsent:
    """The data set does not have the snapshot. Nothing brings a destroyed one back."""

    host: str
    dataset: str
    name: str

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        full_name(self.dataset, self.name)

    @property
    def title(self) -> str:
        return f"{self.dataset} has no snapshot {self.name}"

    @property
    def full(self) -> str:
        return full_name(self.dataset, self.name)

    def reads(self) -> tuple[Command, ...]:
        return (ask(self.full),)

    def facts(self, outputs: Sequence[Output]) -> Datasets:
        return found(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Datasets) -> Change | None:
        if self.full not in facts:
            return None
        check_unneeded(self.host, [facts[self.full]], "destroyed")
        return Change(f"destroy the snapshot {self.name} of {self.dataset}", (Action(destroy(self.full), final=True),))


@dataclass(frozen=True, slots=True)
class RollbackFacts:
    """``head``: the first bytes of the disk, from which the size of a qcow2 disk is read."""

    there: Datasets
    content: str
    file: Inode | None
    head: bytes = b""

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk for its guest, as it is now; 0 when that cannot be told."""
        if not self.head:
            return self.file.size if self.file else 0
        try:
            return qcow2_head(self.head).virtual_size
        except ValueError:
            return 0


@dataclass(frozen=True, slots=True)
class DatasetRolledBack:
    """The disk in ``dataset`` is as its snapshot, and was not written to since. Younger snapshots are gone then.

    ``exported``: clients of NFS may remember what it was like, and would go on with that.
    """

    host: str
    dataset: str
    mountpoint: str
    name: str
    format: Format
    exported: bool = False

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")
        full_name(self.dataset, self.name)

    @property
    def title(self) -> str:
        return f"{self.dataset} is as its snapshot {self.name}"

    @property
    def full(self) -> str:
        return full_name(self.dataset, self.name)

    def reads(self) -> tuple[Command, ...]:
        disk = disk_in(self.mountpoint)
        flags = ("iflag=nofollow,nonblock,fullblock", "status=none")
        head = (read("dd", f"if={disk}", f"bs={HEAD}", "count=1", *flags, root=True),)
        return (
            ask_with_snapshots(self.dataset), ask_content(disk), look(disk),
            *(head if self.format is Format.QCOW2 else ()),
        )  # fmt: skip

    def facts(self, outputs: Sequence[Output]) -> RollbackFacts:
        command, changed, stat, *_ = self.reads()
        file = seen(stat, outputs[2]).get(disk_in(self.mountpoint))
        head = outputs[3].raw if self.format is Format.QCOW2 else b""
        return RollbackFacts(found(self.host, command, outputs[0]), content(changed, outputs[1]), file, head)

    def plan(self, facts: RollbackFacts) -> Change | None:
        snapshot = facts.there.get(self.full)
        if snapshot is None:
            raise Refused(f"{self.dataset} on {self.host} has no snapshot {self.name}.")
        snapshots = snapshots_of(self.dataset, facts.there)
        younger = snapshots[snapshots.index(snapshot) + 1 :]
        if not younger and facts.content and facts.content == snapshot.content:
            return None
        check_unneeded(self.host, younger, "destroyed on the way back")
        forgotten = (recalled(disk_in(self.mountpoint)),) if self.exported and facts.file else ()
        back = Action(Command(("zfs", "rollback", "--", self.full)), final=True)
        note = "What was written since the snapshot is lost."
        if not younger:
            return Change(self.title, (*forgotten, back), note)
        note += f" Younger snapshots are destroyed: {listed(younger)}."
        return Change(self.title, (*forgotten, Action(destroy_all(younger), final=True), back), note)
