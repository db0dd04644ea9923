"""Who of a host gets to the portals of an appliance: rules of nftables in tables of our own, loaded again at boot.

Rules of others are left as they are; whatever they allow, ours are asked as well (nft(8), a packet is dropped by any).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.iscsi import Portal
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.domain.values import account_name
from datastores.hosts.parsing import TextFile, editable, expect, text_file, text_reads

DIRECTORY = "/var/lib/cloudstore/guards"
NFT = "/usr/sbin/nft"
TABLES = read(NFT, "-j", "list", "tables", root=True)
FAMILIES = ("inet", "bridge")
"""What the host sends and routes; what it bridges for machines."""
NO_SUCH_USER = 1  # id(1)
_LABEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """The files of rules and unit, whether the unit starts at boot, the tables that are loaded, and users' numbers."""

    rules: TextFile
    unit: TextFile
    enabled: bool
    loaded: bool
    users: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OfGuard:
    """What is said of the guard of one datastore on a host, and how that is read."""

    host: str
    label: str

    def __post_init__(self) -> None:
        if not _LABEL.match(self.label):
            raise BadInput(f"{self.label[:60]!r} cannot be the name of rules: small letters, digits, dots and dashes.")

    @property
    def _table(self) -> str:
        return f"cloudstore_{re.sub('[.-]', '_', self.label)}"

    @property
    def _rules(self) -> str:
        return f"{DIRECTORY}/{self.label}.nft"

    @property
    def _unit(self) -> str:
        return f"cloudstore-guard-{self.label}.service"

    @property
    def _unit_file(self) -> str:
        return f"/etc/systemd/system/{self._unit}"

    def _reads(self) -> tuple[Command, ...]:
        enabled = read("systemctl", "is-enabled", "--", self._unit)
        return *text_reads(self._rules), *text_reads(self._unit_file), enabled, TABLES

    def _facts(self, outputs: Sequence[Output]) -> GuardFacts:
        rules, unit = (
            text_file(self.host, self._rules, outputs[:2]),
            text_file(self.host, self._unit_file, outputs[2:4]),
        )
        return GuardFacts(rules, unit, outputs[4].stdout.strip() == "enabled", self._loaded(outputs[5]))

    def _loaded(self, output: Output) -> bool:
        """Whether all our tables are; none are where there is no nft."""
        if output.exit_status == 127 or "command not found" in output.stderr:
            return False
        try:
            found = [
                each["table"] for each in json.loads(expect(self.host, TABLES, output))["nftables"] if "table" in each
            ]
            there = {each["family"] for each in found if each["name"] == self._table}
        except (ValueError, LookupError, TypeError) as error:
            raise CommandFailed(TABLES.argv, output.exit_status, f"unreadable output ({error!r})", self.host) from error
        return there >= set(FAMILIES)


def _systemctl(*words: str) -> Command:
    return Command(("systemctl", *words))


