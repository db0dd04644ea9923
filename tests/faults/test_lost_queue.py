"""Redis is killed, or loses everything it had, in the middle of the work."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import transaction
from django.utils import timezone
from redis import Redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from datastores.models import Datastore, Image, Job, VirtualMachine
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation, wait_for
from tests.faults.test_two_people import workers_asleep


def kill_redis(site: Installation) -> None:
    """Kill it, and wait until its supervisor has started it again."""
    before = site.stack.redis.pid
    site.stack.redis.kill()
    wait_for(lambda: site.stack.redis.pid not in {0, before}, "Redis is started again")


def test_redis_is_killed_in_the_middle_of_a_copy_and_the_job_does_not_notice(
    site: Installation, xfs: Datastore
) -> None:
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "through a restart", GOLDEN)
        point.wait()
        kill_redis(site)
    site.succeeded(job)
    assert site.fresh(job).attempts == 1
    site.discard(site.rows(Image).get(name="through a restart"))


def test_redis_is_killed_right_after_ten_submissions_and_all_ten_are_carried_out(
    site: Installation, golden: Image
) -> None:
    jobs = [site.clone(golden, f"before the kill {number}") for number in range(5)]
    site.stack.redis.kill()
    jobs += [site.clone(golden, f"during the kill {number}") for number in range(5)]
    for job in jobs:
        site.succeeded(job, seconds=90)
    site.discard(*site.rows(VirtualMachine).filter(name__contains="the kill"))


def heard(socket: ClientConnection, name: str, value: str) -> bool:
    """Wait for a frame with this value, alone or together with others."""
    while True:
        frames = json.loads(socket.recv(timeout=10))
        if any(frame.get(name) == value for frame in (frames if isinstance(frames, list) else [frames])):
            return True


def answers(site: Installation) -> bool:
    """Tell whether a new socket opens and answers; while Redis is away it is refused, and a browser tries again."""
    try:
        with site.admin.socket("/ws/feed/") as socket:
            socket.send("{}")
            return heard(socket, "type", "pong")
    except InvalidStatus:
        return False


def test_sockets_hear_of_news_again_and_new_ones_open_after_redis_was_killed(site: Installation, golden: Image) -> None:
    with site.admin.socket("/ws/feed/") as before:
        kill_redis(site)
        wait_for(lambda: answers(site), "a new socket")  # Redis may be reading its file still
        assert all(answers(site) for _ in range(3))
        job = site.succeeded(site.clone(golden, "heard of"))
        before.send("{}")  # the bell may have been lost; a browser's heartbeat makes up for that
        assert heard(before, "uuid", str(job.uuid))
    site.discard(site.rows(VirtualMachine).get(name="heard of"))


def test_what_a_redis_without_memory_forgot_is_handed_over_again(site: Installation, golden: Image) -> None:
    with workers_asleep(site):
        jobs = [site.clone(golden, f"forgotten {number}") for number in range(3)]
        site.stack.redis.forget()
    for job in jobs:
        site.succeeded(job, seconds=90)
    site.discard(*site.rows(VirtualMachine).filter(name__contains="forgotten"))


def kill_all_workers(site: Installation) -> None:
    for pid in site.stack.worker_pids():
        os.kill(pid, signal.SIGKILL)


@contextmanager
def database_locked(site: Installation, job: Job) -> Iterator[None]:
    """Nobody can change the job's row meanwhile (on SQLite: nobody can write at all)."""
    with transaction.atomic(using=site.alias):
        site.rows(Job).select_for_update(of=("self",)).get(pk=job.pk)
        yield


def test_a_worker_that_is_killed_between_the_queue_and_the_job_loses_nothing(site: Installation, golden: Image) -> None:
    with workers_asleep(site):
        job = site.clone(golden, "in the gap")
        lock = database_locked(site, job)
        lock.__enter__()
    queue = Redis.from_url(site.stack.redis.url)
    wait_for(lambda: queue.hget(f"rq:job:{job.uuid}-1", "status") == b"started", "a worker has taken it")
    kill_all_workers(site)
    lock.__exit__(None, None, None)
    site.succeeded(job, seconds=90)
    site.discard(site.rows(VirtualMachine).get(name="in the gap"))


def test_the_schedule_goes_on_after_its_worker_was_killed_in_the_middle_of_a_duty(
    site: Installation, golden: Image, xfs: Datastore
) -> None:
    """Datastores are measured, and jobs looked after, by whoever is started in the dead one's place."""
    job = site.rows(Job).latest("pk")
    with database_locked(site, job):
        time.sleep(3)
        kill_all_workers(site)
    killed = timezone.now()
    wait_for(lambda: site.fresh(xfs).measured_at > killed, "the datastore is measured again", seconds=60)


def test_workers_do_not_outlive_a_pool_that_was_killed(site: Installation, golden: Image) -> None:
    old = site.stack.worker_pids()
    site.stack.kill("workers")
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old), "the old workers end")
    site.succeeded(site.clone(golden, "by new workers"))
    site.discard(site.rows(VirtualMachine).get(name="by new workers"))
