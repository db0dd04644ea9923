"""States and the legal moves between them."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"
    PLANNING = "planning"
    AWAITING = "awaiting approval"
    RUNNING = "running"
    UNDOING = "undoing"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.PLANNING, JobState.RUNNING, JobState.UNDOING, JobState.CANCELLED}),
    JobState.PLANNING: frozenset(
        {JobState.AWAITING, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.ERRORED,
         JobState.CANCELLED, JobState.INTERRUPTED}
    ),
    JobState.AWAITING: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.ERRORED, JobState.CANCELLED, JobState.INTERRUPTED}
    ),
    JobState.UNDOING: frozenset({JobState.CANCELLED, JobState.FAILED, JobState.ERRORED, JobState.INTERRUPTED}),
    JobState.INTERRUPTED: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.UNDOING, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset({JobState.QUEUED}),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.ERRORED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}  # fmt: skip

ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.ERRORED, JobState.CANCELLED})
WITH_WORKER = frozenset({JobState.PLANNING, JobState.RUNNING, JobState.UNDOING})
UNDER_WAY = WITH_WORKER | {JobState.QUEUED}
"""A worker has it, or will have it without anybody's doing."""


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"
    KEPT = "kept"


class EventKind(StrEnum):
    """What a line of a job's log is about."""

    JOB = "job"
    FACTS = "facts"
    STEP = "step"
    ACTION_STARTED = "action.started"
    ACTION_DONE = "action.done"
    ACTION_FAILED = "action.failed"
    OUTPUT = "output"
    UNDO = "undo"


class Level(StrEnum):
    INFO = "info"
    COMMAND = "command"
    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


class ObjectState(StrEnum):
    """State of an image, disk, datastore or snapshot. Only READY ones are offered for use."""

    PENDING = "pending"
    READY = "ready"
    IN_USE = "in use"
    CHANGING = "changing"
    DELETING = "deleting"
    ERROR = "error"


class HostState(StrEnum):
    NEW = "new"
    READY = "ready"
    UNREACHABLE = "unreachable"
    QUARANTINED = "quarantined"
