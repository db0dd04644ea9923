"""Datastores that have no room, lose it under way, or cannot be written to."""

from __future__ import annotations

import pytest

from datastores.models import Datastore, Image, Job, JobEvent
from tests.faults.installation import Installation
from tests.lab.disks import MIB


@pytest.fixture(scope="module")
def small(site: Installation) -> Datastore:
    """54 MiB on ext4."""
    for name, size in (("large", 200), ("fitting", 40), ("tiny", 8)):
        site.lab.make_image("h1", f"/var/tmp/{name}.raw", virtual=size * MIB, data=size * MIB)
    return site.datastore("small", "/srv/small/images", kind="shared")


def test_an_image_larger_than_the_free_room_is_refused_before_a_byte_is_copied(
    site: Installation, small: Datastore
) -> None:
    job = site.failed(site.register(small, "large", "/var/tmp/large.raw"))
    assert "free, but 200 MiB are needed. Nothing was copied; make room there" in job.error
    assert not site.rows(JobEvent).filter(job_id=job.pk, kind="action.started").exists()


def test_a_disk_that_fills_in_the_middle_of_a_copy_takes_the_half_copy_back(
    site: Installation, small: Datastore
) -> None:
    machine = site.machine("h1")
    with site.points.holding("cp", "/var/tmp/fitting.raw", when="half") as point:
        job = site.register(small, "fitting", "/var/tmp/fitting.raw")
        point.wait()
        machine.run(["fallocate", "-l", str(20 * MIB), "/srv/small/filler"], check=True)
    job = site.failed(job)
    assert "No space left on device" in job.error
    assert_says_what_is_left(job)
    machine.run(["rm", "/srv/small/filler"], check=True)
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    site.discard(site.rows(Image).get(name="fitting"))


def test_a_datastore_that_turned_read_only_says_so_and_takes_images_again_when_it_is_repaired(
    site: Installation, small: Datastore
) -> None:
    machine = site.machine("h1")
    machine.run(["mount", "-o", "remount,ro", "/srv/small"], check=True)
    try:
        job = site.failed(site.register(small, "tiny", "/var/tmp/tiny.raw"))
    finally:
        machine.run(["mount", "-o", "remount,rw", "/srv/small"], check=True)
    assert "Read-only file system" in job.error
    assert_says_what_is_left(job)
    site.succeeded(site.ask(f"/jobs/{job.uuid}/retry/"))
    site.discard(site.rows(Image).get(name="tiny"))


def test_a_directory_whose_disk_is_read_only_is_not_made_a_datastore(site: Installation) -> None:
    machine = site.machine("h1")
    machine.run(["install", "-d", "/srv/small/other"], check=True)
    machine.run(["mount", "-o", "remount,ro", "/srv/small"], check=True)
    try:
        job = site.new_datastore("other", "/srv/small/other", kind="shared")
        refused = " ".join(job.steps.values_list("refused", flat=True))
        assert "is read-only" in refused and "mount it writable" in refused
        assert "Remove its cause" in site.refusal(f"/jobs/{job.uuid}/approve/")
    finally:
        machine.run(["mount", "-o", "remount,rw", "/srv/small"], check=True)
    site.ask(f"/jobs/{job.uuid}/cancel/")
    assert not site.rows(Datastore).filter(name="other").exists()


def assert_says_what_is_left(job: Job) -> None:
    """The error tells, after what happened, what became of what the job had done, and what to do."""
    assert "taken back" in job.error
    assert "try again" in job.error
