"""What happens by itself: looking after jobs, and measuring hosts and datastores.

Nothing of it goes through the queue, which may be the very thing that was lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection

from datastores.domain.errors import Busy, CloudstoreError
from datastores.domain.states import HostState, ObjectState
from datastores.jobs.connections import connector
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.quarantine import quarantine_after
from datastores.jobs.reconcile import reconcile
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job
from datastores.services.datastores import measure

logger = logging.getLogger(__name__)
SCHEDULE = "schedule"


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
        except Busy:
            logger.info("host %s is busy; it is read next time", host)
    return asked


DUTIES: tuple[tuple[Callable[[], int], float], ...] = (
    (reconcile, 1.5 * BEAT_SECONDS),
    (measure_datastores, settings.MONITOR_SECONDS),
    (read_hosts, 15 * settings.MONITOR_SECONDS),
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
        begun = time.monotonic()
        try:
            duty()
        except Exception:  # the next time may be better, and nobody else would do it
            logger.exception("%s", duty.__name__)
            connection.close()
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
