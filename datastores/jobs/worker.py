"""Workers of the queues: they stay in their process, so that SSH connections stay warm between jobs."""

from __future__ import annotations

import gc
import logging
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import uuid4

import django_rq
from django.core.cache import caches
from django.db import connections
from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty
from rq.worker_pool import ForkProcess, WorkerPool

from datastores.jobs.connections import pool
from datastores.jobs.periodic import run_schedule

logger = logging.getLogger(__name__)
SCHEDULE = "schedule"


class WarmWorker(SimpleWorker):
    """Runs jobs in its own process, without a fork for each, and closes its connections when it stops."""

    death_penalty_class = TimerDeathPenalty

    def teardown(self) -> None:
        pool().close()
        super().teardown()


def work(queue_names: tuple[str, ...], *, burst: bool = False) -> None:
    """Work until SIGTERM; a job in hand is finished first."""
    queues = [django_rq.get_queue(name) for name in queue_names]
    worker = WarmWorker(queues, connection=queues[0].connection, serializer=queues[0].serializer, name=uuid4().hex)
    worker.work(burst=burst, logging_level="WARNING")


class MixedPool(WorkerPool):
    """A pool whose workers listen to different queues, and one of which keeps the schedule.

    All are forked from one process that has everything loaded, so that they share its memory; one that dies is
    started again.
    """

    def __init__(self, slots: list[tuple[str, ...]]) -> None:
        """``slots``: the queues of each worker; ("schedule",) is the scheduler."""
        queue = django_rq.get_queue("interactive")
        super().__init__(
            queue.name.split(), queue.connection, len(slots), worker_class=WarmWorker, serializer=queue.serializer
        )
        self.slots = slots
        self.held: dict[str, tuple[str, ...]] = {}

    def start(self, burst: bool = False, logging_level: str = "WARNING") -> None:
        connections.close_all()
        caches.close_all()
        gc.collect()
        gc.freeze()  # the collector would write to every page and so end the sharing
        super().start(burst=burst, logging_level=logging_level)

    def get_worker_process(self, name: str, burst: bool, _sleep: float = 0, logging_level: str = "") -> BaseProcess:
        slot = self.free_slot()
        self.held[name] = slot
        if slot == (SCHEDULE,):
            return ForkProcess(target=run_schedule, name=SCHEDULE)
        return ForkProcess(target=work, args=(slot,), kwargs={"burst": burst}, name=f"worker {','.join(slot)}")

    def free_slot(self) -> tuple[str, ...]:
        free = list(self.slots)
        for name in self.worker_dict:
            free.remove(self.held[name])
        return free[0]

    def handle_dead_worker(self, worker_data: Any) -> None:
        super().handle_dead_worker(worker_data)
        slot = self.held.pop(worker_data.name)
        logger.warning("worker %s for %s ended", worker_data.pid, ",".join(slot))
