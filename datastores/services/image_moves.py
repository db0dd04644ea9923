"""Images on their way from one datastore to another."""

from __future__ import annotations

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.models import Datastore, Image, Job
from datastores.services.carrying import check_limit, hosts_on_the_way, keyed, moved, require_way, way_between
from datastores.services.dependants import require_unneeded
from datastores.services.image_changes import ImageChange
from datastores.services.images import require_free_name
from datastores.services.placing import (
    driver_of,
    image_volume,
    preparing,
    require_ready,
)
from datastores.services.usecase import Results


class ImageMove(ImageChange):
    """Move an image to another datastore."""

    kind = "image.move"
    label = "Move image"
    queue = "transfer"
    targets = ("image", "datastore")

    def check(self, job: Job) -> None:
        image, target = job.image, job.datastore
        require_ready(target)
        if target.pk == image.datastore_id:
            raise BadInput(f"The image is in {target.name} already.")
        if target.type == Datastore.Type.SYSTEM:
            raise Refused(f"{target.name} is a system datastore: it holds VM disks, not images.")
        require_unneeded(image, job.user, "moved")
        if names := list(image.snapshots.values_list("name", flat=True)[:10]):
            raise Refused(f"{image.name} cannot be moved with its snapshots ({', '.join(names)}). Delete them first.")
        require_free_name(target, image.name, job.user, image=image)
        way = way_between(driver_of(image.datastore), image.format, driver_of(target))
        check_limit(job.params, way)
        found = keyed(way)
        job.params = job.params | {"from": image.datastore_id, "from_format": image.format} | found

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"Move image {job.image.name} to {job.datastore.name}"
        job.target_label = f"{job.datastore.name}/{job.image.name}"

    def check_still(self, job: Job) -> None:
        require_way(job)

    def resources(self, job: Job) -> dict[str, bool]:
        return super().resources(job) | {f"datastore:{job.datastore_id}": False} | hosts_on_the_way(job)

    def plan(self, job: Job) -> Plan:
        source = driver_of(Datastore.objects.get(pk=job.params["from"]))
        driver = driver_of(job.datastore)
        image = job.image
        old = Image(uuid=image.uuid, format=job.params["from_format"], virtual_size=image.virtual_size,
                    real_size=image.real_size)  # fmt: skip
        new = Image(uuid=image.uuid, format=job.params["format"], virtual_size=image.virtual_size)
        here, there = image_volume(old, source), image_volume(new, driver)
        then = *preparing(driver, there), Stage("remove the old one", source.delete_image(here))
        return moved(job, "copy", source, here, driver, there, then)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        self._note_place(job)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """Remember the new place: the old one was given up when all of the image had been copied and checked."""
        self.rows(job).update(state=ObjectState.READY, error=error)
        self._note_place(job)

    def _note_place(self, job: Job) -> None:
        changed = {"datastore": job.datastore, "format": job.params["format"], "parent": None}
        if job.params["format"] != job.params["from_format"]:
            changed |= Image.WRITTEN
        Image.objects.filter(pk=job.image_id).update(**changed)
