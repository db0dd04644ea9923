"""Sessions of open-iscsi, the initiator in the kernel: a host is logged in to a target, and has its LUNs as devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.iscsi import Lun
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


def node(lun: Lun, *words: str, timeout: float = 60.0) -> Command:
    """Return what is done with the record of a target."""
    return Command(("iscsiadm", "-m", "node", "-T", lun.iqn, "-p", str(lun.portal), *words), timeout=timeout)


def _reads(lun: Lun) -> tuple[Command, ...]:
    return SESSIONS, read(*node(lun).argv, root=True), look(lun.device)


def _facts(host: str, lun: Lun, outputs: Sequence[Output]) -> SessionFacts:
    command = _reads(lun)[1]
    recorded = ""
    if outputs[1].exit_status != NOTHING_FOUND:
        settings = dict(line.partition(" = ")[::2] for line in expect(host, command, outputs[1]).splitlines())
        recorded = settings.get("node.startup", "")
    is_open = (str(lun.portal), lun.iqn) in sessions(host, outputs[0])
    return SessionFacts(is_open, recorded, seen(_reads(lun)[2], outputs[2]))


@dataclass(frozen=True, slots=True)
class SessionOpen:
    """The host is logged in to the target of ``lun``, also after a restart, and has its device."""

    host: str
    lun: Lun

    @property
    def title(self) -> str:
        return f"{self.host} is logged in to {self.lun.iqn} at {self.lun.portal}"

    def reads(self) -> tuple[Command, ...]:
        return _reads(self.lun)

    def facts(self, outputs: Sequence[Output]) -> SessionFacts:
        return _facts(self.host, self.lun, outputs)

    def plan(self, facts: SessionFacts) -> Change | None:
        if facts.open and facts.recorded == "automatic" and self.lun.device in facts.files:
            return None
        actions = []
        if not facts.recorded:
            actions.append(Action(node(self.lun, "-o", "new"), node(self.lun, "-o", "delete")))
        if facts.recorded != "automatic":
            actions.append(Action(self._startup("automatic"), self._startup(facts.recorded or "manual")))
        if not facts.open:
            login = node(self.lun, "--login", timeout=LOGIN_SECONDS)
            actions.append(Action(login, node(self.lun, "--logout")))
        wait = ("udevadm", "settle", f"--timeout={SETTLE_SECONDS}", f"--exit-if-exists={self.lun.device}")
        rescan = (Action(node(self.lun, "--rescan"), harmless=True),) if facts.open else ()
        return Change(f"log in to {self.lun.iqn}", (*actions, *rescan, Action(Command(wait), harmless=True)))

    def _startup(self, how: str) -> Command:
        return node(self.lun, "-o", "update", "-n", "node.startup", "-v", how)


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The host is not logged in to the target of ``lun``, and will not log in by itself. Its device is gone.

    A machine that still uses the device would lose its disk; so it is refused as long as the device is open.
    """

    host: str
    lun: Lun

    @property
    def title(self) -> str:
        return f"{self.host} is not logged in to {self.lun.iqn}"

    def reads(self) -> tuple[Command, ...]:
        return *_reads(self.lun), read("sh", "-c", USERS, "sh", self.lun.device, root=True)

    def facts(self, outputs: Sequence[Output]) -> tuple[SessionFacts, str]:
        """Return the session, and the numbers of the processes that have the device open."""
        facts, users = _facts(self.host, self.lun, outputs[:3]), outputs[3]
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
        logout = (Action(node(self.lun, "--logout"), node(self.lun, "--login", timeout=LOGIN_SECONDS)),)
        forget = (Action(node(self.lun, "-o", "delete"), node(self.lun, "-o", "new")),)
        actions = (*(logout if session.open else ()), *(forget if session.recorded else ()))
        return Change(f"log out of {self.lun.iqn}", actions)
