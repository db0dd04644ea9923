"""What needs an image's bytes, as a tree: "why can I not delete this" then needs no words."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import Count, QuerySet

from datastores.models import Disk, Image, User
from datastores.services.dependants import needs_image

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
    hidden_disks: int = 0
    """Disks of their machines that do."""


def tree(image: Image, user: User) -> Branch:
    """Return the image with its disks and overlays, level by level: a few queries a level."""
    root = Branch(image)
    level = {image.pk: root}
    for _ in range(DEEPEST):
        if not level:
            break
        _hang_disks(level, user)
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


def _hang_disks(level: dict[int, Branch], user: User) -> None:
    disks = Disk.objects.filter(needs_image(), image__in=level)
    seen = disks.visible_to(user)
    for disk in seen.select_related("vm").order_by("-pk")[:MOST_DISKS]:
        level[disk.image_id].disks.append(disk)
    visible = _by_image(seen)
    for key, count in _by_image(disks).items():
        branch, known = level[key], visible.get(key, 0)
        branch.more = known - len(branch.disks)
        branch.hidden_disks = count - known


def _by_image(disks: QuerySet[Disk]) -> dict[int, int]:
    return dict(disks.order_by().values_list("image").annotate(Count("pk")))


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
