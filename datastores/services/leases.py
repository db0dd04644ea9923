"""Who may change what at the same time."""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from datastores.domain.errors import Busy
from datastores.models import Job, Lease, User
from datastores.services.viewers import Viewer, job_in_words


def acquire(job: Job, resources: dict[str, bool]) -> bool:
    """Take the leases in the caller's transaction. Return False when the job has to wait for shared holders.

    :raises Busy: somebody changes one of the things, or waits to do so; the message says who.
    """
    _lock_rows(resources)
    others = list(Lease.objects.filter(resource__in=resources).exclude(job=job).values("pk", "resource", "exclusive"))
    if holders := [other["pk"] for other in others if other["exclusive"]]:
        raise Busy(_holder(Lease.objects.select_related("job").get(pk=holders[0]), job.user))
    wanted = [resource for resource, exclusive in resources.items() if exclusive]
    used = {other["resource"] for other in others} & set(wanted)
    rows = [
        Lease(job=job, resource=resource, exclusive=exclusive, granted=resource not in used)
        for resource, exclusive in sorted(resources.items())
    ]
    try:
        with transaction.atomic():
            Lease.objects.bulk_create(rows)
    except IntegrityError as error:  # lost a race on a thing that has no row to lock
        raise Busy(f"{', '.join(map(describe, wanted))}: another job changes one of these.") from error
    return not used


def release(job: Job) -> list[Job]:
    """Give up the job's leases; return the jobs that waited for them and may start now."""
    held = Lease.objects.filter(job=job)
    resources = list(held.values_list("resource", flat=True))
    held.delete()
    ready = []
    for lease in Lease.objects.filter(resource__in=resources, granted=False).select_related("job"):
        _lock_rows([lease.resource])
        if not Lease.objects.filter(resource=lease.resource).exclude(pk=lease.pk).exists():
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
    for resource in sorted(resources):
        model, key = _row(resource)
        list(model._default_manager.select_for_update().filter(pk=key).values_list("pk"))


def _row(resource: str) -> tuple[type[Model], str]:
    """Return the model and key behind "image:3"."""
    name, _, key = resource.partition(":")
    return apps.get_model("datastores", {"vm": "VirtualMachine"}.get(name, name)), key


def describe(resource: str) -> str:
    """Return "image ubuntu-24.04" for "image:3"."""
    model, key = _row(resource)
    return f"{resource.partition(':')[0]} {model._default_manager.filter(pk=key).first() or key}"


def require_unheld(resources: Iterable[str], viewer: Viewer) -> None:
    """Raise Busy when a job works on one of the things, or waits to do so; the message says who.

    Belongs into the caller's turn (``in_turn``), in which no job is submitted.
    """
    lease = Lease.objects.filter(resource__in=list(resources)).select_related("job").order_by("pk").first()
    if lease:
        raise Busy(
            f"{describe(lease.resource)} is in use by {job_in_words(viewer, lease.job)}. "
            "Nothing was changed; try again when that job has ended, or cancel it."
        )


def _holder(lease: Lease, viewer: Viewer) -> str:
    doing = "is being changed by" if lease.granted else "is wanted by"
    return (
        f"{describe(lease.resource)} {doing} {job_in_words(viewer, lease.job)}. "
        "Nothing was changed; try again when that job has ended."
    )
