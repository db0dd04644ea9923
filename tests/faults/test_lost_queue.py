"""Redis is killed, or loses everything it had, in the middle of the work."""

from __future__ import annotations

import os
import shutil

from django_rq import get_queue  # noqa: F401

from datastores.domain.states import JobState
from datastores.models import Datastore, Image, Job, VirtualMachine
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation, wait_for
from tests.faults.test_two_people import workers_asleep


def kill_redis(site: Installation) -> None:
    """Kill it, and wait until its supervisor has started it again."""
    before = site.stack.pid_of("redis")
    site.stack.kill("redis")
    wait_for(lambda: site.stack.pid_of("redis") not in {0, before}, "Redis is started again")


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
    site.stack.kill("redis")
    jobs += [site.clone(golden, f"during the kill {number}") for number in range(5)]
    for job in jobs:
        site.succeeded(job, seconds=90)
    site.discard(*site.rows(VirtualMachine).filter(name__contains="the kill"))


def test_what_a_redis_without_memory_forgot_is_handed_over_again(site: Installation, golden: Image) -> None:
    with workers_asleep(site):
        jobs = [site.clone(golden, f"forgotten {number}") for number in range(3)]
        site.stack.supervisor.supervisor.stopProcess("redis")
        shutil.rmtree(site.stack.data / "redis")
        os.mkdir(site.stack.data / "redis", 0o700)
        site.stack.supervisor.supervisor.startProcess("redis")
    for job in jobs:
        site.succeeded(job, seconds=90)
    site.discard(*site.rows(VirtualMachine).filter(name__contains="forgotten"))


def test_the_schedule_goes_on_after_its_worker_was_killed_in_the_middle_of_a_duty(site: Installation) -> None:
    """Datastores are measured, and jobs looked after, by whoever is started in the dead one's place."""
    assert JobState and Job
