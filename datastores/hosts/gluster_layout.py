"""Bricks that come to a GlusterFS volume, leave it, or take the place of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.gluster import Brick, Form, check_bricks, check_layout, volume_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.gluster import (
    VOLUMES,
    Status,
    Task,
    VolumeInfo,
    ask,
    listed,
    status,
    tell,
    the_volume,
    volumes,
)
from datastores.hosts.gluster_healing import Heal, ask_summary, heal
from datastores.hosts.gluster_waits import DRAIN, stopping, waiting

DRAIN_SECONDS = 3600.0
REMOVAL = "Remove brick"


@dataclass(frozen=True, slots=True)
class LayoutFacts:
    """``status``: None for a volume that is not started. ``heal``: None where nothing can be, or nobody asked."""

    volumes: dict[str, VolumeInfo]
    status: Status | None
    heal: Heal | None = None

    @property
    def at_work(self) -> Task | None:
        """What moves files now."""
        return next((task for task in self.status.tasks if task.goes_on), None) if self.status else None


def _started(host: str, facts: LayoutFacts, name: str) -> tuple[VolumeInfo, Status]:
    """Return the volume and what runs of it. Raises Refused when it is not started."""
    volume = the_volume(host, facts.volumes, name)
    if facts.status is None:
        raise Refused(f"{name} is not started, so that its files cannot be moved. Start it first.")
    return volume, facts.status


def _check_idle(facts: LayoutFacts, name: str) -> None:
    if facts.at_work:
        raise Refused(f"Files of {name} are being moved ({facts.at_work.kind.lower()}). Wait for the end, or stop it.")


def _sets(volume: VolumeInfo) -> list[tuple[Brick, ...]]:
    size = volume.layout.set_size
    return [volume.bricks[first : first + size] for first in range(0, len(volume.bricks), size)]


@dataclass(frozen=True, slots=True)
class OfBricks:
    """What statements about some bricks of a volume have in common."""

    host: str
    name: str
    bricks: tuple[Brick, ...]

    def __post_init__(self) -> None:
        volume_name(self.name)
        check_bricks(self.bricks)

    def reads(self) -> tuple[Command, ...]:
        return VOLUMES, ask("status", self.name)

    def facts(self, outputs: Sequence[Output]) -> LayoutFacts:
        return LayoutFacts(volumes(self.host, outputs[0]), status(self.host, self.reads()[1], outputs[1]))


@dataclass(frozen=True, slots=True)
class BricksAdded(OfBricks):
    """The volume has these bricks, too: whole sets of them. Files come there with a rebalance only."""

    forced: bool = False

    @property
    def title(self) -> str:
        return f"{self.name} has the bricks {listed(self.bricks)}"

    def plan(self, facts: LayoutFacts) -> Change | None:
        volume = the_volume(self.host, facts.volumes, self.name)
        there = [brick for brick in self.bricks if brick in volume.bricks]
        if len(there) == len(self.bricks):
            return None
        if there:
            raise Refused(f"{listed(there)} of {self.name} is there already, the others are not. Name only the others.")
        _started(self.host, facts, self.name)
        _check_idle(facts, self.name)
        check_layout(volume.layout, self.bricks, forced=self.forced)
        names = tuple(map(str, self.bricks))
        add = tell("volume", "add-brick", self.name, *names, *(("force",) if self.forced else ()))
        undo = Command(("sh", "-c", DRAIN, "sh", self.name, *names), timeout=DRAIN_SECONDS)
        after = volume.layout.name(len(volume.bricks) + len(self.bricks))
        return Change(f"{volume.kind} becomes {after}", (Action(add, undo),))


@dataclass(frozen=True, slots=True)
class BricksRemoved(OfBricks):
    """The volume has none of these bricks any more; their files have moved to the others. Whole sets only."""

    @property
    def title(self) -> str:
        return f"{self.name} does without the bricks {listed(self.bricks)}"

    def plan(self, facts: LayoutFacts) -> Change | None:
        volume = the_volume(self.host, facts.volumes, self.name)
        there = [brick for brick in self.bricks if brick in volume.bricks]
        if not there:
            return None
        _, runs = _started(self.host, facts, self.name)
        self._check_sets(volume)
        names = tuple(map(str, self.bricks))
        words = ("remove-brick", self.name, *names)
        begun = self._begun(runs)
        start = () if begun else (Action(tell("volume", *words, "start"), stopping(*words, "stop")),)
        if not begun:
            _check_idle(facts, self.name)
        moved = waiting("skipped", *words, "status")
        commit = Action(tell("volume", *words, "commit"), final=True)
        after = volume.layout.name(len(volume.bricks) - len(self.bricks))
        return Change(
            f"move all files away from {listed(self.bricks)}; {volume.kind} becomes {after}", (*start, moved, commit),
            note="Until all has moved it can be stopped. The removed directories cannot come back as they are.",
        )  # fmt: skip

    def _begun(self, runs: Status) -> bool:
        """Tell whether these bricks are being emptied, or are empty already."""
        ours = [task for task in runs.tasks if task.kind == REMOVAL and set(task.bricks) == set(self.bricks)]
        return any(task.goes_on or task.state == "completed" for task in ours)

    def _check_sets(self, volume: VolumeInfo) -> None:
        gone = set(self.bricks)
        left = [each for each in _sets(volume) if not gone & set(each)]
        whole = [each for each in _sets(volume) if set(each) <= gone]
        if not left:
            raise Refused(f"These are all bricks of {self.name}. Delete the volume if it is not needed any more.")
        if {brick for each in whole for brick in each} != gone:
            raise Refused(
                f"{self.name} is {volume.kind}: bricks leave it in whole sets, such as {listed(_sets(volume)[-1])}."
            )


@dataclass(frozen=True, slots=True)
class BrickReplaced:
    """The brick ``new`` is where ``old`` was; its files come from the others of its set (``VolumeHealed`` waits)."""

    host: str
    name: str
    old: Brick
    new: Brick

    def __post_init__(self) -> None:
        volume_name(self.name)
        check_bricks((self.old, self.new))

    @property
    def title(self) -> str:
        return f"{self.new} takes the place of {self.old} in {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return VOLUMES, ask("status", self.name), ask_summary(self.name)

    def facts(self, outputs: Sequence[Output]) -> LayoutFacts:
        _, runs, healing = self.reads()
        return LayoutFacts(
            volumes(self.host, outputs[0]), status(self.host, runs, outputs[1]), heal(self.host, healing, outputs[2])
        )

    def plan(self, facts: LayoutFacts) -> Change | None:
        volume = the_volume(self.host, facts.volumes, self.name)
        if self.new in volume.bricks:
            if self.old in volume.bricks:
                raise Refused(f"Both {self.old} and {self.new} are bricks of {self.name}.")
            return None
        if self.old not in volume.bricks:
            raise Refused(f"{self.old} is no brick of {self.name}: that has {listed(volume.bricks)}.")
        if volume.layout.form is Form.DISTRIBUTE:
            raise Refused(
                f"{self.name} keeps one copy of each file: what is on {self.old} would be lost. "
                f"Add {self.new} and remove {self.old} instead; that moves the files."
            )
        self._check_others(volume, facts)
        check_layout(volume.layout, [self.new if brick == self.old else brick for brick in volume.bricks])
        words = ("volume", "replace-brick", self.name)
        there, back = (self.old, self.new), (self.new, self.old)
        do, undo = (tell(*words, *map(str, pair), "commit", "force") for pair in (there, back))
        return Change(self.title, (Action(do, undo),), note=f"The directory {self.old} stays, and belongs to nothing.")

    def _check_others(self, volume: VolumeInfo, facts: LayoutFacts) -> None:
        """Check that nothing is only on the brick that goes."""
        _, runs = _started(self.host, facts, self.name)
        online = {state.brick for state in runs.bricks if state.online}
        others = next(each for each in _sets(volume) if self.old in each)
        down = [brick for brick in others if brick != self.old and brick not in online]
        if down:
            raise Refused(f"{listed(down)} of the same set does not answer: {self.old} may be needed. Start it first.")
        if self.old in online and facts.heal and facts.heal.waiting:
            raise Refused(
                f"{facts.heal.waiting} entries of {self.name} are to be healed, perhaps from {self.old}. Do that first."
            )
