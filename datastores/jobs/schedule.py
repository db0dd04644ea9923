"""The schedule: what is done by itself, again and again.

Nothing of it goes through the queue, which may be the very thing that was lost. Every machine with workers may have
the schedule; a duty is done by one of them each time it is due (``models.duties``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.db import close_old_connections

from datastores.jobs.beating import beating
from datastores.jobs.caches import tidy_caches
from datastores.jobs.deliveries import LOOK_SECONDS as DELIVER_SECONDS
from datastores.jobs.deliveries import deliver, forget_deliveries
from datastores.jobs.drift import LOOK_SECONDS as DRIFT_SECONDS
from datastores.jobs.drift import look_for_drift
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.periodic import find_again, forget_reads, measure_datastores, read_hosts, sample_hosts
from datastores.jobs.reconcile import reconcile
from datastores.jobs.rooms import measure_rooms
from datastores.jobs.volumes import read_volumes
from datastores.jobs.watching import count_ends, evaluate, forget_alerts
from datastores.models import Duty
from datastores.models.samples import FINE
from datastores.services import settings
from datastores.services.samples import thin_samples

logger = logging.getLogger(__name__)
SCHEDULE = "schedule"
LOOK_SECONDS = 10.0
"""How soon a duty whose interval an admin may change is looked at again."""

HEARD_SECONDS = 20.0
"""How often a duty that takes long says that it is being done."""
LONGEST_SECONDS = 3600.0
"""One that takes longer hangs, or is too much for this machine: then it counts as late."""


def evaluate_alerts() -> int:
    """Find out what needs a person; return how many alerts began or ended."""
    return evaluate([duty.__name__ for duty, _ in DUTIES])


def monitoring(times: int = 1) -> float:
    """Return the seconds between two looks at hosts and datastores, so many of them."""
    return float(times * settings.value("monitor_seconds"))


Every = float | Callable[[], float]
"""The seconds between two turns; a function: as it is set now."""
DUTIES: tuple[tuple[Callable[[], int], Every], ...] = (
    (reconcile, 1.5 * BEAT_SECONDS),
    (measure_datastores, monitoring),
    (read_volumes, monitoring),
    (measure_rooms, monitoring),
    (find_again, monitoring),
    (read_hosts, partial(monitoring, 15)),
    (forget_reads, 3600.0),
    (sample_hosts, float(FINE)),
    (thin_samples, 3.0 * FINE),
    (evaluate_alerts, 60.0),
    (count_ends, 30.0),
    (forget_alerts, 3600.0),
    (deliver, DELIVER_SECONDS),
    (forget_deliveries, 3600.0),
    (look_for_drift, DRIFT_SECONDS),
    (tidy_caches, 300.0),
)


def run_schedule() -> None:
    """Do every duty again and again, for ever. A host that hangs delays its measuring, not the looking after jobs."""
    threads = [threading.Thread(target=repeat, args=duty, name=duty[0].__name__, daemon=True) for duty in DUTIES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def repeat(duty: Callable[[], int], seconds: Every) -> None:
    """Do it every so many seconds."""
    while True:
        time.sleep(take_turn(duty, seconds))


def take_turn(duty: Callable[[], int], every: Every) -> float:
    """Do the duty if it is due and no other machine does it; return the seconds until it has to be looked at again."""
    close_old_connections()
    seconds = LOOK_SECONDS
    try:
        seconds = every() if callable(every) else every
        if Duty.take(duty.__name__, timedelta(seconds=seconds)):
            with beating(partial(Duty.beat, duty.__name__), HEARD_SECONDS, LONGEST_SECONDS):
                duty()
        left = min(seconds, Duty.seconds_left(duty.__name__))
        return min(left, LOOK_SECONDS) if callable(every) else left  # it may be set anew meanwhile
    except Exception:  # the next time may be better, and nobody else would do it
        logger.exception("%s", duty.__name__)
        return seconds
