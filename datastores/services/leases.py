"""Who may change what at the same time."""

from __future__ import annotations

from django.apps import apps
from django.db import IntegrityError, transaction

from datastores.domain.errors import Busy
from datastores.models import Job, Lease


def acquire(job: Job, resources: dict[str, bool]) -> bool:
    """Take the leases in the caller's transaction. Return False when the job has to wait for shared holders.

    :raises Busy: somebody changes one of the things, or waits to do so; the message says who.
    """
    for resource in sorted(resources):
        _lock_row(resource)
    waiting = False
    for resource, exclusive in sorted(resources.items()):
        others = Lease.objects.filter(resource=resource).exclude(job=job).select_related("job")
        holder = others.filter(exclusive=True).first()
        if holder:
            raise Busy(_holder(resource, holder))
        granted = not (exclusive and others.exists())
        waiting |= not granted
        try:
            with transaction.atomic():
                Lease.objects.create(job=job, resource=resource, exclusive=exclusive, granted=granted)
        except IntegrityError as error:  # lost a race on a resource that has no row to lock
            raise Busy(f"{describe(resource)} is being changed by another job.") from error
    return not waiting


def release(job: Job) -> list[Job]:
    """Give up the job's leases; return the jobs that waited for them and may start now."""
    resources = list(Lease.objects.filter(job=job).values_list("resource", flat=True))
    Lease.objects.filter(job=job).delete()
    ready = []
    for lease in Lease.objects.filter(resource__in=resources, granted=False).select_related("job"):
        _lock_row(lease.resource)
        if not Lease.objects.filter(resource=lease.resource).exclude(pk=lease.pk).exists():
            lease.granted = True
            lease.save(update_fields=["granted"])
            if not lease.job.leases.filter(granted=False).exists():
                ready.append(lease.job)
    return ready


def waits_for(job: Job) -> list[Job]:
    """Return the jobs that hold what this one waits for."""
    resources = job.leases.filter(granted=False).values("resource")
    return list(Job.objects.filter(leases__resource__in=resources, leases__granted=True).exclude(pk=job.pk).distinct())


def _lock_row(resource: str) -> None:
    """Lock the row behind a resource, so that two submissions look one after the other (a no-op on SQLite)."""
    name, _, key = resource.partition(":")
    model = {"vm": "VirtualMachine"}.get(name, name.capitalize())
    list(apps.get_model("datastores", model).objects.select_for_update().filter(pk=key).values_list("pk"))


def describe(resource: str) -> str:
    """Return "image ubuntu-24.04" for "image:3"."""
    name, _, key = resource.partition(":")
    model = {"vm": "VirtualMachine"}.get(name, name.capitalize())
    row = apps.get_model("datastores", model).objects.filter(pk=key).first()
    return f"{name} {row or key}"


def _holder(resource: str, lease: Lease) -> str:
    who = lease.job.user_label or "cloudstore"
    doing = "is being changed by" if lease.granted else "is wanted by"
    return (
        f"{describe(resource)} {doing} job {lease.job_id} ({lease.job.title}, asked by {who}). "
        "Nothing was changed; try again when that job has ended."
    )
