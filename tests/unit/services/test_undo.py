"""A finished job is taken back only while nothing has been built on it."""

from __future__ import annotations

import pytest

from datastores.domain.errors import Refused
from datastores.domain.states import JobState, ObjectState
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Host, Image, Job, Snapshot, User, VirtualMachine
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_vm, an_image, signed_in
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db


def a_block(user: User, datastore: Datastore, name: str = "block") -> Job:
    """A data block that was made."""
    params = {"name": name, "size": GIB, "format": "qcow2"}
    return done("image.create", user, params, datastore=datastore)


def assert_refused(job: Job, user: User, words: str) -> None:
    with pytest.raises(Refused, match=words):
        control.undo(job, user)
    job.refresh_from_db()
    assert (job.state, job.undo_requested) == (JobState.SUCCEEDED, False)
    assert not job.leases.exists()


def test_an_image_that_nobody_uses(alice: User, qcow2: Datastore) -> None:
    job = a_block(alice, qcow2)
    control.undo(job, alice)
    job.refresh_from_db()
    assert (job.state, job.undo_requested) == (JobState.QUEUED, True)
    ended(job, "undone")
    assert not Image.objects.exists()


def test_an_image_whose_host_is_in_maintenance(alice: User, qcow2: Datastore) -> None:
    job = a_block(alice, qcow2)
    Host.objects.update(maintenance=True)
    assert_refused(job, alice, "is in maintenance")


def test_an_image_that_disks_need(alice: User, qcow2: Datastore) -> None:
    job = a_block(alice, qcow2)
    a_disk(job.image, a_vm(alice, "web", state=VirtualMachine.State.RUNNING))
    assert_refused(job, alice, "needed by: VM web")


def test_an_image_that_an_overlay_needs_though_that_is_still_being_made(alice: User, qcow2: Datastore) -> None:
    job = a_block(alice, qcow2)
    submit("image.clone", user=alice, params={"name": "overlay", "source": job.image_id})
    assert_refused(job, alice, "needed by: image overlay")


def test_an_image_of_which_independent_disks_were_made(alice: User, xfs: Datastore) -> None:
    job = a_block(alice, xfs)
    disk = done("disk.create", alice, image=job.image, vm=a_vm(alice)).disk
    control.undo(job, alice)
    ended(job, "undone")
    disk.refresh_from_db()
    assert disk.image is None
    assert not Image.objects.exists()


@pytest.mark.parametrize("kind", ["image.resize", "image.checksum", "snapshot.create"])
def test_an_image_that_was_worked_on_since(alice: User, qcow2: Datastore, kind: str) -> None:
    job = a_block(alice, qcow2)
    later = submit(kind, user=alice, params={"size": 2 * GIB, "name": "s"}, image=job.image)
    Job.objects.filter(pk=later.pk).update(state=JobState.FAILED, started_at=later.queued_at)
    later.leases.all().delete()
    assert_refused(job, alice, f"worked on since, by job {later.pk} .*Delete it")


def test_an_image_that_was_moved_since(alice: User) -> None:
    host = a_host()
    job = a_block(alice, a_datastore(hosts=[host]))
    done("image.move", alice, image=job.image, datastore=a_datastore(hosts=[host]))
    assert_refused(job, alice, "worked on since")


def test_an_image_to_which_a_machine_wrote(alice: User, xfs: Datastore) -> None:
    job = a_block(alice, xfs)
    Image.objects.update(persistent=True)
    job.image.refresh_from_db()
    linked = done("disk.create", alice, image=job.image, vm=a_vm(alice))
    assert linked.disk.kind == Disk.Kind.LINK
    done("disk.delete", alice, disk=linked.disk)
    assert_refused(job, alice, "worked on since")


@pytest.mark.parametrize("kind", ["image.create", "disk.create", "datastore.create", "disk.save", "snapshot.create"])
def test_what_is_gone_already(admin: User, kind: str) -> None:
    job = Job.objects.create(kind=kind, title="made long ago", state=JobState.SUCCEEDED, user=admin)
    assert_refused(job, admin, "is gone")
    answer = signed_in(admin).post(f"/jobs/{job.uuid}/undo/", headers={"Accept": "application/json"})
    assert answer.status_code == 409


def test_a_disk_of_a_running_machine(alice: User, xfs: Datastore) -> None:
    vm = a_vm(alice, "web")
    job = done("disk.create", alice, image=an_image(alice, datastore=xfs), vm=vm)
    VirtualMachine.objects.update(state=VirtualMachine.State.RUNNING)
    assert_refused(job, alice, "web is running")
    VirtualMachine.objects.update(state=VirtualMachine.State.OFF)
    control.undo(job, alice)
    ended(job, "undone")
    assert not Disk.objects.exists()


def test_a_disk_that_was_moved_since(alice: User) -> None:
    host = a_host()
    here, there = a_datastore(hosts=[host]), a_datastore(hosts=[host])
    job = done("disk.create", alice, image=an_image(alice, datastore=here), vm=a_vm(alice))
    done("disk.move", alice, disk=job.disk, datastore=there)
    assert_refused(job, alice, "was moved since")


def test_a_datastore_that_holds_something(admin: User) -> None:
    params = {"name": "ds", "kind": "xfs", "type": "image", "base": "/srv/ds", "hosts": [a_host().pk]}
    job = done("datastore.create", admin, params)
    image = an_image(admin, datastore=job.datastore)
    assert_refused(job, admin, "still holds 1 images")
    assert Datastore.objects.get().state == ObjectState.READY
    image.delete()
    control.undo(job, admin)
    ended(job, "undone")
    assert not Datastore.objects.exists()


def test_a_snapshot_whose_image_stays_as_it_is(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2")
    job = done("snapshot.create", alice, {"name": "before"}, image=image)
    control.undo(job, alice)
    ended(job, "undone")
    image.refresh_from_db()
    assert (image.state, image.error) == (ObjectState.READY, "")
    assert not Snapshot.objects.exists()


def test_a_snapshot_that_is_gone(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2")
    job = done("snapshot.create", alice, {"name": "before"}, image=image)
    Snapshot.objects.all().delete()
    assert_refused(Job.objects.get(pk=job.pk), alice, "snapshot of this job is gone")
