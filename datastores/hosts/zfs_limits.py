"""How much data sets may take, and what is kept free for them whatever else is in their pool (zfsprops(7))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import format_size
from datastores.domain.volumes import Capacity
from datastores.domain.zfs import Property, dataset_name
from datastores.hosts.parsing import expect

Sizes = Mapping[str, int]
"""Bytes by property; none when there is no such data set. 0: no limit, nothing kept."""


def ask_sizes(dataset: str, *names: str) -> Command:
    return read("zfs", "get", "-H", "-p", "-o", "property,value", ",".join(names), dataset, root=True)


def sizes(host: str, command: Command, output: Output) -> Sizes:
    """Return what the read above saw.

    :raises CommandFailed: it could not be read.
    """
    dataset = command.argv[-1]
    if output.exit_status == 1 and output.stderr.strip() == f"cannot open '{dataset}': dataset does not exist":
        return {}
    said = dict(line.split("\t") for line in expect(host, command, output).splitlines())
    if not all(value.isdecimal() for value in said.values()) or set(said) != set(command.argv[-2].split(",")):
        raise CommandFailed(command.argv, output.exit_status, f"it said {output.stdout!r}", host)
    return {name: int(value) for name, value in said.items()}


def set_size(dataset: str, name: str, before: int, after: int) -> Action:
    do, undo = (Command(("zfs", "set", str(Property(name, str(size))), dataset)) for size in (after, before))
    return Action(do, undo)


@dataclass(frozen=True, slots=True)
class DatasetLimited:
    """The data set, with all below it, takes ``quota`` bytes at most, and ``reservation`` are kept for it. 0: none."""

    host: str
    dataset: str
    quota: int
    reservation: int

    def __post_init__(self) -> None:
        dataset_name(self.dataset)

    @property
    def title(self) -> str:
        most = format_size(self.quota) if self.quota else "what its pool has"
        kept = f"; {format_size(self.reservation)} are kept free for it" if self.reservation else ""
        return f"{self.dataset} takes at most {most}{kept}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_sizes(self.dataset, "used", "available", "quota", "reservation"),)

    def facts(self, outputs: Sequence[Output]) -> Sizes:
        return sizes(self.host, self.reads()[0], outputs[0])

    def capacity(self, facts: Sizes) -> Capacity:
        """Return how full it was."""
        return Capacity(facts["used"] + facts["available"], facts["used"], facts["available"])

    def plan(self, facts: Sizes) -> Change | None:
        if not facts:
            raise Refused(f"There is no data set {self.dataset} on {self.host}.")
        if self.quota and self.quota < facts["used"]:
            raise Refused(
                f"{self.dataset} on {self.host} takes {format_size(facts['used'])} already, with its snapshots and "
                f"what is kept free for disks. It cannot be limited to {format_size(self.quota)}."
            )
        wanted = {"quota": self.quota, "reservation": self.reservation}
        names = ["quota", "reservation"]
        if self.reservation < facts["reservation"]:  # a quota is never less than the reservation
            names.reverse()
        changed = tuple(name for name in names if facts[name] != wanted[name])
        actions = tuple(set_size(self.dataset, name, facts[name], wanted[name]) for name in changed)
        return Change(self.title, actions) if actions else None


@dataclass(frozen=True, slots=True)
class RoomReserved:
    """``size`` bytes are kept free for what the data set itself holds (refreservation); 0: none."""

    host: str
    dataset: str
    size: int

    def __post_init__(self) -> None:
        dataset_name(self.dataset)

    @property
    def title(self) -> str:
        if not self.size:
            return f"{self.dataset} takes room as it is written to"
        return f"{format_size(self.size)} are kept free for {self.dataset}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_sizes(self.dataset, "refreservation"),)

    def facts(self, outputs: Sequence[Output]) -> Sizes:
        return sizes(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Sizes) -> Change | None:
        if not facts:
            raise Refused(f"There is no data set {self.dataset} on {self.host}.")
        before = facts["refreservation"]
        if before == self.size:
            return None
        return Change(self.title, (set_size(self.dataset, "refreservation", before, self.size),))
