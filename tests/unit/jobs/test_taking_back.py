"""What a job had done when it was cancelled, failed or lost its worker: taken back, or said to be left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.utils import timezone

from datastores.domain.errors import Refused, Unreachable
from datastores.domain.plan import AnyStep, Plan, Stage
from datastores.domain.states import EventKind, JobState, StepState
from datastores.hosts.runner import LEFT, TAKEN_BACK
from datastores.jobs import attempts, control
from datastores.jobs.journal import journal_of
from datastores.jobs.log import JobLog
from datastores.models import Cluster, Job, JobEvent, Lease, User
from datastores.services.usecase import Results
from tests.fakes import FakeShell, said
from tests.unit.flags import FlagCopied, FlagForGood, FlagGone, FlagSet, ran
from tests.unit.jobs.conftest import Ask, FlagsUp, work

pytestmark = pytest.mark.django_db(transaction=True)
LOST = Unreachable("h1 does not answer")
PlanIs = Callable[..., None]


@pytest.fixture
def plan_is(monkeypatch: pytest.MonkeyPatch) -> PlanIs:
    """Give the jobs of this test other steps."""

    def planned(*steps: AnyStep) -> None:
        plan: Plan = (Stage("all", steps),)
        monkeypatch.setattr(FlagsUp, "plan", lambda self, job: plan)

    return planned


def resume(job: Job, *, cancelled: bool = False) -> Job:
    """Do what a worker does with a job that another one left when it died, or that was interrupted."""
    asked = timezone.now() if cancelled else None
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED, attempts=2, cancel_requested_at=asked)
    return work(job)


def left_by_a_dead_worker(job: Job, *flags: str) -> None:
    """Make it look as if the worker had died when ``set`` of these flags was running."""
    work(job)
    steps = {"a": 0, "b": 1}
    JobEvent.objects.filter(job=job, kind=EventKind.ACTION_DONE, step__in=[steps[flag] for flag in flags]).delete()


# What others need


def test_an_undo_leaves_what_others_need_and_is_complete(
    ask: Ask, shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = work(ask())
    monkeypatch.setattr(attempts, "needed_by_others", lambda job: lambda entry: "two needs it" * (not entry.index))
    control.undo(job, operator)
    job = work(job)
    assert (job.state, Cluster.objects.get().description) == (JobState.CANCELLED, "undone")
    assert ran(shell, "clear") == [("clear", "b")]
    assert job.steps.get(index=0).state == StepState.KEPT
    assert job.events.filter(kind=EventKind.UNDO, text="kept: two needs it", step=0).exists()
    assert journal_of(job).touched == frozenset(), "it is theirs now"


# Cancelled


@pytest.mark.parametrize("how", ["taken back", "resumed"])
def test_a_cancelled_copy_has_its_unit_stopped_first(
    ask: Ask, shell: FakeShell, operator: User, plan_is: PlanIs, how: str
) -> None:
    plan_is(FlagCopied("h1", "a"))
    shell.answers["copy", "a"] = LOST
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    if how == "taken back":
        control.cancel(job, operator)
        job = work(job)
    else:
        job = resume(job, cancelled=True)
    assert job.state == JobState.CANCELLED
    assert ran(shell, "stop", "rm") == [("stop", shell.units[0]), ("rm", "a")]
    assert journal_of(job).touched == frozenset()


def test_what_a_dead_worker_did_is_taken_back_when_the_job_was_cancelled_meanwhile(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")
    job = resume(job, cancelled=True)
    assert job.state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]


def test_a_cancelled_job_of_which_something_is_left_has_failed_and_keeps_its_rows(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")
    shell.answers["clear", "a"] = said(exit_status=1, stderr="device is busy")
    job = resume(job, cancelled=True)
    assert job.state == JobState.FAILED
    assert LEFT in job.error
    assert Cluster.objects.get().description.startswith("failed: ")


def test_a_job_that_was_cancelled_while_it_was_planned_ends(
    ask: Ask, shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask("test.approved")
    plan = FlagsUp.plan

    def meanwhile(self: FlagsUp, job: Job) -> Plan:
        control.cancel(Job.objects.get(pk=job.pk), operator)
        return plan(self, job)

    monkeypatch.setattr(FlagsUp, "plan", meanwhile)
    assert work(job).state == JobState.CANCELLED
    assert not Lease.objects.exists()
    assert Cluster.objects.get().description == "cancelled"


# The host is lost meanwhile


def test_a_job_that_lost_its_host_while_it_took_back_goes_on_taking_back(ask: Ask, shell: FakeShell) -> None:
    shell.answers["get", "b"] = said("broken")
    shell.answers["clear", "a"] = LOST
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    assert job.undo_requested
    shell.commands.clear()
    shell.answers["clear", "a"] = said()
    job = resume(job)
    assert ran(shell, "set", "clear") == [("clear", "a")]
    assert job.state == JobState.FAILED
    assert job.error == f"b is broken {TAKEN_BACK}"


def test_a_cancelled_job_that_lost_its_host_while_it_took_back_is_cancelled(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")
    shell.answers["clear", "a"] = LOST
    assert resume(job, cancelled=True).state == JobState.INTERRUPTED
    shell.answers["clear", "a"] = said()
    assert resume(job).state == JobState.CANCELLED


def test_a_failed_copy_is_removed_also_by_the_attempt_after(ask: Ask, shell: FakeShell, plan_is: PlanIs) -> None:
    plan_is(FlagCopied("h1", "a"))
    shell.answers["copy", "a"] = said(exit_status=1, stderr="no space left")
    shell.answers["rm", "a"] = LOST
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    shell.answers["rm", "a"] = said()
    assert resume(job).state == JobState.FAILED
    assert ran(shell, "rm") == [("rm", "a")] * 2


def test_nothing_is_taken_back_before_that_is_stored(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.answers["set", "b"] = said(exit_status=1, stderr="no space left")
    flush = JobLog.flush

    def locked(log: JobLog) -> None:
        if any(entry.text.startswith("taking back") for entry in log._entries):
            log._entries.clear()
            raise OperationalError("database is locked")
        flush(log)

    monkeypatch.setattr(JobLog, "flush", locked)
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    assert ran(shell, "clear") == []


# What cannot be carried on


def test_who_may_not_do_it_any_more_gets_it_taken_back(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")
    User.objects.filter(pk=operator.pk).update(role=User.Role.AUDITOR)
    job = resume(job)
    assert job.state == JobState.FAILED
    assert "role auditor" in job.error
    assert job.error.endswith(TAKEN_BACK)
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]


def test_a_plan_is_not_made_for_who_may_not_do_it_any_more(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = ask("test.approved")
    User.objects.filter(pk=operator.pk).update(role=User.Role.AUDITOR)
    assert work(job).state == JobState.FAILED
    assert shell.ran == []


def test_a_plan_that_has_other_steps_than_the_one_begun_is_not_carried_on(
    ask: Ask, shell: FakeShell, plan_is: PlanIs
) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")
    plan_is(FlagSet("h1", "b"), FlagSet("h1", "a"))
    shell.commands.clear()
    job = resume(job)
    assert job.state == JobState.FAILED
    assert "other steps now" in job.error
    assert LEFT in job.error, "nobody can tell whether b was set"
    assert ran(shell, "set", "clear") == [("clear", "a")]


def test_a_plan_that_has_other_steps_than_the_approved_one_is_not_carried_out(
    ask: Ask, shell: FakeShell, operator: User, plan_is: PlanIs
) -> None:
    job = work(ask("test.approved"))
    control.approve(job, operator)
    plan_is(FlagSet("h1", "b"))
    job = work(job)
    assert job.state == JobState.FAILED
    assert "other steps now" in job.error


@pytest.fixture
def too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the job was for has changed while it was carried out."""

    def refused(self: FlagsUp, job: Job, results: Results) -> None:
        self.note(job, "half")
        raise Refused("somebody was faster")

    monkeypatch.setattr(FlagsUp, "succeeded", refused)


