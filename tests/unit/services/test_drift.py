"""What is deleted differs from nothing any more: its drift ends with it, not with the next scan."""

from __future__ import annotations

import pytest

from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Drift, Host, Image, User
from tests.unit.conftest import a_datastore, a_disk, a_drift, a_host, a_vm, an_image, signed_in, text_of
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
OPEN, GONE = Drift.State.OPEN, Drift.State.GONE


def state_of(drift: Drift) -> str:
    drift.refresh_from_db()
    assert (drift.closed_at is None) == (drift.state == OPEN)
    return drift.state


@pytest.mark.parametrize("state", [OPEN, Drift.State.ACCEPTED])
def test_drift_ends_with_its_disk_and_that_of_others_stays(admin: User, state: str) -> None:
    image = an_image(admin)
    disk, other = a_disk(image), a_disk(image)
    of_disk, of_other, of_host = a_drift(disk=disk, state=state), a_drift(disk=other), a_drift()
    done("disk.delete", admin, disk=disk)
    assert [state_of(each) for each in (of_disk, of_other, of_host)] == [GONE, OPEN, OPEN]
    assert text_of(signed_in(admin).get(f"/drift/{of_disk.pk}/")).count("Closed") == 1


def test_drift_ends_with_an_image_and_with_a_datastore(admin: User) -> None:
    store = a_datastore()
    image = an_image(admin, datastore=store)
    of_image, of_store = a_drift(image=image, datastore=store), a_drift(datastore=store)
    done("image.delete", admin, image=image)
    assert [state_of(of_image), state_of(of_store)] == [GONE, OPEN]
    done("datastore.delete", admin, datastore=store)
    assert state_of(of_store) == GONE
    assert not Image.objects.exists() and not Datastore.objects.exists()


def test_drift_ends_with_what_is_taken_back(admin: User) -> None:
    job = done("disk.create", admin, {"with_vm": False}, image=an_image(admin), vm=a_vm(admin))
    drift = a_drift(disk=Disk.objects.get())
    ended(job, "undone")
    assert not Disk.objects.exists()
    assert state_of(drift) == GONE


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_what_was_not_deleted_differs_as_before(admin: User, how: str) -> None:
    disk = a_disk(an_image(admin))
    drift = a_drift(disk=disk)
    ended(submit("disk.delete", user=admin, disk=disk), how)
    assert state_of(drift) == OPEN


def test_drift_ends_with_its_host_and_what_was_repaired_stays_so(admin: User) -> None:
    host = a_host("old")
    drift, repaired = a_drift(host=host), a_drift(host=host, state=Drift.State.REPAIRED)
    signed_in(admin).post(f"/hosts/{host.pk}/delete/", {"confirm_name": "old"})
    assert not Host.objects.exists()
    repaired.refresh_from_db()
    assert (state_of(drift), repaired.state) == (GONE, Drift.State.REPAIRED)
