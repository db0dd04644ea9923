"""What every use case that gives a VM one more disk has in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from datastores.domain.errors import Refused
from datastores.domain.states import ObjectState
from datastores.models import Disk, Drift, Image, Job, VirtualMachine
from datastores.services.placing import require_ready
from datastores.services.usecase import OWNERS, UseCase
from datastores.services.vms import forget_unused

CARRIED_AWAY = ("disk.move", "disk.give", "disk.place")
"""Kinds of jobs after which a disk is somewhere else than where it was made."""


def taken_numbers(vms: Iterable[int]) -> dict[int, set[int]]:
    """Return the numbers of the disks of each VM."""
    numbers: dict[int, set[int]] = {vm: set() for vm in vms}
    for vm, number in Disk.objects.filter(vm__in=numbers).order_by().values_list("vm", "number"):
        numbers[vm].add(number)
    return numbers


def first_free(taken: Collection[int]) -> int:
    return next(number for number in range(len(taken) + 1) if number not in taken)


def locked_vm(vm: VirtualMachine | None) -> VirtualMachine:
    """Return the machine, so that nobody else numbers a disk of it in this turn.

    :raises Refused: it is gone.
    """
    found = VirtualMachine.objects.select_for_update().filter(pk=vm.pk if vm else None).first()
    if found is None:
        raise Refused("The virtual machine is gone.")
    return found


def require_shut_down(disk: Disk) -> None:
    """Raise Refused when the disk's VM is running."""
    if VirtualMachine.objects.filter(pk=disk.vm_id, state=VirtualMachine.State.RUNNING).exists():
        raise Refused(f"{disk.vm.name} is running. Shut it down first.")


def type_of(disk: Disk) -> str:
    """Return the type of an image that is saved from the disk."""
    empty = Image.Type.DATABLOCK if disk.kind == Disk.Kind.BLOCK else Image.Type.OS
    return disk.image.type if disk.image else empty


class DiskMaker(UseCase):
    """A use case that makes the bytes of a new disk row."""

    roles = OWNERS
    can_undo = True
    undo_is = "disk.delete"
    targets: ClassVar[tuple[str, ...]] = ("disk",)

    def made(self, job: Job) -> None:
        Disk.objects.filter(pk=job.disk_id).update(state=ObjectState.READY, error="")

    def failed(self, job: Job, error: str) -> None:
        Disk.objects.filter(pk=job.disk_id).update(state=ObjectState.ERROR, error=error)

    def cancelled(self, job: Job) -> None:
        Drift.objects.cease(disk=job.disk_id)
        Disk.objects.filter(pk=job.disk_id).delete()
        if job.params.get("with_vm") and job.vm:
            forget_unused(job.vm, job)

    def destroyed_by_undo(self, job: Job) -> str:
        return "" if job.disk.kind == Disk.Kind.LINK else str(job.disk)

    def check_undo(self, job: Job) -> None:
        require_ready(job.disk.datastore)
        require_shut_down(job.disk)
        if Job.objects.filter(disk=job.disk_id, kind__in=CARRIED_AWAY, started_at__isnull=False).exists():
            raise Refused(
                f"{job.disk} was moved since, so nothing was taken back. Delete it if you do not want it any more."
            )
