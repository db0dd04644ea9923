"""What a worker is given: a job, or a pack of jobs that were asked for at once and can be done together.

A pack is read, journalled, carried out, verified and ended in one go each, for as long as all goes well. Whatever is
different (a refusal, a command that fails, a person who cancels, another worker) is left to the job's own attempt,
which goes on from the journal and the host, as after a crash.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import AnyStep, Change, Plan
from datastores.domain.states import JobState, StepState
from datastores.hosts.journal import Journal
from datastores.hosts.stages import steps_of
from datastores.hosts.together import Found, apply, look
from datastores.jobs import heartbeat
from datastores.jobs.connections import connector
from datastores.jobs.kinds import KINDS
from datastores.jobs.log import TakenOver, flush_all
from datastores.jobs.run import WITH_TARGETS, Attempt, claim_all, end_all, run_job, step_rows, worker_name
from datastores.models import Job, JobStep

logger = logging.getLogger(__name__)


def run_jobs(*uuids: str) -> None:
    """Entry point of the queues. Jobs that do not wait for a worker (any more) are left alone."""
    if len(uuids) > 1:
        run_pack(uuids)
    for uuid in uuids if len(uuids) == 1 else waiting(uuids):
        run_job(uuid)


def waiting(uuids: Sequence[str]) -> list[str]:
    """Return those of the jobs that were not done together."""
    left = Job.objects.filter(uuid__in=uuids, state=JobState.QUEUED).order_by("pk")
    return [str(uuid) for uuid in left.values_list("uuid", flat=True)]


def run_pack(uuids: Sequence[str]) -> None:
    """Do together the jobs that wait for their first attempt."""
    fresh = Job.objects.filter(uuid__in=uuids, state=JobState.QUEUED, attempts=1, undo_requested=False)
    jobs = list(fresh.select_related(*WITH_TARGETS).order_by("pk"))
    if not jobs:
        return
    case = KINDS[jobs[0].kind]
    attempts = [Attempt(job, case) for job in jobs]
    with heartbeat.beating(jobs, worker_name()):
        if claim_all(attempts, JobState.RUNNING):
            case.look_ahead(jobs)
            finish(attempts)


def finish(attempts: Sequence[Attempt]) -> None:
    """Bring claimed attempts to their ends: together, and what that does not reach by itself."""
    left = Attempt.carry_on
    ended: set[Attempt] = set()
    try:
        ended = do_together(attempts)
    except TakenOver as error:
        logger.warning("a pack of %s jobs is done one by one: %s", len(attempts), error)
    except CloudstoreError as error:
        left = partial(Attempt.break_off, error=error)
    except Exception:
        logger.exception("a pack of %s jobs is done one by one", len(attempts))
    for attempt in attempts:
        if attempt not in ended:
            try:
                left(attempt)
            except TakenOver:
                logger.warning("job %s was taken over by another worker", attempt.job.uuid)


def do_together(attempts: Sequence[Attempt]) -> set[Attempt]:
    """Carry out what one host can do at once. Return the attempts that have ended.

    :raises CloudstoreError: nothing was done, or with ``LostTouch`` nobody knows what was.
    """
    members = [member for attempt in attempts if (member := member_of(attempt))]
    members = [member for member in members if member.step.host == members[0].step.host]
    if not members:
        return set()
    shell, steps = connector()(members[0].step.host), [member.step for member in members]
    started = time.monotonic()
    found = look(shell, steps)
    seconds = time.monotonic() - started
    for place in found:
        members[place].attempt.log.facts(shell.host, len(steps), seconds)
    if changes := {place: it.change for place, it in found.items() if it.change}:
        journal({members[place]: change for place, change in changes.items()})
        found |= apply(shell, steps, changes)
    endings = {}
    for place, it in found.items():
        if it.change is None:
            members[place].tell(it)
            endings[members[place].attempt] = partial(members[place].succeeded, it)
    return set(endings) if endings and end_all(endings, JobState.SUCCEEDED) else set()


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A job of a pack, whose plan is one step."""

    attempt: Attempt
    plan: Plan
    step: AnyStep

    def tell(self, found: Found) -> None:
        log = self.attempt.log
        for number, output in enumerate(found.outputs):
            if output.stdout:
                log.output(0, output.stdout)
            log.action_ended(0, number, output)
        log.step(0, StepState.CHANGED if found.outputs else StepState.UNCHANGED)

    def succeeded(self, found: Found) -> None:
        if not found.outputs:  # else the journal came with it
            JobStep.objects.bulk_create(step_rows(self.attempt.job, self.plan))
        self.attempt.case.succeeded(self.attempt.job, [(self.step, found.facts)])


def member_of(attempt: Attempt) -> Member | None:
    """Return the attempt with its step; None: it goes another way."""
    try:
        plan = attempt.plan(Journal())
    except CloudstoreError:  # its own attempt will find the same, and tell
        return None
    steps = steps_of(plan)
    return Member(attempt, plan, steps[0]) if len(steps) == 1 else None


def journal(changes: Mapping[Member, Change]) -> None:
    """Store what is about to be done, and how it is undone."""
    for member, change in changes.items():
        member.attempt.log.step(0, StepState.RUNNING, change.summary)
        member.attempt.log.note_actions(0, 0, change.actions)
    with transaction.atomic():
        JobStep.objects.bulk_create([row for member in changes for row in step_rows(member.attempt.job, member.plan)])
        flush_all([member.attempt.log for member in changes])
