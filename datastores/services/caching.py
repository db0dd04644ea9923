"""Copies of images on the hosts of disks: found, made on the way to a disk, and given up when room is needed.

A copy belongs to what its image held: as long as the image has that digest, disks of it are made over the copy. Over
which copy a disk lies is in its row from the moment that it is asked for, so what is chosen to make room here has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.ssh import SshDriver
from datastores.hosts.checksums import of_job
from datastores.hosts.copies import FileConverted, FileCopied
from datastores.hosts.inodes import Inode
from datastores.hosts.receiving import FileReceived
from datastores.models import CachedCopy, Datastore, DatastoreHost, Disk, Host, Image, Job
from datastores.services.carrying import carried, way_between
from datastores.services.placing import driver_of, image_volume, require_running
from datastores.services.usecase import Results

MADE_ROOM = "It was to make room for another copy, which could not be made."
ALTERED = re.compile(
    r"What has arrived on \S+ has the digest [0-9a-f]{64}, and .+ has [0-9a-f]{64}: somebody else has changed it\."
)
"""Begins what is said where a copy is not what its image was: what that held is not known any more then.

The reason of a failure is all that an attempt has of it that goes on after a crash.
"""
LEAVABLE = (ObjectState.READY, ObjectState.ERROR)


def caches(driver: StorageDriver) -> SshDriver | None:
    """Return the driver of a datastore that keeps copies of images on its hosts; None: it keeps none."""
    return driver if isinstance(driver, SshDriver) and driver.options.cache else None


def keeps_copies(datastore: Datastore) -> bool:
    """Tell the same of a datastore's row, without its hosts."""
    return datastore.kind == SshDriver.kind and bool(datastore.options.get("cache"))


def copy_of(image: Image, member: DatastoreHost) -> CachedCopy | None:
    """Return the copy of what the image holds now, made or being made. One that is being made holds its image."""
    rows = CachedCopy.objects.filter(member=member, image=image)
    ready = rows.filter(state=ObjectState.READY, data_digest=image.data_digest).exclude(data_digest="")
    return ready.first() or rows.filter(state=ObjectState.PENDING).first()


def way_over_copy(
    job: Job, image: Image, source: StorageDriver, driver: StorageDriver, member: DatastoreHost
) -> dict[str, Any] | None:
    """Return how a disk of the image is made over a copy on its host, as parameters of its job.

    None: no copies are kept, or there is no room for this one: the disk is a whole copy. ``driver``: on that host.

    :raises CloudstoreError: there is no way to that host.
    """
    if (cache := caches(driver)) is None:
        return None
    disk = {"kind": Disk.Kind.CLONE, "format": Format.QCOW2}
    if found := copy_of(image, member):
        return disk | {"copy": found.pk}
    begun = begin(job, image, source, cache, member)
    return begun and begun | disk


def begin(
    job: Job, image: Image, source: StorageDriver, driver: SshDriver, member: DatastoreHost, held: str = ""
) -> dict[str, Any] | None:
    """Make the row of a copy that the job is going to make; return its parameters. None: there is no room for it.

    ``held``: of the copy that is made anew. ``travels``: its format. ``evicts``: the copies that make room, as [key,
    path]. ``checks``: what the image holds is not known yet, so its digest is computed, too.
    """
    require_running(image.datastore)
    way = way_between(source, image.format, driver.cache)
    held = held or image.data_digest[:16] or job.uuid.hex[:16]
    same = {"member": member, "uuid": image.uuid, "held": held, "format": way["format"]}
    before = CachedCopy.objects.filter(**same).first()
    if before and before.state not in LEAVABLE:
        return None
    needed = image.real_size or image.virtual_size
    leaving = leaving_for(needed, driver.options.cache_bytes, member, before)
    if leaving is None:
        return None
    now = {"image": image, "name": image.name, "data_digest": image.data_digest, "taken": needed,
           "state": ObjectState.PENDING, "made_by": job.uuid, "error": ""}  # fmt: skip
    copy, _ = CachedCopy.objects.update_or_create(**same, defaults=now)
    CachedCopy.objects.filter(pk__in=[each.pk for each in leaving]).update(state=ObjectState.DELETING)
    evicts = [[each.pk, place_of(each, driver).path] for each in leaving]
    travels = way.pop("format")
    return way | {"copy": copy.pk, "makes": True, "travels": travels, "evicts": evicts, "checks": not image.data_digest}


