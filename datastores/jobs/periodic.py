"""What happens by itself: looking after jobs, and measuring hosts and datastores."""

from __future__ import annotations

import logging
from collections.abc import Callable

import django_rq
from django.conf import settings
from django_rq.cron import DjangoCronScheduler
from rq.cron import CronJob
from rq.exceptions import DuplicateJobError
from rq.utils import now

from datastores.domain.errors import Busy, CloudstoreError
from datastores.domain.states import HostState, ObjectState
from datastores.jobs.connections import connector
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.reconcile import reconcile
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job
from datastores.services.datastores import measure

logger = logging.getLogger(__name__)
RECONCILE_SECONDS = round(1.5 * BEAT_SECONDS)


def look_after_jobs() -> int:
    return reconcile()


def measure_datastores() -> int:
    """Measure every datastore that is in use; one that cannot be read says so and holds up nobody else."""
    connect, measured = connector(), 0
    for datastore in Datastore.objects.filter(state=ObjectState.READY):
        try:
            measure(datastore, connect)
            measured += 1
        except CloudstoreError as error:
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
        except Busy:
            logger.info("host %s is busy; it is read next time", host)
    return asked


SCHEDULE = "schedule"
DUTIES: tuple[tuple[Callable[[], int], int], ...] = (
    (look_after_jobs, RECONCILE_SECONDS),
    (measure_datastores, settings.MONITOR_SECONDS),
    (read_hosts, 15 * settings.MONITOR_SECONDS),
)


class Schedule(DjangoCronScheduler):
    """rq's scheduler, with the queues' own serializer, and never two of the same at once."""

    def _install_signal_handlers(self) -> None:
        """It runs in a thread; signals belong to the main one."""

    def enqueue_jobs(self) -> list[CronJob]:
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            queue = django_rq.get_queue(job.queue_name)
            try:
                name = job.func_name.rpartition(".")[2]
                queue.enqueue(job.func_name, job_id=f"schedule-{name}", unique=True, result_ttl=0)
            except DuplicateJobError:
                logger.info("%s is still waiting or at work", job.func_name)
            job.set_enqueue_time(now())
        return due


def run_schedule() -> None:
    """Put what is due into the queues, for ever."""
    schedule = Schedule(logging_level=logging.WARNING)
    for function, seconds in DUTIES:
        schedule.register(function, queue_name="monitor", interval=seconds)
    schedule.start()
