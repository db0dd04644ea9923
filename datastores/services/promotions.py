"""Images that are deleted although clones need them: one of these takes the place of the image."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.models import Disk, Drift, Image, Job, User
from datastores.services.dependants import in_use, needs_image, require_unneeded, users_of
from datastores.services.image_changes import ImageChange
from datastores.services.placing import disk_volume, driver_of, image_volume, require_state
from datastores.services.usecase import Results

IMAGE, DISK = "image", "disk"
"""What a clone is, that takes the place of an image."""


def can_promote(image: Image) -> bool:
    return Capability.PROMOTE in driver_of(image.datastore).capabilities(Format(image.format))


def heirs_of(image: Image, user: User) -> dict[str, str]:
    """Return what may take the place of an image: what a form sends, and what a person reads.

    A disk can only where nothing else needs the image: disks are not made of disks, and what else stands on the image
    would stand on that disk.
    """
    overlays, disks = clones_of(image)
    found = {f"{IMAGE}:{row.pk}": f"image {row.name}" for row in overlays.visible_to(user)}  # type: ignore[attr-defined]
    if not overlays.exists() and disks.count() == 1:
        found |= {f"{DISK}:{row.pk}": f"disk {row}" for row in disks.visible_to(user)}  # type: ignore[attr-defined]
    return found


def clones_of(image: Image) -> tuple[QuerySet[Image], QuerySet[Disk]]:
    """Return images and disks that need the image's bytes."""
    disks = Disk.objects.filter(needs_image(), image=image).select_related("vm")
    return Image.objects.filter(parent=image).order_by("name"), disks.order_by("pk")


class ImagePromote(ImageChange):
    """Delete an image that clones need: one of them takes its place, and the others are clones of that from then on.

    params: heir ("image:7" or "disk:7").
    """

    kind = "image.promote"
    label = "Replace image by clone"
    meanwhile = ObjectState.DELETING

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"Let {self._heir(job)} take the place of {job.image.name}"

    def check(self, job: Job) -> None:
        if not can_promote(job.image):
            raise Unsupported(
                f"Clones in {driver_of(job.image.datastore).label} datastores cannot replace their image."
            )
        if job.params.get("heir") not in heirs_of(job.image, job.user):
            raise BadInput(f"That cannot take the place of {job.image.name}: choose one of what was made of it.")
        require_state(self._heir(job), ObjectState.READY)
        self.check_still(job)

    def check_still(self, job: Job) -> None:
        if others := users_of(job.image, job.image.owner, in_use()):
            require_unneeded(job.image, job.image.owner, "deleted", others)
        self._heir(job)

    def _heir(self, job: Job) -> Image | Disk:
        """Return what takes the place of the image.

        :raises Refused: it is gone, or no clone of it any more.
        """
        kind, _, key = str(job.params["heir"]).partition(":")
        overlays, disks = clones_of(job.image)
        rows: QuerySet[Image] | QuerySet[Disk] = overlays if kind == IMAGE else disks
        heir = rows.filter(pk=int(key)).first()
        if heir is None:
            raise Refused(f"What was to take the place of {job.image.name} is no clone of it any more.")
        return heir

    def resources(self, job: Job) -> dict[str, bool]:
        return super().resources(job) | {job.params["heir"]: True}

    def plan(self, job: Job) -> Plan:
        driver, heir = driver_of(job.image.datastore), self._heir(job)
        volume = image_volume(heir, driver) if isinstance(heir, Image) else disk_volume(heir, driver)
        return (Stage("replace", driver.promote(volume, image_volume(job.image, driver))),)

    def succeeded(self, job: Job, results: Results) -> None:
        """The heir is a clone of what its master was one of, if any; all others are clones of the heir."""
        master, heir = job.image, self._heir(job)
        clones = Q(needs_image(), image=master)
        if isinstance(heir, Image):
            Image.objects.filter(pk=heir.pk).update(parent=master.parent)
            Image.objects.filter(parent=master).exclude(pk=heir.pk).update(parent=heir)
            Disk.objects.filter(clones).update(image=heir)
        else:
            alone = {"kind": Disk.Kind.COPY, "shared": 0} if master.parent is None else {}
            Disk.objects.filter(pk=heir.pk).update(image=master.parent, **alone)
        Drift.objects.cease(image=master.pk)
        Image.objects.filter(pk=master.pk).delete()
