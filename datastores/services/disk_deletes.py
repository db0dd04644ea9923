"""The end of a disk; that of a persistent image replaces the image first, where it is a copy."""

from __future__ import annotations

from dataclasses import replace

from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability
from datastores.drivers.base import StorageDriver
from datastores.hosts.copies import PART
from datastores.models import Disk, Drift, Image, ImageFootprint, Job
from datastores.services.carrying import hosts_on_the_way, keyed, moved, way_between
from datastores.services.disk_hosts import detaching, driver_for, on_its_host
from datastores.services.disk_places import require_lost
from datastores.services.disks import DiskChange, comes_back, require_shut_down_cleanly
from datastores.services.placing import disk_volume, driver_of, image_volume, preparing
from datastores.services.usecase import Results


class DiskDelete(DiskChange):
    """Delete the disk of a VM with everything that is on it.

    params: lost (the host that it is used on is gone for good, with what lies there).
    """

    kind = "disk.delete"
    label = "Delete disk"
    states = (ObjectState.READY, ObjectState.ERROR)
    meanwhile = ObjectState.DELETING

    def check(self, job: Job) -> None:
        """A disk that comes back to its persistent image does so first."""
        disk = job.disk
        lost = bool(job.params.get("lost"))
        if lost:
            require_lost(disk, job)
        back = not lost and disk.state == ObjectState.READY and comes_back(disk)
        job.params = job.params | {"back": back}
        if back:
            require_shut_down_cleanly(disk, "It comes back to its persistent image only after a clean shutdown")
            source, target = driver_for(disk, driver_of(disk.datastore)), driver_of(disk.image.datastore)
            job.image = disk.image
            job.params = job.params | keyed(way_between(source, disk.format, target)) | {"format": disk.image.format}

    def resources(self, job: Job) -> dict[str, bool]:
        held = super().resources(job) | on_its_host(job.disk)
        if not job.params.get("back"):
            return held
        return held | hosts_on_the_way(job) | {f"image:{job.disk.image_id}": True}

    def queue_of(self, job: Job) -> str:
        return "transfer" if job.params.get("back") else self.queue

    def plan(self, job: Job) -> Plan:
        disk = job.disk
        driver = driver_of(disk.datastore)
        if job.params.get("back"):
            return self._coming_back(job, driver_for(disk, driver), driver_of(disk.image.datastore))
        lost = bool(job.params.get("lost"))
        if lost and Capability.ATTACH not in driver.can:
            return ()
        if disk.kind == Disk.Kind.LINK and disk.image:
            image, place = image_volume(disk.image), driver.disk_path(disk.vm_id, disk.number)
            return detaching(disk, driver, image, lost=lost) or (Stage("delete", driver.unlink(image, place)),)
        volume = disk_volume(disk, driver)
        delete = Stage("delete", driver_for(disk, driver).delete(volume))
        return *detaching(disk, driver, volume, lost=lost), delete

    def check_still(self, job: Job) -> None:
        if job.params.get("lost"):
            require_lost(job.disk, job)

    def _coming_back(self, job: Job, source: StorageDriver, target: StorageDriver) -> Plan:
        """Return the stages after which the master holds what the machine left, and the disk is gone."""
        left, master = disk_volume(job.disk, source), image_volume(job.disk.image, target)
        returned = replace(master, path=f"{master.path}.returned{PART}")
        then = (
            Stage("replace the master", target.comes_back(master, returned)),
            *preparing(target, master),
            Stage("delete", source.delete(left)),
        )
        return moved(job, "copy back", source, left, target, returned, then)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """What it came back with is in the image for good, so it does not come back once more."""
        if not lossy:
            self.failed(job, error)
            return
        self._note_return(job)
        self.lose(job, error)

    def succeeded(self, job: Job, results: Results) -> None:
        self._note_return(job)
        Drift.objects.cease(disk=job.disk_id)
        Disk.objects.filter(pk=job.disk_id).delete()

    def _note_return(self, job: Job) -> None:
        if job.params.get("back"):
            Image.objects.filter(pk=job.disk.image_id).update(**Image.WRITTEN, virtual_size=job.disk.virtual_size)
            ImageFootprint.objects.filter(image=job.disk.image_id).delete()
