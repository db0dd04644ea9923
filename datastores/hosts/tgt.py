"""Targets of tgtd, the iSCSI target in user space: each in a file of its own below /etc/tgt/conf.d.

tgt-admin(8) makes of such a file what tgtd serves, and leaves other targets with their sessions alone. tgtadm(8) tells
what is served; it has no format for machines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import Account, iqn, is_name
from datastores.domain.plan import Action, Command, Output, encode, read
from datastores.hosts.inodes import gone
from datastores.hosts.parsing import TextFile, canonical_path, expect, text_file, text_reads
from datastores.hosts.secret_files import BESIDE

DIRECTORY = "/etc/tgt/conf.d"
SERVICE = "tgt.service"
LUN = 1
"""Of the only disk of each of our targets; 0 is tgtd's controller."""
ASK = read("tgtadm", "--lld", "iscsi", "--op", "show", "--mode", "target", root=True)
LOCK = ("flock", "-w", "50", "/run/cloudstore-tgt.lock")
"""tgt-admin takes the next free number for a new target, so two at once would take the same one."""
_TARGET = re.compile(r"Target (\d+): (\S+)\Z")
MOVED = """> "$new" && sync -- "$new" && mv -fT -- "$new" "$1"
"""
ASKED = """
secret=$(cat -- "$3") || exit
"""
SEAL = """{ cat; printf '  incominguser %s %s\\n</target>\\n' "$2" "$secret"; } """
SEALED = BESIDE + ASKED + SEAL + MOVED
"""Write the file of a target, with the secret of its account, which comes from a file of the host."""
SEALED_AGAIN = (
    BESIDE
    + ASKED
    + """
[ "${2##*-}" = "$(printf %s "$secret" | sha256sum | head -c 6)" ] || { echo "$3 is of another" >&2; exit 1; }
"""
    + SEAL
    + MOVED
)
"""The same with a secret that was there before, if it still is: names of accounts end with digits of its digest."""
PLAIN = BESIDE + "cat " + MOVED
TOLD = """
secret=$(cat -- "$2") || exit
tgtadm --lld iscsi --op show --mode account | grep -qxF "    $1" ||
    exec tgtadm --lld iscsi --op new --mode account --user "$1" --password "$secret"
"""
"""Tell tgtd an account that it does not know. Like tgt-admin, it can only do so on the command line of tgtadm."""
_INCOMING = "  incominguser "
_SECRET = re.compile(r"^(  incominguser \S+) \S+$", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+\Z")
_SECTIONS = ("System information:", "I_T nexus information:", "LUN information:", "Account information:",
             "ACL information:")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in: the initiator's name, and where it comes from."""

    initiator: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.initiator})" if self.address else self.initiator


@dataclass(frozen=True, slots=True)
class Target:
    """A target as tgtd serves it now. ``backing``: what each LUN is served from; ``sizes``: as tgtd says them."""

    number: int
    name: str
    sessions: tuple[Session, ...] = ()
    backing: tuple[tuple[int, str], ...] = ()
    initiators: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    """CHAP: as one of whom an initiator has to log in; () for no such need."""

    @property
    def disk(self) -> str:
        """What our LUN is served from; "" for none."""
        return dict(self.backing).get(LUN, "")


Targets = Mapping[str, Target]


def targets(host: str, output: Output) -> Targets:
    """Return the targets by name.

    :raises CommandFailed: tgtd does not run, or what it said cannot be read.
    """
    blocks: list[tuple[re.Match[str], list[str]]] = []
    for line in expect(host, ASK, output).splitlines():
        if found := _TARGET.match(line):
            blocks.append((found, []))
        elif not blocks or not line.startswith(" "):
            raise CommandFailed(ASK.argv, output.exit_status, f"unreadable output {line!r}", host)
        else:
            blocks[-1][1].append(line.strip())
    made = (_target(int(found[1]), found[2], lines) for found, lines in blocks)
    return {target.name: target for target in made}


def _target(number: int, name: str, lines: Sequence[str]) -> Target:
    sessions: list[Session] = []
    backing: list[tuple[int, str]] = []
    initiators: list[str] = []
    accounts: list[str] = []
    listed = {"ACL information:": initiators, "Account information:": accounts}
    section, lun = "", 0
    for line in lines:
        word, _, value = line.partition(": ")
        if line in _SECTIONS:
            section = line
        elif section in listed:
            listed[section].append(line)
        elif word == "Initiator":
            sessions.append(Session(value.partition(" alias:")[0]))
        elif word == "IP Address" and sessions:
            sessions[-1] = Session(sessions[-1].initiator, value)
        elif word == "LUN":
            lun = int(value)
        elif word == "Backing store path" and value != "None":
            backing.append((lun, value))
    return Target(number, name, tuple(sessions), tuple(backing), tuple(initiators), tuple(accounts))


