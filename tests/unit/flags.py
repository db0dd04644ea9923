"""A step and a host small enough to see through: flags that are on or off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from tests.fakes import FakeShell, said


@dataclass(frozen=True, slots=True)
class FlagSet:
    """A flag of the host is "on"."""

    host: str
    name: str

    @property
    def title(self) -> str:
        return f"flag {self.name} is on"

    def reads(self) -> tuple[Command, ...]:
        return (read("get", self.name),)

    def facts(self, outputs: Sequence[Output]) -> str:
        if not outputs[0].ok:
            raise CommandFailed(("get", self.name), outputs[0].exit_status, outputs[0].stderr)
        return outputs[0].stdout

    def plan(self, facts: str) -> Change | None:
        if facts == "on":
            return None
        if facts == "broken":
            raise Refused(f"{self.name} is broken")
        return Change(self.title, (Action(Command(("set", self.name)), Command(("clear", self.name))),))


@dataclass(frozen=True, slots=True)
class FlagCopied(FlagSet):
    """The flag is "on", and it takes so long that a unit does it."""

    def plan(self, facts: str) -> Change | None:
        long = Action(Detached(Command(("copy", self.name))), Command(("rm", self.name)), scratch=True)
        return None if facts == "on" else Change(self.title, (long,))


@dataclass(frozen=True, slots=True)
class FlagSeen(FlagSet):
    """The flag is "on" by the time that it is looked at; nothing is done about it."""

    def plan(self, facts: str) -> Change | None:
        return None if facts == "on" else Change(f"look at {self.name} later", ())


@dataclass(frozen=True, slots=True)
class FlagGone(FlagSet):
    """The flag does not exist any more; that cannot be undone."""

    def plan(self, facts: str) -> Change | None:
        actions = Action(Command(("destroy", self.name)), final=True), Action(Command(("sweep", self.name)))
        return None if facts == "gone" else Change(self.title, actions)


@dataclass(frozen=True, slots=True)
class FlagForGood(FlagSet):
    """The flag is "on", which nothing undoes."""

    harmless: bool = False

    def plan(self, facts: str) -> Change | None:
        action = Action(Command(("set", self.name)), harmless=self.harmless)
        return None if facts == "on" else Change(self.title, (action,))


def flag_host(name: str = "h1", **flags: str) -> FakeShell:
    """A host with flags that ``set`` and ``clear`` really change."""
    answers = {("get", flag): said(value) for flag, value in flags.items()}
    effects = {}
    for flag in flags:
        effects[("set", flag)] = {("get", flag): said("on")}
        effects[("clear", flag)] = {("get", flag): said("off")}
    return FakeShell(name, answers, effects)


def ran(shell: FakeShell, *verbs: str) -> list[tuple[str, ...]]:
    """The commands that begin with one of ``verbs``, in order."""
    return [argv for argv in shell.ran if argv[0] in verbs]
