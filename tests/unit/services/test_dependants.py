"""What an image is needed by: told briefly however many there are, and nobody is told what is called what elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from datastores.domain.errors import Busy, CloudstoreError, Refused
from datastores.domain.states import JobState
from datastores.jobs import control
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Image, Job, User, VirtualMachine
from datastores.services.dependants import built_on, dependants, in_use, is_saved, require_unneeded
from datastores.services.images import set_persistent
from datastores.services.vms import set_vm_state
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import done

pytestmark = pytest.mark.django_db


def clones(image: Image, owner: User, count: int, prefix: str = "vm") -> None:
    """Give the image so many clones, each of a machine of its own."""
    names = [f"{prefix}{number}" for number in range(count)]
    VirtualMachine.objects.bulk_create(VirtualMachine(owner=owner, name=name) for name in names)
    Disk.objects.bulk_create(
        Disk(vm=vm, number=0, image=image, datastore=image.datastore, kind=Disk.Kind.CLONE, format="raw", state="ready")
        for vm in VirtualMachine.objects.filter(owner=owner, name__in=names)
    )


def test_clones_that_do_not_need_the_image_are_not_even_looked_at(
    alice: User, xfs: Datastore, django_assert_max_num_queries: Any
) -> None:
    image = an_image(alice, datastore=xfs)
    clones(image, alice, 30)
    with django_assert_max_num_queries(6):
        assert dependants(image, alice) == []


def test_of_many_the_first_ten_are_named(alice: User, qcow2: Datastore, django_assert_max_num_queries: Any) -> None:
    image = an_image(alice, "gold", datastore=qcow2)
    clones(image, alice, 12)
    an_image(alice, "overlay", datastore=qcow2, parent=image)
    first = ", ".join(f"VM vm{number} (disk.0, clone)" for number in range(10))
    with django_assert_max_num_queries(6), pytest.raises(Refused) as refusal:
        require_unneeded(image, alice, "deleted")
    assert str(refusal.value) == (f"gold cannot be deleted, it is needed by: {first}, 2 more disks and image overlay.")


def test_ten_are_all_and_the_eleventh_is_one_more(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2)
    clones(image, alice, 10)
    assert len(dependants(image, alice)) == 10
    clones(image, alice, 1, "last")
    assert dependants(image, alice)[10:] == ["1 more disk"]


def test_a_link_needs_the_image_but_is_not_built_on_it(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2)
    a_disk(image, a_vm(alice, "db"), kind=Disk.Kind.LINK)
    a_disk(image, a_vm(alice, "web"), kind=Disk.Kind.CLONE)
    a_disk(image, a_vm(alice, "whole"), kind=Disk.Kind.COPY)
    assert dependants(image, alice) == ["VM db (disk.0, link)", "VM web (disk.0, clone)"]
    assert built_on(image, alice) == ["VM web (disk.0, clone)"]


# What is whose


@pytest.fixture
def shared_image(alice: User, operator: User, qcow2: Datastore) -> Image:
    """An image of alice's on which an operator has built what she knows nothing of."""
    image = an_image(alice, "gold", datastore=qcow2, format="qcow2")
    for number in (1, 2):
        an_image(operator, f"secret{number}", datastore=qcow2, parent=image)
    a_disk(image, a_vm(operator, "secret-vm"))
    return image


def test_a_tenant_is_told_how_many_but_not_what(alice: User, operator: User, shared_image: Image) -> None:
    an_image(alice, "mine", datastore=shared_image.datastore, parent=shared_image)
    assert dependants(shared_image, alice) == [
        "1 disk of other people", "image mine", "2 images of other people",
    ]  # fmt: skip
    everything = ["VM secret-vm (disk.0, clone)", "image secret1", "image secret2", "image mine"]
    assert dependants(shared_image, operator) == dependants(shared_image, None) == everything


@pytest.mark.parametrize("kind", ["image.delete", "image.resize", "image.move", "snapshot.revert"])
def test_a_change_is_refused_without_names_of_others(alice: User, shared_image: Image, kind: str) -> None:
    about = {"snapshot": shared_image.snapshots.create(name="s", state="ready")} if kind == "snapshot.revert" else {}
    target = a_datastore(hosts=list(shared_image.datastore.hosts.all()))
    with pytest.raises(Refused, match=r"needed by: 1 disk of other people and 2 images of other people\.$"):
        submit(kind, user=alice, params={"size": 30 * GIB}, image=shared_image, datastore=target, **about)


