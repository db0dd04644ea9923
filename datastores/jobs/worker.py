"""Workers of the queues: they stay in their process, so that SSH connections stay warm between jobs."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import django_rq
from django.core.cache import caches
from django.db import close_old_connections, connection, connections
from django.utils.module_loading import import_string
from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty
from rq.worker_pool import ForkProcess, WorkerPool

from datastores.jobs import doorbell
from datastores.jobs.claims import worker_name
from datastores.jobs.connections import keep_warm, pool
from datastores.jobs.presence import keep_beating, thread_name
from datastores.jobs.schedule import SCHEDULE, run_schedule
from datastores.jobs.submit import RUN

logger = logging.getLogger(__name__)
PATIENCE = 25.0
"""Seconds that a job in hand gets to end when its worker is stopped; then it is resumed by another."""

Slot = tuple[str, ...]
"""What the threads of one process do: "interactive", "provision,monitor" (queues), or "schedule"."""


class WarmWorker(SimpleWorker):
    """A thread that runs jobs, without a fork for each."""

    death_penalty_class = TimerDeathPenalty

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.at_work = threading.Lock()

    def _install_signal_handlers(self) -> None:
        """Signals belong to the main thread."""

    def work(self, *args: Any, **options: Any) -> bool:
        """Run jobs until it is stopped. What the first one would wait for is opened before."""
        connection.ensure_connection()
        doorbell.rehearse()
        done: bool = super().work(*args, **options)
        return done

    def execute_job(self, job: Any, queue: Any) -> None:
        """Run one job. A connection to the database that was lost meanwhile, or is too old, is made anew for it."""
        with self.at_work:
            close_old_connections()
            try:
                super().execute_job(job, queue)
            finally:
                close_old_connections()

    def stop(self, deadline: float) -> None:
        """Take no further job; wait for the one in hand until the deadline (``time.monotonic()``)."""
        self._stop_requested = True
        if not self.at_work.acquire(timeout=max(0.0, deadline - time.monotonic())):
            logger.warning("worker %s is stopped in the middle of a job", self.name)


def worker_for(queue_names: str, number: int) -> WarmWorker:
    """Return what will be thread ``number`` of this process."""
    queues = [django_rq.get_queue(name) for name in queue_names.split(",")]
    name, first = thread_name(worker_name(), number), queues[0]
    return WarmWorker(queues, connection=first.connection, serializer=first.serializer, name=name)


def work(slot: Slot) -> None:
    """Run the threads of a slot until SIGTERM, or until one of them ends: then the pool starts the slot again.

    A pool that was killed is started anew with workers of its own, so the old ones do not outlive it.
    """
    ending, pool_process = threading.Event(), os.getppid()
    allow_many_connections()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    workers = [worker_for(names, number) for number, names in enumerate(slot) if names != SCHEDULE]
    loops: list[Callable[[], object]] = [
        lambda worker=worker: worker.work(logging_level="WARNING") for worker in workers
    ]
    loops += [run_schedule] * (SCHEDULE in slot)
    loops += [lambda: keep_beating(workers, ending)] * bool(workers)
    loops += [lambda: keep_warm(ending)] * any("interactive" in names for names in slot)

    def run(loop: Callable[[], object]) -> None:
        try:
            loop()
        finally:
            ending.set()

    for loop in loops:
        threading.Thread(target=run, args=(loop,), daemon=True).start()
    while not ending.wait(1.0) and os.getppid() == pool_process:
        pass
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        worker.stop(deadline)
        worker.register_death()
    pool().close()


def allow_many_connections() -> None:
    """Use all the open files that the system grants: a scan for drift connects to every host."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class MixedPool(WorkerPool):
    """A pool of processes that do different things.

    All are forked from one process that has everything loaded, so that they share its memory; one that dies is
    started again.
    """

    def __init__(self, slots: list[Slot]) -> None:
        queue = django_rq.get_queue("interactive")
        super().__init__([queue.name], queue.connection, len(slots), serializer=queue.serializer)
        self.slots = slots
        self.held: dict[str, Slot] = {}

    def start(self, burst: bool = False, logging_level: str = "WARNING") -> None:
        import_string(RUN)  # with all that jobs need
        connections.close_all()
        caches.close_all()
        gc.collect()
        gc.freeze()  # the collector would write to every page and so end the sharing
        super().start(burst=burst, logging_level=logging_level)

    def get_worker_process(self, name: str, burst: bool, _sleep: float = 0, logging_level: str = "") -> BaseProcess:
        self.held[name] = self.free_slot()
        return ForkProcess(target=work, args=(self.held[name],), name="+".join(self.held[name]))

    def free_slot(self) -> Slot:
        free = list(self.slots)
        for name in self.worker_dict:
            free.remove(self.held[name])
        return free[0]

    def handle_dead_worker(self, worker_data: Any) -> None:
        super().handle_dead_worker(worker_data)
        logger.warning("worker %s for %s ended", worker_data.pid, "+".join(self.held.pop(worker_data.name)))