def cacheable() -> QuerySet[Image]:
    """Return the images of which copies may be kept."""
    return Image.objects.filter(state=ObjectState.READY, persistent=False).order_by("name")


def uncached(datastore: Datastore, images: Iterable[Image], hosts: Iterable[Host]) -> list[tuple[Image, Host]]:
    """Return each image with each host that neither has a copy of what it holds, nor is getting one."""
    rows = CachedCopy.objects.filter(member__datastore=datastore, image__in=images)
    ready = Q(state=ObjectState.READY, data_digest=F("image__data_digest")) & ~Q(data_digest="")
    there = set(rows.filter(ready | Q(state=ObjectState.PENDING)).values_list("image", "member__host"))
    return [(image, host) for image in images for host in hosts if (image.pk, host.pk) not in there]


def leaving_for(
    needed: int, limit: int, member: DatastoreHost, but: CachedCopy | None = None
) -> list[CachedCopy] | None:
    """Return which copies leave a host so that ``needed`` bytes fit below the limit; None: they cannot.

    Those that no new disk can use go first, then those that were used longest ago; none over which a disk lies.
    """
    rows = member.cached.exclude(state=ObjectState.DELETING).exclude(pk=but and but.pk)
    taken: int = rows.aggregate(taken=Sum("taken", default=0))["taken"]
    free = rows.filter(disks=None, state__in=LEAVABLE).select_related("image")
    leaving: list[CachedCopy] = []
    for each in sorted(free, key=lambda row: (is_current(row), row.used_at)):
        if taken + needed <= limit:
            break
        leaving.append(each)
        taken -= each.taken
    return leaving if taken + needed <= limit else None


def is_current(copy: CachedCopy) -> bool:
    """Tell whether the next disk of the image would be made over this copy."""
    if copy.state != ObjectState.READY or copy.image is None:
        return False
    return copy.data_digest != "" and copy.image.data_digest == copy.data_digest


def shared_by_next(way: dict[str, Any]) -> dict[str, Any]:
    """Return how the next disk of the same image on the same host is made, when one is made in this way."""
    return {name: way[name] for name in ("kind", "format", "copy")} if way.get("makes") else way


def held_by(params: dict[str, Any]) -> dict[str, bool]:
    """Return what a job with these parameters holds of the cache: who makes a copy is waited for."""
    if "copy" not in params:
        return {}
    leaving = {f"cached copy:{key}": True for key, _ in params.get("evicts", ())}
    return leaving | {f"cached copy:{params['copy']}": bool(params.get("makes"))}


def require_there(params: dict[str, Any]) -> None:
    """Raise Refused when the copy that a disk is to lie over could not be made by the job that was waited for."""
    if "copy" not in params or params.get("makes"):
        return
    copy = CachedCopy.objects.filter(pk=params["copy"]).only("state", "error").first()
    if copy is None or copy.state != ObjectState.READY:
        why = f" {copy.error}" if copy else ""
        raise Refused(f"The image did not come to the cache of the host.{why} Try again: then this job brings it.")


def place_of(copy: CachedCopy, driver: SshDriver) -> Volume:
    """Return where a copy is on its host."""
    return driver.cached_copy(copy.uuid, copy.held, Format(copy.format))


def over_copy(job: Job, driver: StorageDriver, made: Volume) -> Plan:
    """Return the stages that make a disk over the copy of its image on its host, and the copy before, if need be."""
    cache, disk = caches(driver), job.disk
    if cache is None or disk is None or disk.base is None or job.image is None:
        raise Refused("The datastore keeps no copies of images on its hosts any more.")
    makes = bool(job.params.get("makes"))
    stage = Stage("disk", cache.over(place_of(disk.base, cache), made, coming=makes))
    return filling(job, disk.base, job.image, cache, (stage,)) if makes else (stage,)


