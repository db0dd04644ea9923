"""Files of a GlusterFS volume that lie where its bricks say they belong: the layout of directories, and rebalancing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree.ElementTree import Element

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.gluster import volume_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.gluster import NOT_STARTED, VOLUMES, VolumeInfo, ask, heard, inner, number, tell, volumes
from datastores.hosts.gluster_waits import stopping, waiting

GOES_ON = frozenset({"1", "5"})
BALANCED = frozenset({"3"})
LAID_OUT = frozenset({"3", "7"})
"""glusterd's gf_defrag_status_t. Moving the files lays the directories out first."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one host of the pool has done of a rebalance. ``size``: bytes moved."""

    peer: str
    text: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Balance:
    """The rebalance that was begun last. ``size``: bytes moved. ``skipped``: files that lie well enough.

    It stays "completed" when bricks are added afterwards: by its ``id`` one knows whether it is a new one.
    """

    id: str
    state: str
    text: str
    files: int
    size: int
    lookups: int
    failures: int
    skipped: int
    seconds: float
    shares: tuple[Share, ...] = ()
    """By host, each moving what is on its own bricks."""

    @property
    def goes_on(self) -> bool:
        return self.state in GOES_ON


BalanceFacts: TypeAlias = tuple[dict[str, VolumeInfo], Balance | None]


def ask_balance(name: str) -> Command:
    return ask("rebalance", name, "status")


def balance(host: str, command: Command, output: Output) -> Balance | None:
    """Return what ``rebalance status`` says; None when none was begun since the bricks were last taken away.

    :raises CommandFailed: it could not be told.
    """
    answer = heard(host, command, output)
    if answer.why:
        if answer.code == NOT_STARTED or answer.why.endswith(("does not exist", "not a distribute volume")):
            return None
        raise CommandFailed(command.argv, output.exit_status, answer.why, host)
    whole = answer.tree.find("volRebalance/aggregate")
    if whole is None:
        raise CommandFailed(command.argv, output.exit_status, "unreadable output: no sum of all hosts", host)
    return Balance(
        inner(answer.tree, "volRebalance/task-id"), inner(whole, "status"), inner(whole, "statusStr"),
        files=number(whole, "files"), size=number(whole, "size"), lookups=number(whole, "lookups"),
        failures=number(whole, "failures"), skipped=number(whole, "skipped"),
        seconds=float(inner(whole, "runtime") or 0),
        shares=tuple(_share(host, node) for node in answer.tree.iterfind("volRebalance/node")),
    )  # fmt: skip


def _share(host: str, node: Element) -> Share:
    peer = inner(node, "nodeName")
    name = host if peer == "localhost" else peer
    return Share(name, inner(node, "statusStr"), number(node, "files"), number(node, "size"))


@dataclass(frozen=True, slots=True)
class OfBalance:
    """What statements about the rebalance of a volume have in common.

    ``after``: the id of the rebalance that there was before bricks were added; that one does not count.
    """

    host: str
    name: str
    after: str = ""

    def __post_init__(self) -> None:
        volume_name(self.name)

    def reads(self) -> tuple[Command, ...]:
        return VOLUMES, ask_balance(self.name)

    def facts(self, outputs: Sequence[Output]) -> BalanceFacts:
        return volumes(self.host, outputs[0]), balance(self.host, self.reads()[1], outputs[1])


@dataclass(frozen=True, slots=True)
class FixLayoutDone(OfBalance):
    """All directories of the volume make use of all its bricks, for files that come. Those that are there stay."""

    @property
    def title(self) -> str:
        return f"new files of {self.name} go to all its bricks"

    def plan(self, facts: BalanceFacts) -> Change | None:
        if _done(self, facts, LAID_OUT):
            return None
        return Change(
            f"lay out the directories of {self.name} anew", _begun(self.name, facts[1], "layout", "fix-layout", "start")
        )


@dataclass(frozen=True, slots=True)
class Rebalanced(OfBalance):
    """The files of the volume are spread over all its bricks."""

    @property
    def title(self) -> str:
        return f"the files of {self.name} are spread over all its bricks"

    def plan(self, facts: BalanceFacts) -> Change | None:
        if _done(self, facts, BALANCED):
            return None
        return Change(
            f"move files of {self.name} to where they belong", _begun(self.name, facts[1], "failures", "start"),
            note="What has been moved stays where it is when this is stopped; clients see no difference.",
        )  # fmt: skip


def _done(step: OfBalance, facts: BalanceFacts, ends: frozenset[str]) -> bool:
    """Tell whether the last rebalance made it so.

    :raises Refused: there is nothing to spread, or one goes on that began too early.
    """
    found, last = facts
    volume = found.get(step.name)
    if volume is not None and len(volume.bricks) <= volume.layout.set_size:
        raise Refused(f"{step.name} has one set of bricks only, so there is nothing to spread.")
    if last is None:
        return False
    if last.id == step.after:
        if last.goes_on:
            raise Refused(f"A rebalance of {step.name} that was begun before goes on. Wait for its end, or stop it.")
        return False
    return last.state in ends and not last.failures


def _begun(name: str, last: Balance | None, strict: str, *words: str) -> tuple[Action, ...]:
    """Return the start and the wait for the end; one that goes on is only waited for."""
    follow = waiting(strict, "rebalance", name, "status")
    if last is not None and last.goes_on:
        return (follow,)
    start = tell("volume", "rebalance", name, *words)
    return Action(start, stopping("rebalance", name, "stop")), follow