def test_what_may_not_be_any_more_is_judged_and_taken_back(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")

    def refused(self: FlagsUp, job: Job) -> None:
        raise Refused("somebody was faster")

    monkeypatch.setattr(FlagsUp, "check_still", refused)
    job = resume(job)
    assert (job.state, job.error) == (JobState.FAILED, f"somebody was faster {TAKEN_BACK}")
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]


@pytest.mark.usefixtures("too_late")
def test_what_was_done_too_late_is_taken_back(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    assert (job.state, job.error) == (JobState.FAILED, f"somebody was faster {TAKEN_BACK}")
    assert ran(shell, "set", "clear") == [("set", "a"), ("set", "b"), ("clear", "b"), ("clear", "a")]
    assert Cluster.objects.get().description == f"failed: {job.error}"
    assert not Lease.objects.exists()


@pytest.mark.usefixtures("too_late")
def test_where_nothing_was_done_nothing_is_said_to_be_taken_back(ask: Ask, shell: FakeShell) -> None:
    shell.answers["get", "a"] = shell.answers["get", "b"] = said("on")
    job = work(ask())
    assert (job.state, job.error) == (JobState.FAILED, "somebody was faster")
    assert not job.undo_requested
    assert not JobEvent.objects.filter(text__contains="taking back").exists()


@pytest.mark.usefixtures("too_late")
def test_of_what_was_done_too_late_something_may_be_left(ask: Ask, shell: FakeShell) -> None:
    shell.answers["clear", "a"] = said(exit_status=1, stderr="device is busy")
    job = work(ask())
    assert (job.state, job.error) == (JobState.FAILED, f"somebody was faster {LEFT}")


@pytest.mark.usefixtures("too_late")
def test_what_was_done_too_late_is_taken_back_also_by_the_attempt_after(ask: Ask, shell: FakeShell) -> None:
    shell.answers["clear", "b"] = LOST
    job = work(ask())
    assert (job.state, job.undo_requested) == (JobState.INTERRUPTED, True)
    shell.answers["clear", "b"] = said()
    job = resume(job)
    assert (job.state, job.error) == (JobState.FAILED, f"somebody was faster {TAKEN_BACK}")


# What is kept


def test_a_retry_goes_on_behind_what_was_destroyed(ask: Ask, shell: FakeShell, operator: User, plan_is: PlanIs) -> None:
    plan_is(FlagSet("h1", "a"), FlagGone("h1", "b"))
    shell.effects["destroy", "b"] = {("get", "a"): said("broken"), ("get", "b"): said("gone")}
    shell.answers["sweep", "b"] = said(exit_status=1, stderr="no such directory")
    job = work(ask())
    assert job.state == JobState.FAILED
    assert LEFT in job.error
    assert ran(shell, "clear") == []
    control.retry(job, operator)
    job = work(job)
    assert (job.state, job.error) == (JobState.SUCCEEDED, "")


@pytest.mark.parametrize(
    ("refused", "told"), [("sweep", "something was destroyed"), ("destroy", "nothing was destroyed")]
)
def test_the_rows_are_told_that_a_destruction_had_begun(
    ask: Ask, shell: FakeShell, plan_is: PlanIs, refused: str, told: str
) -> None:
    plan_is(FlagSet("h1", "a"), FlagGone("h1", "b"))
    shell.answers[refused, "b"] = said(exit_status=1, stderr="read-only file system")
    assert work(ask()).state == JobState.FAILED
    assert Cluster.objects.get().description == told


def test_they_are_told_so_also_by_the_attempt_that_takes_back_what_a_dead_worker_did(
    ask: Ask, shell: FakeShell, plan_is: PlanIs
) -> None:
    plan_is(FlagSet("h1", "a"), FlagGone("h1", "b"))
    shell.answers["destroy", "b"] = LOST
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED, attempts=2, undo_requested=True)
    assert work(job).state == JobState.FAILED
    assert Cluster.objects.get().description == "something was destroyed"


