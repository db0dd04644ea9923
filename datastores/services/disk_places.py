"""A disk that is used on another host than before, in datastores where each disk is used on one."""

from __future__ import annotations

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState, ObjectState
from datastores.domain.volumes import Capability
from datastores.drivers.base import StorageDriver
from datastores.models import Disk, Host, Job
from datastores.services.carrying import hosts_on_the_way, keyed, limit_of, moved, way_between
from datastores.services.disk_hosts import (
    attaching,
    detaching,
    driver_for,
    host_for,
    on_its_host,
    require_usable,
    target_on,
)
from datastores.services.disks import DiskChange
from datastores.services.placing import disk_volume, driver_of
from datastores.services.usecase import CLOUD_STAFF, Results


def is_silent(disk: Disk) -> bool:
    """Tell whether the host of a disk does not answer at all: one in quarantine may use it as ever."""
    return Host.objects.filter(pk=disk.host_id, state=HostState.UNREACHABLE).exists()


def require_lost(disk: Disk, job: Job) -> None:
    """Raise Refused unless somebody who may say so says that the host of the disk is gone for good."""
    if not is_silent(disk):
        raise Refused(f"{disk.host} answers: nothing there is given up.")
    if job.user and job.user.role not in CLOUD_STAFF:
        raise Refused(f"{disk.host} does not answer. Only admins and operators may give up what is there.")


class DiskPlace(DiskChange):
    """Use a disk on another host: attached there instead, or copied there whole where it lies on its host.

    params: on (the host's id), limit, lost (the host that it was used on is gone for good). Kept beside it: from_host.
    """

    kind = "disk.place"
    label = "Change host of disk"

    def queue_of(self, job: Job) -> str:
        return "transfer" if job.params.get("host") else self.queue

    def check(self, job: Job) -> None:
        disk, driver = job.disk, driver_of(job.disk.datastore)
        if disk.host is None:
            raise BadInput(f"Disks in {disk.datastore.name} are not used on one host: all of its hosts see them.")
        host = host_for(disk.datastore, disk.vm, job.params["on"], moved=disk, apart=True)
        if host is None or host.pk == disk.host_id:
            raise BadInput(f"The disk is used on {disk.host} already.")
        job.params |= {"from_host": disk.host_id} | self._way(job, disk, driver, host)
        if job.params.get("lost"):
            require_lost(disk, job)
        else:
            require_usable(disk.host)

    def _way(self, job: Job, disk: Disk, driver: StorageDriver, host: Host) -> dict[str, object]:
        """Return how the bytes get to the host, as parameters of the job; {}: they stay, and it is attached there."""
        if Capability.ATTACH in driver.can:
            return {}
        if job.params.get("lost"):
            raise Refused(f"The bytes of the disk are on {disk.host}, and lost with it. Delete the disk instead.")
        limit_of(job.params)
        return keyed(way_between(driver_for(disk, driver), disk.format, driver.at(host.name)))

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.title = f"Use {job.disk} on {Host.objects.get(pk=job.params['on']).name}"

    def check_still(self, job: Job) -> None:
        host = Host.objects.filter(pk=job.params["on"]).first()
        if host is None:
            raise Refused("The host is gone.")
        require_usable(host)
        if job.params.get("lost"):
            require_lost(job.disk, job)

    def resources(self, job: Job) -> dict[str, bool]:
        there = {f"host:{job.params['on']}": False} | target_on(job.disk, job.params["on"])
        used = on_its_host(job.disk) | there
        return super().resources(job) | used | (hosts_on_the_way(job) if job.params.get("host") else {})

    def plan(self, job: Job) -> Plan:
        disk, driver = job.disk, driver_of(job.disk.datastore)
        old, new = self._on(disk, job.params["from_host"]), self._on(disk, job.params["on"])
        volume = disk_volume(disk, driver)
        if not job.params.get("host"):
            lost = bool(job.params.get("lost"))
            return *detaching(old, driver, volume, lost=lost), *attaching(new, driver, volume)
        source, target = driver_for(old, driver), driver_for(new, driver)
        then = (Stage("remove the old one", source.delete(volume)),)
        return moved(job, "copy", source, volume, target, volume, then)

    def _on(self, disk: Disk, host: int) -> Disk:
        """Return the disk as it is when it is used on this host."""
        return Disk(vm_id=disk.vm_id, number=disk.number, host=Host.objects.get(pk=host))

    def succeeded(self, job: Job, results: Results) -> None:
        super().succeeded(job, results)
        self._note_place(job)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """Remember the new place: the old one was given up when all of the disk had been copied and checked."""
        self.rows(job).update(state=ObjectState.READY, error=error)
        self._note_place(job)

    def _note_place(self, job: Job) -> None:
        copied = job.params.get("host") and job.disk.kind != Disk.Kind.BLOCK
        self.rows(job).update(host=job.params["on"], **({"kind": Disk.Kind.COPY, "base": None} if copied else {}))
