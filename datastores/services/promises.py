"""What is promised: the bytes that images and disks may still grow by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Greatest

from datastores.models import DatastoreHost, Disk, Image
from datastores.models.visibility import among
from datastores.services.disk_hosts import LYING

IMAGE_MORE = Greatest(F("virtual_size") - F("real_size"), 0)
TAKEN = F("allocated") - F("shared")
DISK_MORE = Greatest(F("virtual_size") - F("reserved") - Coalesce(F("allocated"), 0) + F("shared"), 0)
"""What may still come of one. Of a disk that nobody has looked at yet, all; blocks that it shares with its image it may
yet write anew, so they count as still to come: rather too much is told as promised than too little. One that has more
than its size (tables of qcow2, snapshots inside) takes nothing from what the others may grow by.
What is kept for a disk is not free any more, so it is promised no second time."""


def growing_disks() -> QuerySet[Disk]:
    """Return the disks that have bytes of their own; a link is its image."""
    disks: QuerySet[Disk] = Disk.objects.exclude(kind=Disk.Kind.LINK)
    return disks


def elsewhere() -> QuerySet[Disk]:
    """Return the disks that take no room on the storage host of their datastore: each lies on a host of its own."""
    storage = DatastoreHost.objects.filter(position=0, datastore=OuterRef("datastore"), host=OuterRef("host"))
    return growing_disks().filter(~Exists(storage), datastore__kind__in=LYING)


def promised_elsewhere(datastores: Collection[int] | None = None) -> dict[int, int]:
    """Return by datastore the bytes that may still be written on other hosts than its storage host."""
    disks = elsewhere() if datastores is None else elsewhere().filter(datastore__in=datastores)
    return dict(disks.order_by().values("datastore").annotate(more=Sum(DISK_MORE)).values_list("datastore", "more"))


def add_space(datastores: Sequence[Any]) -> None:
    """Let each datastore know its ``image_count``, the bytes that are ``promised``, those that ``images_take`` and
    ``disks_take`` (what a clone shares with its image counts once), and of how many disks that is ``unseen``.

    What is promised on other hosts than the storage host does not count. Two queries for all, and one more where there
    are such hosts.
    """
    images = among(Image.objects.all(), "datastore", datastores).order_by().values("datastore")
    disks = among(growing_disks(), "datastore", datastores).order_by().values("datastore")
    of_images = images.annotate(count=Count("*"), take=Sum("real_size"), more=Sum(IMAGE_MORE))
    unseen = Count("kind", filter=Q(allocated__isnull=True))
    of_disks = disks.annotate(take=Sum(TAKEN), more=Sum(DISK_MORE), unseen=unseen)
    images_of: dict[int, dict[str, Any]] = {row["datastore"]: row for row in of_images}
    disks_of: dict[int, dict[str, Any]] = {row["datastore"]: row for row in of_disks}
    lying = [each.pk for each in datastores if each.kind in LYING]
    others = promised_elsewhere(lying) if lying else {}
    for each in datastores:
        image, disk = images_of.get(each.pk, {}), disks_of.get(each.pk, {})
        each.image_count, each.images_take = image.get("count", 0), image.get("take", 0)
        each.disks_take, each.unseen = disk.get("take") or 0, disk.get("unseen", 0)
        each.promised = image.get("more", 0) + disk.get("more", 0) - others.get(each.pk, 0)


def promised(datastore: int | None = None) -> dict[int, int]:
    """Return by datastore the bytes that may still be written on its storage host; three queries."""
    more: Counter[int] = Counter()
    rows: tuple[tuple[QuerySet[Any], Any], ...] = ((Image.objects.all(), IMAGE_MORE), (growing_disks(), DISK_MORE))
    for things, size in rows:
        wanted = things if datastore is None else things.filter(datastore=datastore)
        sums = wanted.order_by().values("datastore").annotate(more=Sum(size))
        more.update(dict(sums.values_list("datastore", "more")))
    more.subtract(promised_elsewhere(None if datastore is None else [datastore]))
    return dict(more)
