"""A job that may begin only later: no worker gets it before, its plan is made at once, a person may let it begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs import control, reconcile
from datastores.jobs import submit as submit_module
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Cluster, Host, Job, User
from tests.fakes import FakeShell
from tests.unit.conftest import signed_in, text_of
from tests.unit.jobs.conftest import work

pytestmark = pytest.mark.django_db(transaction=True)
UNKNOWN_TO_THE_QUEUE = timedelta(minutes=1)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Job]]:
    """The jobs that workers were given."""
    found: list[Job] = []
    monkeypatch.setattr(submit_module, "hand_over", found.extend)
    monkeypatch.setattr(reconcile, "waiting_in", lambda name: set())
    yield found


@pytest.fixture
def tonight(host: Host, operator: User, cluster: Cluster, handed: list[Job]) -> Job:
    return asked(operator, cluster)


def asked(operator: User, cluster: Cluster, kind: str = "test.flags") -> Job:
    return submit(kind, user=operator, cluster=cluster, not_before=timezone.now() + timedelta(hours=8))


def as_time_goes_by(job: Job, **fields: object) -> None:
    """Let the job have been queued long ago."""
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - UNKNOWN_TO_THE_QUEUE, **fields)


def test_no_worker_gets_it_before(tonight: Job, handed: list[Job]) -> None:
    as_time_goes_by(tonight)
    assert reconcile.reconcile() == 0
    assert handed == []


def test_when_it_may_begin_a_worker_gets_it(tonight: Job, handed: list[Job], shell: FakeShell) -> None:
    as_time_goes_by(tonight, not_before=timezone.now() - timedelta(seconds=1))
    assert reconcile.reconcile() == 1
    assert handed == [tonight]
    assert work(tonight).state == JobState.SUCCEEDED


def test_what_needs_approval_is_planned_at_once_and_waits_after_it(
    host: Host, operator: User, cluster: Cluster, handed: list[Job], shell: FakeShell
) -> None:
    job = asked(operator, cluster, "test.approved")
    assert handed == [job]
    assert work(job).state == JobState.AWAITING
    handed.clear()
    control.approve(job, operator)
    as_time_goes_by(job)
    reconcile.reconcile()
    assert handed == []


def test_a_person_may_let_it_begin(tonight: Job, operator: User, handed: list[Job], shell: FakeShell) -> None:
    assert "It begins" in text_of(signed_in(operator).get(tonight.get_absolute_url()))
    signed_in(operator).post(f"/jobs/{tonight.uuid}/begin/")
    assert handed == [tonight]
    assert AuditEntry.objects.filter(action="test.flags.begin", actor_name="olga").exists()
    tonight.refresh_from_db()
    assert work(tonight).state == JobState.SUCCEEDED
    with pytest.raises(Refused, match="it is succeeded"):
        control.begin(tonight, operator)


def test_it_can_be_cancelled_meanwhile(tonight: Job, operator: User) -> None:
    control.cancel(tonight, operator)
    tonight.refresh_from_db()
    assert tonight.state == JobState.CANCELLED


def test_who_tries_it_again_does_not_wait_until_then(tonight: Job, operator: User, handed: list[Job]) -> None:
    control.cancel(tonight, operator)
    tonight.refresh_from_db()
    control.retry(tonight, operator)
    assert handed == [tonight]
