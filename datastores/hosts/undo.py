"""Take back what a job has done."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from datastores.domain.errors import CloudstoreError, LostTouch, Unreachable
from datastores.domain.plan import Connect, Plan
from datastores.hosts.journal import Recorder, Undoable
from datastores.hosts.previews import Preview, plan_or_refusal, read
from datastores.hosts.stages import side_by_side


def settled(plan: Plan, unknown: Sequence[Undoable], connect: Connect) -> list[Undoable]:
    """Ask the hosts how the actions of unknown outcome ended; return those that have to be undone.

    An action whose step is true now was done; a scratch one may always be undone.

    :raises Unreachable: a host cannot be read yet.
    """
    steps = [step for stage in plan for step in stage.steps]

    def happened(entry: Undoable) -> bool:
        if entry.scratch:
            return True
        step = steps[entry.index]
        facts = read(connect(entry.host), [(entry.index, step)])
        return plan_or_refusal(step, facts[entry.index]) == Preview()

    return [entry for entry in unknown if happened(entry)]


def undo(done: Sequence[Undoable], stages: Sequence[int], connect: Connect, recorder: Recorder) -> bool:
    """Take back each action, the last first: stage by stage, in each the hosts side by side.

    ``stages``: the stage of every step, by its number. Return whether all of it was taken back: what has no undo, and
    what came before an action that destroyed something, is reported and kept; an undo that fails is reported, and the
    others go on.

    :raises LostTouch: a host went away; what is left to undo can be undone when it is back.
    """
    done = sorted(done, key=lambda entry: (entry.index, entry.number))
    kept = max((place for place, entry in enumerate(done) if entry.final), default=-1) + 1
    incomplete = threading.Event()

    def take_back(host: str, entries: list[Undoable]) -> None:
        with recorder.lane(host):
            for entry in entries:
                if not _undo_one(entry, connect, recorder):
                    incomplete.set()

    for _, entries in groupby(reversed(done[kept:]), key=lambda entry: stages[entry.index]):
        lanes: dict[str, list[Undoable]] = {}
        for entry in entries:
            lanes.setdefault(entry.host, []).append(entry)
        if errors := side_by_side(take_back, lanes):
            raise next((error for error in errors if isinstance(error, LostTouch)), errors[0])
    for entry in reversed(done[:kept]):
        recorder.undo(replace(entry, undo=None))
    return not incomplete.is_set() and not kept


def _undo_one(entry: Undoable, connect: Connect, recorder: Recorder) -> bool:
    if entry.undo is None:
        recorder.undo(entry)
        return True
    try:
        output = connect(entry.host).run(entry.undo)
    except Unreachable as error:
        raise LostTouch(str(error)) from error
    except CloudstoreError as error:
        recorder.undo(entry, str(error))
        return False
    said = (output.stderr or output.stdout).strip() or f"exit status {output.exit_status}"
    recorder.undo(entry, "" if output.ok else said)
    return output.ok
