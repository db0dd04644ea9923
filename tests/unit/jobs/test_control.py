"""Retry, undo and cancel, where others use the same things or something was done already."""

from __future__ import annotations

import pytest

from datastores.domain.errors import NotConnected, Refused, Unreachable
from datastores.domain.states import HostState, JobState, StepState
from datastores.jobs import control
from datastores.jobs import submit as submit_module
from datastores.jobs.kinds import KINDS
from datastores.jobs.periodic import read_hosts
from datastores.jobs.submit import submit
from datastores.jobs.view import job_frame
from datastores.models import AuditEntry, Cluster, Host, HostKey, Job, JobEvent, Lease, User
from datastores.services.hosts import remember_facts
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_host
from tests.unit.flags import ran
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The jobs that were given to a queue."""
    jobs: list[int] = []
    monkeypatch.setattr(submit_module, "hand_over", lambda some: jobs.extend(job.pk for job in some))
    return jobs


# Others use the same things


def test_a_retry_waits_for_those_who_use_its_things(
    ask: Ask, shell: FakeShell, operator: User, handed: list[int]
) -> None:
    shell.answers["get", "b"] = said("broken")
    job = work(ask())
    assert job.state == JobState.FAILED
    shell.answers["get", "b"] = said("off")
    reader = ask(exclusive=False)
    handed.clear()
    control.retry(job, operator)
    assert (job.state, handed) == (JobState.QUEUED, [])
    work(reader)
    assert handed == [job.pk]
    assert work(job).state == JobState.SUCCEEDED


def test_an_undo_waits_for_those_who_use_its_things(
    ask: Ask, shell: FakeShell, operator: User, handed: list[int]
) -> None:
    job = work(ask())
    reader = ask(exclusive=False)
    handed.clear()
    control.undo(job, operator)
    assert handed == []
    work(reader)
    assert handed == [job.pk]
    assert work(job).state == JobState.CANCELLED
    assert Cluster.objects.get().description == "undone"


# Something was done already


@pytest.fixture
def planned_again(ask: Ask, shell: FakeShell, operator: User) -> Job:
    """A job that had set one flag when its connection broke, and shows its plan for the rest."""
    job = work(ask("test.approved"))
    control.approve(job, operator)
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    assert work(job).state == JobState.INTERRUPTED
    control.retry(job, operator)
    job = work(job)
    assert job.state == JobState.AWAITING
    shell.answers["set", "b"] = said()
    return job


def test_discarding_the_new_plan_takes_back_what_was_done(planned_again: Job, shell: FakeShell, operator: User) -> None:
    control.cancel(planned_again, operator)
    assert planned_again.state == JobState.QUEUED
    assert Lease.objects.filter(job=planned_again).exists()
    assert work(planned_again).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "a")]
    assert Cluster.objects.get().description == "undone"
    assert not Lease.objects.filter(job=planned_again).exists()


def test_cancelling_before_the_new_plan_is_made_takes_back_what_was_done(
    planned_again: Job, shell: FakeShell, operator: User
) -> None:
    control.plan_again(planned_again, operator)
    control.cancel(planned_again, operator)
    assert work(planned_again).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "a")]


# Nothing was done yet


def log_of(job: Job) -> list[tuple[int, str]]:
    return list(JobEvent.objects.filter(job=job).order_by("seq").values_list("first_line", "text"))


CANCELLED = "cancelled by olga while it waited; nothing was done"


def test_the_log_of_a_job_that_was_cancelled_in_the_queue_says_by_whom(ask: Ask, operator: User) -> None:
    job = ask()
    control.cancel(job, operator)
    assert (job.state, log_of(job)) == (JobState.CANCELLED, [(1, CANCELLED)])


def test_the_log_of_a_plan_that_was_discarded_goes_on_after_the_planning(
    ask: Ask, shell: FakeShell, operator: User
) -> None:
    read = ask("test.approved")
    planned = log_of(work(Job.objects.get(pk=read.pk)))
    assert planned
    control.cancel(read, operator)  # as who looked before a worker had it
    assert log_of(read) == [*planned, (len(planned) + 1, CANCELLED)]


def test_the_log_of_a_job_that_was_cancelled_before_it_was_tried_again_goes_on(
    ask: Ask, shell: FakeShell, operator: User
) -> None:
    shell.answers["get", "a"] = said("broken")
    job = work(ask())
    before = log_of(job)
    control.retry(job, operator)
    control.cancel(job, operator)
    assert job.state == JobState.CANCELLED
    assert log_of(job) == [*before, (len(before) + 1, CANCELLED)]
    shell.answers["get", "a"] = said("off")
    control.retry(job, operator)
    assert work(job).state == JobState.SUCCEEDED


# The plan that was seen


def test_an_approval_is_of_the_plan_that_was_seen(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = work(ask("test.approved"))
    seen = job.attempts
    control.plan_again(job, operator)
    job = work(job)
    with pytest.raises(Refused, match="made anew since you looked"):
        control.approve(job, operator, plan=seen)
    assert (job.state, job.approved_at) == (JobState.AWAITING, None)
    seen = job.attempts
    control.approve(job, operator, plan=seen)
    with pytest.raises(Refused, match="not waiting for approval any more"):
        control.approve(Job.objects.get(pk=job.pk), operator, plan=seen)
    assert work(job).state == JobState.SUCCEEDED


def test_a_program_approves_the_plan_that_it_read(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = work(ask("test.approved"))
    read = Job.objects.get(pk=job.pk)
    control.plan_again(job, operator)
    work(job)
    with pytest.raises(Refused, match="made anew since you looked"):
        control.approve(read, operator)
    control.approve(Job.objects.get(pk=job.pk), operator)


# An undo that has begun


@pytest.fixture
def undo_interrupted(ask: Ask, shell: FakeShell, operator: User) -> Job:
    """A finished job that was being taken back when its host went away; the host is there again."""
    job = work(ask())
    shell.answers["clear", "a"] = Unreachable("h1 does not answer")
    control.undo(job, operator)
    job = work(job)
    assert job.state == JobState.INTERRUPTED
    shell.answers["clear", "a"] = said()
    shell.commands.clear()
    return job


def test_resuming_an_undo_goes_on_with_it(undo_interrupted: Job, shell: FakeShell, operator: User) -> None:
    control.retry(undo_interrupted, operator)
    assert work(undo_interrupted).word == "undone"
    assert ran(shell, "set", "clear") == [("clear", "a")]


def test_resuming_what_was_cancelled_goes_on_with_that(ask: Ask, shell: FakeShell, operator: User) -> None:
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    job = work(ask())
    shell.answers["clear", "a"] = Unreachable("h1 does not answer")
    control.cancel(job, operator)
    assert work(job).state == JobState.INTERRUPTED
    shell.answers["clear", "a"] = said()
    control.retry(job, operator)
    assert work(job).word == "cancelled"


def test_what_was_taken_back_to_its_end_may_be_tried_again(
    undo_interrupted: Job, shell: FakeShell, operator: User
) -> None:
    job = undo_interrupted
    control.retry(job, operator)
    control.retry(work(job), operator)
    assert work(job).state == JobState.SUCCEEDED


@pytest.mark.parametrize("begun", [False, True])
def test_an_undo_cannot_be_cancelled(
    ask: Ask, shell: FakeShell, operator: User, request: pytest.FixtureRequest, begun: bool
) -> None:
    if begun:
        job: Job = request.getfixturevalue("undo_interrupted")
    else:
        job = work(ask())
        control.undo(job, operator)
    state = job.state
    with pytest.raises(Refused, match="being taken back already"):
        control.cancel(job, operator)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested_at) == (state, None)
    assert not job_frame(job, ())["can_cancel"]
    if begun:
        control.retry(job, operator)
    assert work(job).word == "undone"


# What reading a host says of it


@pytest.fixture
def host(shell: FakeShell) -> Host:
    host = a_host("h1", facts_at="2026-01-01T00:00:00Z")
    HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at="2026-01-01T00:00:00Z")
    return host


def state_of(host: Host) -> str:
    host.refresh_from_db()
    return host.state


def test_a_host_that_does_not_answer_is_unreachable(host: Host, shell: FakeShell) -> None:
    shell.answers = dict.fromkeys(shell.answers, said())
    monkey = NotConnected("h1 does not answer")
    read_hosts()
    job = Job.objects.get(kind="host.read")
    command = next(iter(KINDS["host.read"].plan(job)[0].steps[0].reads()))
    shell.answers[command.argv] = monkey
    assert work(job).state == JobState.FAILED
    assert state_of(host) == HostState.UNREACHABLE


def test_a_host_that_is_not_understood_keeps_its_state(host: Host, shell: FakeShell, operator: User) -> None:
    job = submit("host.read", user=operator, host=host)
    assert work(job).state in {JobState.FAILED, JobState.ERRORED}
    assert state_of(host) == HostState.READY
    assert host.error


def test_a_host_whose_reading_is_cancelled_keeps_its_state(host: Host, operator: User) -> None:
    control.cancel(submit("host.read", user=operator, host=host), operator)
    assert state_of(host) == HostState.READY


def test_reading_a_host_does_not_lift_its_quarantine(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Facts:
        clock = 0.0

        def to_json(self) -> dict[str, str]:
            return {"os": "another"}

    monkeypatch.setattr("datastores.services.hosts.facts_of", lambda results, step: Facts())
    Host.objects.update(state=HostState.QUARANTINED, error="another key")
    remember_facts(host, [])
    assert (state_of(host), host.error, host.facts) == (HostState.QUARANTINED, "another key", {})
    Host.objects.update(state=HostState.UNREACHABLE)
    remember_facts(host, [])
    assert state_of(host) == HostState.READY


def test_what_was_true_already_is_not_undone(ask: Ask, shell: FakeShell, operator: User) -> None:
    first, second = work(ask()), work(ask())
    assert [step.state for step in second.steps.all()] == [StepState.UNCHANGED] * 2
    with pytest.raises(Refused, match="changed nothing: there is nothing to undo"):
        control.undo(second, operator)
    assert not AuditEntry.objects.filter(action="test.flags.undo").exists()
    assert control.undo(first, operator)