@dataclass(frozen=True, slots=True)
class PortalsGuarded(OfGuard):
    """Of this host only root and ``users`` get to the portals, or nobody at all; and no machine does through it.

    ``nobody``: not even root. Connections that there are already are cut off, too, where they are not let through.
    """

    portals: tuple[Portal, ...]
    users: tuple[str, ...] = ()
    nobody: bool = False

    def __post_init__(self) -> None:
        OfGuard.__post_init__(self)
        if not self.portals:
            raise BadInput("There is no portal to guard.")
        for name in self.users:
            account_name(name)

    @property
    def title(self) -> str:
        who = "nobody" if self.nobody else f"only {', '.join(('root', *self.users))}"
        return f"{who} on {self.host} gets to {', '.join(map(str, self.portals))}"

    def reads(self) -> tuple[Command, ...]:
        return *self._reads(), *(read("id", "-u", "--", name) for name in self.users)

    def facts(self, outputs: Sequence[Output]) -> GuardFacts:
        found = self._facts(outputs[:6])
        users = []
        for command, output in zip(self.reads()[6:], outputs[6:], strict=True):
            if output.exit_status != NO_SUCH_USER:
                users.append(int(expect(self.host, command, output)))
        return GuardFacts(found.rules, found.unit, found.enabled, found.loaded, tuple(users))

    def plan(self, facts: GuardFacts) -> Change | None:
        wanted = {self._rules: (facts.rules, self._text(facts.users)), self._unit_file: (facts.unit, self._unit_text)}
        writes = []
        for path, (file, text) in wanted.items():
            if (before := editable(self.host, path, file)) != text:
                write = WriteFile(path, text, before)
                writes.append(Action(write, write.undo))
        if not writes and facts.enabled and facts.loaded:
            return None
        directory = Action(Command(("install", "-d", "-m", "0755", "--", DIRECTORY)), harmless=True)
        anew = _systemctl("daemon-reload"), _systemctl("restart", "--", self._unit)
        was = facts.rules.text is not None and facts.unit.text is not None
        # the way back begins at the end: what is loaded is taken away, or put back once its file is
        back = Action(anew[0], anew[1] if was else None, harmless=not was)
        loaded = Action(anew[1], None if was else _systemctl("stop", "--", self._unit), harmless=was)
        enable = Action(_systemctl("enable", "--", self._unit), _systemctl("disable", "--", self._unit))
        begun = () if facts.enabled else (enable,)
        reload = Action(anew[0], harmless=True)
        return Change(self.title, (directory, back, *writes, reload, *begun, loaded))

    def _text(self, users: Sequence[int]) -> str:
        to = [
            f"{'ip6' if ':' in each.address else 'ip'} daddr {each.address} tcp dport {each.port}"
            for each in self.portals
        ]
        others = "" if self.nobody else f" meta skuid != {{ {', '.join(map(str, sorted({0, *users})))} }}"
        sent = "".join(f"\t\t{each}{others} counter reject with tcp reset\n" for each in to)
        routed = "".join(f"\t\t{each} counter reject with tcp reset\n" for each in to)
        bridged = "".join(f"\t\t{each} counter drop\n" for each in to)
        anew = "".join(
            f"table {family} {self._table} {{}}\ndelete table {family} {self._table}\n" for family in FAMILIES
        )
        return (
            f"# Written by cloudstore.\n{anew}"
            f"table inet {self._table} {{\n{_chain('output', sent)}{_chain('forward', routed)}}}\n"
            f"table bridge {self._table} {{\n{_chain('forward', bridged)}}}\n"
        )

    @property
    def _unit_text(self) -> str:
        """Rules are loaded however often they change; by default systemd refuses a sixth start within 10 s."""
        ends = "".join(f"ExecStop={NFT} delete table {family} {self._table}\n" for family in FAMILIES)
        return (
            f"# Written by cloudstore.\n[Unit]\nDescription=Guard of the portals of an appliance ({self.label})\n"
            "After=nftables.service\nStartLimitIntervalSec=0\n\n"
            f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={NFT} -f {self._rules}\n{ends}\n"
            "[Install]\nWantedBy=multi-user.target\n"
        )


def _chain(name: str, rules: str) -> str:
    return f"\tchain {name} {{\n\t\ttype filter hook {name} priority 0; policy accept;\n{rules}\t}}\n"


@dataclass(frozen=True, slots=True)
class PortalsOpen(OfGuard):
    """The host keeps nobody from the portals: the rules, and the unit that loads them, are gone."""

    @property
    def title(self) -> str:
        return f"no rules of {self.label} keep anybody on {self.host} from a portal"

    def reads(self) -> tuple[Command, ...]:
        return self._reads()

    def facts(self, outputs: Sequence[Output]) -> GuardFacts:
        return self._facts(outputs)

    def plan(self, facts: GuardFacts) -> Change | None:
        rules, unit = (
            editable(self.host, path, file)
            for path, file in ((self._rules, facts.rules), (self._unit_file, facts.unit))
        )
        if rules is None and unit is None:
            return None
        kept = [(path, f"{path}.cloudstore~") for path, text in ((self._rules, rules), (self._unit_file, unit)) if text]
        both = rules is not None and unit is not None
        end = _systemctl("disable", "--now", "--", self._unit)
        ended = (Action(end, _systemctl("enable", "--now", "--", self._unit)),) if both else ()
        known = Action(_systemctl("daemon-reload"), harmless=True)
        aside = tuple(
            Action(Command(("mv", "-fT", "--", path, name)), Command(("mv", "-fT", "--", name, path)))
            for path, name in kept
        )
        return Change(self.title, (*ended, *aside, known))
