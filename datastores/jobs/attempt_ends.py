"""How an attempt at a job ends, whatever comes of its work: rows and log agree, and who waits is told."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable

from django.db import transaction

from datastores.domain.errors import Cancelled, CloudstoreError, LostTouch, NotTakenBack, Unreachable
from datastores.domain.states import EventKind, JobState, Level
from datastores.hosts.runner import LEFT
from datastores.jobs import doorbell
from datastores.jobs.backups import is_over, sweeping
from datastores.jobs.connections import connector
from datastores.jobs.doubts import doubt
from datastores.jobs.ends import Ending, end_all, tell_given_up, told
from datastores.jobs.journal import Failure
from datastores.jobs.log import JobLog
from datastores.jobs.quarantine import quarantine_after
from datastores.jobs.steps import machines_of
from datastores.models import Job
from datastores.services.usecase import UseCase

logger = logging.getLogger(__name__)


class AttemptEnds:
    """What an attempt is about, and its end."""

    log: JobLog
    """From the moment that the job was claimed."""

    def __init__(self, job: Job, case: UseCase) -> None:
        self.job, self.case = job, case
        self.started = time.monotonic()
        self.state = JobState.RUNNING
        self.is_begun = job.attempts > 1
        """There may be steps and a journal."""
        self.failure = Failure()
        self.unreached: set[str] = set()
        """Hosts of which it heard nothing: they are read when it has ended."""

    def is_ours(self) -> bool:
        """Tell whether the job is still this worker's, and learn whether a person wants it to stop."""
        row = Job.objects.filter(pk=self.job.pk, worker=self.job.worker, state=self.state)
        found = row.values_list("cancel_requested_at", flat=True)[:1]
        self.job.cancel_requested_at = found[0] if found else None
        return bool(found)

    def guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Unreachable as error:
            quarantine_after(error)
            if isinstance(error, LostTouch) or self.state is JobState.UNDOING:
                self._interrupted(str(error))
            else:
                self._failed(error)
            self.unreached |= {error.host} if error.host else set(self.log.hosts)
        except Cancelled as error:
            self._end(JobState.CANCELLED, lambda: self.case.cancelled(self.job), self.log.clean(told(error)))
        except CloudstoreError as error:
            self._failed(error)
        except Exception as error:
            logger.exception("job %s", self.job.uuid)
            message = self.log.clean(told(error))
            self.log.add(EventKind.JOB, traceback.format_exc(), level=Level.ERROR)
            self._end(JobState.ERRORED, lambda: self._note_failure(message), message)
        if self.unreached:
            doubt(self.unreached)

    def _failed(self, error: CloudstoreError) -> None:
        message = self.log.clean(told(error))
        if self.is_ours() and self.job.cancel_requested_at and not self._left_something(error):
            self._end(JobState.CANCELLED, lambda: self.case.cancelled(self.job), f"it was to stop, and {message}")
            return
        note = self._note_unreachable if isinstance(error, Unreachable) else self._note_failure
        self._end(JobState.FAILED, lambda: note(message), message)

    def _note_unreachable(self, message: str) -> None:
        self.case.unreachable(self.job, message)

    def _note_failure(self, message: str) -> None:
        if self.failure.final:
            self.case.broken_off(self.job, message, lossy=self.failure.lossy)
        else:
            self.case.failed(self.job, message)

    def _left_something(self, error: CloudstoreError) -> bool:
        return isinstance(error, NotTakenBack) or LEFT in getattr(error, "__notes__", ())

    def _interrupted(self, message: str) -> None:
        message = self.log.clean(message)
        self.log.add(EventKind.JOB, f"interrupted: {message}", level=Level.WARNING)
        self.log.rest()
        with transaction.atomic():
            moved = self.job.move(self.state, to=JobState.INTERRUPTED, unchanged=("worker",), error=message)
            if moved and self.job.is_given_up:
                tell_given_up(self.job)
        doorbell.ring_state(self.job)

    def ending(self, update_rows: Callable[[], None]) -> Ending:
        return Ending(self.job, self.log, self.started, update_rows)

    def _end(self, state: JobState, update_rows: Callable[[], None], message: str = "") -> bool:
        """End the job, unless reconcile gave it to somebody else: then that attempt writes the end. See ``end_all``."""
        over = is_over(state, message, can_undo=self.case.can_undo)
        sweep = sweeping(self.job, connector(machines_of(self.job))) if over else None
        ended = end_all([self.ending(update_rows)], self.state, state, message)
        if ended and sweep:
            sweep()
        return ended
