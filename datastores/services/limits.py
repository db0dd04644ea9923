"""How much a datastore may take, and what is kept free for it and for its disks."""

from __future__ import annotations

from copy import copy
from dataclasses import fields, replace
from typing import Any

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.values import format_size
from datastores.domain.volumes import Capability, Format
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import driver_class
from datastores.hosts.zfs_limits import DatasetLimited
from datastores.models import Datastore, Disk, Job, User
from datastores.services.changes import Change
from datastores.services.datastores import remember_capacity
from datastores.services.disk_making import CARRIED_AWAY
from datastores.services.disks import DiskChange
from datastores.services.placing import disk_volume, driver_of, hosts_of, keeping, require_ready
from datastores.services.usecase import CLOUD_STAFF, Results, UseCase


def limits_of(datastore: Datastore) -> dict[str, Any]:
    """Return the options that say how much the datastore may take, those that were never chosen among them."""
    driver = driver_class(datastore.kind)
    usual = {field.name: field.default for field in fields(driver.Options)}
    return {name: datastore.options.get(name, usual[name]) for name in keeping(datastore).limits}


def limits_in_words(datastore: Datastore) -> list[str]:
    """Return what is set of them, for a person."""
    labels = {field.name: field.metadata["label"] for field in fields(driver_class(datastore.kind).Options)}
    chosen = ((labels[name], value) for name, value in limits_of(datastore).items() if value)
    return [label if value is True else f"{label} {value}" for label, value in chosen]


class DatastoreLimit(UseCase):
    """Change how much a datastore may take, and what is kept free for it.

    params: options (the new ones, by name). Kept beside it: before (the same names).
    """

    kind = "datastore.limit"
    label = "Limit datastore"
    queue = "provision"
    needs_approval = True
    can_undo = True
    roles = frozenset({User.Role.ADMIN})
    targets = ("datastore",)

    def ask(self, job: Job) -> None:
        self._look(job)
        job.title = f"Limit datastore {job.datastore.name}"
        job.target_label = job.datastore.name

    def again(self, job: Job) -> None:
        self._look(job)
        job.save(update_fields=["params"])

    def _look(self, job: Job) -> None:
        require_ready(job.datastore)
        before = limits_of(job.datastore)
        given = {name: value for name, value in job.params["options"].items() if name in before}
        if not before or not given:
            raise BadInput(f"{driver_class(job.datastore.kind).label} datastores have no limits of their own.")
        job.params = {"options": before | given, "before": before}
        if job.params["options"] == before:
            raise BadInput("These are its limits already.")
        self._driver(job)  # checks them

    def check_still(self, job: Job) -> None:
        require_ready(job.datastore)
        self._require(job, "before", "changed")

    def check_undo(self, job: Job) -> None:
        require_ready(job.datastore)
        self._require(job, "options", "taken back")

    def _require(self, job: Job, which: str, done: str) -> None:
        """Raise Refused unless the row says what it should: somebody else may have changed it."""
        row = Datastore.objects.get(pk=job.datastore_id)
        if limits_of(row) != job.params[which]:
            raise Refused(
                f"The limits of {row.name} were changed by another job, so nothing was {done}. Look at them again."
            )

    def resources(self, job: Job) -> dict[str, bool]:
        hosts = {f"host:{host.pk}": False for host in hosts_of(job.datastore)[:1]}
        return {f"limits of datastore:{job.datastore_id}": True, f"datastore:{job.datastore_id}": False, **hosts}

    def _driver(self, job: Job) -> StorageDriver:
        """Return the driver of the datastore as it is to be."""
        wanted = copy(job.datastore)
        wanted.options = job.datastore.options | job.params["options"]
        return driver_of(wanted)

    def plan(self, job: Job) -> Plan:
        return (Stage("limit", self._driver(job).limited()),)

    def succeeded(self, job: Job, results: Results) -> None:
        self._store(job, job.params["options"])
        for step, facts in results:
            if isinstance(step, DatasetLimited):
                remember_capacity(job.datastore, step.capacity(facts))

    def undone(self, job: Job) -> None:
        self._store(job, job.params["before"])

    def _store(self, job: Job, limits: dict[str, Any]) -> None:
        row = Datastore.objects.select_for_update().get(pk=job.datastore_id)
        usual = {field.name: field.default for field in fields(driver_class(row.kind).Options)}
        options = {name: value for name, value in (row.options | limits).items() if value != usual.get(name)}
        Datastore.objects.filter(pk=row.pk).update(options=options)


def can_reserve(disk: Disk) -> bool:
    """Tell whether room can be kept for the disk."""
    able = Capability.RESERVE in driver_of(disk.datastore).capabilities(Format(disk.format))
    return able and disk.kind != Disk.Kind.LINK


class DiskReserve(DiskChange):
    """Keep room for all that a disk may come to hold, or let it take room as it is written to. Its VM may run.

    params: on (True: keep it). Kept beside it: reserved (bytes then), before (bytes until then).
    """

    kind = "disk.reserve"
    label = "Reserve room for disk"
    roles = CLOUD_STAFF
    can_undo = True

    def ask(self, job: Job) -> None:
        super().ask(job)
        kept = job.params["reserved"]
        job.title = (
            f"Keep {format_size(kept)} for {job.disk}" if kept else f"Let {job.disk} take room as it is written to"
        )

    def require_usable(self, job: Job) -> None:
        Change.require_usable(self, job)

    def check(self, job: Job) -> None:
        disk = job.disk
        if not can_reserve(disk):
            raise Refused(f"{disk} is a {disk.kind} in {disk.datastore}: no room can be kept for it.")
        driver = driver_of(disk.datastore)
        size = driver.room_of(disk.virtual_size) if job.params["on"] else 0
        if size == disk.reserved:
            raise BadInput(f"That is so already: {format_size(size)} are kept for {disk}.")
        job.params = job.params | {"reserved": size, "before": disk.reserved}

    def check_undo(self, job: Job) -> None:
        disk = job.disk
        require_ready(disk.datastore)
        carried = Job.objects.filter(disk=disk, kind__in=CARRIED_AWAY, pk__gt=job.pk, started_at__isnull=False)
        if disk.reserved != job.params["reserved"] or carried.exists():
            raise Refused(f"{disk} was changed since, so nothing was taken back.")

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.disk.datastore)
        volume = replace(disk_volume(job.disk, driver), reserved=job.params["reserved"])
        return (Stage("room", driver.reserve(volume)),)

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        Disk.objects.filter(pk=job.disk_id).update(reserved=job.params["reserved"])

    def undone(self, job: Job) -> None:
        super().undone(job)
        Disk.objects.filter(pk=job.disk_id).update(reserved=job.params["before"])
