"""A lane: the steps of one host in one stage, one after another.

All reads that a lane needs go in one round trip; after a change the step is read again (that is the verification)
together with the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from datastores.domain.errors import CloudstoreError, NotVerified, Refused, StalePlan, Unreachable
from datastores.domain.plan import AnyStep, Change
from datastores.domain.states import StepState
from datastores.hosts.actions import Executor
from datastores.hosts.journal import Journal
from datastores.hosts.previews import facts_of, never_comes, read, reads_of
from datastores.hosts.stages import Numbered

READ_AHEAD = 64
"""Steps of a lane that are read in one round trip."""
LOST = "the connection was lost: outcome unknown"


@dataclass(slots=True)
class Lane:
    """The steps of one host in one stage.

    ``journal``, ``approves`` and ``facts`` are those of ``Run``. ``check`` is called with the title of a step before
    its turn; it raises Cancelled when the lane has to stop.
    """

    steps: list[Numbered]
    executor: Executor
    journal: Journal
    approves: Callable[[int, Change], bool]
    check: Callable[[str], None]
    facts: dict[int, Any]
    known: dict[int, Any] = field(default_factory=dict)
    """What was read and may still be so."""

    def work(self) -> None:
        recorder = self.executor.recorder
        for position, (index, step) in enumerate(self.steps):
            self.check(step.title)
            if index not in self.known:
                self._read_ahead(position)
            try:
                self._satisfy(position, index, step)
            except Unreachable:
                recorder.step(index, StepState.UNKNOWN, LOST)
                raise
            except CloudstoreError as error:
                recorder.step(index, StepState.FAILED, str(error))
                raise
            self.facts[index] = self.known[index]

    def _read_ahead(self, position: int) -> None:
        ahead = self.steps[position : position + READ_AHEAD]
        shell, started = self.executor.shell, time.monotonic()
        self.known.update(read(shell, ahead))
        self.executor.recorder.facts(shell.host, len(ahead), time.monotonic() - started)

    def _satisfy(self, position: int, index: int, step: AnyStep) -> None:
        recorder = self.executor.recorder
        change = step.plan(self.known[index])
        self.executor.ledger.settle(self.journal.happened(index, change.actions if change else ()))
        if change is None:
            before = index in self.journal.touched
            recorder.step(index, StepState.CHANGED if before else StepState.UNCHANGED)
            return
        self._check_approval(index, step, change)
        recorder.step(index, StepState.RUNNING, change.summary)
        self._apply(position, index, change)
        if step.plan(self.known[index]) is not None:
            if not change.actions:  # a check: what it is about was to come true before its turn
                raise Refused(never_comes(step))
            raise NotVerified(f"{step.title}: the commands succeeded, yet {step.host} is not so.")
        recorder.step(index, StepState.CHANGED)

    def _check_approval(self, index: int, step: AnyStep, change: Change) -> None:
        if index in self.journal.touched or self.approves(index, change):
            return
        raise StalePlan(
            f"{step.title}: {step.host} is not as it was when the plan was approved. "
            "Nothing of this step was done. Try again: it is planned anew, and shown before anything is done."
        )

    def _apply(self, position: int, index: int, change: Change) -> None:
        """Make the change of a step. Whatever was known is void then: this step and the next one are read again."""
        ahead = self.steps[position : position + 2]
        number = self.journal.next_number(index)
        outputs = self.executor.carry_out(index, number, change.actions, reads_of(ahead))
        self.known = facts_of(ahead, outputs)
