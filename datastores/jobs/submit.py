"""The one way in: every job is made here, with its rows, leases and audit entry in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import django_rq
from django.db import models, transaction
from django.utils import timezone
from rq import Queue
from rq.job import Job as Entry

from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs import doorbell
from datastores.jobs.approval import policy_for, waits, will_wait
from datastores.jobs.kinds import KINDS
from datastores.models import Job, User
from datastores.models.audit import Deed, in_turn, record_all
from datastores.services import leases
from datastores.services.usecase import UseCase

SECRET = frozenset({"variables", "private_key", "secret"})
"""Parameters that hold secrets: the variables of a context CD and the key of a transfer between hosts (encrypted), and
the key of a datastore (which its row takes)."""
PACK = 20
"""Jobs that are done together: as many as one worker may keep from the others for a moment."""
RUN = "datastores.jobs.packs.run_jobs"


def submit(
    kind: str,
    *,
    user: User | None,
    address: str = "",
    params: dict[str, Any] | None = None,
    not_before: datetime | None = None,
    **targets: models.Model | None,
) -> Job:
    """Ask for something. Targets are rows by name: ``image=``, ``host=`` ...; params are JSON data.

    ``not_before``: when it may begin; what waits for approval is planned at once all the same.

    :raises CloudstoreError: refused; nothing was changed.
    """
    asked = {"user": user, "address": address, "params": params, "not_before": not_before}
    return submit_all(kind, [targets], **asked)[0]


def submit_all(
    kind: str,
    wanted: Iterable[Mapping[str, models.Model | None]],
    *,
    user: User | None,
    address: str = "",
    params: dict[str, Any] | None = None,
    not_before: datetime | None = None,
) -> list[Job]:
    """Ask for the same of several targets at once: for all of them or, when one is refused, for none.

    :raises CloudstoreError: refused; nothing was changed.
    """
    case = KINDS[kind]
    check_role(case, user)
    approval = policy_for(case, user)
    with in_turn():
        jobs = [
            Job(
                kind=kind,
                params=dict(params or {}),
                user=user,
                user_label=user.get_username() if user else "cloudstore",
                address=address,
                attempts=1,
                approval=approval,
                not_before=not_before,
                **targets,
            )
            for targets in wanted
        ]
        case.ask_all(jobs)
        if case.checks_plan:
            for job in jobs:
                case.plan(job)
        Job.objects.bulk_create(jobs)
        granted = leases.acquire_all([(job, case.resources(job)) for job in jobs])
        record_all(
            Deed(action=kind, user=user, address=address, target=job.target_label, job=job,
                 detail={"params": shown(job.params)})
            for job in jobs
        )  # fmt: skip
        on_commit_hand_over(granted)
        transaction.on_commit(lambda: doorbell.ring_states(jobs))
    return jobs


def check_role(case: UseCase, user: User | None) -> None:
    """Raise Refused when the person may not ask for it (None: the schedule itself)."""
    if user and not (user.is_active and user.role in case.roles):
        raise Refused(f"{case.label}: the role {user.role} may not do that.")


def shown(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters without what an audit entry must not hold."""
    return {name: "(secret)" if name in SECRET else value for name, value in params.items()}


def enqueue(job: Job) -> bool:
    """Hand the job to a worker when the transaction is committed. False: it does not wait any more as it was read.

    The row is the truth: what Redis loses, ``reconcile`` hands over again.
    """
    as_read = Job.objects.filter(pk=job.pk, state=JobState.QUEUED, attempts=job.attempts)
    queued = bool(as_read.update(queued_at=timezone.now(), attempts=job.attempts + 1))
    if queued:
        job.attempts += 1
        on_commit_hand_over([job])
    return queued


def on_commit_hand_over(jobs: Sequence[Job]) -> None:
    now = [job for job in jobs if not held_back(job)]
    # robust: the jobs are stored; a queue that is away now gets them from ``reconcile``
    transaction.on_commit(lambda: hand_over(now), robust=True)


def held_back(job: Job) -> bool:
    """Tell whether no worker is to get the job yet, because it is too early; a plan is made at once."""
    return job.is_early and not will_wait(job)


@functools.cache
def queue(name: str) -> Queue:
    """Return the queue; its connections to Redis are kept."""
    return django_rq.get_queue(name)


def hand_over(jobs: Iterable[Job]) -> None:
    """Give the jobs' UUIDs to their queues: what can be done together, to one worker at a time."""
    packs: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        packs.setdefault(goes_with(job), []).append(job)
    for (name, *_), members in packs.items():
        for first in range(0, len(members), PACK):
            pack = members[first : first + PACK]
            queue(name).enqueue(
                RUN,
                *(str(job.uuid) for job in pack),
                job_id=f"{pack[0].uuid}-{pack[0].attempts}",
                job_timeout=-1, result_ttl=60, failure_ttl=3600,
            )  # fmt: skip


def goes_with(job: Job) -> tuple[str, ...]:
    """Return the name of the job's queue, and what it has in common with those that are done together with it."""
    case = KINDS[job.kind]
    shared = "" if waits(job) else case.pack(job)
    return case.queue_of(job), job.kind, shared or str(job.uuid)


def waiting_in(name: str) -> set[str]:
    """Return the UUIDs of the jobs that wait in a queue."""
    waiting = queue(name)
    entries = Entry.fetch_many(waiting.job_ids, waiting.connection, serializer=waiting.serializer)
    return {uuid for entry in entries if entry for uuid in entry.args}


def queue_again(job: Job, *sources: JobState, unchanged: Iterable[str] = (), **values: Any) -> bool:
    """Move a job back to the queue if it still is in one of ``sources``, and ``unchanged`` in these fields.

    One that waits for others to end what they do with its things is handed over when they have.
    """
    with transaction.atomic():
        fresh = {"ended_at": None, "resumed": 0, "queued_at": timezone.now(), "attempts": models.F("attempts") + 1}
        moved = job.move(*sources, to=JobState.QUEUED, unchanged=unchanged, **(fresh | values))
        if moved:
            job.refresh_from_db(fields=["attempts"])
        if moved and not job.leases.filter(granted=False).exists():
            on_commit_hand_over([job])
    if moved:
        doorbell.ring_state(job)
    return moved
