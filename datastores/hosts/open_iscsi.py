"""Sessions of open-iscsi, the initiator in the kernel: a host is logged in to a target, and has its LUNs as devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.iscsi import Account, Lun
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.device_use import ask_use, ask_use_of_target, uses
from datastores.hosts.initiator_names import UNSET, interface_name
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.parsing import expect
from datastores.hosts.secret_files import secret_digest
from datastores.hosts.session_marks import ask_mark, marked, marking, unmarking

NOTHING_FOUND = 21  # iscsiadm(8), EXIT STATUS: ISCSI_ERR_NO_OBJS_FOUND
LOGIN_SERVICE = "open-iscsi.service"
"""It logs in to what is recorded as automatic when the host has booted, and out when that is shut down."""
SESSIONS = read("iscsiadm", "-m", "session", root=True)
SETTLE_SECONDS = 30
LOGIN_SECONDS = 150.0
"""iscsiadm tries a login eight times, of 15 s each (node.session.initial_login_retry_max)."""
LOCK = ("flock", "-w", "50", "/run/cloudstore-iscsi.lock")
SHARED = ("flock", "-s", *LOCK[1:])
"""iscsiadm walks all records, whichever it is asked for, and fails when one goes meanwhile."""
TELL = """
secret=$(cat -- "$4") || exit
told=1
for database in /etc/iscsi /var/lib/iscsi; do
    for record in "$database/nodes/$1/$2" "$database/nodes/$1/$2,"*"/$3"; do
        [ -f "$record" ] || continue
        printf '/^node[.]session[.]auth[.]password = /d\\n/^# END RECORD/i %s = %s\\n' \\
            node.session.auth.password "$secret" | sed -i -f - -- "$record" && told=0 || exit
    done
