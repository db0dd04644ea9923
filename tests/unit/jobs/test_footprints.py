"""What the file of an image is like is noted by the job that made it: what somebody does right after it is found."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from datastores.jobs import run
from datastores.jobs.footprints import note_footprint
from datastores.jobs.submit import submit
from datastores.models import Image, ImageFootprint, Job, User
from tests.unit.conftest import a_job
from tests.unit.jobs.drifting import MIB, Site, scanned, write

pytestmark = pytest.mark.django_db(transaction=True)


def make_block(site: Site, admin: User, **params: Any) -> Image:
    """Have an image made by a job, from the click to its end."""
    wanted = {"name": "gold", "size": MIB, **params}
    job = submit("image.create", user=admin, datastore=site.store, params=wanted)
    run.run_job(str(job.uuid))
    job.refresh_from_db()
    assert (job.state, job.error) == ("succeeded", "")
    image: Image = job.image
    return image


def test_a_master_that_is_altered_before_the_first_scan_is_found(site: Site, admin: User) -> None:
    image = make_block(site, admin)
    print_ = ImageFootprint.objects.get(image=image)
    assert (print_.size, print_.seen_at >= Job.objects.get().ended_at) == (MIB, True)
    write(site.file(image), b"x" * MIB)
    assert scanned() == {"gold": "altered"}


def test_one_that_nobody_touched_is_as_it_was(site: Site, admin: User) -> None:
    make_block(site, admin)
    assert scanned() == {}


def test_a_persistent_image_has_none(site: Site, admin: User) -> None:
    make_block(site, admin, persistent=True)
    assert not ImageFootprint.objects.exists()


def test_a_later_job_makes_it_void(site: Site, admin: User) -> None:
    image = make_block(site, admin)
    write(site.file(image), bytes(2 * MIB))
    a_job(admin, "image.resize", image=image, ended_at=timezone.now())
    assert scanned() == {}


@pytest.mark.parametrize("kind", ["image.checksum", "disk.create"])
def test_jobs_that_only_read_the_image_look_at_nothing(site: Site, admin: User, kind: str) -> None:
    image = site.image(admin)
    note_footprint(a_job(admin, kind, image=image), site.shell)
    assert not ImageFootprint.objects.exists() and not site.shell("h1").ran


@pytest.mark.parametrize("happens", ["gone", "away", "cut", "deleted"])
def test_what_cannot_be_seen_is_left_to_the_next_scan(site: Site, admin: User, happens: str) -> None:
    image = site.image(admin)
    job = a_job(admin, "image.register", image=image)
    if happens == "gone":
        site.file(image).unlink()
    elif happens == "away":
        site.shell("h1").away = True
    elif happens == "cut":
        write(site.file(image), b"")
    else:
        Image.objects.all().delete()
    note_footprint(job, site.shell)
    assert not ImageFootprint.objects.exists()
