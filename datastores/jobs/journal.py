"""What a job's log says that was done: read back after a crash, a lost connection, or for an undo."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import Sum

from datastores.domain.errors import StalePlan
from datastores.domain.plan import AnyStep, Change
from datastores.domain.states import EventKind
from datastores.hosts.journal import Journal, Undoable
from datastores.jobs import codec
from datastores.models import Job, JobEvent


def journal_of(job: Job) -> Journal:
    """Return which actions of earlier attempts succeeded, and of which the outcome is unknown.

    What a later entry undid, or saw fail, is in neither; what was done anew is there once.
    """
    kinds = (EventKind.ACTION_STARTED, EventKind.ACTION_DONE, EventKind.ACTION_FAILED, EventKind.UNDO)
    named: dict[tuple[int, int], str] = {}
    since: dict[str, int] = {}
    started: dict[str, Undoable] = {}
    done: dict[str, Undoable] = {}
    for event in JobEvent.objects.filter(job=job, kind__in=kinds).exclude(data=None).order_by("seq"):
        data: dict[str, Any] = event.data or {}
        number = (event.step or 0, data["action"])
        if event.kind == EventKind.ACTION_STARTED:
            undo = data["undo"]
            command = codec.decode_command(undo) if undo else None
            action = named[number] = json.dumps([event.step, data["do"], undo], sort_keys=True)
            done.pop(action, None)
            since.setdefault(action, event.seq)
            started[action] = Undoable(*number, event.host, command, data["scratch"], data["final"])
            continue
        since.pop(named[number], None)
        if event.kind == EventKind.ACTION_DONE:
            done[named[number]] = started.pop(named[number], None) or done[named[number]]
        else:
            done.pop(named[number], None)
            started.pop(named[number], None)
    told = {entry.index: lines_after(job, entry.index, since[action]) for action, entry in started.items()}
    return Journal(tuple(done.values()), tuple(started.values()), told)


def lines_after(job: Job, step: int, seq: int) -> int:
    """Return how many lines of output of a step came after an entry of the log."""
    output = JobEvent.objects.filter(job=job, kind=EventKind.OUTPUT, step=step, seq__gt=seq)
    return output.aggregate(lines=Sum("lines", default=0))["lines"]


def approval_of(job: Job, steps: Sequence[AnyStep]) -> Callable[[int, Change], bool]:
    """Return a function that tells whether a change is the one that was approved for that step.

    :raises StalePlan: the plan has other steps now than the approved one had.
    """
    rows = list(job.steps.order_by("index").values_list("host", "title", "change"))
    if [(step.host, step.title) for step in steps] != [(host, title) for host, title, _ in rows]:
        raise StalePlan("The plan has other steps now than when it was approved. Nothing was done; plan again.")
    return lambda index, change: codec.encode_change(change) == rows[index][2]