def file_of(name: str) -> str:
    """Return the file that holds a target: cloudstore-iqn.2013-10.org.opennebula_h1.vg-one.lv-one-7.conf."""
    return f"{DIRECTORY}/cloudstore-{name.replace(':', '_')}.conf"


def remark(size: int) -> str:
    """Return the first line of a target's file: of how many bytes tgtd took note. It tells them in millions only."""
    return f"# {size} bytes"


def plain_path(path: str) -> str:
    """Return the path of what a target serves. tgt-admin hands it to a shell as it is.

    :raises BadInput: it holds what means something there, or in the file.
    """
    canonical_path(path)
    if not _PLAIN.match(path):
        raise BadInput(f"{path!r} cannot be served by tgtd: only letters, digits and / . _ + @ - may be in its path.")
    return path


def in_use(host: str, target: Target) -> Refused:
    """Return the refusal to take a target from under somebody."""
    users = ", ".join(map(str, target.sessions))
    return Refused(
        f"{target.name} on {host} is in use by {users}. Shut that machine down, and see it logged out, first."
    )


def admin(verb: str, name: str) -> Command:
    return Command((*LOCK, "tgt-admin", verb, name))


def bound(verb: str, number: int, account: str) -> Command:
    """Return what makes a target want an account of whoever logs in (bind), or want it no more (unbind)."""
    return Command(
        ("tgtadm", "--lld", "iscsi", "--op", verb, "--mode", "account", "--tid", str(number), "--user", account)
    )


def account_known(account: Account) -> Action:
    """Return what tells tgtd the account. That it stays known lets nobody in."""
    return Action(Command((*LOCK, "sh", "-c", TOLD, "sh", account.name, account.file)), harmless=True)


def told(verb: str, number: int, who: str) -> Command:
    by = "--initiator-name" if is_name(who) else "--initiator-address"
    return Command(("tgtadm", "--lld", "iscsi", "--op", verb, "--mode", "target", "--tid", str(number), by, who))


def remove(number: int, *, forced: bool = False) -> Command:
    """Return the end of a target, which fails when somebody is logged in (tgt-admin then says nothing)."""
    end = "tgtadm", "--lld", "iscsi", "--op", "delete", "--mode", "target", "--tid", str(number)
    return Command((*LOCK, *end, *(("--force",) if forced else ())))


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """The file of a target, without the secret in it, and the target as it is served; None: it is not."""

    file: TextFile
    served: Target | None


@dataclass(frozen=True, slots=True)
class OfTarget:
    """What is said of one target of a host, and how that is read."""

    host: str
    name: str

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def file(self) -> str:
        return file_of(self.name)

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(self.file), ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        file = text_file(self.host, self.file, outputs[:2])
        text = None if file.text is None else _SECRET.sub(r"\1", file.text)
        return TargetFacts(replace(file, text=text), targets(self.host, outputs[2]).get(self.name))


def written(path: str, text: str, before: str | None, account: Account | None) -> tuple[Action, ...]:
    """Return what writes the file of a target; root alone may read it.

    ``text``: with an account, up to where its secret stands. No copy of the file is made: it would keep a secret.
    """
    return (Action(_filled(path, text, account), put_back(path, before, account)),)


def _filled(path: str, text: str, account: Account | None) -> Command:
    if account is None:
        return Command(("sh", "-c", PLAIN, "sh", path), stdin=encode(text))
    return Command(("sh", "-c", SEALED, "sh", path, account.name, account.file), stdin=encode(text))


def names_account(text: str) -> bool:
    """Tell whether a secret stands in the file of which this is the text."""
    return _INCOMING in text


def put_back(path: str, before: str | None, account: Account | None) -> Command | None:
    """Return what makes the file what it was; None where it named an account, and now there is none.

    ``before``: its text without the secret, which the host's file of the account has, or had before that one.
    """
    if before is None:
        return gone(path)
    lines, named, rest = before.partition(_INCOMING)
    name = rest.partition("\n")[0]
    if not named:
        return _filled(path, before, None)
    if account is None:
        return None
    if name == account.name:
        return _filled(path, lines, account)
    kept = f"{account.file}.cloudstore~"
    return Command(("sh", "-c", SEALED_AGAIN, "sh", path, name, kept), stdin=encode(lines))
