"""Images that were deleted, and that their datastore keeps for some days."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.models import DeletedImage, Image, Job
from datastores.services.image_making import ImageMaker
from datastores.services.images import require_free_name
from datastores.services.placing import driver_of, image_volume, preparing, require_ready
from datastores.services.usecase import Results


def remember_deleted(image: Image) -> None:
    """Remember an image whose row is about to go, where its bytes are kept for some days."""
    if days := driver_of(image.datastore).days_kept:
        columns = {name: getattr(image, name) for name in DeletedImage.KEPT}
        DeletedImage.objects.filter(uuid=image.uuid).delete()
        DeletedImage.objects.create(until=timezone.now() + timedelta(days=days), **columns)


class ImageRestore(ImageMaker):
    """Bring a deleted image back, with the bytes and the name that it had. params: deleted (id)."""

    kind = "image.restore"
    label = "Bring image back"

    def ask(self, job: Job) -> None:
        deleted = DeletedImage.objects.visible_to(job.user).kept().filter(pk=job.params["deleted"]).first()
        if deleted is None:
            raise Refused("Nothing is left of that image.")
        require_ready(deleted.datastore)
        require_free_name(deleted.datastore, deleted.name, job.user)
        job.image = Image.objects.create(**deleted.columns)
        job.datastore = deleted.datastore
        job.title = f"Bring back image {deleted.name}"
        job.target_label = f"{deleted.datastore.name}/{deleted.name}"

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        volume = image_volume(job.image, driver)
        return Stage("bring back", driver.bring_back(volume)), *preparing(driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)
        DeletedImage.objects.filter(uuid=job.image.uuid).delete()

    def failed(self, job: Job, error: str) -> None:
        """It is where it was, and can be asked for again."""
        self.cancelled(job)

    def undone(self, job: Job) -> None:
        """It is deleted as it was before."""
        remember_deleted(job.image)
        self.cancelled(job)
