"""The threads that live as long as the product: what they need of the database survives that it goes away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rq import SimpleWorker

from datastores.domain.states import JobState
from datastores.jobs import ends, run, worker
from datastores.models import Job
from tests.fakes import FakeShell
from tests.unit.jobs.conftest import Ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def perform(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job], None]:
    """What a worker's thread does with a job that it got from a queue."""
    warm = object.__new__(worker.WarmWorker)
    warm.at_work = threading.Lock()

    def execute_job(self: SimpleWorker, job: Job, queue: Any) -> None:
        run.run_job(str(job.uuid))

    monkeypatch.setattr(SimpleWorker, "execute_job", execute_job)
    return lambda job: warm.execute_job(job, None)


def in_a_thread(work: Callable[[], None]) -> None:
    """Do it as a worker's thread would; raise what it raises."""
    raised: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    for error in raised:
        raise error


def test_a_worker_keeps_its_connection_from_job_to_job(
    ask: Ask, shell: FakeShell, perform: Callable[[Job], None]
) -> None:
    jobs, seen = [ask(exclusive=False) for _ in range(3)], set()

    def work() -> None:
        for job in jobs:
            perform(job)
            seen.add(connection.connection)

    in_a_thread(work)
    assert len(seen) == 1 and None not in seen
    assert {job.state for job in Job.objects.all()} == {JobState.SUCCEEDED}


def terminate(pid: int) -> None:
    """Have the server drop a connection, and wait until it has."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server to be cut off from")
@pytest.mark.parametrize("when", ["between two jobs", "in the middle of one"])
def test_a_worker_whose_connection_was_dropped_does_the_next_job(
    ask: Ask, shell: FakeShell, perform: Callable[[Job], None], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    jobs = [ask(exclusive=False) for _ in range(3)]
    pids: list[int] = []
    flush = ends.flush_all

    def drop() -> None:
        in_a_thread(lambda: terminate(pids[-1]))

    def note_pid() -> None:
        connection.ensure_connection()
        pids.append(connection.connection.info.backend_pid)

    def dropped_before(logs: Any) -> None:
        drop()
        flush(logs)

    def work() -> None:
        perform(jobs[0])
        note_pid()
        if when == "between two jobs":
            drop()
            perform(jobs[1])
        else:
            with monkeypatch.context() as patch:
                patch.setattr(ends, "flush_all", dropped_before)
                perform(jobs[1])
        perform(jobs[2])
        note_pid()

    in_a_thread(work)
    assert pids[0] != pids[1]
    states = list(Job.objects.order_by("pk").values_list("state", flat=True))
    assert (states[0], states[2]) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert states[1] == {"between two jobs": JobState.SUCCEEDED, "in the middle of one": JobState.ERRORED}[when]
