"""From asked to ended: what the rows, the log and the host say in each case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.errors import Busy, HostKeyChanged, NotConnected, Refused, Unreachable
from datastores.domain.plan import Stage
from datastores.domain.states import EventKind, HostState, JobState, Level, StepState
from datastores.jobs import attempt_ends, attempts, control
from datastores.jobs.doubts import doubt
from datastores.jobs.journal import journal_of
from datastores.jobs.log import JobLog
from datastores.models import AuditEntry, Brick, Cluster, Duty, Host, HostKey, Job, Lease, User
from datastores.transport.hostkeys import fingerprint
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_datastore, a_host
from tests.unit.flags import FlagGone, FlagSet, ran
from tests.unit.jobs.conftest import Ask, FlagsUp, work

pytestmark = pytest.mark.django_db(transaction=True)
HOST_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"  # RFC 8709-shaped, of no host
)


def test_a_job_that_succeeds_leaves_host_rows_log_and_audit_agreeing(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    assert job.state == JobState.SUCCEEDED
    assert Cluster.objects.get().description == "up: ['on', 'on']"
    assert [step.state for step in job.steps.all()] == [StepState.CHANGED] * 2
    assert not Lease.objects.exists()
    assert [entry.result for entry in AuditEntry.objects.order_by("seq")] == ["asked", "succeeded"]
    lines = [event.text for event in job.events.all()]
    assert "$ set a" in lines
    assert lines[-1].startswith("succeeded after")


def test_log_entries_and_lines_are_numbered_without_gaps(ask: Ask, shell: FakeShell) -> None:
    shell.answers["set", "a"] = said("one\ntwo\nthree\n")
    job = work(ask())
    events = list(job.events.all())
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    next_line = 1
    for event in events:
        assert event.first_line == next_line
        assert event.lines == event.text.count("\n") + 1
        next_line += event.lines


def test_a_job_runs_once_however_often_the_queue_delivers_it(ask: Ask, shell: FakeShell) -> None:
    job = work(ask())
    work(job)
    assert ran(shell, "set") == [("set", "a"), ("set", "b")]


def test_a_failure_is_undone_and_says_why(ask: Ask, shell: FakeShell) -> None:
    shell.answers["set", "b"] = said(exit_status=1, stderr="no space left on device")
    job = work(ask())
    assert job.state == JobState.FAILED
    assert "no space left on device" in job.error
    assert ran(shell, "clear") == [("clear", "a")]
    assert [step.state for step in job.steps.all()] == [StepState.UNDONE, StepState.FAILED]
    assert Cluster.objects.get().description.startswith("failed: set on h1 failed: no space left")


def test_what_could_not_be_reached_is_told_though_the_job_has_succeeded(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(name: str) -> FakeShell:
        if name == "h2":
            raise NotConnected("h2 is off")
        return shell

    both = (Stage("flags", (FlagSet("h1", "a"), FlagSet("h2", "a"))),)
    monkeypatch.setattr(FlagsUp, "leaves_out", lambda case, job: {"h1": True, "h2": True})
    monkeypatch.setattr(FlagsUp, "plan", lambda case, job: both)
    monkeypatch.setattr(attempts, "connector", lambda machines: connect)
    a_host("h2")
    job = work(ask())
    assert job.state == JobState.SUCCEEDED
    assert job.error == "h2 was left out: h2 is off"
    assert [step.state for step in job.steps.all()] == [StepState.CHANGED, StepState.FAILED]


def test_a_defect_is_called_a_defect_and_keeps_its_traceback(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeShell, "run_many", lambda *_: 1 / 0)
    job = work(ask())
    assert job.state == JobState.ERRORED
    assert "ZeroDivisionError" in job.error
    assert any("Traceback" in event.text for event in job.events.all())


def test_a_retry_goes_on_from_the_step_that_failed(ask: Ask, shell: FakeShell, operator: User) -> None:
    shell.answers["get", "b"] = said("broken")
    job = work(ask())
    assert job.state == JobState.FAILED
    shell.answers["get", "b"] = said("off")
    shell.answers["get", "a"] = said("on")
    shell.commands.clear()
    control.retry(job, operator)
    assert work(job).state == JobState.SUCCEEDED
    assert ran(shell, "set") == [("set", "b")]


def test_a_job_whose_connection_broke_is_interrupted_and_goes_on_when_resumed(
    ask: Ask, shell: FakeShell, operator: User
) -> None:
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    job = work(ask())
    assert job.state == JobState.INTERRUPTED
    assert ran(shell, "clear") == []
    assert Lease.objects.count() == 1, "nobody else may change what is in an unknown state"
    assert {(entry.index, entry.number) for entry in journal_of(job).unknown} == {(1, 0)}
    shell.answers["set", "b"] = said()
    control.retry(job, operator)
    assert work(job).state == JobState.SUCCEEDED


@pytest.fixture
def pinned(host: Host) -> Host:
    """The host of the flags, known by its key."""
    HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=timezone.now())
    return host


def silent(job: Job, *hosts: str) -> None:
    """The host of the job's second step falls silent."""
    log = JobLog(job, hosts=hosts, on_news=doubt)
    log.news(1, "h1 does not answer. We try again.", False)
    log.stop_ticker()


