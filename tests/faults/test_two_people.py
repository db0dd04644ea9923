"""Several people change one thing at the same moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from datastores.domain.states import JobState
from datastores.models import Datastore, Disk, Image, Job, VirtualMachine
from datastores.models.audit import LOCK
from tests.faults.conftest import BYTES, GOLDEN
from tests.faults.installation import Installation


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Call ``work(number)`` in so many threads, which start at the same moment."""
    ready = threading.Barrier(count)

    def one(number: int) -> Any:
        try:
            ready.wait()
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def nobody_writes(site: Installation) -> Iterator[None]:
    """Who is in the middle of a transaction ends it first."""
    with transaction.atomic(using=site.alias), connections[site.alias].cursor() as cursor:
        if connections[site.alias].vendor == "postgresql":
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield


@contextmanager
def workers_asleep(site: Installation) -> Iterator[None]:
    """Nobody takes a job out of a queue meanwhile, nor holds a lock in his sleep."""
    pids = site.stack.worker_pids()
    with nobody_writes(site):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def split(answers: list[Job | str]) -> tuple[list[Job], list[str]]:
    return [each for each in answers if isinstance(each, Job)], [each for each in answers if isinstance(each, str)]


def test_of_two_resizes_one_wins_and_the_other_is_told_who_has_the_image(site: Installation, xfs: Datastore) -> None:
    image = site.image(xfs, "resized", GOLDEN)
    with workers_asleep(site):
        sizes = [2 * BYTES, 3 * BYTES]
        path = f"/images/{image.pk}/resize/"
        jobs, refused = split(at_once(lambda number: site.answer(path, by=site.twin(), size=sizes[number]), 2))
    assert len(jobs) == len(refused) == 1
    assert f"job {jobs[0].pk}" in refused[0] or "is changing" in refused[0], refused
    site.succeeded(jobs[0])
    assert site.fresh(image).virtual_size == int(jobs[0].params["size"])
    site.discard(image)


def test_of_ten_deletions_one_wins(site: Installation, xfs: Datastore) -> None:
    image = site.image(xfs, "deleted", GOLDEN)
    with workers_asleep(site):
        path = f"/images/{image.pk}/delete/"
        jobs, refused = split(at_once(lambda _: site.answer(path, by=site.twin(), confirm_name="deleted"), 10))
    assert (len(jobs), len(refused)) == (1, 9)
    site.succeeded(jobs[0])
    assert not site.rows(Image).filter(pk=image.pk).exists()


def test_a_rename_over_a_change_that_one_has_not_seen_is_refused(site: Installation, xfs: Datastore) -> None:
    image = site.image(xfs, "renamed", GOLDEN)
    names = [f"renamed-{number}" for number in range(5)]
    path = f"/images/{image.pk}/rename/"
    answers = at_once(
        lambda number: site.send(path, {"name": names[number], "version": image.version}, site.twin()), len(names)
    )
    won = [name for name, (status, _) in zip(names, answers, strict=True) if status == 302]
    assert [site.fresh(image).name] == won
    assert all(" was changed by " in said["error"] for status, said in answers if status != 302)
    site.discard(site.fresh(image))


def test_of_twenty_vms_that_want_one_persistent_image_exactly_one_gets_it(site: Installation, xfs: Datastore) -> None:
    image = site.image(xfs, "persistent", GOLDEN, persistent="on")
    path = f"/images/{image.pk}/disks/"
    jobs, refused = split(
        at_once(lambda number: site.answer(path, by=site.twin(), count=1, vm_name=f"wants-{number}"), 20)
    )
    assert (len(jobs), len(refused)) == (1, 19)
    site.succeeded(jobs[0])
    assert site.rows(Disk).filter(image_id=image.pk).count() == 1
    [vm] = site.rows(VirtualMachine).filter(name__startswith="wants-")
    assert all("persistent" in said and ("one VM at a time" in said or "is being changed" in said) for said in refused)
    site.discard(vm, image)


def test_a_deletion_waits_for_the_clones_that_are_being_made(site: Installation, xfs: Datastore) -> None:
    image = site.image(xfs, "wanted", GOLDEN)
    vm = site.vm("clone of wanted")
    with site.points.holding("cp", f"{xfs.base}/{vm.pk}/disk.0") as point:
        clone = site.ask(f"/images/{image.pk}/disks/", count=1, vm=vm.pk)
        point.wait()
        deletion = site.ask(f"/images/{image.pk}/delete/", confirm_name=image.name)
        again = site.refusal(f"/images/{image.pk}/clone/", name="too late")
        assert site.fresh(deletion).state == JobState.QUEUED
    site.succeeded(clone)
    site.succeeded(deletion)
    assert "is deleting" in again or f"job {deletion.pk}" in again
    site.discard(vm)