done
exit $told
"""
"""Write the secret into the record of a target (mode 0600): iscsiadm would want it on its command line."""
_AUTH = "node.session.auth"
_LINE = re.compile(r"\w+: \[\d+\] (\S+),-?\d+ (\S+)( |\Z)")


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """``open``: it is logged in. ``recorded``: "" for no record of the target, else how the record says it begins.

    ``account``: as whom the record says that it logs in; "" for no CHAP. ``digest``: SHA-256 of the secret in it.
    ``before``: at a foreign target, what ``recorded`` was before cloudstore began the session, and behind a colon the
    account of the record, if it had one; None: it began none.
    """

    open: bool
    recorded: str
    files: Files
    account: str = ""
    digest: str = ""
    before: str | None = None


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


def node(lun: Lun, interface: str, *words: str, timeout: float = 60.0) -> Command:
    """Return what is done with the record of a target: alone where it is written, beside others where it is read."""
    by = ("-I", interface) if interface else ()
    lock = LOCK if "-o" in words else SHARED
    words = "-m", "node", "-T", lun.iqn, "-p", str(lun.portal), *by, *words
    return Command((*lock, "iscsiadm", *words), timeout=timeout)


@dataclass(frozen=True, slots=True)
class OfSession:
    """What is said of a host and the target of ``lun``, and how that is read. ``account``: as which it logs in.

    ``foreign``: the target is not ours, so somebody else may be logged in to it. What he began is left as it is; what
    cloudstore begins is marked.
    """

    host: str
    lun: Lun
    interface: str = ""
    account: Account | None = None
    foreign: bool = False

    def __post_init__(self) -> None:
        interface_name(self.interface)

    def _reads(self) -> tuple[Command, ...]:
        """The secret of the record is asked for where it is to be compared."""
        shown = ("-S",) if self.account else ()
        mark = ask_mark(self.lun) if self.foreign else ()
        return SESSIONS, read(*self._node(*shown).argv, root=True), look(self.lun.device), *mark

    def _facts(self, outputs: Sequence[Output]) -> SessionFacts:
        _, command, device, *mark = self._reads()
        settings: dict[str, str] = {}
        if outputs[1].exit_status != NOTHING_FOUND:
            lines = expect(self.host, command, outputs[1]).splitlines()
            settings = {name: "" if value == UNSET else value for name, _, value in (x.partition(" = ") for x in lines)}
        account = settings.get(f"{_AUTH}.username", "") if settings.get(f"{_AUTH}.authmethod") == "CHAP" else ""
        return SessionFacts(
            (str(self.lun.portal), self.lun.iqn) in sessions(self.host, outputs[0]),
            settings.get("node.startup", ""),
            seen(device, outputs[2]),
            account,
            secret_digest(settings.get(f"{_AUTH}.password", "")) if self.account else "",
            marked(self.host, self.lun, outputs[3:5]) if mark else None,
        )

    def _node(self, *words: str, timeout: float = 60.0) -> Command:
        return node(self.lun, self.interface, *words, timeout=timeout)

    def _set(self, name: str, value: str) -> Command:
        return self._node("-o", "update", "-n", name, "-v", value)

    def _login(self) -> Command:
        return self._node("--login", timeout=LOGIN_SECONDS)

    def _tell(self, account: Account) -> Command:
        portal = self.lun.portal
        place = f"{portal.address},{portal.port}", self.interface or "default"
        return Command((*LOCK, "sh", "-c", TELL, "sh", self.lun.iqn, *place, account.file))

    def _settings(self, account: Account) -> tuple[tuple[Command, Command], ...]:
        """Return what makes the record say who logs in, and what makes it say nothing of that, in their order."""
        return (
            (self._set(f"{_AUTH}.authmethod", "CHAP"), self._set(f"{_AUTH}.authmethod", "None")),
            (self._set(f"{_AUTH}.username", account.name), self._set(f"{_AUTH}.username", "")),
            (self._tell(account), self._set(f"{_AUTH}.password", "")),
        )


@dataclass(frozen=True, slots=True)
class SessionOpen(OfSession):
    """The host is logged in to the target of ``lun``, also after a restart, and has its device.

    A session goes on as whom it was begun; what the record says of that holds from its next login on. At a foreign
    target a session of somebody else is used as it is.
    """

    @property
    def title(self) -> str:
        return f"{self.host} is logged in to {self.lun.iqn} at {self.lun.portal}"

    def reads(self) -> tuple[Command, ...]:
        return self._reads()

    def facts(self, outputs: Sequence[Output]) -> SessionFacts:
        return self._facts(outputs)

    def plan(self, facts: SessionFacts) -> Change | None:
        theirs = self.foreign and facts.open and facts.before is None
        proves = [] if theirs else self._proves(facts)
        recorded = "automatic" if theirs else facts.recorded
        if facts.open and recorded == "automatic" and self.lun.device in facts.files and not proves:
            return None
        said = f"{recorded}:{facts.account}" if facts.account else recorded
        actions = [*marking(self.lun, said)] if self.foreign and not theirs and facts.before is None else []
        if not recorded:
            actions.append(Action(self._node("-o", "new"), self._node("-o", "delete")))
        if recorded != "automatic":
            back = self._set("node.startup", recorded or "manual")
            actions.append(Action(self._set("node.startup", "automatic"), back))
        actions += proves
        if not facts.open:
            actions.append(Action(self._login(), self._node("--logout")))
        wait = ("udevadm", "settle", f"--timeout={SETTLE_SECONDS}", f"--exit-if-exists={self.lun.device}")
        rescan = (Action(self._node("--rescan"), harmless=True),) if facts.open else ()
        return Change(f"log in to {self.lun.iqn}", (*actions, *rescan, Action(Command(wait), harmless=True)))

    def _proves(self, facts: SessionFacts) -> list[Action]:
        """Where the record named an account before, what it said is not kept, so that has no way back."""
        if not self.account or (facts.account, facts.digest) == (self.account.name, self.account.digest):
            return []
        new = not facts.account
        return [Action(do, back if new else None, harmless=not new) for do, back in self._settings(self.account)]


@dataclass(frozen=True, slots=True)
class ClosedFacts:
    """The session, who uses the device, and who else the target: in words, or links below ``SessionClosed.among``."""

    session: SessionFacts
    users: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionClosed(OfSession):
    """The host is not logged in to the target of ``lun``, and will not log in by itself. Its device is gone.

    Who still uses the device would lose its disk; so it is refused as long as it is open, mounted, or part of another.
    By which interface it logged in does not matter. A session at a foreign target stays as long as anybody uses another
    LUN of it, and if cloudstore did not begin it. ``among``: a directory of VMs there, in which other links than
    ``leaving`` may lead to such LUNs.
    """

    among: str = ""
    leaving: str = ""

    @property
    def title(self) -> str:
        others = ", unless it was before, or another LUN of it is used" if self.foreign else ""
        return f"{self.host} is not logged in to {self.lun.iqn}{others}"

    def reads(self) -> tuple[Command, ...]:
        others = (*ask_use_of_target(self.lun.iqn), self._ask_links()) if self.foreign else ()
        return *self._any._reads(), *ask_use(self.lun.device), *others

    @property
    def _any(self) -> SessionClosed:
        return replace(self, interface="")

    def _ask_links(self) -> Command:
        depth = ("-mindepth", "2", "-maxdepth", "2")
        return read("find", self.among, *depth, "-lname", f"*-iscsi-{self.lun.iqn}-lun-*", "-print0", root=True)

    def facts(self, outputs: Sequence[Output]) -> ClosedFacts:
        asked, first = ask_use(self.lun.device), 5 if self.foreign else 3
        found = self._any._facts(outputs[:first]), uses(self.host, asked, outputs[first : first + 2])
        return ClosedFacts(*found, self._others(outputs[first + 2 :]) if self.foreign else ())

    def _others(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        links = set(expect(self.host, self._ask_links(), outputs[2]).split("\0")) - {"", self.leaving}
        return *sorted(links), *uses(self.host, ask_use_of_target(self.lun.iqn), outputs[:2])

    def plan(self, facts: ClosedFacts) -> Change | None:
        session = facts.session
        if facts.users and (session.open or session.recorded):
            raise Refused(
                f"{self.lun.device} on {self.host} is in use: {'; '.join(facts.users)}. Shut the machine down, or end "
                "that, first."
            )
        theirs = self.foreign and session.before is None
        if facts.others or (theirs and session.open):
            return None
        actions = () if theirs else self._ends(session)
        if not actions and self.lun.device not in session.files:
            return None
        settled = Action(Command(("udevadm", "settle", f"--timeout={SETTLE_SECONDS}")), harmless=True)
        return Change(f"log out of {self.lun.iqn}", (*actions, settled))

    def _ends(self, session: SessionFacts) -> tuple[Action, ...]:
        logout = (Action(self._any._node("--logout"), self._login()),) if session.open else ()
        return *logout, *self._forgets(session), *self._unmarks(session)

    def _forgets(self, session: SessionFacts) -> tuple[Action, ...]:
        """What the record said is taken out of it first, so that the way back says it again, in the other order."""
        if not session.recorded:
            return ()
        startup, _, account = (session.before or "").partition(":")
        manual = self._any._set("node.startup", startup or "manual")
        begins = (Action(manual, self._set("node.startup", session.recorded)),)
        said = () if account else self._says_no_more(session)
        if startup:  # the record was there before
            return *(begins if session.recorded != startup else ()), *said
        return *begins, *said, Action(self._any._node("-o", "delete"), self._node("-o", "new"))

    def _says_no_more(self, session: SessionFacts) -> tuple[Action, ...]:
        if not self.account or session.account != self.account.name:
            return ()
        both = zip(self._settings(self.account), self._any._settings(self.account), strict=True)
        return tuple(Action(back, do) for (do, _), (_, back) in reversed([*both]))

    def _unmarks(self, session: SessionFacts) -> tuple[Action, ...]:
        return () if session.before is None else (unmarking(self.lun, session.before),)
