"""What tgtd serves: a target for each disk, in a file of its own, so that it is there after a restart, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import Account, initiator, is_name
from datastores.domain.plan import Action, Change, Command, Output, WriteFile
from datastores.domain.values import format_size
from datastores.hosts import tgt
from datastores.hosts.parsing import TextFile, editable
from datastores.hosts.tgt import OfTarget, Target, TargetFacts, plain_path


@dataclass(frozen=True, slots=True)
class TargetServed(OfTarget):
    """tgtd serves ``backing`` (a file or device) as LUN 1 of ``name`` to these initiators alone, after a restart, too.

    Who may log in, and as whom, can be changed while it is in use; what is served cannot. ``size``: bytes that it has
    now. ``account``: they have to prove that they know its secret, too (CHAP).
    """

    backing: str
    size: int
    initiators: tuple[str, ...]
    account: Account | None = None

    def __post_init__(self) -> None:
        OfTarget.__post_init__(self)
        plain_path(self.backing)
        if not self.initiators:
            raise BadInput(f"{self.name} is for nobody. Name at least one initiator: without one, tgtd lets all in.")
        for who in self.initiators:
            if initiator(who) != who:
                raise BadInput(f"The initiator {who} is usually written {initiator(who)}.")

    @property
    def title(self) -> str:
        proven = f", who know the secret of {self.account.name}" if self.account else ""
        return f"{self.backing} is served as {self.name} to {', '.join(self.initiators)}{proven}"

    @property
    def _lines(self) -> str:
        """The file up to the account, or the end of the target."""
        allowed = (f"  initiator-{'name' if is_name(who) else 'address'} {who}\n" for who in self.initiators)
        return f"{tgt.remark(self.size)}\n<target {self.name}>\n  backing-store {self.backing}\n{''.join(allowed)}"

    @property
    def _text(self) -> str:
        account = f"  incominguser {self.account.name}\n" if self.account else ""
        return f"{self._lines}{account}</target>\n"

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, self.file, facts.file)
        served = facts.served
        if served and served.disk != self.backing:
            raise Refused(
                f"{self.name} on {self.host} serves {served.disk or 'nothing'}, not {self.backing}. See what it is "
                f"for, and remove it with `tgt-admin --delete {self.name}` when nobody needs it."
            )
        written = self._written(before) if before != self._text else ()
        if served and self._is_another(served):
            end, begin = tgt.admin("--delete", self.name), tgt.admin("--update", self.name)
            if served.sessions:
                raise tgt.in_use(self.host, served)
            actions: tuple[Action, ...] = Action(end, begin), *written, Action(begin, end)
        else:
            actions = *written, *(self._let_in(served) if served else self._made())
        return Change(f"serve {self.backing} as {self.name}", actions) if actions else None

    @property
    def _accounts(self) -> tuple[str, ...]:
        return (self.account.name,) if self.account else ()

    def _is_another(self, served: Target) -> bool:
        """Whether it is made anew for its account: tgtd (1.0.85) dies when the first of two accounts is taken away."""
        return served.accounts != self._accounts and len(served.accounts + self._accounts) > 1

    def _written(self, before: str | None) -> tuple[Action, ...]:
        if self.account or tgt.names_account(before or ""):
            return tgt.written(self.file, self._lines if self.account else self._text, before, self.account)
        write = WriteFile(self.file, self._text, before)
        return (Action(write, write.undo),)

    def _made(self) -> tuple[Action, ...]:
        return (Action(tgt.admin("--update", self.name), tgt.admin("--delete", self.name)),)

    def _let_in(self, served: Target) -> tuple[Action, ...]:
        """New ones are let in before others are shut out; who is logged in stays so until he logs out."""
        new = [who for who in self.initiators if who not in served.initiators]
        old = [who for who in served.initiators if who not in self.initiators]
        verbs = [("bind", "unbind", who) for who in new] + [("unbind", "bind", who) for who in old]
        return *self._wants(served), *(
            Action(tgt.told(do, served.number, who), tgt.told(back, served.number, who)) for do, back, who in verbs
        )

    def _wants(self, served: Target) -> tuple[Action, ...]:
        if served.accounts == self._accounts:
            return ()
        (name,) = served.accounts + self._accounts
        bind, unbind = (tgt.bound(verb, served.number, name) for verb in ("bind", "unbind"))
        if self.account is None:
            return (Action(unbind, bind),)
        return tgt.account_known(self.account), Action(bind, unbind)


@dataclass(frozen=True, slots=True)
class TargetGone(OfTarget):
    """tgtd serves no ``name``, and will not after a restart. It is never taken from under somebody who is logged in.

    What it served stays. ``leaving``: the addresses of hosts that steps before this one log out; should one of them be
    logged in all the same, tgtd itself refuses, unless it is ``forced``: then its connection is cut. ``account``: as
    which initiators log in, for the way back: a secret stands in the file, so no copy of it is kept.
    """

    leaving: tuple[str, ...] = ()
    forced: bool = False
    account: Account | None = None

    @property
    def title(self) -> str:
        return f"{self.name} is not served"

    def plan(self, facts: TargetFacts) -> Change | None:
        name = self.file
        before, served = editable(self.host, name, facts.file), facts.served
        if served and before is None:
            raise Refused(
                f"{self.name} on {self.host} is served, but not by {name}: somebody else made it. It was left as it is."
            )
        if served and any(session.address not in self.leaving for session in served.sessions):
            raise tgt.in_use(self.host, served)
        again = tgt.admin("--update", self.name)
        end = (Action(tgt.remove(served.number, forced=self.forced), again),) if served else ()
        remove = Command(("rm", "-f", "--", name, f"{name}.cloudstore~"))
        removed = (Action(remove, tgt.put_back(name, before, self.account)),) if before is not None else ()
        # the way back needs the file, so it is taken away last, and comes back first
        return Change(f"serve {self.name} no more", (*end, *removed)) if served or removed else None


@dataclass(frozen=True, slots=True)
class TargetRenewed(OfTarget):
    """If tgtd serves ``name``, it has taken note that its disk has ``size`` bytes now, which it does when it opens it.

    Nobody may be logged in then: tgtd would take the disk away from under him.
    """

    size: int

    @property
    def title(self) -> str:
        return f"{self.name} has {format_size(self.size)}, if it is served"

    def plan(self, facts: TargetFacts) -> Change | None:
        before = editable(self.host, self.file, facts.file)
        if before is None or not facts.served or before.startswith(f"{tgt.remark(self.size)}\n"):
            return None
        if facts.served.sessions:
            raise tgt.in_use(self.host, facts.served)
        end, begin = tgt.admin("--delete", self.name), tgt.admin("--update", self.name)
        was = before.partition("\n")[0]
        noted = Action(self._note(tgt.remark(self.size)), self._note(was if was.startswith("# ") else tgt.remark(0)))
        return Change(f"serve {self.name} anew", (Action(end, begin), Action(begin, end), noted))

    def _note(self, remark: str) -> Command:
        """The rest of the file may hold a secret, so it is left where it is."""
        return Command(("sed", "-i", "-e", f"1i {remark}", "-e", "/^# /d", "--", self.file))


@dataclass(frozen=True, slots=True)
class TargetUnused(OfTarget):
    """Nobody is logged in to ``name``. A check: it changes nothing."""

    @property
    def title(self) -> str:
        return f"nobody uses {self.name}"

    def reads(self) -> tuple[Command, ...]:
        """Its file says nothing of that."""
        return (tgt.ASK,)

    def facts(self, outputs: Sequence[Output]) -> TargetFacts:
        return TargetFacts(TextFile(None, None), tgt.targets(self.host, outputs[0]).get(self.name))

    def plan(self, facts: TargetFacts) -> Change | None:
        if facts.served and facts.served.sessions:
            raise tgt.in_use(self.host, facts.served)
        return None


@dataclass(frozen=True, slots=True)
class TargetUnserved(TargetUnused):
    """tgtd serves no ``name``, so it has not opened what lies behind it. A check: it changes nothing."""

    @property
    def title(self) -> str:
        return f"{self.name} is not served now"

    def plan(self, facts: TargetFacts) -> Change | None:
        TargetUnused.plan(self, facts)
        if facts.served:
            raise Refused(
                f"{self.name} on {self.host} is served, so tgtd has its disk open, and would go on with what that was. "
                "Delete the machine's disk first: the image stays, and can be given to it again."
            )
        return None
