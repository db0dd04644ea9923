"""Disks of VMs without an image, and what is done to disks that are there: make larger, hand over.

In the words of the shared transfer driver: mkimage and mkswap, resize, and mv.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.hosts.blocks import Filesystem
from datastores.models import Disk, Job, VirtualMachine
from datastores.services.disk_hosts import attaching, detaching, driver_for, host_for, on_its_host
from datastores.services.disk_making import DiskMaker, first_free, locked_vm, taken_numbers
from datastores.services.disks import DiskChange
from datastores.services.placing import disk_volume, driver_of, require_ready, room_kept
from datastores.services.usecase import Results


class DiskBlock(DiskMaker):
    """Give a VM an empty disk, with a file system or as swap. It is thrown away with the VM.

    params: size (bytes), format, filesystem.
    """

    kind = "disk.block"
    label = "Create empty disk"

    def queue_of(self, job: Job) -> str:
        """As of a data block: a file system is written, and for qcow2 copied."""
        return "transfer" if job.params.get("filesystem") else self.queue

    def ask(self, job: Job) -> None:
        filesystem, format_ = job.params.get("filesystem", ""), job.params.get("format", Format.RAW)
        if filesystem not in set(Filesystem):
            raise BadInput(f"{filesystem!r} is not a file system that can be made.")
        if format_ not in (Format.RAW, Format.QCOW2):
            raise BadInput("An empty disk is raw or qcow2.")
        require_ready(job.datastore)
        if format_ not in driver_of(job.datastore).formats:
            raise Unsupported(f"{job.datastore.name} holds no {format_} disks.")
        vm, size = locked_vm(job.vm), values.whole_disk(int(job.params["size"]))
        job.disk = Disk.objects.create(
            vm=vm, number=first_free(taken_numbers([vm.pk])[vm.pk]), datastore=job.datastore, kind=Disk.Kind.BLOCK,
            format=format_, virtual_size=size, reserved=room_kept(driver_of(job.datastore), size),
            host=host_for(job.datastore, vm, job.params.get("on")),
        )  # fmt: skip
        what = {"": "an empty disk", Filesystem.SWAP: "swap"}.get(filesystem, f"an empty {filesystem} disk")
        job.title = f"Make {job.disk}, {what} of {values.format_size(job.disk.virtual_size)}"
        job.target_label = str(job.disk)

    def again(self, job: Job) -> None:
        require_ready(job.disk.datastore)
        Disk.objects.filter(pk=job.disk_id).update(state=ObjectState.PENDING, error="")

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"disk:{job.disk_id}": True, f"datastore:{job.disk.datastore_id}": False} | on_its_host(job.disk)

    def plan(self, job: Job) -> Plan:
        disk, driver = job.disk, driver_of(job.disk.datastore)
        volume, filesystem = disk_volume(disk, driver), Filesystem(job.params.get("filesystem", ""))
        made = driver_for(disk, driver).create(volume, filesystem)
        return Stage("create", made), *attaching(disk, driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)


class DiskResize(DiskChange):
    """Make the disk of a VM larger; what is on it stays. params: size (bytes)."""

    kind = "disk.resize"
    label = "Resize disk"

    def check(self, job: Job) -> None:
        disk = job.disk
        if disk.kind == Disk.Kind.LINK:
            raise Refused("This disk is a link to a persistent image: make the image larger.")
        if values.whole_disk(int(job.params["size"])) <= disk.virtual_size:
            raise BadInput("A disk can only grow: the end of a disk cannot be cut off without losing data.")
        driver = driver_of(disk.datastore)
        if Capability.RESIZE not in driver.capabilities(Format(disk.format)):
            raise Unsupported(f"{disk.format} disks in {driver.label} datastores cannot be made larger.")

    def plan(self, job: Job) -> Plan:
        disk, driver = job.disk, driver_of(job.disk.datastore)
        volume = disk_volume(disk, driver)
        larger = replace(volume, virtual_size=int(job.params["size"]))
        grown = driver_for(disk, driver).resize(volume, larger.virtual_size)
        return *detaching(disk, driver, volume), Stage("resize", grown), *attaching(disk, driver, larger)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        size, disk = int(job.params["size"]), job.disk
        room = driver_of(disk.datastore).room_of(size) if disk.reserved else 0
        Disk.objects.filter(pk=disk.pk).update(virtual_size=size, reserved=room)


class DiskGive(DiskChange):
    """Hand a disk over to another VM: its file gets another name, and no byte is copied. params: vm (id).

    As long as the job has not ended, a row of the other VM keeps the number that the disk is to have; params keep its
    id as ``place``, and where the disk was as ``was``.
    """

    kind = "disk.give"
    label = "Give disk"
    targets: ClassVar[tuple[str, ...]] = ("disk", "vm")

    def ask(self, job: Job) -> None:
        super().ask(job)
        taker = VirtualMachine.objects.get(pk=job.params["vm"])
        job.title = f"Give {job.disk} to {taker.name} as disk.{job.params['number']}"

    def check(self, job: Job) -> None:
        disk = job.disk
        if disk.kind == Disk.Kind.LINK:
            raise Refused("This disk is a link to a persistent image: delete it, and give the other machine one.")
        taker = locked_vm(VirtualMachine(pk=job.params["vm"]))
        if taker.pk == disk.vm_id:
            raise BadInput(f"{disk} belongs to {taker.name} already.")
        if taker.state == VirtualMachine.State.RUNNING:
            raise Refused(f"{taker.name} is running. Shut it down first.")
        host_for(disk.datastore, taker, disk.host_id)
        number = first_free(taken_numbers([taker.pk])[taker.pk])
        place = Disk.objects.create(
            vm=taker, number=number, datastore=disk.datastore, kind=Disk.Kind.BLOCK, format=disk.format
        )
        was = {"vm": disk.vm_id, "number": disk.number}
        job.params = job.params | {"number": number, "place": place.pk, "was": was}

    def resources(self, job: Job) -> dict[str, bool]:
        return super().resources(job) | {f"disk:{job.params['place']}": True}

    def plan(self, job: Job) -> Plan:
        driver, was, disk = driver_of(job.disk.datastore), job.params["was"], job.disk
        what = {"datastore": disk.datastore, "format": disk.format, "virtual_size": disk.virtual_size,
                "host": disk.host}  # fmt: skip
        old = Disk(vm_id=was["vm"], number=was["number"], **what)
        new = Disk(vm_id=job.params["vm"], number=job.params["number"], **what)
        volume, given = disk_volume(old, driver), disk_volume(new, driver)
        renamed = driver_for(disk, driver).rename(volume, given.path)
        return *detaching(old, driver, volume), Stage("hand over", renamed), *attaching(new, driver, given)

    def succeeded(self, job: Job, results: Results) -> None:
        self._free(job)
        super().succeeded(job, results)
        Disk.objects.filter(pk=job.disk_id).update(vm=job.params["vm"], number=job.params["number"])

    def failed(self, job: Job, error: str) -> None:
        self._free(job)
        super().failed(job, error)

    def cancelled(self, job: Job) -> None:
        self._free(job)
        super().cancelled(job)

    def _free(self, job: Job) -> None:
        Disk.objects.filter(pk=job.params["place"], image=None, state=ObjectState.PENDING).delete()