def test_what_a_deletion_that_waited_found_is_kept_without_names(alice: User, admin: User, qcow2: Datastore) -> None:
    image = an_image(alice, "gold", datastore=qcow2, format="qcow2")
    job = submit("image.delete", user=admin, image=image)
    an_image(admin, "secret", datastore=qcow2, parent=image)
    with pytest.raises(Refused, match="needed by: 1 image of other people"):  # the owner reads it of the image
        KINDS[job.kind].check_still(Job.objects.get(pk=job.pk))


def refused(viewer: User, call: Callable[[], object]) -> str:
    """Return what is said; what is called "secret" is for those who see everything."""
    with pytest.raises(CloudstoreError) as refusal:
        call()
    assert viewer.sees_everything or "secret" not in str(refusal.value)
    return str(refusal.value)


def test_who_else_uses_an_image(alice: User, operator: User, xfs: Datastore) -> None:
    image = an_image(alice, "gold", datastore=xfs)
    a_disk(image, a_vm(operator, "secret-vm"))
    a_disk(image, a_vm(alice, "web"))
    told = refused(alice, lambda: set_persistent(image, alice, on=True, version=0))
    assert told == "gold is used by web and 1 VM of other people."
    assert "secret-vm and web" in refused(operator, lambda: set_persistent(image, operator, on=True, version=0))


def test_who_else_has_a_persistent_image(alice: User, operator: User, xfs: Datastore) -> None:
    image = an_image(alice, "gold", datastore=xfs, persistent=True)
    a_disk(image, a_vm(operator, "secret-vm", state="running"), kind=Disk.Kind.LINK)
    for user, words in ((alice, "1 VM of other people"), (operator, "secret-vm")):
        vm = a_vm(user)
        told = refused(user, partial(submit, "disk.create", user=user, image=image, vm=vm))
        assert told == f"gold is persistent and in use by {words}: one VM at a time."
        told = refused(user, partial(submit, "snapshot.create", user=user, params={"name": "s"}, image=image))
        assert told == f"gold is in use by {words}, which is running. Shut it down first."


def test_which_job_holds_what_one_wants(alice: User, operator: User, xfs: Datastore) -> None:
    image = an_image(alice, "gold", datastore=xfs, persistent=True)
    job = submit("disk.create", user=operator, image=image, vm=a_vm(operator, "secret-vm"))
    told = refused(alice, lambda: submit("image.checksum", user=alice, image=image))
    assert f"gold is being changed by job {job.pk} (asked by olga). Nothing was changed" in told
    with pytest.raises(Busy, match=rf"job {job.pk} \(Link gold to secret-vm disk\.0, asked by olga\)"):
        submit("image.checksum", user=operator, image=image)


def test_which_job_keeps_a_machine_from_starting(alice: User, operator: User, xfs: Datastore) -> None:
    disk = a_disk(an_image(alice, datastore=xfs), a_vm(alice, "web"))
    job = submit("disk.save", user=operator, params={"name": "secret"}, disk=disk)
    told = refused(alice, lambda: set_vm_state(disk.vm, "running", alice))
    assert told.startswith(f"Disk web disk.0 is in use by job {job.pk} (asked by olga). Nothing was changed")


def test_what_was_done_since_with_an_image_that_is_taken_back(alice: User, operator: User) -> None:
    host = a_host()
    job = done(
        "image.create", alice, {"name": "gold", "size": GIB, "format": "raw"}, datastore=a_datastore(hosts=[host])
    )
    later = done("image.move", operator, image=job.image, datastore=a_datastore("secret", hosts=[host]))
    assert f"worked on since, by job {later.pk} (asked by olga), so" in refused(alice, lambda: control.undo(job, alice))
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "disk", "persistent", "saved"),
    [
        ("xfs", "link", True, True),
        ("xfs", "clone", False, False),
        ("xfs", "copy", True, False),
        ("ssh", "copy", True, True),
        ("ssh", "copy", False, False),
        ("ssh", "block", False, False),
    ],
)
def test_what_is_written_to_a_disk_is_saved_where_it_is_a_persistent_image(
    alice: User, kind: str, disk: str, persistent: bool, saved: bool
) -> None:
    image = an_image(alice, datastore=a_datastore(kind=kind), persistent=persistent)
    row = a_disk(image, kind=disk)
    if disk == "block":
        row.image = None
        row.save()
    assert is_saved(row) == saved
    assert Disk.objects.filter(in_use(), pk=row.pk).exists() == saved
