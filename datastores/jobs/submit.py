"""The one way in: every job is made here, with its rows, leases and audit entry in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import django_rq
from django.db import models, transaction
from django.utils import timezone
from rq import Queue

from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs import doorbell
from datastores.jobs.kinds import KINDS
from datastores.models import Job, User
from datastores.models.audit import in_turn, record
from datastores.services import leases
from datastores.services.usecase import UseCase

SECRET = frozenset({"variables"})
"""Parameters that may hold secrets: the variables of a context CD."""
RUN = "datastores.jobs.run.run_job"


def submit(
    kind: str,
    *,
    user: User | None,
    address: str = "",
    params: dict[str, Any] | None = None,
    **targets: models.Model | None,
) -> Job:
    """Ask for something. Targets are rows by name: ``image=``, ``host=`` ...; params are JSON data.

    :raises CloudstoreError: refused; nothing was changed.
    """
    case = KINDS[kind]
    check_role(case, user)
    with in_turn():
        job = Job(
            kind=kind,
            params=params or {},
            user=user,
            user_label=user.get_username() if user else "cloudstore",
            address=address,
            attempts=1,
            **targets,
        )
        case.ask(job)
        if case.checks_plan:
            case.plan(job)
        job.save(force_insert=True)
        granted = leases.acquire(job, case.resources(job))
        record(kind, user=user, address=address, target=job.target_label, job=job, params=shown(job.params))
        if granted:
            on_commit_hand_over(job)
        transaction.on_commit(lambda: doorbell.ring_state(job))
    return job


def check_role(case: UseCase, user: User | None) -> None:
    """Raise Refused when the person may not ask for it (None: the schedule itself)."""
    if user and not (user.is_active and user.role in case.roles):
        raise Refused(f"{case.label}: the role {user.role} may not do that.")


def shown(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters without what an audit entry must not hold."""
    return {name: "(secret)" if name in SECRET else value for name, value in params.items()}


def enqueue(job: Job) -> None:
    """Hand the job to a worker when the transaction is committed.

    The row is the truth: what Redis loses, ``reconcile`` hands over again.
    """
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now(), attempts=models.F("attempts") + 1)
    job.refresh_from_db(fields=["attempts"])
    on_commit_hand_over(job)


def on_commit_hand_over(job: Job) -> None:
    # robust: the job is stored; a queue that is away now gets it from ``reconcile``
    transaction.on_commit(lambda: hand_over(job), robust=True)


@functools.cache
def queue(name: str) -> Queue:
    """Return the queue; its connections to Redis are kept."""
    return django_rq.get_queue(name)


def hand_over(job: Job) -> None:
    """Give the job's UUID to its queue."""
    queue(KINDS[job.kind].queue_of(job)).enqueue(
        RUN, str(job.uuid), job_id=f"{job.uuid}-{job.attempts}", job_timeout=-1, result_ttl=60, failure_ttl=3600
    )


def queue_again(job: Job, *sources: JobState, unchanged: Iterable[str] = (), **values: Any) -> bool:
    """Move a job back to the queue if it still is in one of ``sources``, and ``unchanged`` in these fields.

    One that waits for others to end what they do with its things is handed over when they have.
    """
    with transaction.atomic():
        fresh = {"ended_at": None, "resumed": 0}
        moved = job.move(*sources, to=JobState.QUEUED, unchanged=unchanged, **(fresh | values))
        if moved and not job.leases.filter(granted=False).exists():
            enqueue(job)
    if moved:
        doorbell.ring_state(job)
    return moved
