"""Carry out a plan, stage by stage: give every host its lane, and when one fails take back what was done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from datastores.domain.errors import Cancelled, CloudstoreError, LostTouch, Unreachable
from datastores.domain.plan import Change, Connect, Plan
from datastores.hosts.actions import Executor
from datastores.hosts.journal import Journal, Recorder, Undoable
from datastores.hosts.lanes import Lane
from datastores.hosts.stages import Numbered, lanes_of, number_plan, side_by_side, stages_of
from datastores.hosts.undo import undo

TAKEN_BACK = "What the job had done before was taken back."
LEFT = "Not all that the job had done could be taken back; its log says what is left."


@dataclass(slots=True)
class Run:
    """One attempt at a plan.

    ``approves``: tells whether a person agreed to this change of the step with this number.
    ``unit``: prefix of the names of transient systemd units, the same in every attempt of a job.
    After :meth:`carry_out`, ``facts`` holds what was read last of every step.
    """

    plan: Plan
    connect: Connect
    recorder: Recorder
    unit: str
    approves: Callable[[int, Change], bool] = lambda index, change: True
    journal: Journal = field(default_factory=Journal)
    cancelled: Callable[[], bool] = lambda: False
    facts: dict[int, Any] = field(default_factory=dict)
    done: list[Undoable] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def carry_out(self) -> None:
        """Apply, stage by stage. On a failure undo in reverse what this job did, then raise.

        A host that stopped answering is different: what it did is unknown, so nothing is undone until it
        can be read again.

        :raises Unreachable: interrupted; facts will decide when the job is resumed.
        :raises CloudstoreError: failed, undone; a note says whether all of it.
        """
        self.done = list(self.journal.done)
        for stage in number_plan(self.plan):
            ahead = ((index, step) for index, step in stage if index >= self.journal.settled_before)
            errors = side_by_side(self._run_lane, lanes_of(ahead))
            if errors:
                self._give_up(errors)

    def _run_lane(self, host: str, steps: list[Numbered]) -> None:
        with self.recorder.lane(host):
            try:
                self._lane(host, steps).work()
            except Unreachable as error:
                self._stop.set()
                if any(entry.host == host for entry in (*self.done, *self.journal.unknown)):
                    raise LostTouch(str(error)) from error
                raise
            except Exception:
                self._stop.set()
                raise

    def _lane(self, host: str, steps: list[Numbered]) -> Lane:
        shell = self.connect(host)
        executor = Executor(shell, self.recorder, self.unit, self.cancelled, self.journal.told, self.done)
        return Lane(steps, executor, self.journal, self.approves, self._check, self.facts)

    def _check(self, title: str) -> None:
        """Raise Cancelled when an operator asked for it or another lane has failed."""
        if self._stop.is_set():
            raise Cancelled(f"stopped before: {title}, because another host failed")
        if self.cancelled():
            raise Cancelled(f"cancelled before: {title}")

    def _give_up(self, errors: list[Exception]) -> None:
        lost = [error for error in errors if isinstance(error, LostTouch)]
        if lost:
            raise lost[0]
        scratch = [entry for entry in self.journal.unknown if entry.scratch and entry not in self.done]
        begun = [*scratch, *self.done]
        taken_back = undo(begun, stages_of(self.plan), self.connect, self.recorder)
        worst = [error for error in errors if not isinstance(error, CloudstoreError)]
        asked = [error for error in errors if not isinstance(error, Cancelled)]
        error = (worst or asked or errors)[0]
        if begun:
            error.add_note(TAKEN_BACK if taken_back else LEFT)
        raise error