def filling(job: Job, copy: CachedCopy, image: Image, driver: SshDriver, then: Plan = ()) -> Plan:
    """Return the stages after which the copy is in the cache of the driver's host. ``then``: what is done with it."""
    source = driver_of(image.datastore)
    volume, there = image_volume(image, source), place_of(copy, driver)
    known, ready = driver.cached(there)
    leaving = tuple(
        step for _, path in job.params["evicts"] for step in driver.evicted(Volume(path, Format(copy.format)))
    )
    checks = of_job(source.data_digest(volume), job.uuid.hex) if job.params["checks"] else ()
    after = Stage("digest of the copy", known), Stage("prepare clones", ready)
    before = Stage("make room", leaving), Stage("digest of the image", checks)
    ways = carried(job, "copy to the cache", source, volume, driver.cache, there, (*after, *then))
    return *(stage for stage in before if stage.steps), *ways


def filled(job: Job, copy: CachedCopy, image: Image, driver: SshDriver, results: Results) -> None:
    """Update the rows: the copy is there.

    :raises Refused: it is not what the image is.
    """
    source = driver_of(image.datastore)
    volume, there = image_volume(image, source), place_of(copy, driver)
    asked, copied = of_job(source.data_digest(volume), job.uuid.hex)[-1], driver.cached(there)[0][-1]
    data = next(facts.value for step, facts in results if step == asked) if job.params["checks"] else copy.data_digest
    digest = next(facts.value for step, facts in results if step == copied)
    if source.stands_alone(volume) and volume.format == copy.format and digest != data:
        raise Refused(
            f"What has arrived on {driver.host} has the digest {digest}, and {image.name} has {data}: "
            "somebody else has changed it. Try again: then it is read anew."
        )
    file = next(file_at(there.path, results))
    now = timezone.now()
    CachedCopy.objects.filter(pk=copy.pk).update(
        state=ObjectState.READY, error="", data_digest=data, digest=digest, size=file.size, taken=file.allocated,
        made_at=now, used_at=now,
    )  # fmt: skip
    Image.objects.filter(pk=image.pk, data_digest="").update(data_digest=data)
    CachedCopy.objects.filter(pk__in=[key for key, _ in job.params["evicts"]]).delete()


def file_at(path: str, results: Results) -> Iterator[Inode]:
    """Yield the file that was copied to the path, as it was seen when that was verified."""
    for step, facts in results:
        if isinstance(step, FileCopied | FileConverted | FileReceived) and step.target == path:
            yield facts.files[path]


def not_filled(params: dict[str, Any], error: str) -> None:
    """Update the rows: the copy could not be made; what was to make room may be gone."""
    if params.get("makes"):
        if ALTERED.match(error):
            Image.objects.filter(cached=params["copy"]).update(**Image.WRITTEN)
        CachedCopy.objects.filter(pk=params["copy"]).update(state=ObjectState.ERROR, error=error)
        leaving = CachedCopy.objects.filter(pk__in=[key for key, _ in params["evicts"]])
        leaving.update(state=ObjectState.ERROR, error=MADE_ROOM)


def forget_unused(params: dict[str, Any], why: str) -> None:
    """Update the rows: nothing is left of the making of a copy. Other disks may be waiting for it."""
    not_filled(params, why)
    if params.get("makes"):
        CachedCopy.objects.filter(pk=params["copy"], disks=None).delete()


def count_use(job: Job, params: dict[str, Any]) -> None:
    """Count a disk that was made of an image that may be cached."""
    disk: Any = job.disk
    member = DatastoreHost.objects.filter(datastore=disk.datastore_id, host=disk.host_id)
    hit = "copy" in params and not params.get("makes")
    member.update(cache_uses=F("cache_uses") + 1, cache_hits=F("cache_hits") + int(hit))
    if "copy" in params:
        CachedCopy.objects.filter(pk=params["copy"]).update(uses=F("uses") + 1, used_at=timezone.now())


def require_alone(job: Job) -> None:
    """Raise Refused when what a job has cached cannot be taken back with its disk: others use it, or it is gone."""
    if not job.params.get("makes"):
        return
    copy = CachedCopy.objects.filter(pk=job.params["copy"], made_by=job.uuid).first()
    if copy is None or copy.disks.exclude(pk=job.disk_id).exists():
        why = "other disks lie over it" if copy else "it was evicted since"
        raise Refused(f"This job has also cached {job.image}, and {why}. Delete the disk instead.")