def test_a_host_of_which_a_job_heard_nothing_is_read_at_once(ask: Ask, shell: FakeShell, pinned: Host) -> None:
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    job = work(ask())
    assert Job.objects.get(kind="host.read").host == pinned
    job.refresh_from_db()
    silent(job, "h1", "h1")
    assert Job.objects.filter(kind="host.read").count() == 1, "it is being read already"


def test_every_host_that_fell_silent_at_once_is_read_and_so_is_a_volume_on_it(
    ask: Ask, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(name: str) -> FakeShell:
        raise NotConnected(f"{name} cannot be reached")

    for name in ("h1", "h2"):
        host = Host.objects.filter(name=name).first() or a_host(name)
        Host.objects.update(facts_at=timezone.now())
        HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=timezone.now())
    Brick.objects.create(datastore=a_datastore(kind="gluster"), host=host, peer="h2", path="/srv/b", position=0)
    later = timezone.now() + timedelta(minutes=1)
    Duty.objects.create(name="read_volumes", due_at=later)
    Duty.objects.create(name="read_hosts", due_at=later)
    both = (Stage("flags", (FlagSet("h1", "a"), FlagSet("h2", "a"))),)
    monkeypatch.setattr(FlagsUp, "plan", lambda case, job: both)
    monkeypatch.setattr(attempts, "connector", lambda machines: connect)
    assert work(ask()).state == JobState.FAILED
    assert {job.host.name for job in Job.objects.filter(kind="host.read")} == {"h1", "h2"}
    assert Duty.seconds_left("read_volumes") == 0
    assert Duty.seconds_left("read_hosts") > 0


def test_one_that_is_known_not_to_answer_is_not_read_for_each_job(ask: Ask, shell: FakeShell, pinned: Host) -> None:
    Host.objects.update(state=HostState.UNREACHABLE)
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    work(ask())
    assert not Job.objects.filter(kind="host.read").exists()


def test_while_a_long_command_is_followed_it_is_read_when_it_falls_silent(ask: Ask, pinned: Host) -> None:
    silent(ask(), "away", "h1")
    assert Job.objects.get(kind="host.read").host == pinned


def test_an_interrupted_job_can_be_undone_instead(ask: Ask, shell: FakeShell, operator: User) -> None:
    shell.answers["set", "b"] = Unreachable("h1 does not answer")
    job = work(ask())
    shell.answers["get", "b"] = said("on")  # the command had worked, only the answer was lost
    control.cancel(job, operator)
    assert work(job).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]
    assert Cluster.objects.get().description == "undone"


