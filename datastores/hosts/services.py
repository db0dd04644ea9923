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


@dataclass(frozen=True, slots=True)
class ServiceRunning:
    """``unit`` runs now and after a restart of the host."""

    host: str
    unit: str

    def __post_init__(self) -> None:
        unit_name(self.unit)

    @property
    def title(self) -> str:
        return f"{self.unit} runs, and starts with the host"

    def reads(self) -> tuple[Command, ...]:
        return (read("systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", self.unit),)

    def facts(self, outputs: Sequence[Output]) -> Unit:
        (output,), (command,) = outputs, self.reads()
        shown = dict(line.partition("=")[::2] for line in expect(self.host, command, output).splitlines())
        if not shown.keys() >= set(PROPERTIES):
            raise CommandFailed(command.argv, output.exit_status, f"it said {output.stdout!r}", self.host)
        return Unit(*(shown[name] for name in PROPERTIES))

    def plan(self, facts: Unit) -> Change | None:
        """A unit that is not there yet gets the same plan: an earlier step may install it."""
        if facts.loaded == "masked":
            raise Refused(
                f"{self.unit} on {self.host} is masked, so somebody does not want it to run. "
                f"If it may, say `systemctl unmask {self.unit}` there first."
            )
        if facts.loaded not in {"loaded", "not-found"}:
            raise Refused(
                f"systemd cannot load {self.unit} on {self.host} ({facts.loaded}). "
                f"`systemctl status {self.unit}` there says why."
            )
        actions = []
        if facts.enabled not in STARTED_AT_BOOT:
            actions.append(Action(self._systemctl("enable"), self._systemctl("disable")))
        if not facts.runs:
            actions.append(Action(self._systemctl("start", START_SECONDS), self._systemctl("stop", START_SECONDS)))
        verbs = " and ".join(action.do.argv[1] for action in actions if isinstance(action.do, Command))
        return Change(f"{verbs} {self.unit}", tuple(actions)) if actions else None

    def _systemctl(self, verb: str, seconds: float = 60) -> Command:
        return Command(("systemctl", verb, "--", self.unit), timeout=seconds)
