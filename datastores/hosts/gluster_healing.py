"""Copies of GlusterFS volumes that differ: which, and their healing. Replicated and dispersed volumes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.gluster import Brick, check_bricks, parse_brick, torn_entry, volume_name
from datastores.domain.plan import Action, Change, Command, Detached, Output
from datastores.hosts.gluster import ask, heard, inner, number, tell
from datastores.hosts.gluster_waits import HEAL

_NO_COPIES = ("replicate/disperse", "only volumes of replicate type", "Not able to fetch volfile")
"""Said of volumes that are only distributed, and of split-brain in dispersed ones, which know none."""


@dataclass(frozen=True, slots=True)
class BrickHeal:
    """What one brick knows to be different on others. ``gfids``: of the entries, in the same order.

    ``entries``: names, or ``gfid:`` and the gfid where it knows no name; none when they are only counted.
    """

    brick: Brick
    connected: bool
    waiting: int
    split_brain: int = 0
    entries: tuple[str, ...] = ()
    gfids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heal:
    """What has to be healed in a volume. An entry counts on each brick that has it right."""

    bricks: tuple[BrickHeal, ...]

    @property
    def silent(self) -> tuple[Brick, ...]:
        return tuple(each.brick for each in self.bricks if not each.connected)

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.bricks)

    @property
    def split_brain(self) -> int:
        return sum(each.split_brain for each in self.bricks)

    @property
    def names(self) -> tuple[str, ...]:
        """The entries, each once: by its name where any brick knows one."""
        known: dict[str, str] = {}
        for each in self.bricks:
            for gfid, entry in zip(each.gfids, each.entries, strict=True):
                if gfid not in known or known[gfid].startswith("gfid:"):
                    known[gfid] = entry
        return tuple(sorted(known.values()))


def ask_summary(name: str) -> Command:
    """Return the read of how many entries wait, by brick."""
    return ask("heal", name, "info", "summary")


def ask_entries(name: str, *, split_brain: bool = False) -> Command:
    """Return the read of which entries wait, or are in split-brain, by brick."""
    return ask("heal", name, "info", *(("split-brain",) if split_brain else ()))


def heal(host: str, command: Command, output: Output) -> Heal | None:
    """Return what either read says; None when the volume is not started, has no copies, or is not there.

    :raises CommandFailed: it could not be told.
    """
    answer = heard(host, command, output)
    if not answer.why:
        return Heal(tuple(_brick(each) for each in answer.tree.iter("brick")))
    if any(words in answer.why for words in _NO_COPIES):
        return None
    if answer.why.endswith(("does not exist", "is not started")):
        return None
    raise CommandFailed(command.argv, output.exit_status, answer.why, host)


def _brick(element: Element) -> BrickHeal:
    return BrickHeal(
        parse_brick(inner(element, "name")), inner(element, "status") == "Connected",
        number(element, "totalNumberOfEntries") or number(element, "numberOfEntries"),
        number(element, "numberOfEntriesInSplitBrain"),
        tuple(_entry(each) for each in element.iterfind("file")),
        tuple(each.get("gfid") or "" for each in element.iterfind("file")),
    )  # fmt: skip


def _entry(element: Element) -> str:
    name, gfid = element.text or "", element.get("gfid")
    return f"gfid:{gfid}" if not name or name == f"<gfid:{gfid}>" else name


@dataclass(frozen=True, slots=True)
class VolumeHealed:
    """Nothing in the volume waits to be healed: every brick has what the others have."""

    host: str
    name: str

    def __post_init__(self) -> None:
        volume_name(self.name)

    @property
    def title(self) -> str:
        return f"all copies in {self.name} are alike"

    def reads(self) -> tuple[Command, ...]:
        return (ask_summary(self.name),)

    def facts(self, outputs: Sequence[Output]) -> Heal | None:
        return heal(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Heal | None) -> Change | None:
        if facts is None:
            raise Refused(f"{self.name} is not started, or keeps no copies that could differ.")
        if facts.silent:
            raise Refused(
                f"{', '.join(map(str, facts.silent))} of {self.name} does not answer, and cannot be healed. "
                "Start its host, or its brick, first."
            )
        if facts.split_brain:
            raise Refused(
                f"{facts.split_brain} entries of {self.name} are in split-brain: each copy blames the others. "
                f"`gluster volume heal {self.name} info split-brain` names them. A person has to choose the right copy."
            )
        if not facts.waiting:
            return None
        healing = Detached(Command(("sh", "-c", HEAL, "sh", self.name)), tells=True)
        # what waits changes by itself, so that nobody could approve its number
        return Change(f"heal {facts.waiting} entries", (Action(healing, harmless=True),), follows=True)


@dataclass(frozen=True, slots=True)
class SplitBrainResolved:
    """The copies of ``entry`` are those of ``source``. ``entry``: a path in the volume, or ``gfid:<uuid>``.

    What the other copies hold instead is lost.
    """

    host: str
    name: str
    source: Brick
    entry: str

    def __post_init__(self) -> None:
        volume_name(self.name)
        check_bricks((self.source,))
        torn_entry(self.entry)

    @property
    def title(self) -> str:
        return f"{self.entry} in {self.name} is as on {self.source}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_entries(self.name, split_brain=True),)

    def facts(self, outputs: Sequence[Output]) -> Heal | None:
        return heal(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Heal | None) -> Change | None:
        if facts is None:
            raise Refused(f"{self.name} is not started, or keeps no copies that could differ.")
        if self.entry not in {entry for each in facts.bricks for entry in each.entries}:
            return None
        if self.source not in {each.brick for each in facts.bricks if each.connected}:
            raise Refused(f"{self.source} does not answer, or is no brick of {self.name}: its copy cannot be taken.")
        choose = tell("volume", "heal", self.name, "split-brain", "source-brick", str(self.source), self.entry)
        return Change(
            f"take the copy of {self.entry} on {self.source}", (Action(choose, final=True),),
            note="What the other copies hold instead is lost.",
        )  # fmt: skip
