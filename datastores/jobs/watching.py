"""What the schedule does to know whether all is well: alerts, and the tallies behind the metrics."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable

from django.conf import settings
from redis import ConnectionPool, Redis
from redis.exceptions import RedisError

from datastores.domain.alert_facts import QueueFacts, WorkerFacts
from datastores.jobs.kinds import KINDS
from datastores.jobs.presence import seen_queues, seen_workers
from datastores.jobs.submit import queue
from datastores.services import alerts, tallies
from datastores.services.alert_facts import gather, open_alerts

logger = logging.getLogger(__name__)
Machinery = tuple[list[WorkerFacts] | None, list[QueueFacts] | None]


def machinery() -> Machinery:
    """Return the workers and the queues; None: Redis does not answer, which is a finding of its own."""
    try:
        return seen_workers(), seen_queues()
    except RedisError as error:
        logger.warning("Redis does not answer: %s", error)
        return None, None


PATIENCE, FRESH = 1.0, 5.0
"""Seconds within which Redis answers when it is well, and for which an answer counts: all pages are waiting."""


@functools.cache
def impatient() -> Redis:
    """Return a connection to the Redis of the queues that does not wait long."""
    pool = queue(settings.QUEUES[0]).connection.connection_pool
    soon = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    return Redis(
        connection_pool=ConnectionPool(connection_class=pool.connection_class, **(pool.connection_kwargs | soon))
    )


class Pulse:
    """Whether Redis answers, asked every few seconds for all who want to know."""

    def __init__(self) -> None:
        self._until, self._answers = 0.0, True

    def answers(self) -> bool:
        if time.monotonic() >= self._until:
            try:
                self._answers = bool(impatient().ping())
            except RedisError:
                self._answers = False
            self._until = time.monotonic() + FRESH
        return self._answers


queue_answers = Pulse().answers
"""Tell whether jobs can be handed to workers, and pages be told of them."""


def evaluate(duties: Iterable[str]) -> int:
    """Hold what is known now against the rules of alerts. ``duties``: names of what the schedule does."""
    told = open_alerts()
    return alerts.evaluate(gather(*machinery(), duties, told))


def forget_alerts() -> int:
    """Delete alerts that ended long ago."""
    return alerts.forget()


def count_ends() -> int:
    """Count the jobs that have ended since it was done last."""
    return tallies.count_ends(KINDS)
