"""Which workers are there, and what waits for them, as Redis knows it.

RQ hears of a worker when it takes a job and every few minutes while it waits, but not during a long job: its record of
a worker in a copy of a day is gone, and that of one that was killed stays for minutes. So the processes beat for their
workers, and only what was heard of lately counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from redis.exceptions import RedisError
from rq import worker_registration
from rq.job import Job as Entry
from rq.utils import as_text, decode_redis_hash, utcformat, utcparse
from rq.worker import BaseWorker

from datastores.domain.alert_rules import WORKER_LOST
from datastores.domain.alerts import QueueFacts, WorkerFacts
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.submit import queue

logger = logging.getLogger(__name__)
EVERY_SECONDS = min(BEAT_SECONDS, WORKER_LOST.limit / 4)
REMEMBERED_SECONDS = 600
"""How long a worker that is not heard of any more is told of as lost."""


def keep_beating(workers: Sequence[BaseWorker], ending: threading.Event) -> None:
    """Give a sign of life for the workers of this process until it ends."""
    while not ending.wait(EVERY_SECONDS):
        try:
            beat(workers)
        except RedisError as error:  # the next beat comes; only a long silence counts
            logger.warning("no sign of life could be given: %s", error)


def beat(workers: Sequence[BaseWorker]) -> None:
    """Write the whole record of each worker, so that one that Redis has forgotten is known again."""
    for worker in workers:
        if worker.birth_date is None:  # it registers itself first, and refuses a name that is taken
            continue
        with worker.connection.pipeline() as pipeline:
            record = {name: str(value or "") for name, value in worker.serialize().items()}
            pipeline.hset(worker.key, mapping=record | {"last_heartbeat": utcformat(timezone.now())})
            pipeline.expire(worker.key, REMEMBERED_SECONDS)
            worker_registration.register(worker, pipeline)
            pipeline.execute()


def seen_workers() -> list[WorkerFacts]:
    """Return the workers that Redis knows of; one that said goodbye is not among them.

    :raises RedisError: Redis does not answer.
    """
    connection = queue(settings.QUEUES[0]).connection
    keys = sorted(as_text(key) for key in connection.smembers(worker_registration.REDIS_WORKER_KEYS))
    with connection.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        records = [decode_redis_hash(raw, decode_values=True) for raw in pipeline.execute()]
    now = timezone.now()
    return [
        WorkerFacts(
            name=key.rpartition(":")[2],
            host=record.get("hostname", ""),
            queues=tuple(filter(None, record.get("queues", "").split(","))),
            silent_seconds=age(record["last_heartbeat"], now),
        )
        for key, record in zip(keys, records, strict=True)
        if record.get("last_heartbeat") and "death" not in record
    ]


def seen_queues() -> list[QueueFacts]:
    """Return the queues with what waits in them, in two round trips.

    :raises RedisError: Redis does not answer.
    """
    queues = [queue(name) for name in settings.QUEUES]
    connection = queues[0].connection
    with connection.pipeline(transaction=False) as pipeline:
        for each in queues:
            pipeline.llen(each.key)
            pipeline.lindex(each.key, 0)
        answers = pipeline.execute()
        for first in answers[1::2]:
            pipeline.hget(Entry.key_for(as_text(first)) if first else "rq:job:none", "enqueued_at")
        enqueued = pipeline.execute()
    now = timezone.now()
    return [
        QueueFacts(each.name, int(depth), age(as_text(at), now) if at else 0.0)
        for each, depth, at in zip(queues, answers[::2], enqueued, strict=True)
    ]


def age(moment: str, now: datetime) -> float:
    """Return the seconds since a moment as RQ writes it."""
    return max(0.0, (now - utcparse(moment)).total_seconds())
