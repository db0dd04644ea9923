"""What needs an image's bytes as they are, and what was done with them since: why it is not changed or deleted."""

from __future__ import annotations

from django.db.models import Q

from datastores.domain.errors import Refused
from datastores.domain.volumes import Placement
from datastores.drivers.inside import InsideDriver
from datastores.drivers.registry import DRIVERS
from datastores.models import Disk, Image, Job, VirtualMachine
from datastores.services.viewers import Viewer, in_words, job_in_words, listed

LINKED = Q(kind=Disk.Kind.LINK)
COPYING = frozenset(kind for kind, driver in DRIVERS.items() if driver.persistent is Placement.SYSTEM)
"""Kinds of datastores in which a persistent disk is a copy that comes back to its image."""


def needs_image() -> Q:
    """Disks that are the image itself, or that hold only their difference from it."""
    return in_use() | _stands_on_image()


def in_use() -> Q:
    """Disks that are a persistent image at work: it itself, or the copy on a machine's host that comes back to it."""
    return LINKED | Q(kind=Disk.Kind.COPY, image__persistent=True, datastore__kind__in=COPYING)


def is_saved(disk: Disk) -> bool:
    """Tell whether what is written to the disk outlives it, as in SAVE of domain.md, LISTS: it is a persistent image's.

    The same as ``in_use``, of a row that was read with image and datastore.
    """
    copies = disk.kind == Disk.Kind.COPY and disk.datastore.kind in COPYING
    return disk.kind == Disk.Kind.LINK or bool(copies and disk.image and disk.image.persistent)


def _stands_on_image() -> Q:
    """Disks that hold only their difference from the image: their kind says so; a full copy never does."""
    where = Q(datastore__kind__in=[kind for kind, driver in DRIVERS.items() if driver.clone_needs_source])
    for kind, driver in DRIVERS.items():
        if issubclass(driver, InsideDriver):
            inside = [str(value) for value, keeper in driver.insides.items() if keeper.clone_needs_source]
            where |= Q(**{"datastore__kind": kind, f"datastore__options__{driver.chooses}__in": inside})
    return where & Q(kind=Disk.Kind.CLONE)


def dependants(image: Image, viewer: Viewer) -> list[str]:
    """Return in words what needs the image's bytes and would break without them."""
    return _disks(image, viewer, needs_image()) + _overlays(image, viewer)


def built_on(image: Image, viewer: Viewer) -> list[str]:
    """Return in words what holds only its difference from the image: writing to the image would corrupt it."""
    return _disks(image, viewer, _stands_on_image()) + _overlays(image, viewer)


def _disks(image: Image, viewer: Viewer, which: Q) -> list[str]:
    rows = image.disks.filter(which).select_related("vm").order_by("pk")
    return in_words(viewer, rows, lambda disk: f"VM {disk.vm} (disk.{disk.number}, {disk.kind})", "disk")


def _overlays(image: Image, viewer: Viewer) -> list[str]:
    return in_words(viewer, image.overlays.order_by("pk"), lambda overlay: f"image {overlay}", "image")


def users_of(image: Image, viewer: Viewer, which: Q | None = None) -> list[str]:
    """Return in words the machines with disks of the image."""
    rows = image.disks.filter(which or Q()).select_related("vm").order_by("pk")
    return in_words(viewer, rows, lambda disk: str(disk.vm), "VM")


def require_unneeded(image: Image, viewer: Viewer, done: str, needing: list[str] | None = None) -> None:
    """Raise Refused when something needs the image's bytes as they are. ``done``: what would have been "deleted"."""
    needing = dependants(image, viewer) if needing is None else needing
    if needing:
        raise Refused(f"{image.name} cannot be {done}, it is needed by: {listed(needing)}.")


def require_at_rest(image: Image, viewer: Viewer) -> None:
    """Raise Refused when a VM writes to the image, or may have left it half written."""
    link = image.disks.filter(LINKED).exclude(vm__state=VirtualMachine.State.OFF).select_related("vm").first()
    if link:
        (who,) = users_of(image, viewer, LINKED)  # a persistent image serves one VM at a time
        raise Refused(f"{image.name} is in use by {who}, which is {link.vm.state}. Shut it down first.")


def require_untouched(job: Job) -> None:
    """Raise Refused when a later job may have changed the bytes of the job's image, or put files beside it."""
    later = Job.objects.filter(image=job.image_id, pk__gt=job.pk, started_at__isnull=False).order_by("pk")
    for other in later.only("kind", "title", "params", "user_label"):
        if other.kind != "disk.create" or other.params.get("kind", Disk.Kind.LINK) == Disk.Kind.LINK:
            raise Refused(
                f"{job.image.name} was worked on since, by {job_in_words(job.user, other)}, so nothing was taken "
                "back. Delete it if you do not want it any more."
            )
