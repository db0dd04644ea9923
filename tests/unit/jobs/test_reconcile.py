"""A worker that dies, a queue that forgets: no job is left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from datastores.domain.errors import LostTouch
from datastores.domain.states import EventKind, JobState
from datastores.jobs import control, reconcile
from datastores.models import Job, JobEvent, User
from datastores.models.jobs import AUTOMATIC_ATTEMPTS, JobQuerySet
from tests.fakes import FakeShell, said
from tests.unit.conftest import signed_in, text_of
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


def test_a_worker_that_is_heard_of_in_the_last_moment_keeps_its_job(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    orphan(job)
    found = list(Job.objects.all().unattended(reconcile.PATIENCE))
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now())
    monkeypatch.setattr(JobQuerySet, "unattended", lambda *_: found)
    assert reconcile.reconcile() == 0
    job.refresh_from_db()
    assert (job.state, job.worker) == (JobState.RUNNING, "gone:1")


def test_what_the_dead_worker_had_done_is_not_done_again(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    JobEvent.objects.filter(job=job, kind=EventKind.ACTION_DONE).delete()
    orphan(job)
    shell.commands.clear()
    reconcile.reconcile()
    assert work(job).state == JobState.SUCCEEDED
    assert ran(shell, "set") == []


def test_the_log_says_that_another_worker_goes_on(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    orphan(job)
    Job.objects.filter(pk=job.pk).update(worker="h9:1:ab")
    reconcile.reconcile()
    told = "\n".join(work(job).events.order_by("seq").values_list("text", flat=True))
    assert "The worker h9:1:ab died. This one goes on: it reads the hosts first" in told
    assert "after another worker had it" in told


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
    monkeypatch.setattr(reconcile, "waiting_in", lambda name: {str(job.uuid)})
    assert reconcile.reconcile() == 0
    monkeypatch.setattr(reconcile, "waiting_in", lambda name: set())
    assert reconcile.reconcile() == 1


class TestAJobThatIsNeverDone:
    """Resumed by itself a few times in a row, then left to a person."""

    def killed(self, job: Job, times: int, state: JobState = JobState.RUNNING) -> int:
        """Let as many workers die of the job; return how often it was resumed."""
        resumed = 0
        for _ in range(times):
            orphan(job, state)
            resumed += reconcile.reconcile()
        job.refresh_from_db()
        return resumed

    @pytest.mark.parametrize("state", [JobState.RUNNING, JobState.UNDOING, JobState.PLANNING])
    def test_one_that_kills_its_workers(self, ask: Ask, state: JobState) -> None:
        job = ask()
        assert self.killed(job, AUTOMATIC_ATTEMPTS + 1, state) == AUTOMATIC_ATTEMPTS
        assert (job.state, job.is_given_up, job.error) == (JobState.INTERRUPTED, True, "The worker gone:1 died.")
        Job.objects.update(queued_at=timezone.now() - timedelta(hours=1))
        assert reconcile.reconcile() == 0

    def test_one_whose_host_never_answers(self, ask: Ask, shell: FakeShell) -> None:
        shell.answers["set", "b"] = LostTouch("h1 does not answer")
        job, resumed = work(ask()), 0
        for _ in range(AUTOMATIC_ATTEMPTS + 2):
            Job.objects.update(queued_at=timezone.now() - timedelta(hours=1))
            if reconcile.reconcile():
                resumed += 1
                work(job)
        job.refresh_from_db()
        assert (job.state, resumed) == (JobState.INTERRUPTED, AUTOMATIC_ATTEMPTS)

    @pytest.mark.parametrize(("resumed", "seconds"), [(0, 30), (1, 60), (2, 120), (3, 300), (4, 600)])
    def test_it_is_resumed_less_and_less_soon(self, ask: Ask, resumed: int, seconds: float) -> None:
        job = ask()
        seconds *= settings.PATIENCE_SECONDS / 35
        for late, expected in ((-1, 0), (1, 1)):
            queued_at = timezone.now() - timedelta(seconds=seconds + late)
            Job.objects.filter(pk=job.pk).update(state=JobState.INTERRUPTED, resumed=resumed, queued_at=queued_at)
            assert reconcile.reconcile() == expected

    def test_a_killed_worker_s_job_does_not_wait(self, ask: Ask) -> None:
        job = ask()
        Job.objects.filter(pk=job.pk).update(resumed=AUTOMATIC_ATTEMPTS - 1)
        assert self.killed(job, 1) == 1

    def test_what_people_asked_for_does_not_count(self, ask: Ask, operator: User) -> None:
        job = ask()
        Job.objects.filter(pk=job.pk).update(attempts=40)
        assert self.killed(job, 1) == 1

    def test_a_person_may_resume_it_and_then_it_counts_anew(self, ask: Ask, shell: FakeShell, operator: User) -> None:
        job = ask()
        self.killed(job, AUTOMATIC_ATTEMPTS + 1)
        control.retry(job, operator)
        assert self.killed(job, 1) == 1
        assert work(job).state == JobState.SUCCEEDED

    def test_a_person_may_have_it_taken_back(self, ask: Ask, shell: FakeShell, operator: User) -> None:
        job = ask()
        self.killed(job, AUTOMATIC_ATTEMPTS + 1)
        control.cancel(job, operator)
        assert work(job).state == JobState.CANCELLED

    def test_its_page_says_so(self, ask: Ask, operator: User) -> None:
        job = ask()
        self.killed(job, AUTOMATIC_ATTEMPTS)
        says = "now waits for you"
        assert says not in text_of(signed_in(operator).get(job.get_absolute_url()))
        self.killed(job, 1)
        assert says in text_of(signed_in(operator).get(job.get_absolute_url()))
