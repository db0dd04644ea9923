"""Targets of tgtd, the iSCSI target in user space: each in a file of its own below /etc/tgt/conf.d.

tgt-admin(8) makes of such a file what tgtd serves, and leaves other targets with their sessions alone. tgtadm(8) tells
what is served; it has no format for machines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.iscsi import initiator, iqn, is_name
from datastores.domain.plan import Action, Change, Command, Output, WriteFile, read
from datastores.domain.values import format_size
from datastores.hosts.parsing import TextFile, canonical_path, editable, expect, text_file, text_reads

DIRECTORY = "/etc/tgt/conf.d"
SERVICE = "tgt.service"
LUN = 1
"""Of the only disk of each of our targets; 0 is tgtd's controller."""
ASK = read("tgtadm", "--lld", "iscsi", "--op", "show", "--mode", "target", root=True)
LOCK = ("flock", "-w", "50", "/run/lock/cloudstore-tgt")
"""tgt-admin takes the next free number for a new target, so two at once would take the same one."""
_TARGET = re.compile(r"Target (\d+): (\S+)\Z")
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
    section, lun = "", 0
    for line in lines:
        word, _, value = line.partition(": ")
        if line in _SECTIONS:
            section = line
        elif section == "ACL information:":
            initiators.append(line)
        elif word == "Initiator":
            sessions.append(Session(value.partition(" alias:")[0]))
        elif word == "IP Address" and sessions:
            sessions[-1] = Session(sessions[-1].initiator, value)
        elif word == "LUN":
            lun = int(value)
        elif word == "Backing store path" and value != "None":
            backing.append((lun, value))
    return Target(number, name, tuple(sessions), tuple(backing), tuple(initiators))


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
        f"{target.name} on {host} is in use by {users}. Shut the machine down that uses it, and see it logged out, first."
    )


def _admin(verb: str, name: str) -> Command:
    return Command((*LOCK, "tgt-admin", verb, name))


def _told(verb: str, number: int, who: str) -> Command:
    by = "--initiator-name" if is_name(who) else "--initiator-address"
    return Command(("tgtadm", "--lld", "iscsi", "--op", verb, "--mode", "target", "--tid", str(number), by, who))


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """The file of a target, and the target as it is served; None: it is not."""

    file: TextFile
    served: Target | None


def _facts(host: str, name: str, outputs: Sequence[Output]) -> TargetFacts:
    file = text_file(host, file_of(name), outputs[:2])
    return TargetFacts(file, targets(host, outputs[2]).get(name))


@dataclass(frozen=True, slots=True)
class TargetServed:
    """tgtd serves ``backing`` (a file or device) as LUN 1 of ``name`` to these initiators alone, after a restart, too.

    Who may log in can be changed while it is in use; what is served cannot. ``size``: bytes that it has now.
    """

    host: str
    name: str
    backing: str
    size: int
    initiators: tuple[str, ...]

    def __post_init__(self) -> None:
        iqn(self.name)
        plain_path(self.backing)
        if not self.initiators:
            raise BadInput(f"{self.name} is for nobody. Name at least one initiator: without one, tgtd lets all in.")
        for who in self.initiators:
            if initiator(who) != who:
                raise BadInput(f"The initiator {who} is usually written {initiator(who)}.")

    @property
    def title(self) -> str:
        return f"{self.backing} is served as {self.name} to {', '.join(self.initiators)}"

    @property
    def _text(self) -> str:
        allowed = (f"  initiator-{'name' if is_name(who) else 'address'} {who}\n" for who in self.initiators)
        target = f"<target {self.name}>\n  backing-store {self.backing}\n{''.join(allowed)}</target>\n"
        return f"{remark(self.size)}\n{target}"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(file_of(self.name)), ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return _facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, file_of(self.name), facts.file)
        served = facts.served
        if served and served.disk != self.backing:
            raise Refused(
                f"{self.name} on {self.host} serves {served.disk or 'nothing'}, not {self.backing}. See what it is for, "
                f"and remove it with `tgt-admin --delete {self.name}` when nobody needs it."
            )
        write = WriteFile(file_of(self.name), self._text, before)
        written = (Action(write, write.undo),) if before != self._text else ()
        actions = *written, *(self._let_in(served) if served else self._made())
        return Change(f"serve {self.backing} as {self.name}", actions) if actions else None

    def _made(self) -> tuple[Action, ...]:
        return (Action(_admin("--update", self.name), _admin("--delete", self.name)),)

    def _let_in(self, served: Target) -> tuple[Action, ...]:
        """New ones are let in before others are shut out; who is logged in stays so until he logs out."""
        new = [who for who in self.initiators if who not in served.initiators]
        old = [who for who in served.initiators if who not in self.initiators]
        verbs = [("bind", "unbind", who) for who in new] + [("unbind", "bind", who) for who in old]
        return tuple(
            Action(_told(do, served.number, who), _told(back, served.number, who)) for do, back, who in verbs
        )


@dataclass(frozen=True, slots=True)
class TargetGone:
    """tgtd serves no ``name``, and will not after a restart. It is never taken from under somebody who is logged in.

    What it served stays.
    """

    host: str
    name: str

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def title(self) -> str:
        return f"{self.name} is not served"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(file_of(self.name)), ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return _facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        name = file_of(self.name)
        before, served = editable(self.host, name, facts.file), facts.served
        if served and before is None:
            raise Refused(
                f"{self.name} on {self.host} is served, but not by {name}: somebody else made it. It was left as it is."
            )
        if served and served.sessions:
            raise in_use(self.host, served)
        kept = f"{name}.cloudstore~"  # tgt-admin reads names that end in .conf alone
        aside, back = (Command(("mv", "-fT", "--", *names)) for names in ((name, kept), (kept, name)))
        end = (Action(_admin("--delete", self.name), _admin("--update", self.name)),) if served else ()
        moved = (Action(aside, back),) if before is not None else ()
        # the way back needs the file, so it is taken away last, and comes back first
        return Change(f"serve {self.name} no more", (*end, *moved)) if served or moved else None


@dataclass(frozen=True, slots=True)
class TargetRenewed:
    """If tgtd serves ``name``, it has taken note that its disk has ``size`` bytes now, which it does when it opens it.

    Nobody may be logged in then: tgtd would take the disk away from under him.
    """

    host: str
    name: str
    size: int

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def title(self) -> str:
        return f"{self.name} has {format_size(self.size)}, if it is served"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(file_of(self.name)), ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return _facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, file_of(self.name), facts.file)
        if before is None or not facts.served or before.startswith(f"{remark(self.size)}\n"):
            return None
        if facts.served.sessions:
            raise in_use(self.host, facts.served)
        lines = before.splitlines(keepends=True)
        text = "".join([f"{remark(self.size)}\n", *(line for line in lines if not line.startswith("# "))])
        write = WriteFile(file_of(self.name), text, before)
        end, begin = _admin("--delete", self.name), _admin("--update", self.name)
        return Change(f"serve {self.name} anew", (Action(end, begin), Action(begin, end), Action(write, write.undo)))


@dataclass(frozen=True, slots=True)
class TargetUnused:
    """Nobody is logged in to ``name``. A check: it changes nothing."""

    host: str
    name: str

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def title(self) -> str:
        return f"nobody uses {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return (ASK,)

    def facts(self, outputs: Sequence[Output]) -> Target | None:
        return targets(self.host, outputs[0]).get(self.name)

    def plan(self, facts: Target | None) -> Change | None:
        if facts and facts.sessions:
            raise in_use(self.host, facts)
        return None
