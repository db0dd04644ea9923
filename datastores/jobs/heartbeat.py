"""A sign of life from this worker for every job it has in hand."""

from __future__ import annotations

import functools
import logging
import threading
import time

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from datastores.domain.states import WITH_WORKER
from datastores.models import Job

logger = logging.getLogger(__name__)
BEAT_SECONDS = settings.PATIENCE_SECONDS / 3.5
"""Three beats may be missed, and a bit."""


@functools.lru_cache(maxsize=1)
def start(worker: str) -> threading.Thread:
    """Beat until the process ends; one thread for a process, however often it is called."""
    thread = threading.Thread(target=_beat, args=(worker,), name="heartbeat", daemon=True)
    thread.start()
    return thread


def _beat(worker: str) -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        try:
            states = [state.value for state in WITH_WORKER]
            Job.objects.filter(worker=worker, state__in=states).update(heartbeat_at=timezone.now())
        except DatabaseError:  # the next beat comes; only a long silence counts
            logger.warning("heartbeat", exc_info=True)
            connection.close()
