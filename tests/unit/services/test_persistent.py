"""Nothing writes to an image below what was built on it."""

from __future__ import annotations

import pytest

from datastores.domain.errors import Refused
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Datastore, Disk, Image, User, VirtualMachine
from datastores.services.images import set_persistent
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db


def test_an_image_below_an_overlay_does_not_become_persistent(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2")
    done("image.clone", alice, {"name": "overlay", "source": image.pk})
    with pytest.raises(Refused, match="made persistent, it is needed by: image overlay"):
        set_persistent(image, alice, on=True, version=0)
    image.refresh_from_db()
    assert (image.persistent, image.version) == (False, 0)
    assert not AuditEntry.objects.filter(action="image.persistent").exists()


def test_an_image_with_independent_clones_becomes_persistent(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs)
    done("image.clone", alice, {"name": "copy", "source": image.pk})
    set_persistent(image, alice, on=True, version=0)
    assert Image.objects.get(pk=image.pk).persistent


def test_an_image_that_was_changed_or_taken_into_use_meanwhile(alice: User, xfs: Datastore) -> None:
    seen = an_image(alice, datastore=xfs)
    Image.objects.update(state="changing")
    with pytest.raises(Refused, match="is changing"):
        set_persistent(seen, alice, on=True, version=0)
    Image.objects.update(state="ready")
    a_disk(Image.objects.get(), a_vm(alice, "web"))
    with pytest.raises(Refused, match="used by web"):
        set_persistent(seen, alice, on=True, version=0)


@pytest.mark.parametrize("needing", ["image", "disk"])
def test_a_persistent_image_below_an_overlay_is_not_given_to_a_machine(
    alice: User, qcow2: Datastore, needing: str
) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    if needing == "image":
        an_image(alice, "overlay", datastore=qcow2, parent=image)
    else:
        a_disk(image, a_vm(alice, "overlay"), kind=Disk.Kind.CLONE)
    with pytest.raises(Refused, match=r"written to by a VM, it is needed by: (image|VM) overlay"):
        submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    assert not Disk.objects.filter(kind=Disk.Kind.LINK).exists()


def test_what_became_persistent_since_it_was_looked_up_is_linked(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs)
    Image.objects.update(persistent=True)
    job = submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    assert job.disk.kind == Disk.Kind.LINK


def test_a_link_that_is_tried_again_finds_an_overlay(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    job = ended(submit("disk.create", user=alice, image=image, vm=a_vm(alice)), "failed")
    an_image(alice, "overlay", datastore=qcow2, parent=image)
    with pytest.raises(Refused, match="needed by: image overlay"):
        control.retry(job, alice)


def test_a_persistent_image_gets_no_overlay(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    with pytest.raises(Refused, match=r"persistent.*overlay"):
        submit("image.clone", user=alice, params={"name": "overlay", "source": image.pk})
    assert Image.objects.count() == 1


def test_a_persistent_image_is_cloned_independently_while_it_is_at_rest(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs, persistent=True)
    done("image.clone", alice, {"name": "first", "source": image.pk})
    vm = a_vm(alice, "web", state=VirtualMachine.State.RUNNING)
    a_disk(image, vm, kind=Disk.Kind.LINK)
    with pytest.raises(Refused, match="in use by web, which is running"):
        submit("image.clone", user=alice, params={"name": "second", "source": image.pk})
    VirtualMachine.objects.update(state=VirtualMachine.State.OFF)
    done("image.clone", alice, {"name": "second", "source": image.pk})


# A link leads to the image on every host that follows it


def test_a_link_that_leads_nowhere_on_another_host_is_not_made(alice: User) -> None:
    storage, other = a_host("s1"), a_host("s2")
    image = an_image(alice, datastore=a_datastore("local", kind="btrfs", hosts=[storage]), persistent=True)
    everywhere = a_datastore("vms", kind="shared", type="system", hosts=[storage, other])
    with pytest.raises(Refused, match=r"lead nowhere on s2: local is not seen there.*into local\.$"):
        submit("disk.create", user=alice, image=image, vm=a_vm(alice), datastore=everywhere)
    assert not Disk.objects.exists()


def test_a_link_into_another_datastore_of_hosts_that_see_the_image(alice: User) -> None:
    hosts = [a_host("s1"), a_host("s2"), a_host("s3")]
    image = an_image(alice, datastore=a_datastore(kind="shared", hosts=hosts), persistent=True)
    for name, those in (("fewer", hosts[:2]), ("mounted", [hosts[1]])):
        target = a_datastore(name, kind="shared", type="system", hosts=those)
        job = submit("disk.create", user=alice, image=image, vm=a_vm(alice), datastore=target)
        assert (job.disk.kind, job.disk.datastore) == (Disk.Kind.LINK, target)
        ended(job, "cancelled")


def test_a_local_image_is_linked_where_it_is(alice: User) -> None:
    storage, other = a_host("s1"), a_host("s2")
    local = a_datastore(kind="xfs", hosts=[storage, other])
    assert submit("disk.create", user=alice, image=an_image(alice, datastore=local, persistent=True), vm=a_vm(alice))
