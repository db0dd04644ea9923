"""Images are made: registered from a file, as an empty data block, as a context, or as the clone of another."""

from __future__ import annotations

import json
import posixpath
from typing import Any, ClassVar

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import ContextIsoExists, Variable
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.qemu_img import ImageOpens
from datastores.hosts.rbd_contexts import RbdContextExists
from datastores.hosts.sources import SourceAllowed
from datastores.models import Drift, Image, Job
from datastores.models.fields import secret_box
from datastores.services.dependants import require_at_rest, require_unneeded, require_untouched
from datastores.services.images import EXTENSIONS, bases_beside, can_clone, check_source, new_image, source_directories
from datastores.services.placing import driver_of, image_volume, keeping, preparing, require_ready, require_state
from datastores.services.usecase import OWNERS, Results, UseCase


class ImageMaker(UseCase):
    """A use case that makes the bytes of a new image row."""

    roles = OWNERS
    can_undo = True
    undo_is = "image.delete"
    targets: ClassVar[tuple[str, ...]] = ("image",)

    def again(self, job: Job) -> None:
        require_ready(job.image.datastore)
        Image.objects.filter(pk=job.image_id).update(state=ObjectState.PENDING, error="")

    def destroyed_by_undo(self, job: Job) -> str:
        return str(job.image)

    def check_undo(self, job: Job) -> None:
        require_ready(job.image.datastore)
        require_unneeded(job.image, job.user, "taken back")
        require_untouched(job)

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"image:{job.image_id}": True, f"datastore:{job.image.datastore_id}": False}

    def made(self, job: Job, **changes: Any) -> None:
        Image.objects.filter(pk=job.image_id).update(state=ObjectState.READY, error="", **changes)

    def failed(self, job: Job, error: str) -> None:
        Image.objects.filter(pk=job.image_id).update(state=ObjectState.ERROR, error=error)

    def cancelled(self, job: Job) -> None:
        Drift.objects.cease(image=job.image_id)
        Image.objects.filter(pk=job.image_id).delete()


class ImageRegister(ImageMaker):
    """Copy a file of the storage host into the datastore, inspected before any tool sees it."""

    kind = "image.register"
    label = "Register image"
    queue = "transfer"

    def ask(self, job: Job) -> None:
        source = values.absolute_path(job.params["source"], "The source")
        check_source(job.datastore, source)
        format_ = job.params.get("format") or EXTENSIONS.get(posixpath.splitext(source)[1].lower(), Format.RAW)
        if format_ not in set(Format):
            raise BadInput("The format is raw, qcow2 or iso.")
        image = new_image(
            job, job.datastore, type=job.params.get("type", Image.Type.OS), source=source, format=format_,
            persistent=bool(job.params.get("persistent")),
        )  # fmt: skip
        job.title = f"Register image {image.name}"

    def plan(self, job: Job) -> Plan:
        image = job.image
        driver = driver_of(image.datastore)
        allowed, taken = tuple(source_directories(image.datastore)), bases_beside(image.datastore)
        volume = image_volume(image, driver)
        return (
            # two stages: the reads of one go together, and nothing is read of a file that is not allowed
            Stage("check the path", (SourceAllowed(driver.host, image.source, allowed, forbidden=taken),), gate=True),
            Stage("inspect", (ImageIsSafe(driver.host, image.source, image.format),)),
            Stage("copy", driver.import_file(image.source, volume)),
            *inspecting(driver, volume),
            *opening(driver, volume),
            *preparing(driver, volume),
        )  # fmt: skip

    def succeeded(self, job: Job, results: Results) -> None:
        facts = [facts for step, facts in results if isinstance(step, ImageIsSafe)][-1]
        self.made(job, virtual_size=facts.virtual_size, real_size=facts.allocated)


def inspecting(driver: StorageDriver, volume: Volume) -> Plan:
    """Return the stage that judges what was copied, which nobody else can change; () where its kind needs none."""
    steps = driver.inspected(volume)
    return (Stage("inspect the copy", steps),) if steps else ()


def opening(driver: StorageDriver, volume: Volume) -> Plan:
    """Return the stage that asks qemu-img for a second opinion of an inspected file; plain bytes need none."""
    if volume.format is not Format.QCOW2:
        return ()
    return (Stage("open the copy", (ImageOpens(driver.host, volume.path, volume.format),)),)


