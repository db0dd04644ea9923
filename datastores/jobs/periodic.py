"""What happens by itself: looking after jobs, measuring hosts and datastores, forgetting what nobody will ask for.

Nothing of it goes through the queue, which may be the very thing that was lost. Every machine with workers may have
the schedule; a duty is done by one of them each time it is due (``models.duties``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from datastores.domain.errors import CloudstoreError
from datastores.domain.states import HostState, JobState, ObjectState, StepState
from datastores.jobs.connections import connector
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.quarantine import quarantine_after
from datastores.jobs.reconcile import reconcile
from datastores.jobs.submit import submit
from datastores.models import Datastore, Duty, Host, Job
from datastores.services.datastores import measure

logger = logging.getLogger(__name__)
SCHEDULE = "schedule"
FORGOTTEN_AT_ONCE = 200
"""Jobs deleted in one transaction."""


def measure_datastores() -> int:
    """Measure every datastore that is in use; one that cannot be read says so and holds up nobody else."""
    connect, measured = connector(), 0
    for datastore in Datastore.objects.filter(state=ObjectState.READY):
        try:
            measure(datastore, connect)
            measured += 1
        except CloudstoreError as error:
            quarantine_after(error)
            logger.warning("datastore %s cannot be measured: %s", datastore, error)
    return measured


def read_hosts() -> int:
    """Read the facts of every host that has been onboarded, also of those that did not answer last time."""
    asked = 0
    for host in Host.objects.filter(state__in=[HostState.READY, HostState.UNREACHABLE]).exclude(facts_at=None):
        if Job.objects.filter(host=host, kind="host.read", ended_at=None).exists():
            continue
        try:
            submit("host.read", user=None, host=host)
            asked += 1
        except CloudstoreError as error:  # busy, or not to be spoken to; that holds up nobody else
            logger.info("host %s is not read this time: %s", host, error)
    return asked


def forget_reads() -> int:
    """Delete the jobs of the schedule that found nothing to change, after a while. Their audit entries stay."""
    unremarkable = Job.objects.filter(
        kind="host.read",
        user=None,
        user_label="cloudstore",
        state=JobState.SUCCEEDED,
        ended_at__lt=timezone.now() - timedelta(days=settings.KEEP_READS_DAYS),
    ).exclude(steps__state=StepState.CHANGED)
    forgotten = 0
    while keys := list(unremarkable.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
        Job.objects.filter(pk__in=keys).delete()
        forgotten += len(keys)
    return forgotten


DUTIES: tuple[tuple[Callable[[], int], float], ...] = (
    (reconcile, 1.5 * BEAT_SECONDS),
    (measure_datastores, settings.MONITOR_SECONDS),
    (read_hosts, 15 * settings.MONITOR_SECONDS),
    (forget_reads, 3600.0),
)


def run_schedule() -> None:
    """Do every duty again and again, for ever. A host that hangs delays its measuring, not the looking after jobs."""
    threads = [threading.Thread(target=repeat, args=duty, name=duty[0].__name__, daemon=True) for duty in DUTIES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def repeat(duty: Callable[[], int], seconds: float) -> None:
    """Do it every so many seconds."""
    while True:
        time.sleep(take_turn(duty, seconds))


def take_turn(duty: Callable[[], int], seconds: float) -> float:
    """Do the duty if it is due and no other machine does it; return the seconds until it has to be looked at again."""
    try:
        if Duty.take(duty.__name__, timedelta(seconds=seconds)):
            duty()
        return min(seconds, Duty.seconds_left(duty.__name__))
    except Exception:  # the next time may be better, and nobody else would do it
        logger.exception("%s", duty.__name__)
        connection.close()
        return seconds
