"""Rows that show the job that works on them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.jobs.submit import submit
from datastores.models import Host, Job, Lease, User
from datastores.web.lists.work import work_on
from tests.unit.conftest import a_disk, a_host, a_job, an_image, signed_in, text_of


def test_a_row_shows_the_job_that_changes_it(admin: User) -> None:
    image = an_image(admin, "gold")
    job = submit("image.checksum", user=admin, image=image)
    row = text_of(signed_in(admin).get("/images/"))
    assert f'class="work" href="/jobs/{job.uuid}/"' in row and "1 job</a>" in row
    assert job.title in row


def test_many_that_use_it_are_counted(admin: User) -> None:
    image = an_image(admin)
    for number in range(3):
        job = a_job(admin, "disk.create", image=image, state="running")
        Lease.objects.create(job=job, resource=f"image:{image.pk}", exclusive=False)
        Lease.objects.create(job=job, resource=f"host:{number}", exclusive=False)
    work = work_on("image", [image.pk], admin)[image.pk]
    assert (work.jobs, work.job) == (3, job)


def test_the_job_that_changes_it_comes_before_those_that_use_it(admin: User) -> None:
    image = an_image(admin)
    changing, using = (a_job(admin, image=image, state="running") for _ in range(2))
    Lease.objects.create(job=changing, resource=f"image:{image.pk}", exclusive=True)
    Lease.objects.create(job=using, resource=f"image:{image.pk}", exclusive=False)
    assert work_on("image", [image.pk], admin)[image.pk].job == changing


def test_a_job_that_is_about_something_else_is_not_shown(admin: User) -> None:
    """The feed would not tell the row when that job has ended."""
    source, made = an_image(admin), an_image(admin)
    job = a_job(admin, "image.clone", image=made, state="running")
    Lease.objects.create(job=job, resource=f"image:{source.pk}", exclusive=False)
    assert work_on("image", [source.pk], admin) == {}


def test_a_tenant_does_not_see_the_jobs_of_others(alice: User, admin: User) -> None:
    image = an_image(alice)
    submit("image.checksum", user=admin, image=image)
    assert work_on("image", [image.pk], alice) == {}
    assert 'class="work"' not in text_of(signed_in(alice).get("/images/"))


@pytest.mark.parametrize("count", [1, 20])
def test_the_number_of_queries_does_not_grow_with_the_work(admin: User, count: int) -> None:
    for _ in range(count):
        host = a_host()
        Lease.objects.create(job=a_job(admin, "host.read", host=host, state="running"),
                             resource=f"host:{host.pk}", exclusive=True)  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        assert len(work_on("host", Host.objects.values_list("pk", flat=True), admin)) == count
    assert len(queries) == 2 + 1  # the keys


def test_rows_are_read_anew_with_one_request_those_that_are_there(admin: User) -> None:
    first, second = an_image(admin), an_image(admin)
    answer = signed_in(admin).get(f"/images/?row={second.pk}&row={first.pk}&row=999999", headers={"HX-Request": "true"})
    page = text_of(answer)
    assert page.index(f'data-row="{second.pk}"') < page.index(f'data-row="{first.pk}"')
    assert page.count("<tr") == 2


def test_a_list_of_disks_with_their_machines_and_images(alice: User, bob: User) -> None:
    disk = a_disk(an_image(alice, "debian"))
    orphan = a_disk(an_image(alice))
    orphan.image.delete()
    a_disk(an_image(bob, "other"))
    page = text_of(signed_in(alice).get("/disks/"))
    assert str(disk) in page and "debian" in page and ">deleted<" in page and "other" not in page
    assert Job.objects.count() == 0
