"""A worker takes jobs, and sees whether they are still to go on."""

from __future__ import annotations

import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django.db.models import Case, DateTimeField, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from datastores.domain.states import JobState
from datastores.jobs.log_storing import TakenOver
from datastores.models import Job
from datastores.models.jobs import move_all

if TYPE_CHECKING:
    from datastores.jobs.attempts import Attempt


CANCEL_SECONDS = 0.3
DECIDED_ON = "attempts", "undo_requested", "approved_at", "heartbeat_at"
"""What an attempt is chosen by, and what shows that another worker had the job since that was read."""


@functools.cache
def worker_name() -> str:
    """Return this process's name. Process ids come again, in containers soon: a dead worker must not seem alive."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def claim_all(attempts: Sequence[Attempt], state: JobState) -> bool:
    """Take the jobs, all of them or none. False: not all wait (any more) as they were read."""
    jobs = [attempt.job for attempt in attempts]
    errors = [job.error for job in jobs]
    now = Value(timezone.now(), DateTimeField())
    moved = move_all(
        jobs,
        JobState.QUEUED,
        to=state,
        unchanged=DECIDED_ON,
        worker=worker_name(),
        error="",
        started_at=Case(When(resumed__gt=0, then=Coalesce("started_at", now)), default=now),
    )
    if moved:
        for attempt, error in zip(attempts, errors, strict=True):
            attempt.claimed(state, error)
    return moved


def cancel_check(job: Job) -> Callable[[], bool]:
    """Return a function that tells whether a person asked to stop; it asks the database now and then.

    It raises TakenOver when another worker has the job.
    """
    state = {"at": time.monotonic(), "asked": job.cancel_requested_at is not None}

    def asked() -> bool:
        if not state["asked"] and time.monotonic() - state["at"] > CANCEL_SECONDS:
            state["at"] = time.monotonic()
            worker, requested_at = Job.objects.values_list("worker", "cancel_requested_at").get(pk=job.pk)
            if worker != job.worker:
                raise TakenOver(f"{worker} has this job now.")
            state["asked"] = requested_at is not None
        return bool(state["asked"])

    return asked
