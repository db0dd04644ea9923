"""The log keeps every entry, in order and without a gap, whatever the database does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, transaction

from datastores.domain.errors import LostTouch
from datastores.domain.plan import Action, Command
from datastores.domain.states import EventKind, JobState, Level, StepState
from datastores.hosts.journal import Undoable
from datastores.jobs import log as log_module
from datastores.jobs import log_storing
from datastores.jobs.log import JobLog
from datastores.models import Job, JobEvent, JobStep
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_step
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(ask: Ask) -> Job:
    job = ask()
    a_step(job)
    return job


@pytest.fixture
def log(job: Job) -> Iterator[JobLog]:
    log = JobLog(job, hosts=["h1"])
    yield log
    log.stop_ticker()


def kept(job: Job) -> list[tuple[int, int, str]]:
    """Return (seq, first line, text) of every entry."""
    return list(job.events.order_by("seq").values_list("seq", "first_line", "text"))


def failing(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the database refuse to store entries so many times."""
    right = JobEvent.objects.bulk_create
    left = [times]

    def bulk_create(*args: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("database is locked")
        return right(*args, **options)

    monkeypatch.setattr(JobEvent.objects, "bulk_create", bulk_create)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestAFlushThatFails:
    def test_its_entries_are_stored_by_the_next_one(
        self, job: Job, log: JobLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.add(EventKind.JOB, "one\ntwo")
        failing(monkeypatch, 1)
        with pytest.raises(OperationalError):
            log.flush()
        log.add(EventKind.JOB, "three")
        log.flush()
        assert kept(job) == [(1, 1, "one\ntwo"), (2, 3, "three")]

    def test_the_newer_state_of_a_step_wins(self, job: Job, log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
        log.step(0, StepState.RUNNING, "writing")
        log.progress(0, 5, 10)
        log.stop_ticker()
        failing(monkeypatch, 1)
        with pytest.raises(OperationalError):
            log.flush()
        log.step(0, StepState.CHANGED)
        log.flush()
        step = JobStep.objects.get(job=job, index=0)
        assert (step.state, step.bytes_done) == (StepState.CHANGED, 5)
        assert step.started_at and step.ended_at

    def test_what_waits_counts_for_the_reader_of_the_command(
        self, job: Job, log: JobLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_module, "PENDING_CHARACTERS", 10)
        monkeypatch.setattr(JobLog, "_start_ticker", lambda log: None)
        failing(monkeypatch, 2)
        for _ in range(2):
            with pytest.raises(OperationalError):
                log.output(0, "more than ten")
        log.output(0, "x")
        assert [text for _, _, text in kept(job)] == ["more than ten", "more than ten", "x"]

    def test_a_commit_that_seemed_to_fail_stores_nothing_twice(
        self, job: Job, log: JobLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(batches: object) -> None:
            right(batches)
            raise OperationalError("the connection was lost during the commit")

        right = log_storing._write
        log.add(EventKind.JOB, "one")
        with monkeypatch.context() as patch, pytest.raises(OperationalError):
            patch.setattr(log_storing, "_write", write)
            log.flush()
        log.add(EventKind.JOB, "two")
        log.flush()
        assert kept(job) == [(1, 1, "one"), (2, 2, "two")]

    def test_the_ticker_goes_on(self, job: Job, log: JobLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_module, "AGAIN_SECONDS", 0.01)
        failing(monkeypatch, 3)
        log.output(0, "one")
        until(job.events.exists)
        log.output(0, "two")
        until(lambda: job.events.count() == 2)
        log.rest()
        assert kept(job) == [(1, 1, "one"), (2, 2, "two")]

    def test_the_end_of_an_action_is_in_the_journal_all_the_same(
        self, ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing(monkeypatch, 0)
        job = ask()
        done = JobLog.action_ended

        def ended(log: JobLog, *args: Any) -> None:
            done(log, *args)
            failing(monkeypatch, 1)
            with pytest.raises(OperationalError):
                log.flush()

        monkeypatch.setattr(JobLog, "action_ended", ended)
        assert work(job).state == JobState.SUCCEEDED
        assert job.events.filter(kind=EventKind.ACTION_DONE).count() == 2
        assert [seq for seq, _, _ in kept(job)] == list(range(1, job.events.count() + 1))


class TestInATransactionOfTheCaller:
    def test_what_is_rolled_back_is_stored_by_the_next_flush(self, job: Job, log: JobLog) -> None:
        log.add(EventKind.JOB, "before")
        log.flush()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            log.add(EventKind.JOB, "one")
            log.step(0, StepState.CHANGED)
            log.flush()
            log.add(EventKind.JOB, "two")
            log.flush()
            raise ZeroDivisionError
        assert kept(job) == [(1, 1, "before")]
        log.add(EventKind.JOB, "three")
        log.flush()
        assert [text for _, _, text in kept(job)] == ["before", "one", "verified", "two", "three"]
        assert [seq for seq, _, _ in kept(job)] == [1, 2, 3, 4, 5]
        assert JobStep.objects.get(job=job).state == StepState.CHANGED

    def test_what_is_committed_is_stored_once(self, job: Job, log: JobLog) -> None:
        with transaction.atomic():
            log.add(EventKind.JOB, "one")
            log.flush()
            log.add(EventKind.JOB, "two")
            log.flush()
        log.add(EventKind.JOB, "three")
        log.flush()
        assert kept(job) == [(1, 1, "one"), (2, 2, "two"), (3, 3, "three")]

    def test_a_job_whose_end_could_not_be_stored_loses_no_entry(
        self, ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from datastores.services import leases

        right = leases.release

        def once(jobs: object) -> Any:
            monkeypatch.setattr(leases, "release", right)
            raise OperationalError("database is locked")

        monkeypatch.setattr(leases, "release", once)
        job = work(ask())
        assert job.state == JobState.ERRORED
        texts = [text for _, _, text in kept(job)]
        assert sum(text.startswith("done: ") for text in texts) == 2, "the journal knows of both actions"
        assert [seq for seq, _, _ in kept(job)] == list(range(1, len(texts) + 1))


class TestWhatADatabaseCannotHold:
    def test_the_message_of_a_step_is_cleaned_like_its_entry(self, job: Job) -> None:
        log = JobLog(job, hosts=["h1"], secrets=("s3cret",))
        log.step(0, StepState.FAILED, "mount said \x00 and s3cret")
        log.undo(Undoable(0, 0, "h1", None))
        log.rest()
        step = JobStep.objects.get(job=job)
        assert step.message == "mount said \ufffd and (secret)"
        assert job.events.get(level=Level.ERROR).text == step.message

    def test_a_file_name_that_is_not_text_is_shown_escaped(self, job: Job, log: JobLog) -> None:
        log.add(EventKind.JOB, "/srv/\udcff.raw")
        log.flush()
        assert [text for _, _, text in kept(job)] == ["/srv/\\udcff.raw"]

    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.INTERRUPTED])
    def test_so_is_what_a_job_says_at_its_end(self, ask: Ask, shell: FakeShell, state: JobState) -> None:
        wrong = {
            JobState.FAILED: said(exit_status=1, stderr="no\x00space"),
            JobState.INTERRUPTED: LostTouch("no\x00answer"),
        }
        shell.answers["set", "b"] = wrong[state]
        job = work(ask())
        assert job.state == state
        assert "no\ufffd" in job.error


class TestWhatIsToldOfAStep:
    def test_names_the_step(self, job: Job) -> None:
        log = JobLog(job, hosts=["h1"], titles=["a clone is there"])
        log.step(0, StepState.UNCHANGED)
        log.action_ended(0, 0, None)
        log.rest()
        assert [event.text for event in job.events.all()] == ["already so: a clone is there", "done: a clone is there"]

    def test_of_several_commands_each_is_named_when_it_is_done(self, job: Job) -> None:
        log = JobLog(job, hosts=["h1"], titles=["a clone is there"])
        log.note_actions(0, 0, [Action(Command(("chown", "root", "/srv/a b"))), Action(Command(("mv", "a", "b")))])
        log.action_ended(0, 1, None)
        log.action_ended(0, 0, None)
        log.rest()
        told = [event.text for event in job.events.filter(kind=EventKind.ACTION_DONE)]
        assert told == ["done: mv a b", "done: chown root '/srv/a b'"]

    def test_what_was_read_carries_its_host(self, job: Job) -> None:
        log = JobLog(job)
        log.facts("h7", 3, 0.006)
        log.rest()
        assert [(event.host, event.text) for event in job.events.all()] == [
            ("h7", "read 3 statements in one round trip, 6 ms")
        ]
