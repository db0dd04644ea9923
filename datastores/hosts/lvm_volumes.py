"""Logical volumes: clones, snapshots, sizes, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import BadInput, Refused
from datastores.domain.lvm import group_name, volume_name
from datastores.domain.plan import Action, Change, Command, Detached, Output
from datastores.domain.values import SECTOR, format_size
from datastores.hosts import lvm
from datastores.hosts.lvm import Group, Volumes, ask_group, ask_volumes, the_group
from datastores.hosts.lvm_wiping import Wipe, wiped

DAY = 86400.0
GROW = """
lvextend -q -L "$3b" -- "$1/$2" && { [ -z "$4" ] || blkdiscard -z -o "$4" -- "/dev/$1/$2"; }
"""
"""Grow a volume, and empty what was added where it holds what lay there before: one command, so that nothing is seen
of it in between."""
LOST = "what was written to the volume since is lost for good."
BACK, OLD = ".back", ".old"


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    group: Group | None
    volumes: Volumes

    @property
    def virtual_size(self) -> int:
        """Bytes of the only volume that was asked for."""
        return next((found.size for found in self.volumes.values()), 0)


@dataclass(frozen=True, slots=True)
class VolumeCloned:
    """The volume ``name`` is a thin snapshot of ``origin``, or was made as one: it shares what both have in common.

    Each goes on without the other: an origin may be removed.
    """

    host: str
    group: str
    origin: str
    name: str

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.origin), volume_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name} is a clone of {self.origin}"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.origin, self.name)

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return VolumeFacts(*lvm.read_both(self.host, self.reads(), outputs))

    def plan(self, facts: VolumeFacts) -> Change | None:
        the_group(self.host, facts.group, self.group)
        there, origin = facts.volumes.get(self.name), facts.volumes.get(self.origin)
        if there:
            if there.origin == self.origin:
                return None
            raise Refused(
                f"{self.group}/{self.name} on {self.host} is there already, and is no clone of {self.origin}. "
                "It was left as it is."
            )
        if origin is None:
            raise Refused(f"There is no volume {self.group}/{self.origin} on {self.host}.")
        if not origin.pool:
            raise Refused(f"{self.group}/{self.origin} on {self.host} is not in a thin pool, so it cannot be cloned.")
        make = lvm.snapshot(self.group, self.origin, self.name)
        return Change(self.title, (Action(make, undo=lvm.remove(self.group, self.name)),))


@dataclass(frozen=True, slots=True)
class VolumeRenamed:
    """The volume that was called ``old`` is called ``name``. No byte is copied."""

    host: str
    group: str
    old: str
    name: str

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.old), volume_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.group}/{self.old} is called {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.old, self.name)

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return VolumeFacts(*lvm.read_both(self.host, self.reads(), outputs))

    def plan(self, facts: VolumeFacts) -> Change | None:
        the_group(self.host, facts.group, self.group)
        found = facts.volumes.keys()
        if self.old not in found and self.name not in found:
            raise Refused(f"There is no volume {self.group}/{self.old} on {self.host}.")
        if self.old in found and self.name in found:
            raise Refused(f"{self.group}/{self.name} on {self.host} is there already. It was left as it is.")
        if self.name in found:
            return None
        names = self.old, self.name
        there, back = lvm.rename(self.group, *names), lvm.rename(self.group, *reversed(names))
        return Change(f"rename {self.group}/{self.old} to {self.name}", (Action(there, back),))


@dataclass(frozen=True, slots=True)
class VolumeGrown:
    """The volume has ``size`` bytes, rounded up to extents. Growing only: what is cut off is lost.

    What a thick volume gains is emptied. Nothing undoes it: cutting could take what a guest has written by then.
    """

    host: str
    group: str
    name: str
    size: int

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.name)
        if self.size <= 0 or self.size % SECTOR:
            raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {self.size}.")

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name} has {format_size(self.size)}"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.name)

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return VolumeFacts(*lvm.read_both(self.host, self.reads(), outputs))

    def plan(self, facts: VolumeFacts) -> Change | None:
        wanted = the_group(self.host, facts.group, self.group).rounded(self.size)
        there = facts.volumes.get(self.name)
        if there is None:
            raise Refused(f"There is no volume {self.group}/{self.name} on {self.host}.")
        if there.size == wanted:
            return None
        if there.size > wanted:
            raise Refused(
                f"{self.group}/{self.name} on {self.host} has {format_size(there.size)}; making it smaller "
                f"({format_size(wanted)}) would cut off data. Shrink the file system inside first, then copy it to a "
                "new, smaller disk."
            )
        added = "" if there.pool else str(there.size)
        grow = Command(("sh", "-c", GROW, "sh", self.group, self.name, str(wanted), added), timeout=DAY)
        action = Action(grow if there.pool else Detached(grow))
        return Change(
            f"grow {self.group}/{self.name} from {format_size(there.size)} to {format_size(wanted)}", (action,)
        )


@dataclass(frozen=True, slots=True)
class VolumeAbsent:
    """The group has no volume ``name``. ``wipe``: what is done with its bytes before.

    A thin pool empties what it gives to another volume, so of a thin one ``zero`` discards, too.
    """

    host: str
    group: str
    name: str
    wipe: Wipe = Wipe.NONE

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name} is gone"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.name)

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return VolumeFacts(*lvm.read_both(self.host, self.reads(), outputs))

    def plan(self, facts: VolumeFacts) -> Change | None:
        the_group(self.host, facts.group, self.group)
        there = facts.volumes.get(self.name)
        if there is None:
            return None
        if there.is_pool:
            raise Refused(f"{self.group}/{self.name} on {self.host} is a thin pool, which others lie in.")
        remove = Action(lvm.remove(self.group, self.name), final=True)
        lost = f"remove {self.group}/{self.name}: {format_size(there.size)} are lost for good"
        return Change(
            lost,
            (*wiped(self.group, self.name, self.wipe, thin=bool(there.pool)), remove),
            note="This cannot be undone.",
        )


@dataclass(frozen=True, slots=True)
class ReturnPrepared:
    """A clone of the snapshot is there that can take the place of the volume (``VolumeReturned``)."""

    host: str
    group: str
    snapshot: str
    name: str

    def __post_init__(self) -> None:
        self._cloned()

    @property
    def title(self) -> str:
        return f"a clone of {self.group}/{self.snapshot} is there to take the place of {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return self._cloned().reads()

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return self._cloned().facts(outputs)

    def plan(self, facts: VolumeFacts) -> Change | None:
        change = self._cloned().plan(facts)
        return replace(change, note=f"Then {LOST}") if change else None

    def _cloned(self) -> VolumeCloned:
        return VolumeCloned(self.host, self.group, self.snapshot, self.name + BACK)


@dataclass(frozen=True, slots=True)
class VolumeReturned:
    """The clone that ``ReturnPrepared`` made is the volume ``name``; what that held before is lost for good."""

    host: str
    group: str
    name: str

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.group}/{self.name} is as the snapshot was"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.name, self.name + BACK, self.name + OLD)

    def facts(self, outputs: Sequence[Output]) -> VolumeFacts:
        return VolumeFacts(*lvm.read_both(self.host, self.reads(), outputs))

    def plan(self, facts: VolumeFacts) -> Change | None:
        """Whatever of it was done is not done again: names tell how far it got."""
        the_group(self.host, facts.group, self.group)
        back, old = self.name + BACK, self.name + OLD
        there = facts.volumes
        if self.name not in there and back not in there:
            raise Refused(f"There is no volume {self.group}/{self.name} on {self.host}.")
        if back not in there and old not in there:
            # nothing is prepared: before the step ahead of this one was carried out, or after all of it
            return None
        moves = []
        if self.name in there and back in there:
            moves.append((self.name, old))
        if back in there:
            moves.append((back, self.name))
        actions = [Action(self._rename(*move), self._rename(*reversed(move))) for move in moves]
        end = Action(lvm.remove(self.group, old), final=True)
        what = f"{self.group}/{self.name} becomes what the snapshot holds"
        return Change(what, (*actions, end), note=LOST.capitalize(), follows=True)

    def _rename(self, old: str, new: str) -> Command:
        return lvm.rename(self.group, old, new)
