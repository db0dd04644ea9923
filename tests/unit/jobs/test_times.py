"""How long a job took: the time of work, without what it waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datastores.domain.states import JobState
from datastores.jobs import control
from datastores.models import Job, User
from tests.fakes import FakeShell
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def an_hour_ago(job: Job) -> Job:
    """Let all that happened to the job have happened an hour earlier."""
    job.refresh_from_db()
    for name in ("created_at", "queued_at", "started_at", "ended_at", "approved_at"):
        if moment := getattr(job, name):
            setattr(job, name, moment - HOUR)
    job.save()
    return job


def seconds_of(job: Job) -> float:
    job.refresh_from_db()
    assert job.seconds is not None
    return job.seconds


def test_the_time_in_the_queue_is_none_of_work(ask: Ask, shell: FakeShell) -> None:
    assert seconds_of(work(an_hour_ago(ask()))) < 30


def test_the_time_that_a_plan_waited_for_approval_is_none_of_work(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = an_hour_ago(work(ask("test.approved")))
    assert job.state == JobState.AWAITING
    control.approve(job, operator)
    assert seconds_of(work(job)) < 30


def test_a_job_that_was_resumed_by_itself_was_worked_on_since_it_began(ask: Ask, shell: FakeShell) -> None:
    job = ask()
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - HOUR, resumed=2, attempts=3)
    job.refresh_from_db()
    assert 3600 <= seconds_of(work(job)) < 3630


def test_an_undo_counts_by_itself(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = an_hour_ago(work(ask()))
    control.undo(job, operator)
    assert seconds_of(work(job)) < 30


def test_a_plan_that_was_dropped_took_no_work(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = an_hour_ago(work(ask("test.approved")))
    control.cancel(job, operator)
    job.refresh_from_db()
    assert (job.state, job.seconds) == (JobState.CANCELLED, None)


def test_jobs_of_former_versions_noted_when_they_were_queued_first(operator: User) -> None:
    now = timezone.now()
    job = Job(created_at=now - HOUR, started_at=now - HOUR, queued_at=now - timedelta(seconds=2), ended_at=now)
    assert job.seconds == 2


def test_a_clock_that_was_set_back_makes_no_time_of_less_than_nothing() -> None:
    now = timezone.now()
    assert Job(started_at=now, queued_at=now, ended_at=now - HOUR).seconds == 0
