"""How a job ends: rows, log, state, leases and audit entry together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CloudstoreError, CommandFailed
from datastores.domain.states import EventKind, JobState, Level
from datastores.jobs import doorbell
from datastores.jobs.log import JobLog
from datastores.jobs.log_entries import elapsed
from datastores.jobs.log_storing import flush_all
from datastores.jobs.submit import enqueue
from datastores.models import Job
from datastores.models.audit import Deed, in_turn, record_all
from datastores.models.jobs import UNDONE, move_all
from datastores.services import leases
from datastores.services.notifications import Said, tell, tell_all

END_LEVEL = {JobState.SUCCEEDED: Level.GOOD, UNDONE: Level.GOOD, JobState.CANCELLED: Level.WARNING}
AGAIN = " Remove the cause, then try again."
"""The advice at the end of what is told of a command that failed."""
TROUBLE = (JobState.FAILED, JobState.ERRORED)


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that this worker has, and what updates its rows in the transaction that ends it."""

    job: Job
    log: JobLog
    started: float
    """``time.monotonic()`` of the attempt."""
    update_rows: Callable[[], None]

    def tell(self, state: JobState, message: str) -> None:
        """Say in the log how it ended, and after how long."""
        word = self.job.word_in(state)
        text = (
            f"{word} {elapsed(self.started)} after another worker had it"
            if self.job.resumed
            else f"{word} after {elapsed(self.started)}"
        )
        self.log.add(EventKind.JOB, f"{text}: {message}" if message else text, level=END_LEVEL.get(word, Level.ERROR))


def end_all(endings: Sequence[Ending], before: JobState, state: JobState, message: str = "") -> bool:
    """End jobs that are in the state ``before``. False: not all were ours, so none is ended.

    One that a person asked to stop, a moment ago, does not succeed any more: that counts as not ours, too. Rows, log,
    state, leases and audit entry in one transaction: they agree, or the job is not ended.
    """
    jobs = [ending.job for ending in endings]
    for ending in endings:
        ending.log.stop_ticker()
    decided_on = ("worker", "cancel_requested_at") if state is JobState.SUCCEEDED else ("worker",)
    with in_turn():
        if not move_all(jobs, before, to=state, unchanged=decided_on, error=message):
            return False
        for ending in endings:
            ending.update_rows()
            ending.tell(state, message)
        flush_all([ending.log for ending in endings])
        for job in leases.release(jobs):
            enqueue(job)
        if state in TROUBLE:
            tell_failed(jobs, state, message)
        record_all(
            Deed(action=job.kind, user=job.user, address=job.address, target=job.target_label, job=job,
                 result=job.word_in(state), detail={"error": message} if message else {})
            for job in jobs
        )  # fmt: skip
    doorbell.ring_states(jobs)
    return True


def tell_failed(jobs: Sequence[Job], state: JobState, message: str) -> None:
    """Have people told. What the schedule could not read is told of the host; its defects are ours."""
    told_of = [job for job in jobs if job.user_id or state is JobState.ERRORED]
    tell_all("job.failed", [
        Said(f"{job.title} {state}", message, job.get_absolute_url(), f"job:{job.uuid}") for job in told_of
    ])  # fmt: skip


def tell_given_up(job: Job) -> None:
    """Have people told that the job waits for one of them to resume it."""
    text = f"{job.error} It was resumed {job.resumed} times by itself; now a person has to resume it."
    tell("job.given_up", f"{job.title} was given up", text.strip(), job.get_absolute_url(), f"job:{job.uuid}")


def told(error: Exception) -> str:
    """Return what the operator has to know: what happened, what was left, what to do."""
    defect = [] if isinstance(error, CloudstoreError) else [f"A defect in cloudstore: {type(error).__name__}:"]
    advice = [AGAIN.strip()] * isinstance(error, CommandFailed)
    return " ".join([*defect, str(error), *getattr(error, "__notes__", []), *advice])
