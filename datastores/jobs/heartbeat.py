"""A sign of life for every job that this process has in hand.

One thread for all of them, where ``beating.py`` has one for each block: a clone is over before a thread would pay.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db import Error, close_old_connections
from django.utils import timezone

from datastores.models import Job

logger = logging.getLogger(__name__)
BEAT_SECONDS = settings.PATIENCE_SECONDS / 3.5
"""Three beats may be missed, and a bit."""
in_hand: Counter[int] = Counter()
"""Keys of the jobs that this process works on, with how many of its threads do."""

counting = threading.Lock()


@contextlib.contextmanager
def beating(jobs: Iterable[Job], worker: str) -> Iterator[None]:
    """Beat for the jobs meanwhile. One that was dropped, however that came, is soon found silent."""
    start(worker)
    keys = [job.pk for job in jobs]
    with counting:
        in_hand.update(keys)
    try:
        yield
    finally:
        with counting:
            in_hand.subtract(keys)
            for key in keys:
                if not in_hand[key]:
                    del in_hand[key]


@functools.lru_cache(maxsize=1)
def start(worker: str) -> threading.Thread:
    """Beat until the process ends; one thread for a process, however often it is called."""
    thread = threading.Thread(target=_beat, args=(worker,), name="heartbeat", daemon=True)
    thread.start()
    return thread


def _beat(worker: str) -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        close_old_connections()
        try:
            for key in tuple(in_hand):  # row by row: who locks several waits for others who do
                Job.objects.filter(pk=key, worker=worker).update(heartbeat_at=timezone.now())
        except Error:  # the next beat comes; only a long silence counts
            logger.warning("heartbeat", exc_info=True)
