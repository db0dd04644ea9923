"""Logs are stored, several in one transaction, and whoever listens is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.db import transaction

from datastores.domain.errors import LostTouch
from datastores.jobs import doorbell
from datastores.jobs.log_entries import Batch
from datastores.models import Job, JobEvent, JobStep

if TYPE_CHECKING:
    from datastores.jobs.log import JobLog


class TakenOver(LostTouch):
    """This worker was silent for too long: another one has the job, and this one must not touch it any more."""


def flush_all(logs: Sequence[JobLog]) -> None:
    """Store everything that was added to the logs, in one transaction; see ``JobLog.flush``.

    In a transaction of the caller's their tickers have to be stopped: those wait for the database with the lock held.
    """
    with contextlib.ExitStack() as locks:
        for log in logs:
            locks.enter_context(log.store)
        batches = [(log, batch) for log in logs if (batch := log.begin())]
        if not batches:
            return
        try:
            _write(batches)
        except BaseException:
            for log, batch in batches:
                log.count(batch)
            raise
        for log, _ in batches:
            log.end()
    transaction.on_commit(lambda: _ring(log for log, _ in batches))  # at once, when there is no transaction


def _write(batches: Sequence[tuple[JobLog, Batch]]) -> None:
    jobs = [log.job for log, _ in batches]
    worker = jobs[0].worker
    events = [event for log, batch in batches for event in log.events(batch)]
    with transaction.atomic(savepoint=False):
        mine = Job.objects.filter(pk__in=[job.pk for job in jobs], worker=worker)
        if mine.update(worker=worker) != len(jobs):  # an update, so that the rows are ours until the commit
            raise TakenOver(f"Another worker has {' or '.join(map(str, jobs))} now.")
        JobEvent.objects.bulk_create(events, batch_size=50)
        for log, batch in batches:
            for index, fields in batch.steps.items():
                JobStep.objects.filter(job=log.job, index=index).update(**fields)


def _ring(logs: Iterable[JobLog]) -> None:
    for log in logs:
        doorbell.ring_log(log.job, log.seq)
