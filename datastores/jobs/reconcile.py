"""After a crash: find the jobs that nobody attends to, and hand them to a worker again.

A job that was resumed reads the hosts first, so what a dead worker did is found as done.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from datastores.domain.states import JobState
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import enqueue, queue, queue_again
from datastores.models import Job

logger = logging.getLogger(__name__)
PATIENCE = timedelta(seconds=settings.PATIENCE_SECONDS)
UNHEARD = timedelta(seconds=2 * BEAT_SECONDS)
"""A waiting job that the queue does not know after this time was lost by it."""
RETRY = timedelta(seconds=3 * BEAT_SECONDS)
AUTOMATIC_ATTEMPTS = 5


def reconcile() -> int:
    """Resume what lost its worker, what was interrupted, and what the queue lost; return how many."""
    return _orphans() + _interrupted() + _lost()


def _orphans() -> int:
    count = 0
    for job in Job.objects.all().unattended(PATIENCE):
        state = JobState(job.state)
        logger.warning("job %s was %s on %s, which is gone: resuming", job.uuid, state, job.worker)
        if state is JobState.PLANNING:
            count += queue_again(job, state)
        elif job.move(state, to=JobState.INTERRUPTED, error=f"The worker {job.worker} died."):
            count += queue_again(job, JobState.INTERRUPTED)
    return count


def _interrupted() -> int:
    waiting = Job.objects.filter(
        state=JobState.INTERRUPTED, attempts__lt=AUTOMATIC_ATTEMPTS, queued_at__lt=timezone.now() - RETRY
    )
    return sum(queue_again(job, JobState.INTERRUPTED) for job in waiting)


def _lost() -> int:
    count = 0
    waiting = Job.objects.filter(state=JobState.QUEUED, queued_at__lt=timezone.now() - UNHEARD)
    for job in waiting.exclude(leases__granted=False):
        if not known_to_queue(job):
            logger.warning("job %s was lost by the queue: handing it over again", job.uuid)
            enqueue(job)
            count += 1
    return count


def known_to_queue(job: Job) -> bool:
    """Tell whether the job waits in its queue. One that a worker took from it, and did not claim, is lost."""
    return queue(KINDS[job.kind].queue).get_job_position(f"{job.uuid}-{job.attempts}") is not None
