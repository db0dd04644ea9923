"""The caches of hosts, as people look after them: images are copied there before they are needed, and evicted."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.values import format_size
from datastores.domain.volumes import Format, Volume
from datastores.drivers.ssh import SshDriver
from datastores.models import CachedCopy, Datastore, DatastoreHost, Host, Image, Job
from datastores.services import leases
from datastores.services.caching import (
    LEAVABLE,
    begin,
    caches,
    copy_of,
    filled,
    filling,
    forget_unused,
    held_by,
    not_filled,
    place_of,
)
from datastores.services.carrying import hosts_on_the_way, keyed
from datastores.services.disk_hosts import require_usable
from datastores.services.placing import driver_of, hosts_of, require_ready, require_state
from datastores.services.usecase import CLOUD_STAFF, Results, UseCase


def cache_on(datastore: Datastore, host: Host) -> SshDriver:
    """Return the driver for the cache of a datastore on one of its hosts.

    :raises Refused: it keeps none.
    """
    driver = caches(driver_of(datastore))
    if driver is None:
        raise Refused(f"{datastore.name} keeps no copies of images on its hosts.")
    return driver.at(host.name)


class CacheWarm(UseCase):
    """Copy an image to the cache of a host before a disk is made of it there."""

    kind = "cache.warm"
    label = "Cache image"
    queue = "transfer"
    roles = CLOUD_STAFF
    targets = ("image", "datastore", "host")

    def ask(self, job: Job) -> None:
        image, host, datastore = self._things(job)
        self._find_way(job)
        job.title = f"Cache {image.name} on {host.name}"
        job.target_label = f"{datastore.name}/{host.name}"

    def _things(self, job: Job) -> tuple[Image, Host, Datastore]:
        if job.image is None or job.host is None or job.datastore is None:
            raise Refused("The image, the host or the datastore is gone.")
        return job.image, job.host, job.datastore

    def _find_way(self, job: Job) -> None:
        image, host, datastore = self._things(job)
        require_ready(datastore)
        require_usable(host)
        require_state(image, ObjectState.READY)
        if image.persistent:
            raise Refused(f"{image.name} is persistent: its disks are copies that come back to it, and need no cache.")
        if host.pk not in {each.pk for each in hosts_of(datastore)}:
            raise BadInput(f"{host.name} is no host of {datastore.name}.")
        driver, member = cache_on(datastore, host), DatastoreHost.objects.get(datastore=datastore, host=host)
        before = copy_of(image, member)
        if before and before.state == ObjectState.PENDING:
            raise Refused(f"{image.name} is being copied to {host.name} by another job.")
        held = before.held if before else ""
        found = begin(job, image, driver_of(image.datastore), driver, member, held)
        if found is None:
            limit = format_size(driver.options.cache_bytes)
            raise Refused(
                f"{image.name} does not fit into the cache of {host.name}, which may hold {limit}: disks lie over what "
                "is there, or it is larger than that."
            )
        job.params = job.params | keyed(found) | {"ready": bool(before)}

    def again(self, job: Job) -> None:
        self._find_way(job)
        job.save(update_fields=["params"])

    def resources(self, job: Job) -> dict[str, bool]:
        image, host, datastore = self._things(job)
        used = {f"image:{image.pk}": False, f"datastore:{datastore.pk}": False, f"host:{host.pk}": False,
                **leases.uses_hosts(datastore.pk)}  # fmt: skip
        return used | held_by(job.params) | hosts_on_the_way(job)

    def plan(self, job: Job) -> Plan:
        image, host, datastore = self._things(job)
        return filling(job, self._copy(job), image, cache_on(datastore, host))

    def _copy(self, job: Job) -> CachedCopy:
        copy = CachedCopy.objects.filter(pk=job.params["copy"]).first()
        if copy is None:
            raise Refused("What this job was to make has left the cache.")
        return copy

    def succeeded(self, job: Job, results: Results) -> None:
        image, host, datastore = self._things(job)
        filled(job, self._copy(job), image, cache_on(datastore, host), results)

    def failed(self, job: Job, error: str) -> None:
        not_filled(job.params, error)
        self._leave_in_use(job)

    def cancelled(self, job: Job) -> None:
        why = "The job that was to make it was cancelled."
        if job.params.get("ready"):
            self.failed(job, why)
        else:
            forget_unused(job.params, why)

    def _leave_in_use(self, job: Job) -> None:
        """A copy that was there before, and that was to be made again, is what it was: nothing was overwritten."""
        if job.params.get("ready"):
            CachedCopy.objects.filter(pk=job.params["copy"]).update(state=ObjectState.READY, error="")


class CacheEvict(UseCase):
    """Remove a copy of an image from the cache of a host. params: copy (key); kept beside it: state, path."""

    kind = "cache.evict"
    label = "Evict image from cache"
    roles = CLOUD_STAFF
    targets = ("datastore", "host")

    def ask(self, job: Job) -> None:
        copy = self._begin(job)
        job.title = f"Evict {copy.name} from the cache of {copy.member.host.name}"
        job.target_label = f"{copy.member.datastore.name}/{copy.member.host.name}"

    def _begin(self, job: Job) -> CachedCopy:
        copy = CachedCopy.objects.select_related("member__host", "member__datastore").filter(pk=job.params["copy"])
        found: CachedCopy | None = copy.first()
        if found is None:
            raise Refused("It has left the cache already.")
        if found.state not in LEAVABLE:
            raise Refused(f"The copy of {found.name} is {found.state}: another job works on it.")
        if over := found.disks.count():
            raise Refused(f"{over} disks lie over the copy of {found.name}. Move or delete them first.")
        job.datastore, job.host = found.member.datastore, found.member.host
        require_usable(job.host)
        place = place_of(found, cache_on(job.datastore, job.host))
        job.params = job.params | {"state": found.state, "path": place.path}
        CachedCopy.objects.filter(pk=found.pk).update(state=ObjectState.DELETING)
        return found

    def again(self, job: Job) -> None:
        self._begin(job)
        job.save(update_fields=["params"])

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"cached copy:{job.params['copy']}": True, f"datastore:{job.datastore_id}": False,
                f"host:{job.host_id}": False}  # fmt: skip

    def plan(self, job: Job) -> Plan:
        place = Volume(job.params["path"], Format.RAW)
        if job.datastore is None or job.host is None:
            raise Refused("The datastore or the host is gone.")
        return (Stage("evict", cache_on(job.datastore, job.host).evicted(place)),)

    def succeeded(self, job: Job, results: Results) -> None:
        CachedCopy.objects.filter(pk=job.params["copy"]).delete()

    def failed(self, job: Job, error: str) -> None:
        self._back(job, error=error, used_at=timezone.now())

    def cancelled(self, job: Job) -> None:
        self._back(job)

    def _back(self, job: Job, **changes: Any) -> None:
        """It is what it was: it was removed last of all, or not at all."""
        CachedCopy.objects.filter(pk=job.params["copy"]).update(state=job.params["state"], **changes)


def unneeded(member: Q | None = None) -> list[CachedCopy]:
    """Return the copies over which nothing lies and no disk will be made, of hosts that can be used now."""
    rows = CachedCopy.objects.filter(member or Q(), disks=None, state__in=LEAVABLE)
    of_nothing = (
        Q(image=None) | ~Q(image__data_digest=F("data_digest")) | Q(image__persistent=True) | Q(state=ObjectState.ERROR)
    )
    found = rows.filter(of_nothing).select_related("member__host", "member__datastore")
    return [copy for copy in found if copy.member.host.usable and not copy.member.host.maintenance]
