"""Disks over images that their hosts cache: many at once, and a worker that is killed while it brings one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.states import JobState
from datastores.models import CachedCopy, Datastore, DatastoreHost, Disk, Host, Image, Job
from tests.faults.agreement import files_below
from tests.faults.conftest import GOLDEN, PROMISED
from tests.faults.installation import Installation, wait_for

BASE, CACHE = "/srv/xfs/cached", "/srv/xfs/copies"


@pytest.fixture(scope="module")
def store(site: Installation) -> Iterator[Datastore]:
    """A datastore on h1 and h2 that caches images."""
    h1, h2 = site.rows(Host).filter(name__in=("h1", "h2")).order_by("name")
    options = {"options-ssh-cache": "on", "options-ssh-cache_directory": CACHE}
    what = {"kind": "ssh", "name": "cached", "type": "image", "base": BASE, "storage_host": h1.pk}
    job = site.in_state(site.ask("/datastores/new/", **what, **options, other_hosts=h2.pk), JobState.AWAITING)
    site.ask(f"/jobs/{job.uuid}/approve/")
    site.succeeded(job)
    made = site.rows(Datastore).get(name="cached")
    yield made
    site.discard_all(made)
    for name in ("h1", "h2"):
        assert site.machine(name).run(["find", BASE, CACHE + BASE]).stdout in {"", f"{BASE}\n"}


@pytest.fixture(scope="module")
def gold(site: Installation, store: Datastore) -> Image:
    return site.image(store, "gold", GOLDEN)


def disks(site: Installation, gold: Image, count: int, vm: str, host: str) -> list[Job]:
    """Ask for disks of machines of this name on a host."""
    on = site.rows(Host).get(name=host)
    last = site.rows(Job).order_by("-pk").first()
    site.ask(f"/images/{gold.pk}/disks/", count=count, vm_name=vm, on=on.pk)
    return list(site.rows(Job).filter(kind="disk.create", pk__gt=last.pk if last else 0).order_by("pk"))


def ended(site: Installation, gold: Image) -> None:
    """Delete the disks, and see the copies go with the image's checksum: then hosts and rows agree."""
    for disk in site.rows(Disk).filter(image=gold):
        site.discard(disk)
    for copy in site.rows(CachedCopy):
        site.succeeded(site.ask(f"/datastores/{gold.datastore_id}/cache/{copy.pk}/evict/"))


def test_disks_that_are_asked_for_at_once_are_made_over_one_copy(
    site: Installation, store: Datastore, gold: Image
) -> None:
    jobs = disks(site, gold, 6, "many", "h2")
    assert [bool(job.params.get("makes")) for job in jobs] == [True] + [False] * 5
    for job in jobs:
        site.succeeded(job, seconds=90)
    member = site.rows(DatastoreHost).get(datastore=store, host__name="h2")
    assert (member.cache_uses, member.cache_hits) == (6, 5)
    copy = site.rows(CachedCopy).get()
    held = site.fresh(gold).data_digest
    assert (copy.state, copy.uses, copy.data_digest, copy.digest) == ("ready", 6, held, held)
    there = files_below(site.machine("h2"), BASE, CACHE)
    assert len([path for path in there if path.endswith("/disk.0")]) == 6
    assert len([path for path in there if path.endswith(".raw")]) == 1
    ended(site, gold)
    assert site.machine("h2").run(["find", BASE, CACHE, "-type", "f"]).stdout == ""


def test_a_worker_that_is_killed_while_it_brings_an_image_is_followed_by_another(
    site: Installation, store: Datastore, gold: Image
) -> None:
    source = f"{BASE}/{gold.uuid}.raw"
    with site.points.holding("cp", source) as point:
        first, second = disks(site, gold, 2, "brought", "h1")
        point.wait()
        assert site.fresh(second).state == JobState.QUEUED
        site.kill_workers(first)
        wait_for(lambda: site.fresh(first).resumed, "another worker has it", seconds=PROMISED)
    for job in (first, second):
        site.succeeded(job, seconds=PROMISED)
    assert site.rows(CachedCopy).get().uses == 2
    ended(site, gold)


def test_a_cancelled_first_disk_leaves_no_copy(site: Installation, store: Datastore, gold: Image) -> None:
    source = f"{BASE}/{gold.uuid}.raw"
    with site.points.holding("cp", source) as point:
        (first,) = disks(site, gold, 1, "alone", "h1")
        point.wait()
        site.press(f"/jobs/{first.uuid}/cancel/")
    site.in_state(first, JobState.CANCELLED)
    assert not site.rows(CachedCopy).exists()
    assert site.machine("h1").run(["find", CACHE, "-type", "f"]).stdout == ""
