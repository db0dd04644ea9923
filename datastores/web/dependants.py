"""What needs an image's bytes, as a tree: "why can I not delete this" then needs no words."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import Q

from datastores.drivers.registry import DRIVERS
from datastores.models import Disk, Image, User

DEEPEST = 12
MOST_DISKS = 100
"""Disks of one image that are shown; there may be thousands."""


@dataclass(slots=True)
class Branch:
    """An image with what was made of it. ``more``: disks that are not shown."""

    image: Image
    disks: list[Disk] = field(default_factory=list)
    overlays: list[Branch] = field(default_factory=list)
    more: int = 0
    hidden: int = 0
    """Images of other people that need this one."""


def tree(image: Image, user: User) -> Branch:
    """Return the image with its disks and overlays, level by level: two queries a level."""
    root = Branch(image)
    level = {image.pk: root}
    for _ in range(DEEPEST):
        if not level:
            break
        _hang_disks(level)
        below: dict[int, Branch] = {}
        visible = set(Image.objects.visible_to(user).filter(parent__in=level).values_list("pk", flat=True))
        for overlay in Image.objects.filter(parent__in=level).select_related("datastore"):
            parent = level[overlay.parent_id]
            if overlay.pk in visible:
                below[overlay.pk] = Branch(overlay)
                parent.overlays.append(below[overlay.pk])
            else:
                parent.hidden += 1
        level = below
    return root


def _hang_disks(level: dict[int, Branch]) -> None:
    disks = Disk.objects.filter(needs_image(), image__in=level).select_related("vm", "datastore").order_by("-pk")
    for disk in disks[: MOST_DISKS + 1]:
        branch = level[disk.image_id]
        if sum(len(each.disks) for each in level.values()) < MOST_DISKS:
            branch.disks.append(disk)
        else:
            branch.more += 1


def needs_image() -> Q:
    """Disks that hold only their difference from the image, or that are the image itself."""
    kinds = [kind for kind, driver in DRIVERS.items() if driver.clone_needs_source]
    return Q(kind=Disk.Kind.LINK) | Q(kind=Disk.Kind.CLONE, datastore__kind__in=kinds)


def independent_disks(image: Image) -> str:
    """Return in a sentence how many disks were made of the image that do not need it; "" when there is none."""
    count = image.disks.exclude(needs_image()).count()
    if not count:
        return ""
    return (
        "1 disk was cloned from it; it does not need it."
        if count == 1
        else (f"{count} disks were cloned from it; they do not need it.")
    )


def in_use(image: Image) -> bool:
    return Image.objects.filter(Q(disks__image=image) | Q(parent=image)).exists()
