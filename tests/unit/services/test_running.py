"""A VM that runs writes to its disks: nothing else works on them then, and it does not start while something does."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import Busy, Refused
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Datastore, Disk, Image, Job, User, VirtualMachine
from datastores.services.vms import set_vm_state
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
RUNNING = VirtualMachine.State.RUNNING


def state_of(vm: VirtualMachine) -> str:
    return str(VirtualMachine.objects.get(pk=vm.pk).state)


def assert_starts_only_after(job: Job, vm: VirtualMachine, user: User) -> None:
    with pytest.raises(Busy, match=rf"in use by job {job.pk} .*{job.title}.*try again when that job has ended"):
        set_vm_state(vm, RUNNING, user)
    assert state_of(vm) == "off"
    assert not AuditEntry.objects.filter(action="vm.state").exists()
    ended(job)
    set_vm_state(vm, RUNNING, user)
    assert state_of(vm) == RUNNING


@pytest.mark.parametrize(("kind", "params"), [("disk.save", {"name": "saved"}), ("disk.move", {})])
def test_a_machine_does_not_start_while_its_disk_is_read(alice: User, kind: str, params: dict[str, Any]) -> None:
    host = a_host()
    disk = a_disk(an_image(alice, datastore=a_datastore(hosts=[host])))
    job = submit(kind, user=alice, params=params, disk=disk, datastore=a_datastore(hosts=[host]))
    assert_starts_only_after(job, disk.vm, alice)


@pytest.mark.parametrize(
    ("kind", "params"), [("image.clone", {"name": "copy"}), ("snapshot.create", {"name": "s"}), ("image.checksum", {})]
)
def test_a_machine_does_not_start_while_the_image_behind_its_link_is_worked_on(
    alice: User, xfs: Datastore, kind: str, params: dict[str, Any]
) -> None:
    image = an_image(alice, datastore=xfs, persistent=True)
    vm = a_disk(image, kind=Disk.Kind.LINK).vm
    about: dict[str, Any] = {} if kind == "image.clone" else {"image": image}
    job = submit(kind, user=alice, params=params | {"source": image.pk}, **about)
    result = [(None, "ab" * 32)] if kind == "image.checksum" else ()
    with pytest.raises(Busy, match=f"job {job.pk}"):
        set_vm_state(vm, RUNNING, alice)
    ended(job, result=result)
    set_vm_state(vm, RUNNING, alice)


def test_a_clone_is_none_of_the_concerns_of_its_image(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs)
    vm = a_disk(image).vm
    submit("image.checksum", user=alice, image=image)
    set_vm_state(vm, RUNNING, alice)
    assert state_of(vm) == RUNNING


def test_a_machine_is_noted_to_be_off_or_stopped_at_any_time(alice: User) -> None:
    disk = a_disk(an_image(alice))
    submit("disk.save", user=alice, params={"name": "saved"}, disk=disk)
    for state in ("stopped", "off"):
        set_vm_state(disk.vm, state, alice)
    assert [entry.detail["before"] for entry in AuditEntry.objects.filter(action="vm.state")] == ["stopped", "off"]


def test_a_machine_that_is_gone(alice: User) -> None:
    vm = a_vm(alice)
    VirtualMachine.objects.all().delete()
    with pytest.raises(Refused, match="is gone"):
        set_vm_state(vm, RUNNING, alice)


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("kind", ["snapshot.create", "snapshot.delete", "snapshot.revert", "image.checksum"])
def test_an_image_that_a_machine_writes_to_is_left_alone(alice: User, qcow2: Datastore, kind: str, state: str) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    snapshot = image.snapshots.create(name="old", state="ready")
    a_disk(image, a_vm(alice, "db", state=state), kind=Disk.Kind.LINK)
    about = {"snapshot": snapshot} if kind in {"snapshot.delete", "snapshot.revert"} else {}
    with pytest.raises(Refused, match=rf"in use by db, which is {state}\. Shut it down|needed by: VM db"):
        submit(kind, user=alice, params={"name": "new"}, image=image, **about)
    VirtualMachine.objects.update(state="off")
    if kind != "snapshot.revert":
        submit(kind, user=alice, params={"name": "new"}, image=image, **about)


def test_a_snapshot_is_not_taken_back_while_a_machine_writes_to_its_image(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    job = done("snapshot.create", alice, {"name": "s"}, image=image)
    a_disk(image, a_vm(alice, "db", state=RUNNING), kind=Disk.Kind.LINK)
    with pytest.raises(Refused, match="in use by db"):
        control.undo(job, alice)


def test_what_is_tried_again_finds_a_machine_that_runs(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2", persistent=True)
    jobs = [
        ended(submit(kind, user=alice, params={"name": "s"}, image=image), "failed")
        for kind in ("snapshot.create", "image.checksum")
    ]
    a_disk(image, a_vm(alice, "db", state=RUNNING), kind=Disk.Kind.LINK)
    for job in jobs:
        with pytest.raises(Refused, match="in use by db"):
            control.retry(job, alice)


def test_the_checksum_of_an_image_goes_when_a_machine_can_write_to_it(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs, persistent=True, sha256="a" * 64)
    vm = done("disk.create", alice, image=image, vm=a_vm(alice)).vm
    assert Image.objects.get().sha256 == ""
    for state, kept in (("off", "b" * 64), ("running", "")):
        Image.objects.update(sha256="b" * 64)
        set_vm_state(vm, state, alice)
        assert Image.objects.get().sha256 == kept


def test_the_checksum_of_an_image_stays_when_its_clone_runs(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs, sha256="a" * 64)
    vm = done("disk.create", alice, image=image, vm=a_vm(alice)).vm
    set_vm_state(vm, RUNNING, alice)
    assert Image.objects.get().sha256 == "a" * 64
