"""Carry out a plan, stage by stage: give every host its lane, and when one fails take back what was done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from datastores.domain.errors import (
    AuthenticationFailed,
    Cancelled,
    CloudstoreError,
    HostKeyChanged,
    LostTouch,
    NotTakenBack,
    Unreachable,
)
from datastores.domain.plan import Change, Connect, Plan
from datastores.domain.states import StepState
from datastores.hosts.actions import Executor
from datastores.hosts.journal import Journal, Ledger, Recorder
from datastores.hosts.lanes import Lane
from datastores.hosts.stages import Numbered, lanes_of, number_plan, side_by_side, stages_of, steps_of
from datastores.hosts.undo import Needed, nobody, take_back

TAKEN_BACK = "What the job had done before was taken back."
MOST_TOLD = 5
"""Of the other hosts that failed at the same time, so many are told about."""
LEFT = "Not all that the job had done could be taken back; its log says what is left."


@dataclass(slots=True)
class Run:
    """One attempt at a plan.

    ``approves``: tells whether a person agreed to this change of the step with this number.
    ``unit``: prefix of the names of transient systemd units, the same in every attempt of a job.
    ``giving_up``: called with the reason, and with what was done, before anything is taken back; from then on the job
    must not go forward again. ``needed``: see ``take_back``.
    After :meth:`carry_out`, ``facts`` holds what was read last of every step.
    """

    plan: Plan
    connect: Connect
    recorder: Recorder
    unit: str
    approves: Callable[[int, Change], bool] = lambda index, change: True
    journal: Journal = field(default_factory=Journal)
    cancelled: Callable[[], bool] = lambda: False
    giving_up: Callable[[Exception, Journal], None] = lambda reason, done: None
    needed: Needed = nobody
    leaves_out: Mapping[str, bool] = field(default_factory=dict)
    """The hosts that all is done for. True: it is left out if it cannot be reached before anything was begun there."""
    facts: dict[int, Any] = field(default_factory=dict)
    left_out: dict[str, Unreachable] = field(default_factory=dict)
    """By host: why it was. Never all that it is done for."""
    unreached: set[str] = field(default_factory=set)
    """The hosts that could not be reached, those that were left out among them."""
    ledger: Ledger = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.journal)

    def carry_out(self) -> None:
        """Apply, stage by stage. On a failure undo in reverse what this job did, then raise.

        A host that stopped answering is different: what it did is unknown, so nothing is undone until it
        can be read again.

        :raises Unreachable: interrupted; facts will decide when the job is resumed.
        :raises NotTakenBack: cancelled, and not all of it could be undone.
        :raises CloudstoreError: failed, undone; a note says whether all of it.
        """
        for stage in number_plan(self.plan):
            ahead = ((index, step) for index, step in stage if index >= self.journal.settled_before)
            lanes = {host: steps for host, steps in lanes_of(ahead).items() if host not in self.left_out}
            errors = side_by_side(self._run_lane, lanes)
            self.unreached |= {error.host for error in errors if isinstance(error, Unreachable)} | self.left_out.keys()
            if not errors and self.left_out and self.left_out.keys() >= self.leaves_out.keys():
                errors = list(self.left_out.values())
            if errors:
                self._give_up(errors)

    def _run_lane(self, host: str, steps: list[Numbered]) -> None:
        with self.recorder.lane(host):
            try:
                self._lane(host, steps).work()
            except Unreachable as error:
                if self._may_do_without(host, error):
                    self._leave_out(host, error)
                    return
                self._stop.set()
                if self.ledger.balance().touches(host):
                    raise LostTouch(str(error)) from error
                raise
            except Exception:
                self._stop.set()
                raise

    def _may_do_without(self, host: str, error: Unreachable) -> bool:
        """Tell whether the others go on without the host. One that answers as another, or refuses, was reached."""
        if isinstance(error, HostKeyChanged | AuthenticationFailed):
            return False
        return self.leaves_out.get(host, False) and not self.ledger.balance().touches(host)

    def _leave_out(self, host: str, error: Unreachable) -> None:
        error.host = host
        self.left_out[host] = error
        for index, step in enumerate(steps_of(self.plan)):
            if step.host == host:
                self.recorder.step(index, StepState.FAILED, f"left out: {error}")

    def told_left_out(self, but: Collection[Exception] = ()) -> list[str]:
        """Return which hosts were left out, and why. ``but``: what is told already."""
        return [f"{host} was left out: {error}" for host, error in self.left_out.items() if error not in but]

    def _lane(self, host: str, steps: list[Numbered]) -> Lane:
        shell = self.connect(host)
        executor = Executor(shell, self.recorder, self.unit, self.cancelled, self.journal.told, self.ledger)
        return Lane(steps, executor, self.journal, self.approves, self._check, self.facts)

    def _check(self, title: str) -> None:
        """Raise Cancelled when another lane has failed, or an operator asked for it before anything was destroyed."""
        if self._stop.is_set():
            raise Cancelled(f"stopped before: {title}, because another host failed.")
        if self.cancelled() and not self.ledger.balance().is_lossy:
            raise Cancelled(f"cancelled before: {title}.")

    def _give_up(self, errors: list[Exception]) -> None:
        lost = [error for error in errors if isinstance(error, LostTouch)]
        if lost:
            raise lost[0]
        worst = [error for error in errors if not isinstance(error, CloudstoreError)]
        asked = [error for error in errors if not isinstance(error, Cancelled)]
        error, *others = worst or asked or errors[:1]
        for other in others[:MOST_TOLD]:
            error.add_note(str(other))
        for note in self.told_left_out(but=errors):
            error.add_note(note)
        if not self.ledger.balance().touched:
            raise error
        self.giving_up(error, self.ledger.balance())
        if self._take_back():
            error.add_note(TAKEN_BACK)
            raise error
        if isinstance(error, Cancelled):
            raise NotTakenBack(f"{error} {LEFT}") from error
        error.add_note(LEFT)
        raise error

    def _take_back(self) -> bool:
        steps, stages = steps_of(self.plan), stages_of(self.plan)
        return take_back(self.ledger.balance(), lambda: steps, stages, self.connect, self.recorder, self.needed)