class ImageBlock(ImageMaker):
    """Make an empty data block or a swap disk."""

    kind = "image.create"
    label = "Create data block"

    def queue_of(self, job: Job) -> str:
        """An empty file is made at once; a file system on it is written, and for qcow2 copied."""
        return "transfer" if job.params.get("filesystem") else self.queue

    def ask(self, job: Job) -> None:
        filesystem = job.params.get("filesystem", "")
        if filesystem not in set(Filesystem):
            raise BadInput(f"{filesystem!r} is not a file system that can be made.")
        if job.params.get("format", Format.RAW) not in (Format.RAW, Format.QCOW2):
            raise BadInput("A data block is raw or qcow2.")
        image = new_image(
            job, job.datastore, type=Image.Type.DATABLOCK, source="empty data block", filesystem=filesystem,
            persistent=bool(job.params.get("persistent")), format=job.params.get("format", Format.RAW),
            virtual_size=values.whole_disk(int(job.params["size"])),
        )  # fmt: skip
        job.title = f"Create data block {image.name}"

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        volume = image_volume(job.image, driver)
        return Stage("create", driver.create(volume, Filesystem(job.image.filesystem))), *preparing(driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)


class ContextImage(ImageMaker):
    """Make a context ISO: variables that a VM reads when it boots. They may be secret: the job keeps them encrypted."""

    kind = "image.context"
    label = "Create context ISO"

    def ask(self, job: Job) -> None:
        for name, value in job.params["variables"].items():
            Variable(name, value)  # checks them
        job.params |= {"variables": secret_box().encrypt(json.dumps(job.params["variables"]).encode()).decode()}
        image = new_image(job, job.datastore, type=Image.Type.CONTEXT, source="context", format=Format.ISO)
        job.title = f"Create context ISO {image.name}"

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.image.datastore)
        named = json.loads(secret_box().decrypt(job.params["variables"]))
        variables = tuple(Variable(name, value) for name, value in sorted(named.items()))
        volume = image_volume(job.image, driver)
        return Stage("create", driver.context(volume.path, variables)), *preparing(driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        made = (step.sizes(facts) for step, facts in results if isinstance(step, ContextIsoExists | RbdContextExists))
        size, allocated = next(made)
        self.made(job, virtual_size=size, real_size=allocated)


class ImageClone(ImageMaker):
    """Make a new image with the same content: copy-on-write where the datastore can."""

    kind = "image.clone"
    label = "Clone image"
    checks_plan = False  # as with disks: a clone is asked for and made in milliseconds

    def queue_of(self, job: Job) -> str:
        return "transfer" if job.params.get("copies") else self.queue

    def ask(self, job: Job) -> None:
        source = self._source(job)
        fields = {name: getattr(source, name) for name in ("type", "filesystem", "virtual_size", "format")}
        driver = driver_of(source.datastore)
        clones = can_clone(driver, source)
        job.params = job.params | {"copies": not clones}
        if clones:
            fields["format"] = driver.clone_format(Format(source.format))
        parent = source if clones and keeping(source.datastore).clone_needs_source else None
        image = new_image(job, source.datastore, source=f"clone of {source.name}", parent=parent, **fields)
        job.title = f"Clone {source.name} to {image.name}"

    def again(self, job: Job) -> None:
        self._source(job)
        super().again(job)

    def _source(self, job: Job) -> Image:
        """Return the image to clone.

        :raises Refused: it is gone or not ready, or a VM writes to it, or could write to it below an overlay.
        """
        source = Image.objects.select_related("datastore").filter(pk=job.params["source"]).first()
        if source is None:
            raise Refused("The image to clone is gone.")
        require_state(source, ObjectState.READY)
        require_at_rest(source, job.user)
        driver = driver_of(source.datastore)
        if source.persistent and can_clone(driver, source) and keeping(source.datastore).clone_needs_source:
            raise Refused(
                f"{source.name} is persistent: a VM may write to it, and its clone would be an overlay, which that "
                "corrupts. Make it not persistent first, or save the disk of the VM as an image."
            )
        return source

    def resources(self, job: Job) -> dict[str, bool]:
        return super().resources(job) | {f"image:{job.params['source']}": False}

    def plan(self, job: Job) -> Plan:
        source = Image.objects.select_related("datastore").get(pk=job.params["source"])
        driver = driver_of(source.datastore)
        make = driver.clone if can_clone(driver, source) else driver.copy
        volume = image_volume(job.image, driver)
        return Stage("clone", make(image_volume(source, driver), volume)), *preparing(driver, volume)

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)
