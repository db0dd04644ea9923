"""Snapshots of images: take, go back to, delete."""

from __future__ import annotations

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.models import Job, Snapshot
from datastores.services.image_changes import ImageChange
from datastores.services.images import require_unneeded
from datastores.services.placing import driver_of, image_volume, require_ready, require_state
from datastores.services.usecase import Results


class SnapshotTake(ImageChange):
    kind = "snapshot.create"
    label = "Take snapshot of"
    can_undo = True

    def check(self, job: Job) -> None:
        driver = driver_of(job.image.datastore)
        if Capability.SNAPSHOT not in driver.capabilities(Format(job.image.format)):
            raise Unsupported(f"No snapshots can be taken of {job.image.format} images in {driver.label} datastores.")
        name = values.object_name(job.params["name"], "The name of the snapshot")
        if job.image.snapshots.filter(name=name).exists():
            raise BadInput(f"{job.image.name} has a snapshot {name} already.")

    def ask(self, job: Job) -> None:
        super().ask(job)
        name = job.params["name"] = values.object_name(job.params["name"], "The name of the snapshot")
        job.snapshot = Snapshot.objects.create(image=job.image, name=name)
        job.title = f"Take snapshot {name} of {job.image.name}"

    def again(self, job: Job) -> None:
        super().again(job)
        job.snapshot = Snapshot.objects.create(image=job.image, name=job.params["name"])
        job.save(update_fields=["snapshot"])

    def check_undo(self, job: Job) -> None:
        if job.snapshot is None:
            raise Refused("The snapshot of this job is gone: there is nothing to take back.")
        require_ready(job.image.datastore)
        require_state(job.image, ObjectState.READY)

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        return (Stage("snapshot", driver.snapshot(image_volume(job.image, driver), job.params["name"])),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Snapshot.objects.filter(pk=job.snapshot_id).update(state=ObjectState.READY)

    def failed(self, job: Job, error: str) -> None:
        super().failed(job, error)
        Snapshot.objects.filter(pk=job.snapshot_id).delete()

    def cancelled(self, job: Job) -> None:
        super().cancelled(job)
        Snapshot.objects.filter(pk=job.snapshot_id).delete()


class SnapshotChange(ImageChange):
    """A use case about a snapshot that is there."""

    targets = ("image", "snapshot")

    def ask(self, job: Job) -> None:
        if job.snapshot is None or job.snapshot.image_id != job.image_id:
            raise Refused("There is no such snapshot of this image.")
        super().ask(job)
        job.params = job.params | {"name": job.snapshot.name}
        job.title = f"{self.label} {job.image.name}@{job.snapshot.name}"


class SnapshotRevert(SnapshotChange):
    kind = "snapshot.revert"
    label = "Revert to snapshot"

    def check(self, job: Job) -> None:
        require_unneeded(job.image, "reverted")

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        return (Stage("revert", driver.revert(image_volume(job.image, driver), job.params["name"])),)


class SnapshotDelete(SnapshotChange):
    kind = "snapshot.delete"
    label = "Delete snapshot"

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        return (Stage("delete", driver.delete_snapshot(image_volume(job.image, driver), job.params["name"])),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Snapshot.objects.filter(pk=job.snapshot_id).delete()
