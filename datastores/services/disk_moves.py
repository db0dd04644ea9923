"""Disks of virtual machines on their way to another datastore."""

from __future__ import annotations

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.models import Disk, Host, Job
from datastores.services import leases
from datastores.services.carrying import check_limit, hosts_on_the_way, keyed, moved, require_way, way_between
from datastores.services.disk_hosts import attaching, detaching, driver_for, host_for, require_usable
from datastores.services.disks import DiskChange, comes_back
from datastores.services.placing import disk_volume, driver_of, require_ready, room_kept
from datastores.services.space import note_copied
from datastores.services.usecase import Results


class DiskMove(DiskChange):
    """Move a disk to another datastore: copied whole, checked, and only then taken away from the old place."""

    kind = "disk.move"
    label = "Move disk"
    queue = "transfer"
    targets = ("disk", "datastore")

    def check(self, job: Job) -> None:
        disk, target = job.disk, job.datastore
        if disk.kind == Disk.Kind.LINK:
            raise Refused("This disk is a link to a persistent image: it stays where the image is.")
        if comes_back(disk):
            raise Refused("This disk comes back to its persistent image when it is deleted: until then it stays here.")
        if target.pk == disk.datastore_id:
            raise BadInput(f"The disk is in {target.name} already.")
        require_ready(target)
        size = disk.allocated or disk.virtual_size
        host = host_for(target, disk.vm, job.params.get("on"), moved=disk, size=size)
        there = driver_of(target).at(host.name) if host else driver_of(target)
        way = way_between(driver_for(disk, driver_of(disk.datastore)), disk.format, there)
        check_limit(job.params, way)
        found = keyed(way)
        before = {"from": disk.datastore_id, "from_format": disk.format, "from_host": disk.host_id}
        place = {"on": host and host.pk, "reserved": room_kept(there, disk.virtual_size)}
        job.params = job.params | before | found | place

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"Move {job.disk} to {job.datastore.name}"

    def check_still(self, job: Job) -> None:
        require_way(job)
        if (host := Host.objects.filter(pk=job.params.get("on")).first()) is not None:
            require_usable(host)

    def resources(self, job: Job) -> dict[str, bool]:
        used = {f"host:{key}": False for key in (job.params.get("from_host"), job.params.get("on")) if key}
        used |= leases.uses_hosts(job.datastore_id)
        return super().resources(job) | {f"datastore:{job.datastore_id}": False} | hosts_on_the_way(job) | used

    def plan(self, job: Job) -> Plan:
        disk, target = job.disk, job.datastore
        what = {"vm_id": disk.vm_id, "number": disk.number, "virtual_size": disk.virtual_size}
        old = Disk(datastore_id=job.params["from"], format=job.params["from_format"],
                   host_id=job.params.get("from_host"), **what)  # fmt: skip
        new = Disk(datastore=target, format=job.params["format"], host_id=job.params.get("on"),
                   reserved=job.params.get("reserved", 0), **what)  # fmt: skip
        before, after = driver_of(old.datastore), driver_of(target)
        source, driver = driver_for(old, before), driver_for(new, after)
        left, made = disk_volume(old, before), disk_volume(new, after)
        then = *attaching(new, after, made), Stage("remove the old one", source.delete(left))
        return (
            *detaching(old, before, left),
            *moved(job, "copy", source, left, driver, made, then),
        )

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        self._note_place(job)
        note_copied(Disk.objects.select_related("datastore").get(pk=job.disk_id), results)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """Remember the new place: the old one was given up when all of the disk had been copied and checked."""
        self.rows(job).update(state=ObjectState.READY, error=error)
        self._note_place(job)

    def _note_place(self, job: Job) -> None:
        kind = Disk.Kind.BLOCK if job.disk.kind == Disk.Kind.BLOCK else Disk.Kind.COPY
        moved = {"datastore": job.datastore, "kind": kind, "format": job.params["format"],
                 "host": job.params.get("on"), "base": None,
                 "reserved": job.params.get("reserved", 0)}  # fmt: skip
        self.rows(job).update(**moved)
