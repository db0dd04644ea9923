"""What disks really take on their storage hosts: stored as it was seen, for everybody who counts bytes.

A file says how many blocks it refers to, not whether others refer to them, too. Finding that out takes a look at every
extent of every file, so it is bounded instead: a clone made by reflink begins with the blocks of its image, so as many
of its bytes as its image has may be the image's (``Disk.shared``); what it has beyond that is surely its own. Hard
links are made by nobody here; a file with several names would count under each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from datastores.drivers.registry import DRIVERS
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.receiving import FileReceived
from datastores.models import Disk
from datastores.services.drift import NOTED_AT_ONCE, portions
from datastores.services.drift_found import Found
from datastores.services.placing import disk_volume, driver_of
from datastores.services.usecase import Results

SHARING = frozenset(kind for kind, driver in DRIVERS.items() if driver.shares_blocks)
"""Kinds of datastores in which a clone shares blocks with its image."""
Seen = Mapping[tuple[int, int], int]
"""Bytes by disk, and the datastore in which it was seen."""


def remember_allocated(found: Found) -> None:
    """Store what a scan has seen, some disks at a time: on SQLite nobody else writes meanwhile.

    Needs no turn. Who works on a disk afterwards changes what it takes in any case, and the next scan sees that.
    """
    seen = {}
    for key, size in found.allocated.items():
        managed = found.known[key]
        if managed.disk is not None and managed.datastore is not None:
            seen[managed.disk, managed.datastore] = size
    for places in portions(seen, NOTED_AT_ONCE):
        note(places, seen, found.since)


def note(places: Collection[tuple[int, int]], seen: Seen, at: datetime) -> None:
    """Store what these disks take; one that was moved, deleted or looked at meanwhile is left out."""
    columns = ("kind", "allocated", "shared", "datastore__kind", "image__real_size")
    known = Q(allocated_at=None) | Q(allocated_at__lte=at)
    wanted = Disk.objects.filter(known, pk__in=[disk for disk, _ in places]).select_related("datastore", "image")
    there = [row for row in wanted.only(*columns).order_by() if (row.pk, row.datastore_id) in seen]
    changed = [row for row in there if takes(row, seen[row.pk, row.datastore_id])]
    with transaction.atomic():
        Disk.objects.store_allocated([(row.allocated, row.shared, row.pk) for row in changed])
        Disk.objects.filter(pk__in=[row.pk for row in there]).update(allocated_at=at)


def takes(disk: Disk, allocated: int) -> bool:
    """Say of a disk what it takes; tell whether that is something else than before."""
    before = disk.allocated, disk.shared
    disk.allocated, disk.shared = allocated, shared_at_most(disk, allocated)
    return before != (disk.allocated, disk.shared)


def shared_at_most(disk: Disk, allocated: int) -> int:
    """Return how many of its bytes may be its image's. When that is gone, what was known of it before."""
    if disk.kind != Disk.Kind.CLONE or disk.datastore.kind not in SHARING:
        return 0
    return min(allocated, disk.image.real_size if disk.image else disk.shared)


def note_copied(disk: Disk, results: Results) -> None:
    """Store what a new copy takes, as seen when it was verified; that is not known when an earlier attempt made it."""
    driver = driver_of(disk.datastore)
    file = driver.receive(disk_volume(disk, driver)).file
    size = next(_copied(results, file.path), None)
    seen_at = None if size is None else timezone.now()
    Disk.objects.filter(pk=disk.pk).update(allocated=size, shared=0, allocated_at=seen_at)


def _copied(results: Results, path: str) -> Iterator[int]:
    for step, facts in results:
        if isinstance(step, FileCopied | FileConverted | FileReceived) and step.target == path and path in facts.files:
            yield facts.files[path].allocated
