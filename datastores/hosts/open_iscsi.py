"""Sessions of open-iscsi, the initiator in the kernel: a host is logged in to a target, and has its LUNs as devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import Lun, iqn
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.parsing import expect

NOTHING_FOUND = 21  # iscsiadm(8), EXIT STATUS: ISCSI_ERR_NO_OBJS_FOUND
SERVICE = "iscsid.service"
SESSIONS = read("iscsiadm", "-m", "session", root=True)
SETTLE_SECONDS = 30
LOGIN_SECONDS = 150.0
"""iscsiadm tries a login eight times, of 15 s each (node.session.initial_login_retry_max)."""
USERS = """
device=$(readlink -e -- "$1") || exit 0
exec find /proc -ignore_readdir_race -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/fd/*' -lname "$device" -printf '%h\\n'
"""
"""Name the processes that have a device open: /proc/<number>/fd."""
INTERFACES = ("iscsiadm", "-m", "iface")
UNSET = "<empty>"
_LINE = re.compile(r"\w+: \[\d+\] (\S+),-?\d+ (\S+)( |\Z)")


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """``open``: it is logged in. ``recorded``: "" for no record of the target, else how the record says it begins."""

    open: bool
    recorded: str
    files: Files


def sessions(host: str, output: Output) -> frozenset[tuple[str, str]]:
    """Return the portals and targets that the host is logged in to.

    :raises CommandFailed: it could not be read.
    """
    if output.exit_status == NOTHING_FOUND:
        return frozenset()
    found = [(_LINE.match(line), line) for line in expect(host, SESSIONS, output).splitlines()]
    unread = [line for match, line in found if not match]
    if unread:
        raise CommandFailed(SESSIONS.argv, output.exit_status, f"unreadable output {unread[0]!r}", host)
    return frozenset((match[1], match[2]) for match, _ in found if match)


def interface_name(value: str) -> str:
    """Return the name of a way out of a host, by which it logs in; "" for iscsiadm's default."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}|", value):
        raise BadInput(f"{value[:40]!r} is no name of an interface of open-iscsi: small letters, digits and dashes.")
    return value


def node(lun: Lun, interface: str, *words: str, timeout: float = 60.0) -> Command:
    """Return what is done with the record of a target."""
    by = ("-I", interface) if interface else ()
    return Command(("iscsiadm", "-m", "node", "-T", lun.iqn, "-p", str(lun.portal), *by, *words), timeout=timeout)


def _reads(lun: Lun, interface: str) -> tuple[Command, ...]:
    return SESSIONS, read(*node(lun, interface).argv, root=True), look(lun.device)


def _facts(host: str, lun: Lun, interface: str, outputs: Sequence[Output]) -> SessionFacts:
    command = _reads(lun, interface)[1]
    recorded = ""
    if outputs[1].exit_status != NOTHING_FOUND:
        settings = dict(line.partition(" = ")[::2] for line in expect(host, command, outputs[1]).splitlines())
        recorded = settings.get("node.startup", "")
    is_open = (str(lun.portal), lun.iqn) in sessions(host, outputs[0])
    return SessionFacts(is_open, recorded, seen(_reads(lun, interface)[2], outputs[2]))


@dataclass(frozen=True, slots=True)
class SessionOpen:
    """The host is logged in to the target of ``lun``, also after a restart, and has its device."""

    host: str
    lun: Lun
    interface: str = ""

    def __post_init__(self) -> None:
        interface_name(self.interface)

    @property
    def title(self) -> str:
        return f"{self.host} is logged in to {self.lun.iqn} at {self.lun.portal}"

    def reads(self) -> tuple[Command, ...]:
        return _reads(self.lun, self.interface)

    def facts(self, outputs: Sequence[Output]) -> SessionFacts:
        return _facts(self.host, self.lun, self.interface, outputs)

    def plan(self, facts: SessionFacts) -> Change | None:
        if facts.open and facts.recorded == "automatic" and self.lun.device in facts.files:
            return None
        actions = []
        if not facts.recorded:
            actions.append(Action(self._node("-o", "new"), self._node("-o", "delete")))
        if facts.recorded != "automatic":
            actions.append(Action(self._startup("automatic"), self._startup(facts.recorded or "manual")))
        if not facts.open:
            login = self._node("--login", timeout=LOGIN_SECONDS)
            actions.append(Action(login, self._node("--logout")))
        wait = ("udevadm", "settle", f"--timeout={SETTLE_SECONDS}", f"--exit-if-exists={self.lun.device}")
        rescan = (Action(self._node("--rescan"), harmless=True),) if facts.open else ()
        return Change(f"log in to {self.lun.iqn}", (*actions, *rescan, Action(Command(wait), harmless=True)))

    def _node(self, *words: str, timeout: float = 60.0) -> Command:
        return node(self.lun, self.interface, *words, timeout=timeout)

    def _startup(self, how: str) -> Command:
        return self._node("-o", "update", "-n", "node.startup", "-v", how)


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The host is not logged in to the target of ``lun``, and will not log in by itself. Its device is gone.

    A machine that still uses the device would lose its disk; so it is refused as long as the device is open.
    """

    host: str
    lun: Lun
    interface: str = ""

    def __post_init__(self) -> None:
        interface_name(self.interface)

    @property
    def title(self) -> str:
        return f"{self.host} is not logged in to {self.lun.iqn}"

    def reads(self) -> tuple[Command, ...]:
        return *_reads(self.lun, self.interface), read("sh", "-c", USERS, "sh", self.lun.device, root=True)

    def facts(self, outputs: Sequence[Output]) -> tuple[SessionFacts, str]:
        """Return the session, and the numbers of the processes that have the device open."""
        facts, users = _facts(self.host, self.lun, self.interface, outputs[:3]), outputs[3]
        if users.exit_status not in {0, 1}:  # find(1): 1 when a process ended meanwhile
            raise CommandFailed(self.reads()[3].argv, users.exit_status, users.stderr, self.host)
        return facts, ", ".join(sorted({line.split("/")[2] for line in users.stdout.splitlines()}, key=int))

    def plan(self, facts: tuple[SessionFacts, str]) -> Change | None:
        session, users = facts
        if not session.open and not session.recorded:
            return None
        if users:
            raise Refused(
                f"{self.lun.device} on {self.host} is open in the processes {users}. Shut the machine down first."
            )
        logout = (Action(self._node("--logout"), self._node("--login", timeout=LOGIN_SECONDS)),)
        forget = (Action(self._node("-o", "delete"), self._node("-o", "new")),)
        actions = (*(logout if session.open else ()), *(forget if session.recorded else ()))
        return Change(f"log out of {self.lun.iqn}", actions)

    def _node(self, *words: str, timeout: float = 60.0) -> Command:
        return node(self.lun, self.interface, *words, timeout=timeout)


@dataclass(frozen=True, slots=True)
class InterfaceNamed:
    """The host has an interface of open-iscsi by which it says ``name`` of itself, for targets that go by names."""

    host: str
    interface: str
    name: str

    def __post_init__(self) -> None:
        interface_name(self.interface)
        iqn(self.name, "The name of the initiator")
        if not self.interface:
            raise BadInput("The default interface says what /etc/iscsi/initiatorname.iscsi says.")

    @property
    def title(self) -> str:
        return f"{self.host} logs in as {self.name} by {self.interface}"

    def _iface(self, *words: str) -> Command:
        return Command(("iscsiadm", "-m", "iface", "-I", self.interface, *words))

    def reads(self) -> tuple[Command, ...]:
        return (read(*INTERFACES, root=True),)

    def facts(self, outputs: Sequence[Output]) -> str | None:
        """Return the name that the interface says; "" for that of the host, None when there is no interface."""
        (command,), (output,) = self.reads(), outputs
        lines = (line.split(" ", 1) for line in expect(self.host, command, output).splitlines())
        found = {line[0]: line[1].split(",")[-1] for line in lines if len(line) > 1}
        name = found.get(self.interface)
        return "" if name == UNSET else name

    def plan(self, facts: str | None) -> Change | None:
        if facts == self.name:
            return None
        actions = []
        if facts is None:
            actions.append(Action(self._iface("-o", "new"), self._iface("-o", "delete")))
        if facts:
            raise Refused(
                f"{self.host} logs in as {facts} by {self.interface}, not as {self.name}. Somebody else uses that "
                "interface of open-iscsi; it was left as it is."
            )
        name = ("-o", "update", "-n", "iface.initiatorname", "-v")
        actions.append(Action(self._iface(*name, self.name), self._iface(*name, "")))
        return Change(self.title, tuple(actions))
