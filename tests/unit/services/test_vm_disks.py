"""Disks of machines without an image, larger disks, and disks that are handed over."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Busy, Refused, Unsupported
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.disks import DiskRenamed
from datastores.hosts.lvm_volumes import VolumeGrown
from datastores.hosts.sizes import ImageResized
from datastores.hosts.tgt_targets import TargetServed
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Image, Job, User, VirtualMachine
from datastores.services import vms
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_vm, an_image, signed_in, text_of
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db


def block(user: User, vm: VirtualMachine, datastore: Datastore, **params: Any) -> Job:
    return submit("disk.block", user=user, vm=vm, datastore=datastore, params={"size": GIB, **params})


def steps_of(job: Job) -> list[Any]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]


# Made empty


def test_a_machine_gets_a_disk_to_swap_to(alice: User, xfs: Datastore) -> None:
    vm = a_vm(alice)
    a_disk(an_image(alice, datastore=xfs), vm)
    job = block(alice, vm, xfs, filesystem="swap")
    (step,) = steps_of(job)
    path = f"{xfs.base}/{vm.pk}/disk.1"
    assert isinstance(step, DataBlockExists)
    assert (step.path, step.size, step.format, step.filesystem) == (path, GIB, Format.RAW, Filesystem.SWAP)
    assert step.with_directory and job.title.endswith("disk.1, swap of 1 GiB")
    disk = ended(job).disk
    assert (disk.kind, disk.image, disk.state) == (Disk.Kind.BLOCK, None, ObjectState.READY)


def test_an_empty_disk_that_is_taken_back_is_gone(alice: User, xfs: Datastore) -> None:
    job = ended(block(alice, a_vm(alice), xfs, format="qcow2"))
    assert KINDS[job.kind].destroyed_by_undo(job) == str(job.disk)
    KINDS[job.kind].undone(job)
    assert not Disk.objects.exists()


@pytest.mark.parametrize(
    "params", [{"filesystem": "zfs"}, {"format": "iso"}, {"size": 7}, {"size": GIB + 1}, {"filesystem": "../x"}]
)
def test_what_cannot_be_made_becomes_no_row(alice: User, xfs: Datastore, params: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        block(alice, a_vm(alice), xfs, **params)
    assert not Disk.objects.exists() and not Job.objects.exists()


def test_an_empty_disk_stays_one_when_it_is_moved_and_is_saved_as_a_data_block(
    alice: User, xfs: Datastore, qcow2: Datastore
) -> None:
    disk = ended(block(alice, a_vm(alice), xfs)).disk
    saved = done("disk.save", alice, {"name": "kept"}, disk=disk, datastore=xfs)
    assert Image.objects.get(pk=saved.image_id).type == Image.Type.DATABLOCK
    xfs.members.update(host=qcow2.members.get().host)
    done("disk.move", alice, disk=disk, datastore=qcow2)
    disk.refresh_from_db()
    assert (disk.kind, disk.datastore) == (Disk.Kind.BLOCK, qcow2)


# Larger


def test_a_disk_is_made_larger_while_its_machine_is_off(alice: User, xfs: Datastore) -> None:
    disk = a_disk(an_image(alice, datastore=xfs))
    job = submit("disk.resize", user=alice, disk=disk, params={"size": 30 * GIB})
    (step,) = steps_of(job)
    assert isinstance(step, ImageResized) and step.size == 30 * GIB
    ended(job)
    disk.refresh_from_db()
    assert (disk.virtual_size, disk.state) == (30 * GIB, ObjectState.READY)
    VirtualMachine.objects.update(state=VirtualMachine.State.RUNNING)
    with pytest.raises(Refused, match="is running"):
        submit("disk.resize", user=alice, disk=disk, params={"size": 40 * GIB})


def test_a_disk_that_is_served_to_its_host_is_served_as_large_as_it_has_become(alice: User) -> None:
    hosts = [a_host(address="192.0.2.1"), a_host(address="192.0.2.2")]
    store = a_datastore(kind="iscsi", hosts=hosts)
    disk = a_disk(an_image(alice, datastore=store), host=hosts[1])
    job = submit("disk.resize", user=alice, disk=disk, params={"size": 30 * GIB})
    grown, served = (step for step in steps_of(job) if isinstance(step, VolumeGrown | TargetServed))
    assert (grown.size, served.size) == (30 * GIB, 30 * GIB)


def test_a_disk_never_shrinks_and_a_link_is_its_image(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs, persistent=True)
    with pytest.raises(BadInput, match="only grow"):
        submit("disk.resize", user=alice, disk=a_disk(image), params={"size": GIB})
    with pytest.raises(Refused, match="make the image larger"):
        submit("disk.resize", user=alice, disk=a_disk(image, kind="link"), params={"size": 30 * GIB})


def test_a_cd_is_not_made_larger(alice: User, xfs: Datastore) -> None:
    disk = a_disk(an_image(alice, datastore=xfs, format="iso"))
    with pytest.raises(Unsupported, match="cannot be made larger"):
        submit("disk.resize", user=alice, disk=disk, params={"size": 30 * GIB})


# Handed over


def test_a_disk_is_given_to_another_machine_under_its_next_number(alice: User, xfs: Datastore) -> None:
    image = an_image(alice, datastore=xfs)
    disk, taker = a_disk(image), a_vm(alice)
    a_disk(image, taker)
    giver = disk.vm_id
    job = submit("disk.give", user=alice, disk=disk, params={"vm": taker.pk})
    assert steps_of(job) == [
        DiskRenamed(xfs.members.get().host.name, f"{xfs.base}/{giver}/disk.0", f"{xfs.base}/{taker.pk}/disk.1")
    ]
    assert steps_of(job) == steps_of(Job.objects.get(pk=job.pk))
    ended(job)
    disk.refresh_from_db()
    assert (disk.vm, disk.number, disk.state) == (taker, 1, ObjectState.READY)
    assert taker.disks.count() == 2 and not VirtualMachine.objects.get(pk=giver).disks.exists()


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_the_number_is_kept_free_for_it_only_as_long_as_the_job_lasts(alice: User, xfs: Datastore, how: str) -> None:
    disk, taker = a_disk(an_image(alice, datastore=xfs)), a_vm(alice)
    job = submit("disk.give", user=alice, disk=disk, params={"vm": taker.pk})
    other = block(alice, taker, xfs)
    assert (job.params["number"], other.disk.number) == (0, 1)
    with pytest.raises(Busy):
        vms.set_vm_state(taker, "running", alice)
    ended(job, how)
    disk.refresh_from_db()
    assert (disk.number, disk.state, disk.vm_id == taker.pk) == (0, ObjectState.READY, False)
    assert [each.number for each in taker.disks.all()] == [1]


def test_a_job_that_is_tried_again_keeps_a_number_anew(alice: User, xfs: Datastore) -> None:
    disk, taker = a_disk(an_image(alice, datastore=xfs)), a_vm(alice)
    job = ended(submit("disk.give", user=alice, disk=disk, params={"vm": taker.pk}), "failed")
    ended(block(alice, taker, xfs))
    KINDS[job.kind].again(job)
    assert Job.objects.get(pk=job.pk).params["number"] == 1
    ended(job)
    disk.refresh_from_db()
    assert (disk.vm, disk.number) == (taker, 1)


def test_a_running_machine_neither_gives_nor_takes(alice: User, xfs: Datastore) -> None:
    disk, taker = a_disk(an_image(alice, datastore=xfs)), a_vm(alice, state="running")
    with pytest.raises(Refused, match="is running"):
        submit("disk.give", user=alice, disk=disk, params={"vm": taker.pk})
    with pytest.raises(BadInput, match="already"):
        submit("disk.give", user=alice, disk=disk, params={"vm": disk.vm_id})
    with pytest.raises(Refused, match="gone"):
        submit("disk.give", user=alice, disk=disk, params={"vm": 10**9})
    assert not Job.objects.exists() and Disk.objects.count() == 1


# Pages


def test_the_pages_of_a_machine_and_a_disk_offer_it(alice: User, bob: User, xfs: Datastore) -> None:
    client, vm = signed_in(alice), a_vm(alice)
    client.post(f"/vms/{vm.pk}/blocks/", {"size": "2 GiB", "filesystem": "swap", "format": "raw", "datastore": xfs.pk})
    disk = ended(Job.objects.get(kind="disk.block")).disk
    assert disk.virtual_size == 2 * GIB
    page = text_of(client.get(f"/vms/{vm.pk}/"))
    assert "Add empty disk" in page and "none</span>" in page
    page = text_of(client.get(f"/disks/{disk.pk}/"))
    assert "Made empty" in page and "There is no other virtual machine." in page
    client.post(f"/disks/{disk.pk}/resize/", {"size": "3 GiB"})
    ended(Job.objects.get(kind="disk.resize"))
    taker, foreign = a_vm(alice), a_vm(bob)
    page = text_of(client.post(f"/disks/{disk.pk}/give/", {"vm": foreign.pk}))
    assert "Select a valid choice" in page and not Job.objects.filter(kind="disk.give").exists()
    client.post(f"/disks/{disk.pk}/give/", {"vm": taker.pk})
    assert Job.objects.get(kind="disk.give").params["vm"] == taker.pk


def test_what_is_refused_stays_in_the_form(alice: User, xfs: Datastore) -> None:
    client, vm = signed_in(alice), a_vm(alice)
    sent = {"size": "100 MiB", "filesystem": "xfs", "format": "raw", "datastore": xfs.pk}
    page = text_of(client.post(f"/vms/{vm.pk}/blocks/", sent))
    assert "xfs needs at least 300 MiB" in page and 'value="100 MiB"' in page
    assert not vm.disks.exists()
