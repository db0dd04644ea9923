"""GlusterFS volumes: made, started, set up, stopped, deleted. Any host of the pool can be asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from datastores.domain.errors import Refused
from datastores.domain.gluster import Brick, Layout, check_bricks, check_layout, option_name, option_value, volume_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.gluster import (
    VOLUMES,
    Status,
    VolumeInfo,
    ask,
    listed,
    not_installed,
    status,
    tell,
    the_volume,
    volumes,
)

Volumes = dict[str, VolumeInfo]

BRICKS_WAIT = """
tries=0
while [ $tries -lt 60 ]; do
    gluster --mode=script --xml volume status "$1" | awk -F'[<>]' '
        /<path>/ { brick = $3 ~ "^/" }
        /<status>/ && brick { known = 1; if ($3 != 1) off = 1 }
        END { exit off || !known }' && exit
    tries=$((tries + 1)); sleep 0.5
done
echo "not all bricks of $1 answer after 30 s; their logs are in /var/log/glusterfs/bricks on their hosts" >&2
exit 1
"""
"""A start returns before the processes of the bricks answer."""


def started(name: str, *, forced: bool = False) -> tuple[Action, ...]:
    """Return the start of a volume, and the wait for its bricks."""
    start = tell("volume", "start", name, *(("force",) if forced else ()))
    wait = Action(Command(("sh", "-c", BRICKS_WAIT, "sh", name)), harmless=True)
    if forced:  # what ran before goes on, so nothing is to be taken back
        return Action(start, harmless=True), wait
    return Action(start, tell("volume", "stop", name)), wait


@dataclass(frozen=True, slots=True)
class OfVolume:
    """What statements about a volume that any host of the pool can be asked for have in common.

    ``coming``: an earlier step of the plan starts glusterd; until it runs there are no volumes. ``of``: bricks of the
    volume that is meant. One that has its name and none of them is somebody else's; (): whatever has the name.
    """

    host: str
    name: str
    coming: bool = field(default=False, kw_only=True)
    of: tuple[Brick, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        volume_name(self.name)

    def reads(self) -> tuple[Command, ...]:
        return (VOLUMES,)

    def facts(self, outputs: Sequence[Output]) -> Volumes:
        return volumes(self.host, outputs[0], coming=self.coming)

    def found(self, facts: Volumes) -> VolumeInfo | None:
        """Return the volume; None: there is none of that name.

        :raises Refused: the one of that name is another volume.
        """
        there = facts.get(self.name)
        if there and not there.has_any(self.of):
            raise Refused(
                f"The volume {self.name} in the pool of {self.host} is another one, of {listed(there.bricks)}. "
                "It was left as it is."
            )
        return there


@dataclass(frozen=True, slots=True)
class VolumeExists(OfVolume):
    """The pool has a volume ``name`` of these bricks in this order. ``forced``: see ``check_layout``, and on a root.

    Deleting it, the undo, leaves the bricks' marks: ``BrickReady`` takes those back.
    """

    layout: Layout
    bricks: tuple[Brick, ...]
    forced: bool = False

    def __post_init__(self) -> None:
        OfVolume.__post_init__(self)
        check_bricks(self.bricks)

    @property
    def title(self) -> str:
        return f"the GlusterFS volume {self.name} exists"

    def plan(self, facts: Volumes) -> Change | None:
        there = facts.get(self.name)
        if there is not None:
            if (there.layout, there.bricks) != (self.layout, self.bricks):
                raise Refused(
                    f"The pool of {self.host} has a volume {self.name}, {there.kind} of {listed(there.bricks)}. "
                    "It was left as it is: choose another name, or change its bricks."
                )
            return None
        check_layout(self.layout, self.bricks, forced=self.forced)
        words = (*self.layout.words, *map(str, self.bricks), *(("force",) if self.forced else ()))
        make = tell("volume", "create", self.name, *words)
        kind = self.layout.name(len(self.bricks))
        undo = tell("volume", "delete", self.name)
        return Change(f"make {self.name}, {kind}", (Action(make, undo),), note=self.layout.remark)


@dataclass(frozen=True, slots=True)
class VolumeStarted(OfVolume):
    """The volume is started: its bricks are served to clients, now and after a restart of their hosts."""

    @property
    def title(self) -> str:
        return f"the GlusterFS volume {self.name} is started"

    def plan(self, facts: Volumes) -> Change | None:
        """A volume that is not there yet gets the same plan: an earlier step may make it."""
        there = self.found(facts)
        if there and there.started:
            return None
        return Change(f"start {self.name}", started(self.name))


@dataclass(frozen=True, slots=True)
class BricksRunning:
    """The processes of all bricks of a started volume answer. Those that were killed are started anew."""

    host: str
    name: str

    def __post_init__(self) -> None:
        volume_name(self.name)

    @property
    def title(self) -> str:
        return f"all bricks of {self.name} run"

    def reads(self) -> tuple[Command, ...]:
        return VOLUMES, ask("status", self.name)

    def facts(self, outputs: Sequence[Output]) -> tuple[Volumes, Status | None]:
        return volumes(self.host, outputs[0]), status(self.host, self.reads()[1], outputs[1])

    def plan(self, facts: tuple[Volumes, Status | None]) -> Change | None:
        found, runs = facts
        volume = the_volume(self.host, found, self.name)
        if runs is None:
            raise Refused(f"The volume {self.name} is not started. Start it first.")
        told = {state.brick: state.online for state in runs.bricks}
        silent = [brick for brick in volume.bricks if brick not in told]
        if silent:
            raise Refused(
                f"The hosts of {listed(silent)} do not answer the pool. Start them, or glusterd there, and look again."
            )
        off = [brick for brick in volume.bricks if not told[brick]]
        return Change(f"start {listed(off)}", started(self.name, forced=True)) if off else None


@dataclass(frozen=True, slots=True)
class VolumeOptionSet(OfVolume):
    """An option of the volume has this value, because it was set. ``option``: its full name, such as auth.allow.

    ``follows``: an earlier step, which was approved, has gluster change the option by the way, and this one puts it
    back.
    """

    option: str
    value: str
    follows: bool = False

    def __post_init__(self) -> None:
        OfVolume.__post_init__(self)
        option_name(self.option)
        option_value(self.option, self.value)

    @property
    def title(self) -> str:
        return f"{self.option} of {self.name} is {self.value}"

    def plan(self, facts: Volumes) -> Change | None:
        """A volume that is not there yet gets the same plan as one without the option."""
        there = self.found(facts)
        before = there.options.get(self.option) if there else None
        if before == self.value:
            return None
        undo = tell("volume", "reset", self.name, self.option)
        if before is not None:
            undo = tell("volume", "set", self.name, self.option, before)
        change = Action(tell("volume", "set", self.name, self.option, self.value), undo)
        summary = f"{self.option}: {before or 'the default'} becomes {self.value}"
        return Change(summary, (change,), follows=self.follows)


@dataclass(frozen=True, slots=True)
class VolumeStopped(OfVolume):
    """The volume is there and serves nothing. Who has it mounted gets errors from then on."""

    @property
    def title(self) -> str:
        return f"the GlusterFS volume {self.name} is stopped"

    def plan(self, facts: Volumes) -> Change | None:
        if not the_volume(self.host, facts, self.name).started:
            return None
        stop, start = (tell("volume", verb, self.name) for verb in ("stop", "start"))
        return Change(f"stop {self.name}", (Action(stop, start),), note="Hosts that have it mounted get errors.")


@dataclass(frozen=True, slots=True)
class VolumeAbsent(OfVolume):
    """The pool has no volume of that name, but perhaps one that is another than that which is meant (``of``).

    The files stay in the directories of its bricks, which belong to nothing.
    """

    @property
    def title(self) -> str:
        return f"the GlusterFS volume {self.name} is gone"

    def facts(self, outputs: Sequence[Output]) -> Volumes:
        return {} if not_installed(outputs[0]) else OfVolume.facts(self, outputs)

    def plan(self, facts: Volumes) -> Change | None:
        there = facts.get(self.name)
        if there is None or not there.has_any(self.of):
            return None
        stop, start, delete = (tell("volume", verb, self.name) for verb in ("stop", "start", "delete"))
        stopped = (Action(stop, start),) if there.started else ()
        note = f"This cannot be undone. The files stay in {listed(there.bricks)}, of no use to a new volume."
        return Change(f"delete the volume {self.name}, {there.kind}", (*stopped, Action(delete, final=True)), note=note)
