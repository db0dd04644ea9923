"""Disks of virtual machines that are saved as images."""

from __future__ import annotations

from typing import Any

from datastores.domain.plan import Plan
from datastores.domain.states import ObjectState
from datastores.drivers.base import StorageDriver
from datastores.models import Datastore, Disk, Job
from datastores.services.carrying import carried, check_limit, hosts_on_the_way, keyed, way_between
from datastores.services.disk_hosts import driver_for
from datastores.services.disk_making import type_of
from datastores.services.disks import require_shut_down_cleanly
from datastores.services.image_making import ImageMaker
from datastores.services.images import new_image
from datastores.services.placing import disk_volume, driver_of, image_volume, preparing, require_state
from datastores.services.usecase import Results


class DiskSaveAs(ImageMaker):
    """Save a VM's disk as a new image; only after a clean shutdown, and the disk stays what it is."""

    kind = "disk.save"
    label = "Save disk as image"
    queue = "transfer"
    targets = ("image", "disk")

    def ask(self, job: Job) -> None:
        disk: Any = job.disk
        self._require_at_rest(disk)
        target = job.datastore or disk.datastore
        self._find_way(job, target)
        image = new_image(
            job, target, type=type_of(disk), source=f"saved from {disk}",
            format=job.params["format"], virtual_size=disk.virtual_size,
        )  # fmt: skip
        job.vm = disk.vm
        job.datastore = target
        job.title = f"Save {disk} as image {image.name}"

    def again(self, job: Job) -> None:
        self._require_at_rest(job.disk)
        self._find_way(job, job.image.datastore)
        job.save(update_fields=["params"])
        super().again(job)

    def _find_way(self, job: Job, target: Datastore) -> None:
        found = way_between(self._source(job.disk), job.disk.format, driver_of(target))
        check_limit(job.params, found)
        job.params = job.params | keyed(found)

    def _source(self, disk: Any) -> StorageDriver:
        """Return the driver where the bytes are: those of a link are its persistent image's."""
        if disk.kind == Disk.Kind.LINK:
            return driver_of(disk.image.datastore)
        return driver_for(disk, driver_of(disk.datastore))

    def _require_at_rest(self, disk: Any) -> None:
        require_state(disk, ObjectState.READY)
        require_shut_down_cleanly(disk, "A disk is saved only after a clean shutdown")

    def resources(self, job: Job) -> dict[str, bool]:
        used = {f"disk:{job.disk_id}": False}
        if job.disk.kind == Disk.Kind.LINK:
            used[f"image:{job.disk.image_id}"] = False
        return super().resources(job) | used | hosts_on_the_way(job)

    def plan(self, job: Job) -> Plan:
        disk = job.disk
        source = self._source(disk)
        linked = disk.kind == Disk.Kind.LINK
        volume = image_volume(disk.image, source) if linked else disk_volume(disk, source)
        driver = driver_of(job.image.datastore)
        made = image_volume(job.image, driver)
        return carried(job, "save", source, volume, driver, made, preparing(driver, made))

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)
