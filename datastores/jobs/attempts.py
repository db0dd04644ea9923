"""An attempt at a job: claim it, carry its plan out, and leave rows and hosts agreeing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from django.db import Error as DatabaseError
from django.db import transaction
from django.urls import reverse

from datastores.domain.errors import Cancelled, CloudstoreError, LostTouch, NotTakenBack
from datastores.domain.plan import AnyStep, Plan
from datastores.domain.states import EventKind, JobState, Level
from datastores.hosts.journal import Journal
from datastores.hosts.previews import preview
from datastores.hosts.runner import LEFT, TAKEN_BACK, Run
from datastores.hosts.stages import steps_of
from datastores.hosts.undo import take_back
from datastores.jobs import doorbell
from datastores.jobs.attempt_ends import AttemptEnds
from datastores.jobs.claims import cancel_check, claim_all
from datastores.jobs.connections import connector
from datastores.jobs.doubts import doubt
from datastores.jobs.ends import told
from datastores.jobs.footprints import note_footprint
from datastores.jobs.journal import Failure, failure_of, journal_of
from datastores.jobs.log import JobLog
from datastores.jobs.log_storing import TakenOver
from datastores.jobs.steps import (
    Machines,
    approval_of,
    check_same_steps,
    machines_now,
    machines_of,
    shown_title,
    step_rows,
)
from datastores.jobs.submit import check_role
from datastores.models import Job, JobStep
from datastores.services.notifications import tell
from datastores.services.shared import needed_by_others

GOES_ON = "This one goes on: it reads the hosts first, and attaches to what still runs there."


class Attempt(AttemptEnds):
    """One attempt at one job by this worker."""

    def claim(self, state: JobState) -> bool:
        """Take the job. False: another worker was faster, or it waits for something else than it did."""
        return claim_all([self], state)

    def claimed(self, state: JobState, error: str) -> None:
        """Begin the log. ``error``: what the job said before."""
        self.state = state
        self.log = JobLog(self.job, secrets=self._secrets(), on_news=doubt)
        if self.job.resumed and error:
            self.log.add(EventKind.JOB, f"{error} {GOES_ON}", level=Level.WARNING)
        doorbell.ring_state(self.job)

    def make_plan(self) -> bool:
        """Read the hosts, store what would be done, and wait for a person."""
        return self._attempted(JobState.PLANNING, self._make_plan)

    def carry_out(self) -> bool:
        """Apply the plan."""
        return self._attempted(JobState.RUNNING, self._carry_out)

    def take_back(self) -> bool:
        """Undo what earlier attempts did."""
        return self._attempted(JobState.UNDOING, self._take_back)

    def _attempted(self, state: JobState, work: Callable[[], None]) -> bool:
        """Claim the job and do the work. False: it could not be claimed."""
        claimed = self.claim(state)
        if claimed:
            self.guard(work)
        return claimed

    def carry_on(self) -> None:
        """Go on by itself with what was begun together with other jobs."""
        self.is_begun = True
        self.guard(self._carry_out)

    def break_off(self, error: CloudstoreError) -> None:
        """End as somebody who had this error."""

        def fail() -> NoReturn:
            raise error

        self.guard(fail)

    # The three kinds of attempt

    def _make_plan(self) -> None:
        plan = self.plan(self._journal())
        machines = machines_now(plan)
        previews = preview(plan, connector(machines), self.log)
        refused = [found.refused for found in previews if found.refused]
        changes = sum(bool(found.change and found.change.actions) for found in previews)
        self.log.add(
            EventKind.JOB, f"planned: {changes} {'change' if changes == 1 else 'changes'}, {len(refused)} refused"
        )
        self.log.rest()
        with transaction.atomic():
            self.job.steps.all().delete()
            JobStep.objects.bulk_create(step_rows(self.job, plan, machines, previews))
            if not self.job.move(JobState.PLANNING, to=JobState.AWAITING, unchanged=("worker",)):
                raise TakenOver(f"Another worker has {self.job} now.")
            self.job.refresh_from_db(fields=["cancel_requested_at"])
            if self.job.cancel_requested_at:
                raise Cancelled("cancelled while it was planned")  # the move is rolled back
            tell("job.waits", f"{self.job.title} waits for approval", f"{self.job.user_label} asked for it.",
                 reverse("plan", args=[self.job.uuid]), f"job:{self.job.uuid}")  # fmt: skip
        doorbell.ring_state(self.job)

    def _carry_out(self) -> None:
        journal = self._journal()
        try:
            plan = self.plan(journal)
        except CloudstoreError as error:
            self._forsake(journal, error)
        machines = machines_of(self.job) if journal.touched or self.job.approved_at else self._store_steps(plan)
        steps = steps_of(plan)
        run = Run(
            plan,
            connector(machines),
            self.log,
            unit=f"cloudstore-{self.job.uuid.hex[:12]}",
            **({"approves": approval_of(self.job)} if self.job.approved_at else {}),
            journal=journal,
            cancelled=cancel_check(self.job),
            giving_up=self._give_up,
            needed=needed_by_others(self.job),
            leaves_out=self.case.leaves_out(self.job),
        )
        self.unreached = run.unreached
        run.carry_out()
        without = self.log.clean(" ".join(run.told_left_out()))
        results = [(step, run.facts[index]) for index, step in enumerate(steps) if index in run.facts]

        def succeed() -> bool:
            try:
                return self._end(JobState.SUCCEEDED, lambda: self.case.succeeded(self.job, results), without)
            except CloudstoreError as error:
                self.log.flush()  # the journal is to hold what was done
                self._forsake(journal_of(self.job), error)

        if not (ended := succeed()) and self.is_ours():
            self.log.flush()  # the journal is to hold what was done
            self._stopped_at_last(journal_of(self.job))
            ended = succeed()
        if ended:
            note_footprint(self.job, connector(machines))

    def _take_back(self) -> None:
        """Undo, and end as an operator asked, or as the attempt that gave up and lost its host would have ended."""
        journal = journal_of(self.job)
        self.failure = failure_of(self.job).after(journal)
        complete = self._undo(journal)
        if complete and not self.failure.reason:
            self._end(JobState.CANCELLED, lambda: self.case.undone(self.job), "taken back")
        else:
            error = f"{self.failure.reason} {TAKEN_BACK if complete else LEFT}".lstrip()
            self._end(JobState.FAILED, lambda: self._note_failure(error), error)

    # What they have in common

    def _store_steps(self, plan: Plan) -> Machines:
        """Store the steps of a plan that nobody was shown, and return which hosts they are about."""
        machines = machines_now(plan)
        if self.is_begun:
            self.job.steps.all().delete()
        JobStep.objects.bulk_create(step_rows(self.job, plan, machines))
        return machines

    def _journal(self) -> Journal:
        return journal_of(self.job) if self.is_begun else Journal()

    def plan(self, journal: Journal) -> Plan:
        """Return the plan; what is approved or begun must have the same steps still.

        :raises CloudstoreError: it cannot be done, or not by this person, or it is another plan now.
        """
        check_role(self.case, self.job.user)
        self.case.check_still(self.job)
        plan = self.case.plan(self.job)
        if journal.touched or self.job.approved_at:
            check_same_steps(self.job, steps_of(plan))
        self.log.hosts = [step.host for step in steps_of(plan)]
        self.log.titles = [shown_title(step) for step in steps_of(plan)]
        return plan

    def _give_up(self, reason: Exception, done: Journal) -> None:
        """Store that what was done is being taken back: from now on no attempt goes forward.

        :raises LostTouch: it could not be stored, so nothing may be taken back yet.
        """
        self.failure = Failure("" if isinstance(reason, Cancelled) else self.log.clean(told(reason))).after(done)
        try:
            Job.objects.filter(pk=self.job.pk, worker=self.job.worker).update(undo_requested=True)
            self.log.add(EventKind.JOB, f"taking back what was done: {reason}", level=Level.WARNING,
                         data=self.failure.data)  # fmt: skip
            self.log.flush()
        except DatabaseError as error:
            raise LostTouch(f"The database did not store that the job is being taken back: {error}") from error

    def _stopped_at_last(self, journal: Journal) -> None:
        """Take everything back, if that can be done: a person asked for it when it had just been done.

        :raises Cancelled: it is. :raises NotTakenBack: not all of it is.
        """
        if not journal.can_be_undone:
            self.log.add(EventKind.JOB, "It was to be cancelled when all was done, which cannot be undone.")
            return
        reason = Cancelled("cancelled when all was done.")
        self._give_up(reason, journal)
        if self._undo(journal):
            raise reason
        raise NotTakenBack(f"{reason} {LEFT}")

    def _forsake(self, journal: Journal, error: CloudstoreError) -> NoReturn:
        """Take back what was done, if anything was, because it cannot be carried on; then raise the error."""
        if not journal.touched:
            raise error
        self._give_up(error, journal)
        error.add_note(TAKEN_BACK if self._undo(journal) else LEFT)
        raise error

    def _undo(self, journal: Journal) -> bool:
        """Take back what the journal holds; see ``hosts.undo``."""
        self.log.hosts = list(self.job.steps.values_list("host", flat=True))
        self.log.titles = list(self.job.steps.values_list("title", flat=True))
        stages = list(self.job.steps.values_list("stage", flat=True))
        connect, needed = connector(machines_of(self.job)), needed_by_others(self.job)
        return take_back(journal, self._steps_begun, stages, connect, self.log, needed)

    def _steps_begun(self) -> list[AnyStep]:
        """Return the steps by which the hosts can be judged. Raises StalePlan when the plan has others now."""
        steps = steps_of(self.case.plan(self.job))
        check_same_steps(self.job, steps)
        return steps

    def _secrets(self) -> tuple[str, ...]:
        password = self.job.host.first_password if self.job.host else ""
        return (password,) if password else ()
