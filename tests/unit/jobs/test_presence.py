"""Which workers are there, as a real Redis tells it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.utils import utcformat

from cloudstore.processes import redis_server
from datastores.domain.alerts import is_lost
from datastores.jobs import presence, watching
from datastores.jobs.claims import worker_name
from datastores.jobs.presence import beat, forget_worker, process_of, seen_queues, seen_workers, thread_name
from datastores.jobs.worker import WarmWorker, worker_for

JSON = "rq.serializers.JSONSerializer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis of these tests alone."""
    socket = tmp_path_factory.mktemp("r") / "s"
    command = [redis_server(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not Path(socket).exists():
        time.sleep(0.01)
    yield Redis(unix_socket_path=str(socket))
    process.terminate()
    process.wait()


@pytest.fixture
def redis(server: Redis, monkeypatch: pytest.MonkeyPatch) -> Redis:
    server.flushall()
    monkeypatch.setattr(presence, "queue", lambda name: Queue(name, connection=server, serializer=JSON))
    return server


def a_worker(redis: Redis, *names: str, born: bool = True, called: str | None = None) -> WarmWorker:
    worker = WarmWorker([Queue(name, connection=redis, serializer=JSON) for name in names], connection=redis,
                        serializer=JSON, name=called)  # fmt: skip
    if born:
        worker.register_birth()
    return worker


def silent_for(redis: Redis, worker: WarmWorker, seconds: float) -> None:
    redis.hset(worker.key, "last_heartbeat", utcformat(timezone.now() - timedelta(seconds=seconds)))


def test_a_worker_that_beats_is_heard_of(redis: Redis) -> None:
    worker = a_worker(redis, "interactive", "provision")
    silent_for(redis, worker, 300)
    [found] = seen_workers()
    assert is_lost(found) and (found.name, found.queues) == (worker.name, ("interactive", "provision"))
    beat([worker])
    [found] = seen_workers()
    assert not is_lost(found) and found.silent_seconds < 5


def test_one_that_was_killed_is_told_of_for_a_while_and_one_that_said_goodbye_is_not(redis: Redis) -> None:
    killed, stopped = a_worker(redis, "interactive"), a_worker(redis, "interactive")
    for worker in (killed, stopped):
        beat([worker])
    silent_for(redis, killed, 200)
    stopped.register_death()
    [found] = seen_workers()
    assert found.name == killed.name and is_lost(found)
    assert 0 < redis.ttl(killed.key) <= presence.REMEMBERED_SECONDS
    redis.delete(killed.key)  # as it does then
    assert seen_workers() == []


def test_a_redis_that_forgot_everything_knows_the_workers_after_the_next_beat(redis: Redis) -> None:
    worker = a_worker(redis, "transfer")
    redis.flushall()
    assert seen_workers() == []
    beat([worker])
    assert [found.queues for found in seen_workers()] == [("transfer",)]
    assert [each.name for each in WarmWorker.all(connection=redis)] == [worker.name]


def test_a_worker_that_has_not_registered_yet_can_still_do_so(redis: Redis) -> None:
    worker = a_worker(redis, "transfer", born=False)
    beat([worker])
    assert seen_workers() == []
    worker.register_birth()
    assert len(seen_workers()) == 1


def test_queues_and_how_long_their_first_entry_waits(redis: Redis, settings: Any) -> None:
    settings.QUEUES = ("interactive", "transfer")
    queue = Queue("transfer", connection=redis, serializer=JSON)
    first = queue.enqueue("nothing.at_all")
    queue.enqueue("nothing.at_all")
    redis.hset(first.key, "enqueued_at", utcformat(timezone.now() - timedelta(seconds=90)))
    empty, waiting = seen_queues()
    assert (empty.name, empty.depth, empty.oldest_seconds) == ("interactive", 0, 0.0)
    assert (waiting.name, waiting.depth) == ("transfer", 2)
    assert 89 < waiting.oldest_seconds < 100


def test_an_entry_that_was_taken_at_that_moment_is_no_defect(redis: Redis, settings: Any) -> None:
    settings.QUEUES = ("transfer",)
    redis.rpush("rq:queue:transfer", "gone")
    assert [(each.depth, each.oldest_seconds) for each in seen_queues()] == [(1, 0.0)]


def test_a_redis_that_does_not_answer_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = Redis(unix_socket_path=str(tmp_path / "nobody"))
    monkeypatch.setattr(presence, "queue", lambda name: Queue(name, connection=away, serializer=JSON))
    with pytest.raises(RedisError):
        seen_workers()
    assert watching.machinery() == (None, None)


def test_one_that_is_gone_for_good_is_forgotten_until_it_beats(redis: Redis) -> None:
    worker, other = a_worker(redis, "interactive"), a_worker(redis, "interactive")
    forget_worker(worker.name)
    assert [found.name for found in seen_workers()] == [other.name]
    beat([worker])
    assert {found.name for found in seen_workers()} == {worker.name, other.name}


def test_it_is_known_how_long_ago_a_worker_was_started(redis: Redis) -> None:
    a_worker(redis, "interactive")
    assert 0 <= seen_workers()[0].age_seconds < 60


class TestThreadsOfOneProcess:
    """They are one worker to people, by the name that its jobs show."""

    def threads(self, redis: Redis, process: str) -> list[WarmWorker]:
        of_slot = enumerate(("provision", "transfer", "transfer,monitor"))
        return [a_worker(redis, *names.split(","), called=thread_name(process, number)) for number, names in of_slot]

    def test_are_there_and_are_lost_together(self, redis: Redis) -> None:
        here, there = self.threads(redis, "vm.lan:31447:b73427b6"), self.threads(redis, "vm.lan:31448:00000001")
        for worker in here:
            silent_for(redis, worker, 200)
        queues = ("monitor", "provision", "transfer", "transfer")
        lost, well = seen_workers()
        assert (lost.name, lost.queues, is_lost(lost)) == ("vm.lan:31447:b73427b6", queues, True)
        assert (well.name, well.queues, is_lost(well)) == ("vm.lan:31448:00000001", queues, False)
        beat(here[:1])
        assert not any(is_lost(each) for each in seen_workers())
        assert len(there) == 3

    def test_are_forgotten_together(self, redis: Redis) -> None:
        self.threads(redis, "vm:1:b7")
        self.threads(redis, "vm:1:b70")
        forget_worker("vm:1:b7")
        forget_worker("vm:9:unknown")
        assert [found.name for found in seen_workers()] == ["vm:1:b70"]

    def test_are_named_as_the_worker_of_a_job_is(self, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("django_rq.get_queue", presence.queue)
        worker = worker_for("interactive", 2)
        assert process_of(worker.key) == worker_name()
        assert worker.name == f"{worker_name()}.2"
