"""Services of systemd."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.parsing import expect

_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,200}\.(service|socket|target|timer|mount|path)\Z")
PROPERTIES = ("LoadState", "ActiveState", "UnitFileState")
START_SECONDS = 120
"""systemd gives a unit 90 s to start or to stop, unless the unit says otherwise."""
STARTED_AT_BOOT = frozenset({"enabled", "static", "indirect", "generated", "alias"})
"""systemctl(1), is-enabled: states in which a unit needs no enabling, or cannot be enabled by itself."""


def unit_name(value: str) -> str:
    """Return the name of a systemd unit, with its suffix."""
    if not _UNIT.match(value):
        raise BadInput(f"{value[:40]!r} is not the name of a systemd unit, such as nfs-server.service.")
    return value


@dataclass(frozen=True, slots=True)
class Unit:
    """What ``systemctl show`` says for :data:`PROPERTIES`."""

    loaded: str
    active: str
    enabled: str

    @property
    def runs(self) -> bool:
        return self.active in {"active", "reloading"}


def require_loadable(host: str, unit: str, facts: Unit) -> None:
    """Raise Refused when systemd could not start the unit, or is not to."""
    if facts.loaded == "masked":
        raise Refused(
            f"{unit} on {host} is masked, so somebody does not want it to run. "
            f"If it may, say `systemctl unmask {unit}` there first."
        )
    if facts.loaded not in {"loaded", "not-found"}:
        raise Refused(
            f"systemd cannot load {unit} on {host} ({facts.loaded}). `systemctl status {unit}` there says why."
        )


def enabling(unit: str, facts: Unit) -> list[Action]:
    """Return what makes the unit start with its host, if it does not."""
    if facts.enabled in STARTED_AT_BOOT:
        return []
    return [Action(systemctl("enable", unit), systemctl("disable", unit))]


@dataclass(frozen=True, slots=True)
class OfUnit:
    """What is said of a unit of a host, and how that is read."""

    host: str
    unit: str

    def __post_init__(self) -> None:
        unit_name(self.unit)

    def reads(self) -> tuple[Command, ...]:
        return (ask_unit(self.unit),)

    def facts(self, outputs: Sequence[Output]) -> Unit:
        return the_unit(self.host, self.reads()[0], outputs[0])


@dataclass(frozen=True, slots=True)
class ServiceEnabled(OfUnit):
    """``unit`` starts with the host. Whether it runs now stays as it is: it may have nothing to do yet."""

    @property
    def title(self) -> str:
        return f"{self.unit} starts with the host"

    def plan(self, facts: Unit) -> Change | None:
        require_loadable(self.host, self.unit, facts)
        actions = enabling(self.unit, facts)
        return Change(f"enable {self.unit}", tuple(actions)) if actions else None


@dataclass(frozen=True, slots=True)
class ServiceRunning(OfUnit):
    """``unit`` runs now and after a restart of the host."""

    @property
    def title(self) -> str:
        return f"{self.unit} runs, and starts with the host"

    def plan(self, facts: Unit) -> Change | None:
        """A unit that is not there yet gets the same plan: an earlier step may install it."""
        require_loadable(self.host, self.unit, facts)
        actions = enabling(self.unit, facts)
        if not facts.runs:
            actions.append(switched("start", "stop", self.unit))
        verbs = " and ".join(action.do.argv[1] for action in actions if isinstance(action.do, Command))
        return Change(f"{verbs} {self.unit}", tuple(actions)) if actions else None


@dataclass(frozen=True, slots=True)
class ServiceStopped(OfUnit):
    """``unit`` does not run now; whether it starts with the host stays as it is. Another step starts it again."""

    @property
    def title(self) -> str:
        return f"{self.unit} is stopped"

    def plan(self, facts: Unit) -> Change | None:
        if facts.loaded == "not-found":
            raise Refused(f"There is no {self.unit} on {self.host}. Leave it out, or write its name as systemctl does.")
        if facts.active in STOPPED:
            return None
        return Change(f"stop {self.unit}", (switched("stop", "start", self.unit),))


@dataclass(frozen=True, slots=True)
class ServiceStarted(OfUnit):
    """``unit``, which a step before this one has stopped, runs again. It follows from that, and needs no approval."""

    @property
    def title(self) -> str:
        return f"{self.unit} runs again"

    def plan(self, facts: Unit) -> Change | None:
        if facts.loaded not in {"loaded", "not-found"}:
            raise Refused(f"systemd cannot start {self.unit} on {self.host} ({facts.loaded}).")
        return (
            None if facts.runs else Change(f"start {self.unit}", (switched("start", "stop", self.unit),), follows=True)
        )


STOPPED = frozenset({"inactive", "failed"})


def ask_unit(unit: str) -> Command:
    return read("systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", unit)


def the_unit(host: str, command: Command, output: Output) -> Unit:
    """Return what ``ask_unit`` said. Raises CommandFailed when the host could not be read."""
    shown = dict(line.partition("=")[::2] for line in expect(host, command, output).splitlines())
    if not shown.keys() >= set(PROPERTIES):
        raise CommandFailed(command.argv, output.exit_status, f"it said {output.stdout!r}", host)
    return Unit(*(shown[name] for name in PROPERTIES))


def systemctl(verb: str, unit: str, seconds: float = 60) -> Command:
    return Command(("systemctl", verb, "--", unit), timeout=seconds)


def switched(verb: str, back: str, unit: str) -> Action:
    """Return the starting or stopping of a unit, with what takes it back."""
    return Action(systemctl(verb, unit, START_SECONDS), systemctl(back, unit, START_SECONDS))
