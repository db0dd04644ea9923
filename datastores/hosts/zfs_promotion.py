"""A clone takes the place of the data set that it was made from (zfs-promote(8)), which can go then.

The snapshot that the clone was made of goes over to it, with all that are older: whatever else was made of these is
made of the clone's from then on, and so is the master. They get names that the clone has none of, and are given up when
the master is gone: each goes with the last that stands on it (``zfs destroy -d``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.domain.zfs import OF_ANOTHER, dataset_name, snapshot_name
from datastores.hosts.zfs import Dataset, Datasets, ask_with_snapshots, found, listed, snapshots_of
from datastores.hosts.zfs_volumes import destroyed


def left_by(master: str) -> str:
    """Return what the names of the snapshots begin with that a master leaves to its heir."""
    return f"{OF_ANOTHER}{master.rpartition('/')[2]}:"


@dataclass(frozen=True, slots=True)
class OfHeir:
    """What is said of a data set and of the clone that takes its place, and how both are read."""

    host: str
    master: str
    heir: str

    def __post_init__(self) -> None:
        dataset_name(self.master)
        dataset_name(self.heir)

    def reads(self) -> tuple[Command, ...]:
        return ask_with_snapshots(self.master), ask_with_snapshots(self.heir)

    def facts(self, outputs: Sequence[Output]) -> Datasets:
        master, heir = (found(self.host, read, output) for read, output in zip(self.reads(), outputs, strict=True))
        return {**master, **heir}


@dataclass(frozen=True, slots=True)
class ClonePromoted(OfHeir):
    """``heir`` is no clone of ``master`` any more: it has become what that stands on, and whatever else did."""

    @property
    def title(self) -> str:
        return f"{self.heir} has taken the place of {self.master}"

    def plan(self, facts: Datasets) -> Change | None:
        heir = facts.get(self.heir)
        if heir is None:
            raise Refused(f"There is no data set {self.heir} on {self.host}.")
        if heir.origin.partition("@")[0] != self.master:
            return None
        snapshots = snapshots_of(self.master, facts)
        last = snapshots.index(facts[heir.origin])
        self._check_younger(snapshots[last + 1 :])
        renamed = [
            self._renamed(each, number)
            for number, each in enumerate(snapshots[: last + 1])
            if not each.name.startswith(f"{self.master}@{left_by(self.master)}")
        ]
        promote, back = (Command(("zfs", "promote", name)) for name in (self.heir, self.master))
        note = f"{listed(snapshots[: last + 1])} of {self.master} go over to it."
        return Change(f"promote {self.heir}", (*renamed, Action(promote, back)), note)

    def _check_younger(self, younger: Sequence[Dataset]) -> None:
        if others := [name for each in younger for name in each.clones]:
            raise Refused(
                f"{', '.join(others)} on {self.host} was made of a later state of {self.master} than {self.heir}, and "
                f"would still need it. Let {others[-1]} take its place instead."
            )

    def _renamed(self, snapshot: Dataset, number: int) -> Action:
        other = snapshot_name(self.master, f"{left_by(self.master)}{number}")
        do, undo = (Command(("zfs", "rename", *pair)) for pair in ((snapshot.name, other), (other, snapshot.name)))
        return Action(do, undo)


@dataclass(frozen=True, slots=True)
class MasterGone(OfHeir):
    """The data set whose place ``heir`` has taken is gone, and what it left to it is given up.

    A check as long as something stands on it: its change is empty, so that a plan can be shown that promotes first.
    ``exported``: clients of NFS may have seen it.
    """

    exported: bool = False

    @property
    def title(self) -> str:
        return f"the data set {self.master} is gone, and what it left to {self.heir} is given up"

    def plan(self, facts: Datasets) -> Change | None:
        mine, snapshots = facts.get(self.master), snapshots_of(self.master, facts)
        left = [
            each for each in snapshots_of(self.heir, facts)
            if each.name.startswith(f"{self.heir}@{left_by(self.master)}") and not each.deferred
        ]  # fmt: skip
        if mine and any(each.clones for each in snapshots):
            lost = f"destroy {self.master} with what is left of its snapshots: its disk is lost for good"
            return Change(lost, (), "This cannot be undone.")
        if below := sorted(name for name in facts if name.startswith(f"{self.master}/")):
            raise Refused(
                f"{', '.join(below)} on {self.host} lies in {self.master}, and is none of ours. Remove it first."
            )
        actions = (
            *(destroyed(mine, snapshots, self.exported) if mine else ()),
            *(Action(Command(("zfs", "destroy", "-d", "--", each.name)), final=True) for each in left),
        )
        with_them = f" with its snapshots {listed(snapshots)}" if snapshots else ""
        lost = f"destroy {self.master}{with_them}: its disk is lost for good"
        return Change(lost, actions, "This cannot be undone.", follows=True) if actions else None
