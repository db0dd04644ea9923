"""Which workers are there, and what waits for them, as Redis knows it.

RQ hears of a worker when it takes a job and every few minutes while it waits, but not during a long job: its record of
a worker in a copy of a day is gone, and that of one that was killed stays for minutes. So the processes beat for their
workers, and only what was heard of lately counts.

What RQ calls a worker is a thread of ours. To people a worker is a process, by the name that jobs show: its threads are
there, and are lost, together.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError
from rq import worker_registration
from rq.job import Job as Entry
from rq.utils import as_text, decode_redis_hash, utcformat, utcparse
from rq.worker import BaseWorker

from datastores.domain.alert_facts import QueueFacts, WorkerFacts
from datastores.domain.alert_rules import WORKER_LOST
from datastores.jobs.heartbeat import BEAT_SECONDS
from datastores.jobs.submit import queue

logger = logging.getLogger(__name__)
EVERY_SECONDS = min(BEAT_SECONDS, WORKER_LOST.limit / 4)
REMEMBERED_SECONDS = 600
"""How long Redis knows a worker that is not heard of any more. From then on its alert remembers it."""


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


def thread_name(process: str, number: int) -> str:
    """Return the name of a thread of a process, as RQ is told it."""
    return f"{process}.{number}"


def process_of(key: str) -> str:
    """Return the process of a thread by the key of its record. One that has no number is alone."""
    name = key.removeprefix(BaseWorker.redis_worker_namespace_prefix)
    process, _, number = name.rpartition(".")
    return process if process and number.isdecimal() else name


def known_keys(connection: Redis) -> list[str]:
    """Return the keys of the records of all threads."""
    return sorted(as_text(key) for key in connection.smembers(worker_registration.REDIS_WORKER_KEYS))


def seen_workers() -> list[WorkerFacts]:
    """Return the workers that Redis knows of, each with the queues of all its threads.

    What said goodbye is not among them.

    :raises RedisError: Redis does not answer.
    """
    connection = queue(settings.QUEUES[0]).connection
    keys = known_keys(connection)
    with connection.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        records = [decode_redis_hash(raw, decode_values=True) for raw in pipeline.execute()]
    threads: dict[str, list[dict[str, str]]] = {}
    for key, record in zip(keys, records, strict=True):
        if record.get("last_heartbeat") and "death" not in record:
            threads.setdefault(process_of(key), []).append(record)
    now = timezone.now()
    return [facts_of(name, records, now) for name, records in threads.items()]


def facts_of(process: str, threads: Sequence[Mapping[str, str]], now: datetime) -> WorkerFacts:
    queues = [name for thread in threads for name in thread.get("queues", "").split(",") if name]
    return WorkerFacts(
        name=process,
        host=threads[0].get("hostname", ""),
        queues=tuple(sorted(queues)),
        silent_seconds=min(age(thread["last_heartbeat"], now) for thread in threads),
        age_seconds=max(age(thread["birth"], now) if thread.get("birth") else float("inf") for thread in threads),
    )


def forget_worker(name: str) -> None:
    """Forget a worker that will not come back. One that beats after all is known again at once.

    :raises RedisError: Redis does not answer.
    """
    connection = queue(settings.QUEUES[0]).connection
    if keys := [key for key in known_keys(connection) if process_of(key) == name]:
        connection.delete(*keys)
        connection.srem(worker_registration.REDIS_WORKER_KEYS, *keys)


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
