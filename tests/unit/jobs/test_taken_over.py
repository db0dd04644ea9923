"""Two workers never do one job: who was silent for too long, or dropped it, has lost it."""

from __future__ import annotations

from typing import NoReturn

import pytest
from django.db import OperationalError

from datastores.domain.errors import LostTouch
from datastores.domain.states import JobState
from datastores.jobs import attempts, control, heartbeat, run
from datastores.jobs.journal import journal_of
from datastores.jobs.kinds import KINDS
from datastores.jobs.log import JobLog
from datastores.jobs.log_storing import TakenOver
from datastores.models import Job, Lease, User
from datastores.services.usecase import UseCase
from tests.fakes import FakeShell, said
from tests.unit.flags import ran
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_that_lost_the_job_stores_nothing_more(ask: Ask) -> None:
    job = ask()
    log = JobLog(job)
    Job.objects.filter(pk=job.pk).update(worker="another:1:00")
    log.output(0, "from the grave")
    with pytest.raises(TakenOver):
        log.flush()
    log.stop_ticker()
    assert not job.events.exists()
    assert issubclass(TakenOver, LostTouch), "nothing is undone: another worker is at it"


def test_a_worker_that_lost_the_job_neither_ends_nor_undoes_it(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()

    def lost(job: Job) -> object:
        Job.objects.filter(pk=job.pk).update(worker="another:1:00")
        return lambda: False

    monkeypatch.setattr(attempts, "cancel_check", lost)
    assert work(job).state == JobState.RUNNING
    assert ran(shell, "clear") == []
    assert Lease.objects.filter(job=job).exists()


def test_a_job_that_could_not_be_ended_is_not_kept_alive(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(jobs: object) -> NoReturn:
        raise OperationalError("database is locked")

    job = ask()
    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr("datastores.services.leases.release", locked)
        work(job)
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
    assert not heartbeat.in_hand, "no beat comes for it, so it is soon found silent"


def test_a_plan_that_was_made_too_late_replaces_no_other(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask("test.approved")
    rest = JobLog.rest

    def lost_after(log: JobLog) -> None:
        rest(log)
        Job.objects.filter(pk=job.pk).update(worker="another:1:00")

    monkeypatch.setattr(JobLog, "rest", lost_after)
    job = work(job)
    assert (job.state, job.steps.count()) == (JobState.PLANNING, 0)


class TestADecision:
    """What to do is decided by a row that was read; by the time that it is claimed it may say something else."""

    def test_is_not_carried_out_when_the_row_has_changed(self, ask: Ask, shell: FakeShell, operator: User) -> None:
        stale = Job.objects.get(pk=work(ask()).pk)
        job = Job.objects.get(pk=stale.pk)
        control.undo(job, operator)
        shell.commands.clear()
        assert not run.attempt(stale, KINDS[stale.kind])
        assert shell.ran == []
        assert work(job).state == JobState.CANCELLED
        assert ran(shell, "set") == []

    def test_is_made_anew_then(
        self, ask: Ask, shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell.answers["set", "b"] = LostTouch("h1 does not answer")
        job = work(ask())
        control.retry(job, operator)
        attempt = run.attempt

        def pressed_meanwhile(read: Job, case: UseCase) -> bool:
            monkeypatch.setattr(run, "attempt", attempt)
            control.cancel(Job.objects.get(pk=job.pk), operator)
            return attempt(read, case)

        monkeypatch.setattr(run, "attempt", pressed_meanwhile)
        shell.commands.clear()
        assert work(job).state == JobState.CANCELLED
        assert ran(shell, "set", "clear") == [("clear", "a")]

    def test_is_for_the_next_delivery_while_others_use_its_things(
        self, ask: Ask, shell: FakeShell, operator: User
    ) -> None:
        job = work(ask())
        ask(exclusive=False)
        control.undo(job, operator)
        assert work(job).state == JobState.QUEUED, "a delivery that comes late does not hold its leases"


def test_an_action_that_is_done_again_is_taken_back_once(ask: Ask, shell: FakeShell) -> None:
    shell.answers["set", "b"] = LostTouch("h1 does not answer")
    job = work(ask())
    Job.objects.filter(pk=job.pk).update(state=JobState.QUEUED, attempts=2)
    shell.answers["set", "b"] = said()
    job = work(job)
    assert job.state == JobState.SUCCEEDED
    journal = journal_of(job)
    assert [entry.index for entry in journal.done] == [0, 1]
    assert journal.unknown == ()
