"""Two workers never do one job: who was silent for too long, or dropped it, has lost it."""

from __future__ import annotations

from typing import NoReturn

import pytest
from django.db import OperationalError

from datastores.domain.errors import LostTouch
from datastores.domain.states import JobState
from datastores.jobs import heartbeat, run
from datastores.jobs.journal import journal_of
from datastores.jobs.log import JobLog, TakenOver
from datastores.models import Job, Lease
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
    assert not job.events.exists()
    assert issubclass(TakenOver, LostTouch), "nothing is undone: another worker is at it"


def test_a_worker_that_lost_the_job_neither_ends_nor_undoes_it(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()

    def lost(job: Job) -> object:
        Job.objects.filter(pk=job.pk).update(worker="another:1:00")
        return lambda: False

    monkeypatch.setattr(run, "cancel_check", lost)
    assert work(job).state == JobState.RUNNING
    assert ran(shell, "clear") == []
    assert Lease.objects.filter(job=job).exists()


def test_a_job_that_could_not_be_ended_is_not_kept_alive(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(job: Job) -> NoReturn:
        raise OperationalError("database is locked")

    job = ask()
    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr("datastores.services.leases.release", locked)
        work(job)
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
    assert heartbeat.in_hand == set(), "no beat comes for it, so it is soon found silent"


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
