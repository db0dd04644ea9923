"""Targets of an appliance, made by hand there: which LUNs it offers a host, how large they are, and who else sees them.

Read by libiscsi's tools (package libiscsi-bin), which log in for a moment by themselves and leave nothing behind, so
that it does not matter what the kernel of the host is logged in to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import Account, Lun, Portal, iqn
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.values import format_size
from datastores.hosts.parsing import expect

SECONDS = 10
"""That an appliance gets to answer: libiscsi by itself tries for ever."""
DEADLINE = 50.0
"""Seconds for a list of many LUNs."""
TIMED_OUT = 124
FAILED = 10  # of libiscsi's tools, whatever went wrong
LOGIN = """
secret=$(cat -- "$2") || exit
export LIBISCSI_CHAP_USERNAME="$1" LIBISCSI_CHAP_PASSWORD="$secret"
shift 2
exec "$@"
"""
"""libiscsi takes account and secret from its environment, which root alone sees; in an address everybody would."""
_TARGET = re.compile(r"Target:(\S+) Portal:(\S+):(\d+),-?\d+\Z")
_LUN = re.compile(r"Lun:(\d+)\s+Type:(\S+)")
_DISK = "DIRECT_ACCESS"
_SHUT_OUT = ("Target not found", "Authentication failure", "Authorization failure", "Target removed")
"""Statuses of a login (RFC 3720, 10.13.5) with which a target that answers keeps somebody out."""
_NO_LUN = "LOGICAL_UNIT_NOT_SUPPORTED"
_NO_ANSWER = ("Can not reconnect", "Failed to connect", "Connection refused", "Timed out", "timed out")


@dataclass(frozen=True, slots=True)
class Offer:
    """A LUN that an appliance offers to the host that asked."""

    lun: Lun
    is_disk: bool


def asked(account: Account | None, *argv: str, bounded: bool = True) -> Command:
    """Return a read by one of libiscsi's tools, as an account where there is one. ``bounded``: within a time."""
    words = ("timeout", str(SECONDS), *argv) if bounded else argv
    if account is None:
        return read(*words, timeout=DEADLINE)
    return read("sh", "-c", LOGIN, "sh", account.name, account.file, *words, root=True, timeout=DEADLINE)


def ask_offers(portal: Portal, account: Account | None = None) -> Command:
    return asked(account, "iscsi-ls", "-s", f"iscsi://{portal}")


def offers(host: str, command: Command, output: Output) -> tuple[Offer, ...]:
    """Return the LUNs that ``ask_offers`` found, in its order; none where the appliance lets the host see nothing.

    :raises CommandFailed: the appliance did not answer, or what was said cannot be read.
    """
    found: list[Offer] = []
    target: tuple[Portal, str] | None = None
    try:
        for line in expect(host, command, output).splitlines():
            if match := _TARGET.match(line):
                target = Portal(match[2].strip("[]").lower(), int(match[3])), iqn(match[1])
            elif (match := _LUN.match(line)) and target:
                found.append(Offer(Lun(*target, int(match[1])), match[2] == _DISK))
            elif line.strip():
                raise BadInput(f"unreadable output {line!r}")
    except BadInput as error:
        raise CommandFailed(command.argv, output.exit_status, str(error), host) from error
    return tuple(found)


class Reach(StrEnum):
    """What comes of it when a host tries to use a LUN."""

    OPEN = "open"
    SHUT_OUT = "shut out"
    NO_LUN = "no such LUN"
    NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. ``size``: bytes, by READ CAPACITY, when it is open."""

    reach: Reach
    size: int = 0


def ask_reach(lun: Lun, account: Account | None = None) -> Command:
    return asked(account, "iscsi-readcapacity16", "-s", lun.url)


def tried(host: str, command: Command, output: Output) -> Tried:
    """Return what came of trying. That nothing answers is an answer here; that it could not be tried is none.

    :raises CommandFailed: it could not be tried, or what was said cannot be read.
    """
    said = output.stdout.strip()
    if output.ok and said.isascii() and said.isdigit():
        return Tried(Reach.OPEN, int(said))
    if output.exit_status == TIMED_OUT:
        return Tried(Reach.NO_ANSWER)
    if output.exit_status == FAILED:
        for reach, phrases in (
            (Reach.NO_LUN, (_NO_LUN,)),
            (Reach.SHUT_OUT, _SHUT_OUT),
            (Reach.NO_ANSWER, _NO_ANSWER),
        ):
            if any(phrase in output.stderr for phrase in phrases):
                return Tried(reach)
    raise CommandFailed(command.argv, output.exit_status, output.stderr or f"it said {said!r}", host)


@dataclass(frozen=True, slots=True)
class LunReached:
    """The host can use the LUN, and it has ``size`` bytes at least. A check: it changes nothing."""

    host: str
    lun: Lun
    size: int = 0
    account: Account | None = None

    @property
    def title(self) -> str:
        return f"{self.host} reaches LUN {self.lun.number} of {self.lun.iqn}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_reach(self.lun, self.account),)

    def facts(self, outputs: Sequence[Output]) -> Tried:
        return tried(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Tried) -> Change | None:
        if facts.reach is not Reach.OPEN:
            raise Refused(
                f"{self.host} cannot use LUN {self.lun.number} of {self.lun.iqn} at {self.lun.portal}: {facts.reach}. "
                "See that the appliance runs, lets this host in, and has that LUN."
            )
        if facts.size < self.size:
            raise Refused(
                f"LUN {self.lun.number} of {self.lun.iqn} has {format_size(facts.size)}, but {format_size(self.size)} "
                "are needed: somebody made another one at its place."
            )
        return None
