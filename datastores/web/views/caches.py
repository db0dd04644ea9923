"""The caches of a datastore's hosts: what is in them, how well they serve, and what is brought there or evicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.states import ObjectState
from datastores.models import CachedCopy, Datastore, DatastoreHost, Job
from datastores.services.caching import caches, is_current
from datastores.services.placing import driver_of
from datastores.web.access import READERS, STAFF, Request, one_of, roles, visible
from datastores.web.acting import done, start, start_all, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.base import attempt
from datastores.web.forms.caches import WarmForm

PREFIX = "cache."


@dataclass(frozen=True, slots=True)
class HostCache:
    """The cache of one host, as a page shows it. ``limit``: bytes."""

    member: DatastoreHost
    copies: list[CachedCopy]
    limit: int

    @property
    def taken(self) -> int:
        return sum(copy.taken for copy in self.copies)

    @property
    def percent(self) -> int:
        return round(100 * self.taken / self.limit)

    @property
    def hits(self) -> int | None:
        """Of the disks that were made there, how many in a hundred needed no copying; None: none was made."""
        uses = self.member.cache_uses
        return round(100 * self.member.cache_hits / uses) if uses else None

    def rows(self) -> list[dict[str, Any]]:
        """Return each copy with whether new disks are made over it, and whether it may be evicted."""
        done = {ObjectState.READY, ObjectState.ERROR}
        return [
            {"copy": copy, "current": is_current(copy), "free": not copy.over and copy.state in done}  # type: ignore[attr-defined]
            for copy in self.copies
        ]


def caches_of(datastore: Datastore) -> list[HostCache]:
    """Return the caches of all hosts of a datastore; none when it keeps no copies."""
    driver = caches(driver_of(datastore))
    if driver is None:
        return []
    copies = CachedCopy.objects.select_related("image").annotate(over=Count("disks")).order_by("-used_at")
    members = datastore.members.select_related("host").prefetch_related(Prefetch("cached", copies, "kept"))
    return [HostCache(member, member.kept, driver.options.cache_bytes) for member in members]


def without_cache(request: Request, datastore: Datastore) -> HttpResponse | None:
    """Return the answer for a datastore that keeps no copies on its hosts; None: it does."""
    if caches(driver_of(datastore)):
        return None
    return done(request, f"{datastore} keeps no copies of images on its hosts.", "datastore", datastore.pk)


def cache_page(request: Request, datastore: Datastore, form: WarmForm | None = None) -> HttpResponse:
    jobs = Job.objects.visible_to(request.user).filter(datastore=datastore, kind__startswith=PREFIX).order_by("-pk")
    driver = caches(driver_of(datastore))
    page = {
        "object": datastore,
        "caches": caches_of(datastore),
        "directory": driver and driver.cache_base,
        "form": form or (warm_form(request, datastore) if request.user.role in STAFF else None),
        "ahead": ahead_of("cache.warm"),
        "working": jobs.filter(ended_at=None)[:20],
        "jobs": jobs[:8],
    }
    return render(request, "datastores/cache.html", page)


def warm_form(request: Request, datastore: Datastore) -> WarmForm:
    """Return an empty form, with the images that the person looks for, and those ticked before."""
    return WarmForm(datastore, find=request.GET.get("find", "")[:100], chosen=request.GET.getlist("images"))


@roles(read=READERS)
def cache(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_cache(request, datastore) or cache_page(request, datastore)


@roles(write=STAFF)
def cache_warm(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    if answer := without_cache(request, datastore):
        return answer
    form = WarmForm(datastore, request.POST)

    def act(_: object) -> HttpResponse:
        wanted = [{"image": image, "host": host, "datastore": datastore} for image, host in form.pairs()]
        jobs = start_all(request, "cache.warm", wanted, {})
        if len(jobs) == 1:
            return started(request, jobs[0])
        return done(request, f"{len(jobs)} copies were asked for.", "datastore-cache", pk)

    return attempt(request, form, act, lambda: cache_page(request, datastore, form))


def the_copy(request: Request, pk: int, copy: int) -> CachedCopy:
    datastore = visible(request, Datastore, pk=pk)
    rows = CachedCopy.objects.select_related("image", "member__host", "member__datastore")
    found: CachedCopy = one_of(rows, about=datastore, pk=copy, member__datastore=datastore)
    return found


@roles(write=STAFF)
def cache_again(request: Request, pk: int, copy: int) -> HttpResponse:
    """Bring a copy again that somebody has removed from its host."""
    found = the_copy(request, pk, copy)
    where = {"host": found.member.host, "datastore": found.member.datastore}
    return started(request, start(request, "cache.warm", image=found.image, **where))


@roles(write=STAFF)
def cache_evict(request: Request, pk: int, copy: int) -> HttpResponse:
    found = the_copy(request, pk, copy)
    return started(request, start(request, "cache.evict", {"copy": found.pk}))