def test_who_cancels_a_job_that_has_destroyed_something_gets_it_done(
    ask: Ask, shell: FakeShell, plan_is: PlanIs, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_is(FlagGone("h1", "a"), FlagSet("h1", "b"))
    shell.effects["sweep", "a"] = {("get", "a"): said("gone")}
    monkeypatch.setattr("datastores.jobs.attempts.cancel_check", lambda job: lambda: bool(ran(shell, "destroy")))
    assert work(ask()).state == JobState.SUCCEEDED
    assert ran(shell, "set") == [("set", "b")]


def test_what_could_not_be_undone_is_known_to_the_next_attempt(ask: Ask, shell: FakeShell) -> None:
    shell.answers["get", "b"] = said("broken")
    shell.answers["clear", "a"] = said(exit_status=1, stderr="device is busy")
    job = work(ask())
    assert job.state == JobState.FAILED
    assert [entry.index for entry in journal_of(job).done] == [0]


@pytest.mark.parametrize(("harmless", "known"), [(False, {0}), (True, set())])
def test_what_is_kept_is_known_to_the_next_attempt_unless_nobody_misses_its_undo(
    ask: Ask, shell: FakeShell, plan_is: PlanIs, harmless: bool, known: set[int]
) -> None:
    plan_is(FlagForGood("h1", "a", harmless), FlagSet("h1", "b"))
    shell.answers["get", "b"] = said("broken")
    job = work(ask())
    assert job.state == JobState.FAILED
    assert journal_of(job).touched == known


def test_a_plan_that_cannot_be_made_any_more_leaves_what_cannot_be_judged(
    ask: Ask, shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    left_by_a_dead_worker(job, "b")

    def refused(self: FlagsUp, job: Job) -> Plan:
        raise Refused("the image is needed")

    monkeypatch.setattr(FlagsUp, "plan", refused)
    Job.objects.filter(pk=job.pk).update(state=JobState.INTERRUPTED)
    job.refresh_from_db()
    control.cancel(job, operator)
    job = work(job)
    assert (job.state, job.error) == (JobState.FAILED, LEFT)
    assert ran(shell, "clear") == [("clear", "a")]
