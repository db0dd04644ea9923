"""What tgtd serves: a target for each disk, in a file of its own, so that it is there after a restart, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import initiator, iqn, is_name
from datastores.domain.plan import Action, Change, Command, Output, WriteFile
from datastores.domain.values import format_size
from datastores.hosts import tgt
from datastores.hosts.parsing import editable, text_reads
from datastores.hosts.tgt import Target, TargetFacts, plain_path


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
        return f"{tgt.remark(self.size)}\n{target}"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(tgt.file_of(self.name)), tgt.ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return tgt.target_facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, tgt.file_of(self.name), facts.file)
        served = facts.served
        if served and served.disk != self.backing:
            raise Refused(
                f"{self.name} on {self.host} serves {served.disk or 'nothing'}, not {self.backing}. See what it is "
                f"for, and remove it with `tgt-admin --delete {self.name}` when nobody needs it."
            )
        write = WriteFile(tgt.file_of(self.name), self._text, before)
        written = (Action(write, write.undo),) if before != self._text else ()
        actions = *written, *(self._let_in(served) if served else self._made())
        return Change(f"serve {self.backing} as {self.name}", actions) if actions else None

    def _made(self) -> tuple[Action, ...]:
        return (Action(tgt.admin("--update", self.name), tgt.admin("--delete", self.name)),)

    def _let_in(self, served: Target) -> tuple[Action, ...]:
        """New ones are let in before others are shut out; who is logged in stays so until he logs out."""
        new = [who for who in self.initiators if who not in served.initiators]
        old = [who for who in served.initiators if who not in self.initiators]
        verbs = [("bind", "unbind", who) for who in new] + [("unbind", "bind", who) for who in old]
        return tuple(
            Action(tgt.told(do, served.number, who), tgt.told(back, served.number, who)) for do, back, who in verbs
        )


@dataclass(frozen=True, slots=True)
class TargetGone:
    """tgtd serves no ``name``, and will not after a restart. It is never taken from under somebody who is logged in.

    What it served stays. ``leaving``: the addresses of hosts that steps before this one log out; should one of them be
    logged in all the same, tgtd itself refuses, unless it is ``forced``: then its connection is cut.
    """

    host: str
    name: str
    leaving: tuple[str, ...] = ()
    forced: bool = False

    def __post_init__(self) -> None:
        iqn(self.name)

    @property
    def title(self) -> str:
        return f"{self.name} is not served"

    def reads(self) -> tuple[Command, ...]:
        return *text_reads(tgt.file_of(self.name)), tgt.ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return tgt.target_facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        name = tgt.file_of(self.name)
        before, served = editable(self.host, name, facts.file), facts.served
        if served and before is None:
            raise Refused(
                f"{self.name} on {self.host} is served, but not by {name}: somebody else made it. It was left as it is."
            )
        if served and any(session.address not in self.leaving for session in served.sessions):
            raise tgt.in_use(self.host, served)
        kept = f"{name}.cloudstore~"  # tgt-admin reads names that end in .conf alone
        aside, back = (Command(("mv", "-fT", "--", *names)) for names in ((name, kept), (kept, name)))
        again = tgt.admin("--update", self.name)
        end = (Action(tgt.remove(served.number, forced=self.forced), again),) if served else ()
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
        return *text_reads(tgt.file_of(self.name)), tgt.ASK

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return tgt.target_facts(self.host, self.name, outputs)

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, tgt.file_of(self.name), facts.file)
        if before is None or not facts.served or before.startswith(f"{tgt.remark(self.size)}\n"):
            return None
        if facts.served.sessions:
            raise tgt.in_use(self.host, facts.served)
        lines = before.splitlines(keepends=True)
        text = "".join([f"{tgt.remark(self.size)}\n", *(line for line in lines if not line.startswith("# "))])
        write = WriteFile(tgt.file_of(self.name), text, before)
        end, begin = tgt.admin("--delete", self.name), tgt.admin("--update", self.name)
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
        return (tgt.ASK,)

    def facts(self, outputs: Sequence[Output]) -> Target | None:
        return tgt.targets(self.host, outputs[0]).get(self.name)

    def plan(self, facts: Target | None) -> Change | None:
        if facts and facts.sessions:
            raise tgt.in_use(self.host, facts)
        return None
