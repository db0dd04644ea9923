"""What a worker is given: a job, or a pack of jobs that were asked for at once and can be done together.

A pack is read, journalled, carried out, verified and ended in one go each, as long as all goes well. A job of which
something is different (a refusal, a command that fails, a person who cancels, an end that cannot be stored) goes on
alone, from the journal and the host, as after a crash. One that another worker has taken over is left to that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from datastores.domain.errors import CloudstoreError, LostTouch
from datastores.domain.plan import AnyStep, Change, Plan, Shell
from datastores.domain.states import JobState, StepState
from datastores.hosts.journal import Journal
from datastores.hosts.lanes import LOST
from datastores.hosts.stages import steps_of
from datastores.hosts.together import Found, apply, look
from datastores.jobs import heartbeat
from datastores.jobs.approval import waits
from datastores.jobs.attempts import Attempt
from datastores.jobs.claims import claim_all, worker_name
from datastores.jobs.connections import connector
from datastores.jobs.ends import end_all
from datastores.jobs.kinds import KINDS
from datastores.jobs.log_storing import TakenOver, flush_all
from datastores.jobs.run import WITH_TARGETS, run_job
from datastores.jobs.steps import machines_now, step_rows
from datastores.models import Job, JobStep

logger = logging.getLogger(__name__)


def run_jobs(*uuids: str) -> None:
    """Entry point of the queues. Jobs that do not wait for a worker (any more) are left alone."""
    if len(uuids) == 1:
        run_job(uuids[0])
        return
    run_pack(uuids)
    for uuid in not_begun(uuids):
        run_job(uuid)


def run_pack(uuids: Sequence[str]) -> None:
    """Do together the jobs that wait for their first attempt.

    Of those none waits for another job: it would not have been handed over.
    """
    fresh = Job.objects.filter(uuid__in=uuids, state=JobState.QUEUED, attempts=1, undo_requested=False)
    jobs = list(fresh.select_related(*WITH_TARGETS).order_by("pk"))
    if not jobs or any(waits(job) for job in jobs):
        return  # each has a plan of its own to be approved
    case = KINDS[jobs[0].kind]
    attempts = [Attempt(job, case) for job in jobs]
    with heartbeat.beating(jobs, worker_name()):
        if claim_all(attempts, JobState.RUNNING):
            Pack(attempts).work()


def not_begun(uuids: Sequence[str]) -> list[str]:
    left = Job.objects.filter(uuid__in=uuids, state=JobState.QUEUED).order_by("pk")
    return [str(uuid) for uuid in left.values_list("uuid", flat=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A job whose plan is one step."""

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
        self.attempt.case.succeeded(self.attempt.job, [(self.step, found.facts)])


@dataclass(slots=True)
class Pack:
    """Attempts of one kind that this worker has claimed."""

    attempts: Sequence[Attempt]
    ended: set[Attempt] = field(default_factory=set)
    broken: dict[Attempt, CloudstoreError] = field(default_factory=dict)
    """What keeps an attempt from going on alone: its host does not answer."""

    def work(self) -> None:
        """Bring the attempts to their ends."""
        try:
            self._together()
        except TakenOver as error:
            logger.warning("a pack of %s jobs is done one by one: %s", len(self.attempts), error)
        except Exception:  # a defect, or the database is away: then alone each job says what it is
            logger.exception("a pack of %s jobs is done one by one", len(self.attempts))
        for attempt in self.attempts:
            if attempt not in self.ended:
                self._alone(attempt)

    def _alone(self, attempt: Attempt) -> None:
        try:
            if not attempt.is_ours():
                logger.warning("job %s was taken over by another worker", attempt.job.uuid)
                return
            attempt.log.forget()
            if error := self.broken.get(attempt):
                if isinstance(error, LostTouch):
                    attempt.log.step(0, StepState.UNKNOWN, LOST)
                attempt.break_off(error)
            else:
                attempt.carry_on()
        except TakenOver:
            logger.warning("job %s was taken over by another worker", attempt.job.uuid)
        except Exception:  # it is found silent, and resumed; the others must not wait for that
            logger.exception("job %s is dropped", attempt.job.uuid)

    def _together(self) -> None:
        self.attempts[0].case.look_ahead([attempt.job for attempt in self.attempts])
        members = of_one_host(self.attempts)
        if not members:
            return
        machines = machines_now(members[0].plan)
        rows = [row for member in members for row in step_rows(member.attempt.job, member.plan, machines)]
        JobStep.objects.bulk_create(rows)
        try:
            shell = connector(machines)(members[0].step.host)
            found = self._look(shell, members)
        except CloudstoreError as error:  # the host's, and so that of all
            self.broken = {member.attempt: error for member in members}
            return
        if changes := {place: it.change for place, it in found.items() if it.change}:
            found |= self._apply(shell, members, changes)
        self._end({members[place]: it for place, it in found.items() if it.change is None})

    def _look(self, shell: Shell, members: Sequence[Member]) -> dict[int, Found]:
        """Return what was found, by their places, of those that nobody has stopped or taken over."""
        started = time.monotonic()
        found = look(shell, [member.step for member in members])
        seconds = time.monotonic() - started
        going_on = still_running(members)
        found = {place: it for place, it in found.items() if members[place] in going_on}
        for place in found:
            members[place].attempt.log.facts(shell.host, len(members), seconds)
        return found

    def _apply(self, shell: Shell, members: Sequence[Member], changes: Mapping[int, Change]) -> dict[int, Found]:
        """Return those that are so now."""
        journal({members[place]: change for place, change in changes.items()})
        try:
            return apply(shell, [member.step for member in members], changes)
        except LostTouch as error:
            self.broken = {members[place].attempt: error for place in changes}
            return {}

    def _end(self, done: Mapping[Member, Found]) -> None:
        """End those that are so, without one that was stopped or taken over meanwhile."""
        mine = still_running(done)
        for member in mine:
            member.tell(done[member])
        endings = [member.attempt.ending(partial(member.succeeded, done[member])) for member in mine]
        if endings and end_all(endings, JobState.RUNNING, JobState.SUCCEEDED):
            self.ended = {member.attempt for member in mine}


def of_one_host(attempts: Iterable[Attempt]) -> list[Member]:
    """Return those whose plan is one step on the host of the first."""
    members = [member for attempt in attempts if (member := member_of(attempt))]
    return [member for member in members if member.step.host == members[0].step.host]


def member_of(attempt: Attempt) -> Member | None:
    """Return the attempt with its step; None: it goes another way."""
    try:
        plan = attempt.plan(Journal())
    except CloudstoreError:  # alone it will find the same, and tell
        return None
    steps = steps_of(plan)
    return Member(attempt, plan, steps[0]) if len(steps) == 1 else None


def still_running(members: Iterable[Member]) -> list[Member]:
    """Return those whose jobs are still this worker's, and which nobody has asked to stop."""
    by_key = {member.attempt.job.pk: member for member in members}
    mine = Job.objects.filter(pk__in=by_key, state=JobState.RUNNING, worker=worker_name(), cancel_requested_at=None)
    return [by_key[key] for key in mine.order_by("pk").values_list("pk", flat=True)]


def journal(changes: Mapping[Member, Change]) -> None:
    """Store what is about to be done, and how it is undone."""
    for member, change in changes.items():
        member.attempt.log.step(0, StepState.RUNNING, change.summary)
        member.attempt.log.note_actions(0, 0, change.actions)
    flush_all([member.attempt.log for member in changes])
