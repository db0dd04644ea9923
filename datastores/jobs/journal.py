"""What a job's log says that was done: read back after a crash, a lost connection, or for an undo."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Sum

from datastores.domain.states import EventKind
from datastores.hosts.journal import Journal, Undoable
from datastores.jobs import codec
from datastores.models import Job, JobEvent


def journal_of(job: Job) -> Journal:
    """Return which actions of earlier attempts succeeded, and of which the outcome is unknown.

    What a later entry undid, or saw fail, is in neither; what was done anew is there once. A failed action that is
    scratch or final counts as unknown: something of it may be there, or lost.
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
            marks = data["scratch"], data["final"], data.get("harmless", False)
            started[action] = Undoable(*number, event.host, command, *marks, data.get("unit", ""))
            continue
        action = named[number]
        since.pop(action, None)
        if event.kind == EventKind.ACTION_DONE:
            done[action] = replace(started.pop(action, None) or done[action], unit="")
        elif event.kind == EventKind.UNDO or not may_have_begun(started.get(action)):
            done.pop(action, None)
            started.pop(action, None)
        else:
            started[action] = replace(started[action], refused=not started[action].unit)
    told = {started[action].index: lines_after(job, started[action].index, seq) for action, seq in since.items()}
    return Journal(tuple(done.values()), tuple(started.values()), told)


def may_have_begun(failed: Undoable | None) -> bool:
    """Tell whether a failed action may have left something behind, or destroyed something."""
    return failed is not None and (failed.scratch or failed.final)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt gave up ("": a person stopped it). ``final`` and ``lossy``: see ``Journal``."""

    reason: str = ""
    final: bool = False
    lossy: bool = False

    def after(self, journal: Journal) -> Failure:
        return replace(self, final=self.final or journal.is_final, lossy=self.lossy or journal.is_lossy)

    @property
    def data(self) -> dict[str, Any]:
        """What is stored of it with the entry of the log."""
        return {"failed": self.reason, "final": self.final, "lossy": self.lossy}


def failure_of(job: Job) -> Failure:
    """Return why the last attempt gave up, when it is not over with taking back what was done."""
    later = JobEvent.objects.filter(job=job).exclude(kind=EventKind.UNDO).exclude(kind=EventKind.JOB, data__isnull=True)
    last = later.order_by("-seq").first()
    if last is None or not last.data or last.kind != EventKind.JOB:
        return Failure()
    return Failure(str(last.data["failed"]), last.data.get("final", False), last.data.get("lossy", False))


def lines_after(job: Job, step: int, seq: int) -> int:
    """Return how many lines of output of a step came after an entry of the log."""
    output = JobEvent.objects.filter(job=job, kind=EventKind.OUTPUT, step=step, seq__gt=seq)
    return output.aggregate(lines=Sum("lines", default=0))["lines"]
