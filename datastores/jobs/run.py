"""The worker's side: take a job, and do what it is waiting for."""

from __future__ import annotations

import logging

from datastores.domain.states import JobState
from datastores.jobs import heartbeat
from datastores.jobs.approval import waits
from datastores.jobs.attempts import Attempt
from datastores.jobs.claims import worker_name
from datastores.jobs.kinds import KINDS
from datastores.jobs.log_storing import TakenOver
from datastores.jobs.submit import held_back
from datastores.models import Job
from datastores.services.usecase import UseCase

logger = logging.getLogger(__name__)
WITH_TARGETS = "user", "image__datastore", "disk__datastore"
"""What is looked up along with a job. To join every target takes Django longer than to look up one that is needed."""


def run_job(uuid: str) -> None:
    """Do what the job is waiting for. Does nothing when it is not waiting for a worker (any more)."""
    while job := waiting(uuid):
        with heartbeat.beating([job], worker_name()):
            try:
                if attempt(job, KINDS[job.kind]):
                    return
            except TakenOver:
                logger.warning("job %s was taken over by another worker while this one was silent", uuid)
                return


def waiting(uuid: str) -> Job | None:
    """Return the job if it waits for a worker; one that waits for others to end what they do does not.

    Only one that was queued before can be waiting for others when it is delivered: at first it is handed over when it
    has its leases.
    """
    waiting = Job.objects.select_related(*WITH_TARGETS).filter(uuid=uuid, state=JobState.QUEUED).order_by()
    job = next(iter(waiting), None)
    if job and held_back(job):  # an entry of the queue from when it was planned
        return None
    return None if job and job.attempts > 1 and job.leases.filter(granted=False).exists() else job


def attempt(job: Job, case: UseCase) -> bool:
    """Do what the job is waiting for. False: it is not as it was read, so nothing was done.

    :raises TakenOver: another worker does it now.
    """
    if job.undo_requested:
        return Attempt(job, case).take_back()
    if waits(job) and not job.approved_at:
        return Attempt(job, case).make_plan()
    return Attempt(job, case).carry_out()
