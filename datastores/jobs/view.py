"""Jobs and steps as browsers get them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain.states import JobState, StepState
from datastores.models import Job, JobEvent, JobStep
from datastores.models.jobs import UNDONE

ALL_BUT = 200
"""Of its bytes, one in so many may be missing of a file that is all written: blocks of zeros become holes."""
# Tone (colour) and icon of each state; the word is the state itself.
JOB_LOOK: dict[str, tuple[str, str]] = {
    JobState.QUEUED: ("idle", "clock"),
    JobState.PLANNING: ("run", "arrow-repeat"),
    JobState.AWAITING: ("warn", "hand-index"),
    JobState.RUNNING: ("run", "arrow-repeat"),
    JobState.UNDOING: ("run", "arrow-counterclockwise"),
    JobState.INTERRUPTED: ("warn", "plug"),
    JobState.SUCCEEDED: ("ok", "check2"),
    JobState.FAILED: ("bad", "x-lg"),
    JobState.ERRORED: ("bad", "exclamation-octagon"),
    JobState.CANCELLED: ("idle", "slash-circle"),
    UNDONE: ("idle", "arrow-counterclockwise"),
}
STEP_LOOK = {
    StepState.WAITING: ("idle", "circle"),
    StepState.RUNNING: ("run", "arrow-repeat"),
    StepState.UNCHANGED: ("idle", "dash"),
    StepState.CHANGED: ("ok", "check2"),
    StepState.FAILED: ("bad", "x-lg"),
    StepState.UNKNOWN: ("warn", "question-circle"),
    StepState.UNDONE: ("idle", "arrow-counterclockwise"),
    StepState.KEPT: ("warn", "pin-angle"),
}
DONE = frozenset({StepState.UNCHANGED, StepState.CHANGED, StepState.KEPT})
"""States of steps that count as done: what they say is true."""
PAGE_CHARACTERS = 1 << 20
PORTION = 20
"""Entries read at once."""
CAN_CANCEL = frozenset({JobState.QUEUED, JobState.PLANNING, JobState.AWAITING, JobState.RUNNING, JobState.INTERRUPTED})


def step_frame(step: JobStep) -> dict[str, Any]:
    tone, icon = STEP_LOOK[StepState(step.state)]
    return {
        "index": step.index,
        "state": step.state,
        "tone": tone,
        "icon": icon,
        "seconds": step.seconds,
        "bytes_done": step.bytes_done,
        "bytes_total": step.bytes_total,
    }


def lane_frame(host: str, steps: Sequence[JobStep], *, ended: bool = False) -> dict[str, Any]:
    """Return the state of a host: the worst of its steps, or how far it has come."""
    states = {StepState(step.state) for step in steps}
    for state in (StepState.FAILED, StepState.UNKNOWN, StepState.RUNNING, StepState.KEPT, StepState.UNDONE):
        if state in states:
            break
    else:
        state = StepState.WAITING if StepState.WAITING in states else StepState.CHANGED
    tone, icon = STEP_LOOK[state]
    waiting = "not begun" if ended else "waiting"
    if state is StepState.RUNNING and any(step.is_silent for step in steps):
        return {"host": host, "state": "does not answer", "tone": "warn", "icon": "plug"}
    words = {StepState.CHANGED: "done", StepState.RUNNING: "running", StepState.WAITING: waiting}
    word = words.get(state, str(state))
    return {"host": host, "state": word, "tone": tone, "icon": icon}


def eta(job: Job, steps: Sequence[JobStep]) -> float | None:
    """Return the seconds that remain of the bytes under way, at the speed so far; None: unknown."""
    if any(step.is_silent for step in steps):
        return None
    moving = [step for step in under_way(steps) if step.bytes_left > step.bytes_total // ALL_BUT]
    left = 0.0
    for step in moving:
        seconds = (timezone.now() - (step.started_at or timezone.now())).total_seconds()
        if not step.bytes_done or seconds < 1:
            return None
        left = max(left, step.bytes_left * seconds / step.bytes_done)
    return round(left, 1) if moving else None


def under_way(steps: Sequence[JobStep]) -> list[JobStep]:
    """Return the steps that move bytes now."""
    return [step for step in steps if step.state == StepState.RUNNING and step.bytes_total and step.started_at]


def is_flushing(steps: Sequence[JobStep]) -> bool:
    """Tell whether all bytes under way are written: what takes its time now is to see them on the disk."""
    moving = under_way(steps)
    return bool(moving) and all(step.bytes_left <= step.bytes_total // ALL_BUT for step in moving)


def job_frame(job: Job, steps: Sequence[JobStep]) -> dict[str, Any]:
    """Return the head and the lanes of the job page; ``all_steps`` holds every step."""
    tone, icon = JOB_LOOK[job.word]
    lanes: dict[str, list[JobStep]] = {}
    for step in steps:
        lanes.setdefault(step.host, []).append(step)
    done, total = sum(step.bytes_done for step in steps), sum(step.bytes_total for step in steps)
    return {
        "type": "job",
        "state": job.state,
        "state_label": job.word,
        "state_tone": tone,
        "icon": icon,
        "shown": shown_for(job, steps),
        "ended": job.ended,
        "error": job.error,
        "worker": job.worker,
        "cancelling": bool(job.cancel_requested_at) and not job.ended,
        "can_cancel": job.state in CAN_CANCEL and not job.cancel_requested_at and not job.undo_requested,
        "steps_done": sum(step.state in DONE for step in steps),
        "steps": len(steps),
        "bytes_done": done,
        "bytes_total": total,
        "bytes_left": max(0, total - done),
        "eta": eta(job, steps),
        "flushing": is_flushing(steps),
        "silent": sorted({step.host for step in steps if step.is_silent}),
        "lanes": [lane_frame(host, lane, ended=job.ended) for host, lane in lanes.items()],
        "all_steps": [step_frame(step) for step in steps],
    }


def shown_for(job: Job, steps: Sequence[JobStep]) -> str:
    """Return what the parts of the job page depend on that are made here: another text, and they are read again."""
    stopping = ", to be stopped" if job.cancel_requested_at else ""
    back = ", to be taken back" if job.undo_requested else ""
    asked = f", to be taken back since {job.undo_asked_at}" if job.undo_asked_at else ""
    return f"{job.word}{stopping}{back}{asked}, {len(steps)} steps"


def page_of(events: QuerySet[JobEvent], most_lines: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the frames of the first entries, at least one; it ends with the one that fills the page.

    An entry may hold half a megabyte; so they are read a few at a time, as far as they are wanted.
    """
    lines = characters = 0
    for event in events.iterator(chunk_size=PORTION):
        yield event.frame()
        lines += event.lines
        characters += len(event.text)
        if characters >= PAGE_CHARACTERS or (most_lines and lines >= most_lines):
            return


def job_summary(job: Job, gone: Sequence[str] = ()) -> dict[str, Any]:
    """Return one piece of news for the feed, the same for everybody. ``gone``: what it deleted, such as "disk:17"."""
    tone, icon = JOB_LOOK[job.word]
    return {
        "type": "job",
        "uuid": str(job.uuid),
        "title": job.title,
        "url": job.get_absolute_url(),
        "state": job.word,
        "tone": tone,
        "icon": icon,
        "error": job.error,
        "ended": job.ended,
        "undo_asked": job.undo_asked,
        "objects": list(dict.fromkeys([*job.objects_touched(), *gone])),
    }
