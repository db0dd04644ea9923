"""A worker that dies, a queue that forgets: no job is left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datastores.domain.states import EventKind, JobState
from datastores.jobs import reconcile
from datastores.models import Job, JobEvent
from tests.fakes import FakeShell, said
from tests.unit.flags import ran
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db(transaction=True)


def orphan(job: Job, state: JobState = JobState.RUNNING, *, seconds: int = 60) -> None:
    """Make the job look as if its worker had died some time ago."""
    ago = timezone.now() - timedelta(seconds=seconds)
    Job.objects.filter(pk=job.pk).update(state=state, worker="gone:1", heartbeat_at=ago, started_at=ago)


def test_a_job_whose_worker_died_goes_on(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    orphan(job)
    assert reconcile.reconcile() == 1
    assert work(job).state == JobState.SUCCEEDED


def test_a_job_whose_worker_is_alive_is_left_alone(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    orphan(job, seconds=5)
    assert reconcile.reconcile() == 0
    job.refresh_from_db()
    assert job.state == JobState.RUNNING


def test_what_the_dead_worker_had_done_is_not_done_again(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    JobEvent.objects.filter(job=job, kind=EventKind.ACTION_DONE).delete()
    orphan(job)
    shell.commands.clear()
    reconcile.reconcile()
    assert work(job).state == JobState.SUCCEEDED
    assert ran(shell, "set") == []


def test_a_job_that_cannot_be_resumed_is_undone(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    orphan(job)
    shell.answers["get", "b"] = said("broken")
    shell.commands.clear()
    reconcile.reconcile()
    assert work(job).state == JobState.FAILED
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]


def test_a_plan_whose_worker_died_is_made_again(ask: Ask, shell: FakeShell) -> None:
    job = ask("test.approved")
    orphan(job, JobState.PLANNING)
    reconcile.reconcile()
    assert work(job).state == JobState.AWAITING


def test_a_job_that_the_queue_lost_is_handed_over_again(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(reconcile, "known_to_queue", lambda job: True)
    assert reconcile.reconcile() == 0
    monkeypatch.setattr(reconcile, "known_to_queue", lambda job: False)
    assert reconcile.reconcile() == 1
