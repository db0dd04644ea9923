"""Snapshots of images: take, go back to, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.drivers.registry import driver_class
from datastores.models import Image, Job, Snapshot
from datastores.services.dependants import require_at_rest, require_unneeded
from datastores.services.image_changes import ImageChange
from datastores.services.placing import driver_of, image_volume, keeping, preparing, require_ready, require_state
from datastores.services.usecase import Results


def inside(image: Image) -> dict[str, Any]:
    """Return the columns that a snapshot taken or deleted makes untrue: some kinds keep it in the image's own file."""
    return Image.WRITTEN if driver_class(image.datastore.kind).snapshots_inside else {}


def lost_snapshots(snapshot: Snapshot, beside: Iterable[Snapshot]) -> list[Snapshot]:
    """Return those of ``beside`` that are destroyed when one goes back to the snapshot: none, for most kinds."""
    if not keeping(snapshot.image.datastore).revert_takes_younger:
        return []
    return [other for other in beside if other.pk > snapshot.pk]


def lost_by_revert(snapshot: Snapshot, beside: Iterable[Snapshot]) -> str:
    """Return what a person is told who goes back to the snapshot. ``beside``: all of its image."""
    names = ", ".join(other.name for other in lost_snapshots(snapshot, beside))
    younger = f" So are the snapshots that were taken after it: {names}." if names else ""
    return f"What was written since then is lost.{younger}"


class SnapshotTake(ImageChange):
    """Keep the state of an image, to come back to."""

    kind = "snapshot.create"
    label = "Take snapshot of"
    can_undo = True
    undo_is = "snapshot.delete"

    def outdated(self, job: Job) -> dict[str, Any]:
        return inside(job.image)

    def check(self, job: Job) -> None:
        require_at_rest(job.image, job.user)
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
        require_at_rest(job.image, job.user)

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
    """Bring an image back to a snapshot; what was written since is lost."""

    kind = "snapshot.revert"
    label = "Revert to snapshot"

    def check(self, job: Job) -> None:
        require_unneeded(job.image, job.user, "reverted")

    def outdated(self, job: Job) -> dict[str, Any]:
        return Image.WRITTEN

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        volume = image_volume(job.image, driver)
        return Stage("revert", driver.revert(volume, job.params["name"])), *preparing(driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        reverted = self.plan(job)[0].steps[-1]
        facts = next(facts for step, facts in results if step == reverted)
        Image.objects.filter(pk=job.image_id).update(virtual_size=facts.virtual_size)
        self._forget_lost(job)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """Younger snapshots are destroyed first, all of them or none; the image may be as it was."""
        self.failed(job, error)
        if lossy:
            self._forget_lost(job)

    def _forget_lost(self, job: Job) -> None:
        lost = lost_snapshots(job.snapshot, job.image.snapshots.all())
        Snapshot.objects.filter(pk__in=[other.pk for other in lost]).delete()


class SnapshotDelete(SnapshotChange):
    """Delete a snapshot; the image stays as it is."""

    kind = "snapshot.delete"
    label = "Delete snapshot"

    def check(self, job: Job) -> None:
        require_at_rest(job.image, job.user)

    def outdated(self, job: Job) -> dict[str, Any]:
        return inside(job.image)

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        return (Stage("delete", driver.delete_snapshot(image_volume(job.image, driver), job.params["name"])),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Snapshot.objects.filter(pk=job.snapshot_id).delete()
