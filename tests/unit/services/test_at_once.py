"""What is asked for at once: all of it or none, and its parts do not get into each other's way."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput, Busy, Refused
from datastores.jobs.submit import submit_all
from datastores.models import AuditEntry, Disk, Image, Job, Lease, User, VirtualMachine
from datastores.models.audit import verify
from datastores.services import leases
from datastores.services.vms import create_vms
from tests.unit.conftest import a_datastore, a_vm, an_image

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(alice: User) -> Image:
    return an_image(alice, datastore=a_datastore(kind="xfs"))


def test_machines_of_one_name_are_refused_together(alice: User) -> None:
    with pytest.raises(BadInput, match="the same name"):
        create_vms(["x", "y", "x"], alice)
    create_vms(["y"], alice)
    with pytest.raises(BadInput, match="There are virtual machines with these names already: y"):
        create_vms(["x", "y"], alice)
    assert [vm.name for vm in VirtualMachine.objects.all()] == ["y"]


def test_disks_of_one_machine_get_numbers_of_their_own(alice: User, image: Image) -> None:
    vm = a_vm(alice)
    jobs = submit_all("disk.create", [{"image": image, "vm": vm}] * 3, user=alice)
    assert [job.disk.number for job in jobs] == [0, 1, 2]
    assert {job.disk_id for job in jobs} == set(Disk.objects.values_list("pk", flat=True))
    assert verify() == (3, [])


def test_a_persistent_image_is_linked_once(alice: User, image: Image) -> None:
    Image.objects.update(persistent=True)
    image.refresh_from_db()
    with pytest.raises(Refused, match="one VM at a time"):
        submit_all("disk.create", [{"image": image, "vm": a_vm(alice, name=name)} for name in "ab"], user=alice)
    assert not Disk.objects.exists() and not Job.objects.exists() and not AuditEntry.objects.exists()


def some_jobs(user: User, count: int) -> list[Job]:
    return [Job.objects.create(kind="k", title=f"job {number}", user=user) for number in range(count)]


def test_a_change_waits_for_the_uses_that_were_asked_for_before_it(alice: User) -> None:
    first, second, change, late = some_jobs(alice, 4)
    use, both = {"image:1": False}, {"image:1": True, "disk:9": True}
    assert leases.acquire_all([(first, use), (second, use), (change, both)]) == [first, second]
    with pytest.raises(Busy, match="is wanted by"):
        leases.acquire_all([(late, use)])
    assert leases.release([first]) == []
    assert leases.release([second]) == [change]


def test_uses_that_end_at_once_free_the_change_once(alice: User) -> None:
    first, second, change = some_jobs(alice, 3)
    leases.acquire_all([(first, {"image:1": False, "disk:1": False}), (second, {"image:1": False})])
    assert not leases.acquire(change, {"image:1": True, "disk:1": True})
    assert leases.release([first, second]) == [change]


def test_a_use_of_what_is_changed_by_the_same_request_is_refused_with_it(alice: User) -> None:
    change, use = some_jobs(alice, 2)
    with pytest.raises(Busy):
        leases.acquire_all([(change, {"image:1": True}), (use, {"image:1": False})])
    assert not Lease.objects.exists()
