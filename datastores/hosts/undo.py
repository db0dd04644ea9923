"""Take back what a job has done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from datastores.domain.errors import CloudstoreError, LostTouch, Unreachable
from datastores.domain.plan import Action, AnyStep, Command, Connect, Output
from datastores.hosts.journal import Journal, Recorder, Undoable
from datastores.hosts.previews import read
from datastores.hosts.stages import side_by_side

Steps: TypeAlias = Callable[[], Sequence[AnyStep]]
"""Gives the steps of the plan, by their numbers; asked only when a host has to be read. Raises CloudstoreError when
there are none to judge by."""
Needed: TypeAlias = Callable[[Undoable], str]
"""Says who else needs what an action has made: the end of a sentence that begins with "kept: "; "" for nobody."""
REMOVES = "rm", "rmdir"
NOT_THERE = ": No such file or directory"


def nobody(entry: Undoable) -> str:
    """Say that nobody else needs what an action has made."""
    return ""


def take_back(
    journal: Journal,
    steps: Steps,
    stages: Sequence[int],
    connect: Connect,
    recorder: Recorder,
    needed: Needed = nobody,
) -> bool:
    """Stop the units that may still run, ask the hosts how the actions of unknown outcome ended, and undo.

    ``stages``: the stage of every step, by its number. Return whether all of it was taken back: what has no undo, what
    came before an action that destroyed something, and what nobody can judge, is reported and kept; what fails is
    reported, and the others go on. What is ``needed`` by others is reported and kept, too, and is theirs from then on.

    :raises LostTouch: a host went away; what is left to undo can be undone when it is back.
    """
    return _TakingBack(steps, stages, connect, recorder, needed).all_of(journal)


@dataclass(slots=True)
class _TakingBack:
    steps: Steps
    stages: Sequence[int]
    connect: Connect
    recorder: Recorder
    needed: Needed
    complete: bool = True

    def all_of(self, journal: Journal) -> bool:
        running = self._stop_units([*journal.done, *journal.unknown])
        done = [entry for entry in journal.done if entry not in running]
        unknown = replace(journal, unknown=tuple(entry for entry in journal.unknown if entry not in running))
        self._undo([*done, *self._happened(unknown)])
        return self.complete

    def _stop_units(self, entries: Sequence[Undoable]) -> list[Undoable]:
        """See every unit gone: its command would go on behind the undo. Return the entries of those that stay."""
        running: list[Undoable] = []

        def stop(entry: Undoable) -> None:
            try:
                self.connect(entry.host).forget_unit(entry.unit)
            except Unreachable as error:
                raise LostTouch(str(error)) from error
            except CloudstoreError as error:
                self._left(entry, str(error))
                running.append(entry)

        self._on_each_host([entry for entry in entries if entry.unit], stop)
        return running

    def _happened(self, journal: Journal) -> list[Undoable]:
        """Return the actions of unknown outcome that have to be undone.

        What is scratch may always be undone. What is final counts as begun: in doubt nothing before it is taken away.
        """
        happened = [entry for entry in journal.unknown if entry.scratch or entry.final]
        doubtful = [entry for entry in journal.unknown if entry not in happened]
        for index, entries in groupby(sorted(doubtful, key=_place), key=lambda entry: entry.index):
            same_step = list(entries)
            try:
                needed = self._needed(same_step[0])
            except CloudstoreError as error:
                if isinstance(error, LostTouch):
                    raise
                for entry in same_step:
                    self._left(entry, f"whether it was done cannot be told: {error}")
            else:
                happened += [entry for entry in journal.happened(index, needed) if entry in same_step]
        return happened

    def _needed(self, entry: Undoable) -> Sequence[Action]:
        """Return the actions that the entry's step needs as its host is now.

        :raises LostTouch: the host cannot be reached.
        :raises CloudstoreError: the host cannot be judged.
        """
        try:
            step = self.steps()[entry.index]
            change = step.plan(read(self.connect(entry.host), [(entry.index, step)])[entry.index])
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        return change.actions if change else ()

    def _undo(self, done: Sequence[Undoable]) -> None:
        """Undo the last first: stage by stage, in each the hosts side by side."""
        done = sorted(done, key=_place)
        kept = max((place for place, entry in enumerate(done) if entry.final), default=-1) + 1
        own = [entry for entry in done[kept:] if not self._is_needed(entry)]
        for _, entries in groupby(reversed(own), key=lambda entry: self.stages[entry.index]):
            self._on_each_host(list(entries), self._undo_one)
        for entry in reversed(done[:kept]):
            self._keep(entry)

    def _is_needed(self, entry: Undoable) -> bool:
        """Tell whether others need what the action made; then it stays, and is nothing of this job any more."""
        by_whom = self.needed(entry) if entry.undo and not entry.scratch else ""
        if by_whom:
            self.recorder.undo(entry, kept=by_whom)
        return bool(by_whom)

    def _undo_one(self, entry: Undoable) -> None:
        if entry.undo is None:
            self._keep(entry)
            return
        output = Output(0)
        try:
            output = self.connect(entry.host).run(entry.undo)
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        except CloudstoreError as error:
            reason = str(error)
        else:
            reason = (output.stderr or output.stdout).strip() or f"exit status {output.exit_status}"
            reason = "" if output.ok or had_nothing_to_remove(entry.undo, output) else reason
        if reason and not self._is_absent(entry):
            self._left(entry, reason)
            return
        if output.ok and output.stdout:
            self.recorder.output(entry.index, output.stdout)
        self.recorder.undo(entry)

    def _is_absent(self, entry: Undoable) -> bool:
        """Tell whether there is nothing to undo: the host would have to do the action again."""
        try:
            return entry.undo in {action.undo for action in self._needed(entry)}
        except CloudstoreError as error:
            if isinstance(error, LostTouch):
                raise
            return False

    def _keep(self, entry: Undoable) -> None:
        self.recorder.undo(replace(entry, undo=None))
        if not entry.harmless:
            self.complete = False

    def _left(self, entry: Undoable, reason: str) -> None:
        self.recorder.undo(entry, reason)
        self.complete = False

    def _on_each_host(self, entries: Sequence[Undoable], work: Callable[[Undoable], None]) -> None:
        """Do the work for each entry: the hosts side by side, on each in the order given."""
        lanes: dict[str, list[Undoable]] = {}
        for entry in entries:
            lanes.setdefault(entry.host, []).append(entry)

        def lane(host: str, of_host: list[Undoable]) -> None:
            with self.recorder.lane(host):
                for entry in of_host:
                    work(entry)

        if errors := side_by_side(lane, lanes):
            raise next((error for error in errors if isinstance(error, LostTouch)), errors[0])


def had_nothing_to_remove(command: Command, output: Output) -> bool:
    """Tell whether the command only complains that what it should remove is not there.

    Not by its exit status: that is the same when one of many names could not be removed.
    """
    program = command.argv[0]
    complaints = output.stderr.strip().splitlines()
    return (
        program in REMOVES
        and bool(complaints)
        and all(line.startswith(f"{program}: ") and line.endswith(NOT_THERE) for line in complaints)
    )


def _place(entry: Undoable) -> tuple[int, int]:
    return entry.index, entry.number
