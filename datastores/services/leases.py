"""Who may change what at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, Q

from datastores.domain.errors import Busy
from datastores.models import Job, Lease, User
from datastores.services.viewers import MOST_NAMES, Viewer, job_in_words

BEHIND = {"vm": "VirtualMachine", "cached copy": "CachedCopy"}
"""The model whose row stands behind a resource that has another name."""
AWAITED = "cached copy:"
"""How resources begin that are waited for while they are made, by those who are to use them."""


def uses_hosts(datastore: int) -> dict[str, bool]:
    """Return what a job holds that works on hosts of a datastore: none comes or leaves meanwhile."""
    return {f"host list of datastore:{datastore}": False}


def changes_hosts(datastore: int) -> dict[str, bool]:
    """Return what a job holds that makes a datastore on its hosts, or after which it has others."""
    return {f"host list of datastore:{datastore}": True}


def acquire(job: Job, resources: dict[str, bool]) -> bool:
    """Take the leases in the caller's transaction. Return False when the job has to wait for other holders.

    :raises Busy: somebody changes one of the things, or waits to do so; the message says who.
    """
    return bool(acquire_all([(job, resources)]))


def acquire_all(wanted: Sequence[tuple[Job, dict[str, bool]]]) -> list[Job]:
    """Take the leases of jobs that come one after the other. Return those that need not wait for other holders.

    :raises Busy: as ``acquire``; then none has any.
    """
    _lock_rows({resource for _, resources in wanted for resource in resources})
    rows: list[Lease] = []
    free: list[Job] = []
    changed, used = _held_by_others(wanted)
    for job, resources in wanted:
        exclusive = {resource for resource in resources if resources[resource]}
        coming = {each for each in resources if each.startswith(AWAITED)} - exclusive
        if taken := next((changed[each] for each in resources if each in changed and each not in coming), None):
            raise Busy(_holder(taken, job.user))
        waits = exclusive & used | coming & changed.keys()
        mine = [
            Lease(job=job, resource=resource, exclusive=resource in exclusive, granted=resource not in waits)
            for resource in sorted(resources)
        ]
        if not waits:
            free.append(job)
        changed |= {lease.resource: lease for lease in mine if lease.exclusive}
        used |= resources.keys()
        rows += mine
    try:
        with transaction.atomic():
            Lease.objects.bulk_create(rows)
    except IntegrityError as error:  # lost a race on a thing that has no row to lock
        things = ", ".join(map(describe, list(changed)[:MOST_NAMES]))
        raise Busy(f"{things}: another job changes one of these.") from error
    return free


def _held_by_others(wanted: Sequence[tuple[Job, dict[str, bool]]]) -> tuple[dict[str, Lease], set[str]]:
    """Return what other jobs change, each with its lease, and what they use of that which these want to change."""
    everything = {resource for _, resources in wanted for resource in resources}
    to_change = {resource for _, resources in wanted for resource, exclusive in resources.items() if exclusive}
    others = Lease.objects.filter(Q(exclusive=True) | Q(resource__in=to_change), resource__in=everything)
    found = list(others.exclude(job__in=[job for job, _ in wanted]))
    return {lease.resource: lease for lease in found if lease.exclusive}, {lease.resource for lease in found}


def release(jobs: Iterable[Job]) -> list[Job]:
    """Give up the leases of jobs; return the jobs that waited for them and may start now."""
    held = Lease.objects.filter(job__in=jobs)
    resources = set(held.values_list("resource", flat=True))
    held.delete()
    ready = []
    for lease in Lease.objects.filter(resource__in=resources, granted=False).select_related("job"):
        _lock_rows([lease.resource])
        others = Lease.objects.filter(resource=lease.resource).exclude(pk=lease.pk)
        if not (others if lease.exclusive else others.filter(exclusive=True)).exists():
            Lease.objects.filter(pk=lease.pk).update(granted=True)
            if not lease.job.leases.filter(granted=False).exists():
                ready.append(lease.job)
    return ready


def waits_for(job: Job, viewer: User) -> list[tuple[Job, bool]]:
    """Return the jobs that hold what this one waits for, each with whether the viewer may know what it does."""
    resources = job.leases.filter(granted=False).values("resource")
    holders = Job.objects.filter(leases__resource__in=resources, leases__granted=True).exclude(pk=job.pk).distinct()
    seen = set(holders.visible_to(viewer).values_list("pk", flat=True))
    return [(holder, holder.pk in seen) for holder in holders]


def _lock_rows(resources: Iterable[str]) -> None:
    """Lock the rows behind resources, so that two submissions look one after the other.

    In one order, so that two never wait for each other. SQLite has one writer at a time anyway.
    """
    if not connection.features.has_select_for_update:
        return
    keys: dict[type[Model], list[str]] = {}
    for resource in sorted(resources):
        model, key = _row(resource)
        keys.setdefault(model, []).append(key)
    for model, some in keys.items():
        list(model._default_manager.select_for_update().filter(pk__in=some).order_by("pk").values_list("pk"))


def _row(resource: str) -> tuple[type[Model], str]:
    """Return the model and key behind "image:3", and behind an aspect of a thing: "host list of datastore:3"."""
    about, _, key = resource.partition(":")
    name = about.rpartition(" of ")[2]
    return apps.get_model("datastores", BEHIND.get(name, name)), key


def describe(resource: str) -> str:
    """Return "image ubuntu-24.04" for "image:3"."""
    model, key = _row(resource)
    return f"{resource.partition(':')[0]} {model._default_manager.filter(pk=key).first() or key}"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def require_unheld(resources: Iterable[str], viewer: Viewer) -> None:
    """Raise Busy when a job works on one of the things, or waits to do so; the message says who.

    Belongs into the caller's turn (``in_turn``), in which no job is submitted.
    """
    lease = Lease.objects.filter(resource__in=list(resources)).select_related("job").order_by("pk").first()
    if lease:
        raise Busy(
            f"{sentence(describe(lease.resource))} is in use by {job_in_words(viewer, lease.job)}. "
            "Nothing was changed; try again when that job has ended, or cancel it."
        )


def _holder(lease: Lease, viewer: Viewer) -> str:
    doing = "is being changed by" if lease.granted else "is wanted by"
    return (
        f"{sentence(describe(lease.resource))} {doing} {job_in_words(viewer, lease.job)}. "
        "Nothing was changed; try again when that job has ended."
    )