def test_a_finished_job_can_be_taken_back(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = work(ask())
    control.undo(job, operator)
    assert work(job).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]
    assert Cluster.objects.get().description == "undone"
    assert not Lease.objects.exists()


def test_what_a_person_had_taken_back_is_undone_and_no_error(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = work(ask())
    control.undo(job, operator)
    assert work(job).word == "undone"
    last = job.events.order_by("-seq").first()
    assert last
    assert last.level == Level.GOOD
    assert last.text.startswith("undone after")
    assert AuditEntry.objects.filter(action=job.kind, result="undone").exists()


def test_a_plan_waits_for_a_person_and_then_runs_exactly_as_shown(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = work(ask("test.approved"))
    assert job.state == JobState.AWAITING
    assert ran(shell, "set") == []
    assert job.steps.get(index=0).change["actions"][0]["do"]["argv"] == ["set", "a"]
    control.approve(job, operator)
    assert work(job).state == JobState.SUCCEEDED
    assert ran(shell, "set") == [("set", "a"), ("set", "b")]


def test_a_host_that_changed_since_the_approval_stops_the_job(ask: Ask, shell: FakeShell, operator: User) -> None:
    shell.answers["get", "a"] = said("on")
    job = work(ask("test.approved"))
    control.approve(job, operator)
    shell.answers["get", "a"] = said("off")
    assert work(job).state == JobState.FAILED
    assert "Try again: it is planned anew" in job.error
    assert ran(shell, "set") == []


def test_a_plan_with_a_refused_step_cannot_be_approved(ask: Ask, shell: FakeShell, operator: User) -> None:
    shell.answers["get", "b"] = said("broken")
    job = work(ask("test.approved"))
    assert job.steps.get(index=1).refused == "b is broken"
    with pytest.raises(Refused, match="refused"):
        control.approve(job, operator)


def test_a_waiting_job_that_is_cancelled_never_runs(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = ask()
    control.cancel(job, operator)
    assert work(job).state == JobState.CANCELLED
    assert shell.ran == []
    assert Cluster.objects.get().description == "cancelled"


def test_a_running_job_that_is_cancelled_undoes_what_it_did(
    ask: Ask, shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    monkeypatch.setattr("datastores.jobs.claims.CANCEL_SECONDS", 0)
    answers = iter([False, True, True, True])

    def asked(job: Job) -> object:
        return lambda: next(answers)

    monkeypatch.setattr("datastores.jobs.attempts.cancel_check", asked)
    assert work(job).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "a")]


def test_the_worker_asks_again_whether_the_person_still_may(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = ask()
    User.objects.filter(pk=operator.pk).update(role=User.Role.AUDITOR)
    assert work(job).state == JobState.FAILED
    assert "role auditor" in job.error
    assert shell.ran == []


def test_a_job_that_was_to_stop_and_failed_is_cancelled_when_nothing_of_it_is_left(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "cancel_check", lambda job: lambda: False)  # not noticed in time
    shell.answers["set", "b"] = said(exit_status=1, stderr="no space")
    job = ask()
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=timezone.now())
    job = work(job)
    assert (job.state, Cluster.objects.get().description) == (JobState.CANCELLED, "cancelled")
    assert "it was to stop, and" in job.error and "no space" in job.error


def test_it_has_failed_when_something_is_left(ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "cancel_check", lambda job: lambda: False)
    shell.answers["set", "b"] = said(exit_status=1, stderr="no space")
    shell.answers["clear", "a"] = said(exit_status=1, stderr="no space")
    job = ask()
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=timezone.now())
    assert work(job).state == JobState.FAILED


def test_two_people_cannot_change_one_thing(ask: Ask, shell: FakeShell) -> None:
    first = ask()
    with pytest.raises(Busy, match=rf"Cluster c1 is being changed by job {first.pk} .*olga"):
        ask()
    work(first)
    assert work(ask()).state == JobState.SUCCEEDED


def test_many_may_use_one_thing_and_its_change_waits_for_them(ask: Ask, shell: FakeShell) -> None:
    readers = [ask(exclusive=False) for _ in range(3)]
    change = ask(exclusive=True)
    assert change.leases.get().granted is False
    with pytest.raises(Busy, match="is wanted by"):
        ask(exclusive=False)
    for reader in readers:
        work(reader)
    assert change.leases.get().granted is True


def test_a_changed_host_key_refuses_the_job_and_quarantines_the_host(ask: Ask, shell: FakeShell, host: Host) -> None:
    shell.answers["get", "a"] = HostKeyChanged("h1", "SHA256:old", "SHA256:new", HOST_KEY)
    job = work(ask())
    assert job.state == JobState.FAILED
    host.refresh_from_db()
    assert host.state == HostState.QUARANTINED
    assert host.keys.get().line == HOST_KEY
    assert AuditEntry.objects.filter(action="host.quarantined").exists()


def test_a_job_that_still_knew_the_old_key_does_not_quarantine_a_host_whose_new_one_was_pinned(
    ask: Ask, shell: FakeShell, host: Host
) -> None:
    host.keys.create(line=HOST_KEY, fingerprint=fingerprint(HOST_KEY), pinned_at=timezone.now())
    shell.answers["get", "a"] = HostKeyChanged("h1", "SHA256:old", "SHA256:new", HOST_KEY)
    assert work(ask()).state == JobState.FAILED
    host.refresh_from_db()
    assert host.state == HostState.READY


def test_a_secret_never_reaches_the_log(ask: Ask, shell: FakeShell, host: Host) -> None:
    host.first_password = "hunter2-secret"
    host.save()
    shell.answers["set", "a"] = said("the password is hunter2-secret\n")
    job = ask()
    Job.objects.filter(pk=job.pk).update(host=host)
    work(job)
    text = "\n".join(event.text for event in job.events.filter(kind=EventKind.OUTPUT))
    assert text == "the password is (secret)"


def test_a_job_that_waits_for_others_is_not_run_by_an_old_delivery(ask: Ask, shell: FakeShell, operator: User) -> None:
    job = ask()
    control.cancel(job, operator)
    ask(exclusive=False)
    job.refresh_from_db()
    control.retry(job, operator)
    assert work(job).state == JobState.QUEUED
    assert ran(shell, "set") == []


def cancelled_at_last(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    """Let the job's person ask to stop it when all is done, just before that is stored."""
    right = attempt_ends.end_all

    def late(endings: Any, before: JobState, state: JobState, message: str = "") -> bool:
        monkeypatch.setattr(attempt_ends, "end_all", right)
        control.cancel(Job.objects.get(pk=job.pk), job.user)
        return right(endings, before, state, message)

    monkeypatch.setattr(attempt_ends, "end_all", late)


def test_a_job_that_is_cancelled_when_all_was_done_is_taken_back(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask()
    cancelled_at_last(monkeypatch, job)
    assert work(job).state == JobState.CANCELLED
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]
    assert Cluster.objects.get().description == "cancelled"
    assert not any(event.text.startswith("succeeded") for event in job.events.all())


def test_what_cannot_be_taken_back_of_such_a_job_stays_in_view(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.answers["clear", "a"] = said(exit_status=1, stderr="device is busy")
    job = ask()
    cancelled_at_last(monkeypatch, job)
    assert work(job).state == JobState.FAILED
    assert "Not all that the job had done could be taken back" in job.error


def test_a_job_that_has_destroyed_something_is_done_although_it_was_cancelled_at_last(
    ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.jobs.conftest.FlagsUp.plan", lambda *_: (Stage("flag", (FlagGone("h1", "a"),)),))
    shell.effects["sweep", "a"] = {("get", "a"): said("gone")}
    job = ask()
    cancelled_at_last(monkeypatch, job)
    assert work(job).state == JobState.SUCCEEDED, job.error
    assert any("cannot be undone" in event.text for event in job.events.all())
