"""A worker is killed before, during and after each action of a job: another resumes it or takes it back."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product as pairs

import pytest
from django.db import connections

from datastores.domain.states import JobState
from datastores.models import Datastore, Disk, Image, Job, VirtualMachine
from tests.faults.agreement import disagreements
from tests.faults.conftest import GOLDEN, PROMISED
from tests.faults.installation import Installation, wait_for
from tests.faults.points import Point
from tests.faults.test_lost_connection import assert_whole, output_of

pytestmark = pytest.mark.usefixtures("usual")  # it takes a while: let it begin now
FATES = ("never ran", "went on alone", "was done")
"""What becomes of the command under way when its worker dies: the host did not get it, goes on with it, had done it."""


@dataclass(frozen=True)
class Round:
    """A job that waits at a fault point."""

    job: Job
    point: Point
    fate: str

    def meet_fate(self) -> None:
        if self.fate == "never ran":
            self.point.end_call()
        else:
            self.point.open()

    def __str__(self) -> str:
        return f"{self.job}: {self.point.tool} {self.fate}"


def hold(site: Installation, tool: str, word: str, fate: str) -> Point:
    return site.points.set(tool, word, when="after" if fate == "was done" else "before")


def held_clones(site: Installation, golden: Image, base: str) -> Iterator[Round]:
    for number, (tool, fate) in enumerate(pairs(("install", "cp"), FATES)):
        vm = site.vm(f"killed-{number}")
        word = str(vm.pk) if tool == "install" else f"{base}/{vm.pk}/disk.0"  # the directory is made from within
        point = hold(site, tool, word, fate)
        yield Round(site.ask(f"/images/{golden.pk}/disks/", count=1, vm=vm.pk), point, fate)


def held_datastores(site: Installation) -> Iterator[Round]:
    for number, (made, fate) in enumerate(pairs(("", "/deep"), FATES)):
        above = f"/srv/xfs/killed-{number}"
        job = site.new_datastore(f"killed-{number}", f"{above}/deep")
        point = hold(site, "install", above + made, fate)
        yield Round(site.ask(f"/jobs/{job.uuid}/approve/"), point, fate)


def held_copies(site: Installation, store: Datastore) -> Iterator[Round]:
    machine = site.machine("h1")
    for number, (tool, fate) in enumerate(pairs(("cp", "chown", "chmod", "mv"), FATES)):
        source = f"/var/tmp/killed-{number}.raw"
        machine.run(["ln", GOLDEN, source], check=True)
        if tool == "cp":
            point = hold(site, tool, source, fate)
            yield Round(site.register(store, f"killed-{number}", source), point, fate)
            continue
        with site.points.holding("cp", source) as start:
            job = site.register(store, f"killed-{number}", source)
            start.wait()
            uuid = site.rows(Image).get(name=f"killed-{number}").uuid
            point = hold(site, tool, f"{store.base}/{uuid}.raw.part", fate)
        yield Round(job, point, fate)


def side_by_side(*works: Callable[[], list[Round]]) -> list[Round]:
    def one(work: Callable[[], list[Round]]) -> list[Round]:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return [each for rounds in pool.map(one, works) for each in rounds]


def test_whenever_its_worker_is_killed_a_job_is_resumed_or_undone_and_can_be_taken_back_whole(
    site: Installation, xfs: Datastore, golden: Image
) -> None:
    rounds = side_by_side(
        lambda: [*held_clones(site, golden, xfs.base)],
        lambda: [*held_datastores(dataclasses.replace(site, admin=site.twin()))],
        lambda: [*held_copies(dataclasses.replace(site, admin=site.twin()), xfs)],
    )
    for each in rounds:
        each.point.wait()
    site.kill_workers(*(each.job for each in rounds))
    for each in rounds:
        each.meet_fate()
    for each in rounds:
        ended = site.ended(each.job, seconds=PROMISED)
    for each in rounds:
        ended = site.fresh(each.job)
        # a copy that the kernel killed along with its worker failed as copies fail: the job says so
        wanted = (
            JobState.FAILED
            if (each.point.tool, each.fate) == ("cp", "never ran") and ended.kind != "disk.create"
            else JobState.SUCCEEDED
        )
        assert ended.state == wanted, f"{each}\n{site.log(ended)}"
    assert disagreements(site) == []
    back = [site.undo(each.job) for each in rounds if site.fresh(each.job).state == JobState.SUCCEEDED]
    for job in back:
        site.in_state(job, JobState.CANCELLED)
    assert not site.rows(Disk).filter(vm__name__startswith="killed-").exists()
    site.discard(*site.rows(VirtualMachine).filter(name__startswith="killed-"))
    site.discard(*site.rows(Image).filter(name__startswith="killed-"))
    assert not site.machine("h1").run(["sh", "-c", "ls -d /srv/xfs/killed-*"]).stdout


def test_a_worker_that_is_killed_while_it_plans_is_replaced(site: Installation) -> None:
    with site.points.holding("findmnt", "/srv/xfs/planned") as point:
        job = site.ask_for_datastore("planned", "/srv/xfs/planned")
        point.wait()
        assert site.fresh(job).state == JobState.PLANNING
        site.kill_workers(job)
    site.in_state(job, JobState.AWAITING, seconds=PROMISED)
    site.ask(f"/jobs/{job.uuid}/cancel/")


def test_a_worker_that_is_killed_while_it_takes_back_is_replaced(site: Installation, golden: Image) -> None:
    vm = site.vm("taken back")
    disk = f"{golden.datastore.base}/{vm.pk}/disk.0"
    clone = site.succeeded(site.ask(f"/images/{golden.pk}/disks/", count=1, vm=vm.pk))
    with site.points.holding("rm", disk) as before:
        site.undo(clone)
        before.wait()
        site.kill_workers(clone)
    site.in_state(clone, JobState.CANCELLED, seconds=PROMISED)
    assert not site.rows(Disk).filter(vm=vm).exists()
    site.discard(vm)


def test_a_worker_that_was_only_asleep_does_not_touch_the_job_that_another_has_taken_over(
    site: Installation, xfs: Datastore
) -> None:
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "slept", GOLDEN)
        point.wait()
        sleeper = site.worker_of(job)
        os.kill(sleeper, signal.SIGSTOP)
        wait_for(lambda: site.worker_of(job) not in {0, sleeper}, "another worker", seconds=PROMISED)
        os.kill(sleeper, signal.SIGCONT)
        wait_for(lambda: f"{job.uuid} was taken over" in site.stack.log("workers"), "the sleeper notices")
    ended = site.succeeded(job)
    assert ended.attempts == 2
    assert [event.seq for event in site.events(job)] == list(range(1, len(site.events(job)) + 1))
    site.discard(site.rows(Image).get(name="slept"))


def test_a_copy_whose_worker_was_killed_is_picked_up_and_its_output_is_whole(
    site: Installation, xfs: Datastore
) -> None:
    with site.points.holding("cp", GOLDEN, when="half") as point:
        job = site.register(xfs, "picked up", GOLDEN)
        point.wait()
        point.chatter()
        wait_for(lambda: len(output_of(site, job)) > 200, "lines of the first worker")
        site.kill_workers(job)
        wait_for(lambda: site.fresh(job).attempts == 2, "the second worker", seconds=PROMISED)
        lines = len(output_of(site, job))
        wait_for(lambda: len(output_of(site, job)) > lines + 200, "lines of the second worker")
    site.succeeded(job)
    assert_whole(output_of(site, job), least=400)
    site.discard(site.rows(Image).get(name="picked up"))


PACK = 6
"""Clones that are asked for at once, of which the third waits at the fault point."""


def held_pack(site: Installation, golden: Image, base: str, fate: str) -> tuple[list[Job], Point]:
    newest = site.vm(f"pack {FATES.index(fate)}").pk  # the others come next
    point = hold(site, "cp", f"{base}/{newest + 3}/disk.0", fate)
    site.ask(f"/images/{golden.pk}/disks/", count=PACK, vm_name=f"pack {FATES.index(fate)}")
    point.wait()
    jobs = list(site.rows(Job).filter(kind="disk.create", vm__pk__gt=newest).order_by("pk"))
    assert len(jobs) == PACK and {job.attempts for job in jobs} == {1}
    return jobs, point


def test_when_its_worker_is_killed_in_a_pack_of_clones_each_of_them_is_resumed(
    site: Installation, xfs: Datastore, golden: Image
) -> None:
    packs = [held_pack(site, golden, xfs.base, fate) for fate in ("never ran", "went on alone")]
    jobs = [job for pack, _ in packs for job in pack]
    assert {site.fresh(job).state for job in jobs} == {JobState.RUNNING}
    site.kill_workers(*jobs)
    packs[0][1].end_call()
    packs[1][1].open()
    for job in jobs:
        ended = site.ended(job, seconds=PROMISED)
        assert ended.state == JobState.SUCCEEDED, site.log(ended)
        numbers = [event.seq for event in site.events(ended)]
        assert numbers == list(range(1, len(numbers) + 1))
    assert disagreements(site) == []
    site.discard(*site.rows(VirtualMachine).filter(name__startswith="pack "))
