"""Changes of an image that is there: resize, checksum, delete; snapshots and moves build on it."""

from __future__ import annotations

from typing import Any, ClassVar

from datastores.domain import values
from datastores.domain.errors import BadInput
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.hosts.checksums import of_job
from datastores.models import Drift, Image, Job
from datastores.services.changes import Change
from datastores.services.deleted_images import remember_deleted
from datastores.services.dependants import require_at_rest, require_unneeded
from datastores.services.placing import driver_of, image_volume, preparing, require_ready, require_state
from datastores.services.usecase import OWNERS, Results, UseCase


class ImageChange(Change):
    """A use case that changes the bytes of an image that is there."""

    of, model = "image", Image
    targets: ClassVar[tuple[str, ...]] = ("image",)

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"{self.label} {job.image.name}"
        job.target_label = f"{job.image.datastore.name}/{job.image.name}"


class ImageResize(ImageChange):
    """Make an image larger; what is on it stays."""

    kind = "image.resize"
    label = "Resize image"

    def check(self, job: Job) -> None:
        if values.whole_disk(int(job.params["size"])) <= job.image.virtual_size:
            raise BadInput("An image can only grow: the end of a disk cannot be cut off without losing data.")
        require_unneeded(job.image, job.user, "resized")

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        volume = image_volume(job.image, driver)
        return Stage("resize", driver.resize(volume, int(job.params["size"]))), *preparing(driver, volume)

    def outdated(self, job: Job) -> dict[str, Any]:
        return Image.WRITTEN

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Image.objects.filter(pk=job.image_id).update(virtual_size=int(job.params["size"]))


class ImageChecksum(UseCase):
    """Compute the SHA-256 of the image's bytes. The image stays what it is."""

    kind = "image.checksum"
    label = "Compute checksum of"
    queue = "transfer"
    roles = OWNERS
    targets = ("image",)

    def ask(self, job: Job) -> None:
        self.again(job)
        job.title = f"{self.label} {job.image.name}"
        job.target_label = f"{job.image.datastore.name}/{job.image.name}"

    def again(self, job: Job) -> None:
        require_ready(job.image.datastore)
        require_state(job.image, ObjectState.READY)
        require_at_rest(job.image, job.user)

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"image:{job.image_id}": False}

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        computed = driver.checksum(image_volume(job.image, driver))
        return (Stage("checksum", of_job(computed, job.uuid.hex)),)

    def succeeded(self, job: Job, results: Results) -> None:
        _, digest = results[-1]
        Image.objects.filter(pk=job.image_id).update(sha256=digest)


class ImageDelete(ImageChange):
    """Delete an image with its snapshots: they are states of it, of no use without it."""

    kind = "image.delete"
    label = "Delete image"
    states = (ObjectState.READY, ObjectState.ERROR)
    meanwhile = ObjectState.DELETING

    def check(self, job: Job) -> None:
        require_unneeded(job.image, job.user, "deleted")

    def check_still(self, job: Job) -> None:
        require_unneeded(job.image, job.image.owner, "deleted")  # what it says stays with the image, for its owner

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        snapshots = tuple(job.image.snapshots.order_by("pk").values_list("name", flat=True))
        return (Stage("delete", driver.delete_image(image_volume(job.image, driver), snapshots)),)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        (self.lose if lossy else self.failed)(job, error)

    def succeeded(self, job: Job, results: Results) -> None:
        Drift.objects.cease(image=job.image_id)
        remember_deleted(job.image)
        Image.objects.filter(pk=job.image_id).delete()
