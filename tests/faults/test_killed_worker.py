"""A worker is killed before, during and after each action of a job: another resumes it or takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from datastores.domain.states import JobState
from datastores.models import Datastore, Disk, Image, Job, VirtualMachine
from tests.faults.agreement import disagreements
from tests.faults.conftest import GOLDEN
from tests.faults.installation import Installation
from tests.faults.points import Point

PROMISED = 90.0
"""Seconds within which a job that lost its worker has been resumed or undone."""
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
    for number, (tool, fate) in enumerate(product(("install", "cp"), FATES)):
        vm = site.vm(f"killed-{number}")
        word = f"{base}/{vm.pk}" if tool == "install" else f"{base}/{vm.pk}/disk.0"
        point = hold(site, tool, word, fate)
        yield Round(site.ask(f"/images/{golden.pk}/disks/", count=1, vm=vm.pk), point, fate)


def held_datastores(site: Installation) -> Iterator[Round]:
    for number, (made, fate) in enumerate(product(("", "/deep"), FATES)):
        above = f"/srv/xfs/killed-{number}"
        job = site.new_datastore(f"killed-{number}", f"{above}/deep")
        point = hold(site, "install", above + made, fate)
        yield Round(site.ask(f"/jobs/{job.uuid}/approve/"), point, fate)


def held_copies(site: Installation, store: Datastore) -> Iterator[Round]:
    machine = site.machine("h1")
    for number, (tool, fate) in enumerate(product(("cp", "chown", "chmod", "mv"), FATES)):
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


def test_whenever_its_worker_is_killed_a_job_is_resumed_or_undone_and_can_be_taken_back_whole(
    site: Installation, xfs: Datastore, golden: Image
) -> None:
    rounds = [*held_clones(site, golden, xfs.base), *held_datastores(site), *held_copies(site, xfs)]
    for each in rounds:
        each.point.wait()
    site.kill_workers(*(each.job for each in rounds))
    for each in rounds:
        each.meet_fate()
    for each in rounds:
        ended = site.ended(each.job, seconds=PROMISED)
        print(each, ended.state, ended.error)
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
    back = [
        site.ask(f"/jobs/{each.job.uuid}/undo/") for each in rounds if site.fresh(each.job).state == JobState.SUCCEEDED
    ]
    for job in back:
        site.in_state(job, JobState.CANCELLED)
    assert not site.rows(Disk).filter(vm__name__startswith="killed-").exists()
    site.discard(*site.rows(VirtualMachine).filter(name__startswith="killed-"))
    site.discard(*site.rows(Image).filter(name__startswith="killed-"))
    assert not site.machine("h1").run(["sh", "-c", "ls -d /srv/xfs/killed-*"]).stdout
