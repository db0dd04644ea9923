"""Clones that become independent of their image."""

from __future__ import annotations

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.volumes import Capability, Format
from datastores.models import Disk, Job
from datastores.services.disks import DiskChange
from datastores.services.placing import disk_volume, driver_of
from datastores.services.usecase import Results


def can_flatten(disk: Disk) -> bool:
    """Tell whether the disk is a clone that can be made to stand alone."""
    able = Capability.FLATTEN in driver_of(disk.datastore).capabilities(Format(disk.format))
    return able and disk.kind == Disk.Kind.CLONE


class DiskFlatten(DiskChange):
    """Copy what a disk shares with its image, so that the image may change or go."""

    kind = "disk.flatten"
    label = "Flatten disk"
    queue = "transfer"

    def check(self, job: Job) -> None:
        if not can_flatten(job.disk):
            raise Refused(f"{job.disk} is a {job.disk.kind} in {job.disk.datastore}: there is nothing to be flattened.")

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.disk.datastore)
        return (Stage("flatten", driver.flatten(disk_volume(job.disk, driver))),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Disk.objects.filter(pk=job.disk_id).update(kind=Disk.Kind.COPY, shared=0)
