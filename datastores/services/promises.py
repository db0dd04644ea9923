"""What is promised: the bytes that images and disks may still grow by."""

from __future__ import annotations

from collections import Counter

from django.db.models import QuerySet, Sum

from datastores.models import Disk, Image


def growing_disks() -> QuerySet[Disk]:
    """Return the disks that have bytes of their own; a link is its image."""
    disks: QuerySet[Disk] = Disk.objects.exclude(kind=Disk.Kind.LINK)
    return disks


def promised(datastore: int | None = None) -> dict[int, int]:
    """Return by datastore the bytes that may still be written; two queries. What a disk really takes is not known."""
    images, disks = Image.objects.all(), growing_disks()
    if datastore is not None:
        images, disks = images.filter(datastore=datastore), disks.filter(datastore=datastore)
    more: Counter[int] = Counter()
    sizes = images.order_by().values("datastore").annotate(virtual=Sum("virtual_size"), real=Sum("real_size"))
    for row in sizes.values_list("datastore", "virtual", "real"):
        more[row[0]] += row[1] - row[2]
    for key, size in (
        disks.order_by().values("datastore").annotate(size=Sum("virtual_size")).values_list("datastore", "size")
    ):
        more[key] += size
    return {key: max(0, size) for key, size in more.items()}
