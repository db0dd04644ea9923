"""What is to be true of the files in the caches of hosts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from datastores.domain.states import ObjectState
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.ssh import SshDriver
from datastores.hosts.stored import FileStored, OnlyKnownFiles
from datastores.models import CachedCopy, Datastore, DatastoreHost
from datastores.services.caching import caches, place_of


@dataclass(frozen=True, slots=True)
class SaidOfCache:
    """Statements about the cache of a host. ``settled``: False while a copy is being made or removed."""

    host: int
    datastore: Datastore
    label: str
    steps: Steps
    settled: bool = True


def said_of_caches(
    datastores: Iterable[tuple[Datastore, StorageDriver]], names: Mapping[int, str]
) -> Iterator[SaidOfCache]:
    """Yield what is to be true on the hosts with these ``names``, by key; two queries for all."""
    caching = {row.pk: (row, cache) for row, driver in datastores if (cache := caches(driver))}
    here = {"member__datastore__in": caching, "member__host__in": names}
    known: dict[int, list[str]] = {}
    for copy in CachedCopy.objects.filter(**here).select_related("member").order_by("pk"):
        datastore, driver = caching[copy.member.datastore_id]
        step = stored(copy, driver.at(names[copy.member.host_id]))
        known.setdefault(copy.member_id, []).append(posixpath.basename(step.path))
        label, ready = f"{copy.name} in the cache of {datastore.name}", copy.state == ObjectState.READY
        yield SaidOfCache(copy.member.host_id, datastore, label, (step,), settled=ready)
    for member in DatastoreHost.objects.filter(datastore__in=caching, host__in=names).order_by("pk"):
        datastore, driver = caching[member.datastore_id]
        only = OnlyKnownFiles(names[member.host_id], driver.cache_base, tuple(known.get(member.pk, ())))
        yield SaidOfCache(member.host_id, datastore, datastore.name, (only,))


def stored(copy: CachedCopy, driver: SshDriver) -> FileStored:
    return FileStored(driver.host, driver.cache_base, place_of(copy, driver).path, copy.size, mode="0444")
