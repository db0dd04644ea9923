"""After a crash: find the jobs that nobody attends to, and hand them to a worker again.

A job that was resumed reads the hosts first, so what a dead worker did is found as done.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from datastores.domain.states import JobState
from datastores.jobs import doorbell
from datastores.jobs.ends import tell_given_up
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import enqueue, held_back, queue_again, waiting_in
from datastores.models import Job
from datastores.models.jobs import AUTOMATIC_ATTEMPTS

logger = logging.getLogger(__name__)
PATIENCE = timedelta(seconds=settings.PATIENCE_SECONDS)
UNHEARD = timedelta(seconds=2 * BEAT_SECONDS)
"""A waiting job that the queue does not know after this time was lost by it."""
PAUSES = tuple(timedelta(seconds=beats * BEAT_SECONDS) for beats in (3, 6, 12, 30, 60))
"""How long after it was queued last an interrupted job is resumed, by how often it was before: 30 s to ten minutes.

A host that is started anew, or mended, is away for minutes. A job whose worker died does not wait.
"""


def reconcile() -> int:
    """Resume what lost its worker, what was interrupted, and what the queue lost; return how many."""
    return _orphans() + _interrupted() + _lost()


def _orphans() -> int:
    count = 0
    for job in Job.objects.all().unattended(PATIENCE):
        worker, error = job.worker, f"The worker {job.worker} died."
        # without a worker: one that is alive after all stores nothing more
        with transaction.atomic():
            unheard = {"unchanged": ("heartbeat_at",), "worker": "", "error": error}
            moved = job.move(JobState(job.state), to=JobState.INTERRUPTED, **unheard)
            if moved and job.is_given_up:
                tell_given_up(job)
        if moved:
            logger.warning("job %s lost its worker %s, which is gone", job.uuid, worker)
            count += _resume(job)
    return count


def _interrupted() -> int:
    now = timezone.now()
    due = Q()
    for resumed in range(AUTOMATIC_ATTEMPTS):
        due |= Q(resumed=resumed, queued_at__lt=now - PAUSES[resumed])
    return sum(_resume(job) for job in Job.objects.filter(due, state=JobState.INTERRUPTED))


def _resume(job: Job) -> bool:
    """Queue an interrupted job again, unless that was done often enough: then it is left to a person."""
    if job.is_given_up:
        logger.warning("job %s was resumed %s times by itself: it waits for a person now", job.uuid, job.resumed)
        doorbell.ring_state(job)
        return False
    return queue_again(job, JobState.INTERRUPTED, resumed=F("resumed") + 1)


def _lost() -> int:
    """Hand over again what its queue does not know, and for the first time what may begin from now on.

    What a worker took from its queue, and did not claim, is lost too.

    The queues are read first: what is taken from them meanwhile is not taken for lost.
    """
    waiting = Job.objects.filter(state=JobState.QUEUED, queued_at__lt=timezone.now() - UNHEARD)
    waiting = waiting.exclude(leases__granted=False)
    if not waiting.exists():
        return 0
    known = {name: waiting_in(name) for name in settings.QUEUES}
    count = 0
    for job in waiting.order_by("pk"):
        if held_back(job) or str(job.uuid) in known[KINDS[job.kind].queue_of(job)]:
            continue
        due = job.not_before is not None and job.queued_at < job.not_before
        if enqueue(job):
            logger.log(logging.INFO if due else logging.WARNING, "job %s %s", job.uuid,
                       "may begin now" if due else "was lost by the queue: it is handed over again")  # fmt: skip
            count += 1
    return count
