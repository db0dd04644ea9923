"""Disks of virtual machines: made of images, and what all changes of them have in common.

The rules are those of the shared and SSH transfer drivers: a persistent image is linked and serves one VM at a
time; any other is cloned (or copied where the kind cannot clone) and thrown away with the VM unless saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format, Placement
from datastores.drivers.base import StorageDriver
from datastores.models import Datastore, Disk, Host, Image, Job, User, VirtualMachine
from datastores.services.caching import (
    caches,
    count_use,
    filled,
    forget_unused,
    held_by,
    keeps_copies,
    not_filled,
    over_copy,
    require_alone,
    require_there,
    shared_by_next,
    way_over_copy,
)
from datastores.services.carrying import carried, hosts_on_the_way, keyed, way_between
from datastores.services.changes import Change
from datastores.services.dependants import built_on, in_use, require_unneeded, users_of
from datastores.services.disk_hosts import attaching, driver_for, host_for, on_its_host
from datastores.services.disk_making import DiskMaker, first_free, require_shut_down, taken_numbers
from datastores.services.placing import (
    disk_volume,
    driver_of,
    image_volume,
    look_up_hosts,
    member_of,
    require_ready,
    require_running,
    require_state,
    room_kept,
)
from datastores.services.space import note_copied
from datastores.services.usecase import Results
from datastores.services.viewers import listed

OF_WAY = frozenset({"kind", "format", "copy", "makes", "travels", "evicts", "checks", "host", "sender",
                    "private_key", "public_key"})  # fmt: skip
"""Parameters of a job that say how a disk is made, as things stood."""


def require_shut_down_cleanly(disk: Disk, rule: str) -> None:
    """Raise Refused, with the rule, when the disk's VM may have left it half written."""
    state = VirtualMachine.objects.values_list("state", flat=True).get(pk=disk.vm_id)
    if state != VirtualMachine.State.OFF:
        raise Refused(
            f"{disk.vm.name} is {state}. {rule}: a suspended, stopped or running VM may leave it half written."
        )


def comes_back(disk: Disk) -> bool:
    """Tell whether the disk is a copy that replaces its persistent image in the end."""
    return Disk.objects.filter(in_use(), pk=disk.pk, kind=Disk.Kind.COPY).exists()


class DiskCreate(DiskMaker):
    """Give a VM a disk made of an image: a link when it is persistent, a clone or copy otherwise.

    params: on (the key of the host where it is to be used; None: chosen here, where that matters).
    """

    kind = "disk.create"
    label = "Create disk"
    checks_plan = False  # a clone is asked for and made in milliseconds, and its plan holds nothing that a person chose
    targets = ("image", "disk")

    def queue_of(self, job: Job) -> str:
        return "transfer" if self._carries(job) else self.queue

    def _carries(self, job: Job) -> bool:
        """Tell whether bytes are copied: to the disk, or to the cache of its host."""
        return job.params.get("kind") == Disk.Kind.COPY or bool(job.params.get("makes"))

    def pack(self, job: Job) -> str:
        if job.params.get("kind") != Disk.Kind.CLONE or self._carries(job):
            return ""
        where = f" on host {job.disk.host_id}" if job.params.get("copy") else ""
        return f"clones in datastore {job.datastore_id}{where}"

    def look_ahead(self, jobs: Sequence[Job]) -> None:
        look_up_hosts(datastore for job in jobs for datastore in (job.disk.datastore, job.image.datastore))

    def ask(self, job: Job) -> None:
        self.ask_all([job])

    def ask_all(self, jobs: Sequence[Job]) -> None:
        vms = VirtualMachine.objects.select_for_update().in_bulk({job.vm.pk for job in jobs})
        numbers = taken_numbers(vms)
        ways: dict[tuple[int, int, int | None], dict[str, Any]] = {}
        spread: Counter[int] = Counter()
        for job in jobs:
            image, target = job.image, job.datastore or job.image.datastore
            vm = vms[job.vm.pk]
            size = image.real_size or image.virtual_size
            host = host_for(target, vm, job.params.get("on"), spread=spread, size=size)
            place = image.pk, target.pk, host.pk if host else None
            if place not in ways:
                ways[place] = self._way(job, image, target, host)
            elif image.persistent:
                raise Refused(f"{image} is persistent: one VM at a time. Ask for one disk, or clone it first.")
            found = ways[place]
            ways[place] = shared_by_next(found)
            job.disk = Disk(
                vm=vm, number=first_free(numbers[vm.pk]), image=image, datastore=target, kind=found["kind"],
                format=found["format"], virtual_size=image.virtual_size, host=host, base_id=found.get("copy"),
                reserved=found.get("reserved", 0),
            )  # fmt: skip
            numbers[vm.pk].add(job.disk.number)
            job.datastore = target
            job.params = job.params | keyed(found)
            job.title = f"{'Link' if found['kind'] == Disk.Kind.LINK else 'Clone'} {image.name} to {job.disk}"
            job.target_label = str(job.disk)
        Disk.objects.bulk_create(job.disk for job in jobs)

    def _way(self, job: Job, image: Image, target: Datastore, host: Host | None) -> dict[str, Any]:
        """Return kind and format of a disk of the image, as things stand, and the host that carries a copy.

        :raises CloudstoreError: there can be none.
        """
        require_state(image, ObjectState.READY)
        require_ready(target)
        driver = driver_of(target)
        source = driver if target.pk == image.datastore_id else driver_of(image.datastore)
        there = driver.at(host.name) if host else driver
        if image.persistent:
            self._require_free(image, job.user)
        elif host and (over := way_over_copy(job, image, source, there, member_of(target, host))):
            return over
        found = self._how(image, source, target, there)
        linked = found["kind"] == Disk.Kind.LINK
        return found | {"reserved": 0 if linked else room_kept(driver, image.virtual_size)}

    def _how(self, image: Image, source: StorageDriver, target: Datastore, driver: StorageDriver) -> dict[str, Any]:
        require_running(image.datastore)
        if image.persistent and driver.persistent is not Placement.SYSTEM:
            if blind := [host for host in driver.seen_from if host not in source.seen_from]:
                raise Refused(
                    f"{image.name} is persistent: its disk is a link to it, which would lead nowhere on "
                    f"{listed(blind)}: {image.datastore.name} is not seen there, only {target.name} is. Put the disk "
                    f"into {image.datastore.name}."
                )
            if target.pk != image.datastore_id and not (driver.links and source.links):
                raise Refused(
                    f"{image.name} is persistent, and {source.label} and {driver.label} datastores have no links to "
                    f"each other. Put the disk into {image.datastore.name}."
                )
            return {"kind": Disk.Kind.LINK, "format": image.format}
        if image.persistent and not source.takes_back:
            raise Refused(
                f"{image.name} is persistent: a disk in {target.name} would be a copy that comes back to it in the "
                f"end, and {source.label} datastores take none back. Put the disk into {image.datastore.name}."
            )
        format_ = Format(image.format)
        if target.pk == image.datastore_id and Capability.CLONE in driver.capabilities(format_):
            return {"kind": Disk.Kind.CLONE, "format": driver.clone_format(format_)}
        return {"kind": Disk.Kind.COPY} | way_between(source, format_, driver)

    def _require_free(self, image: Image, viewer: User | None) -> None:
        """Raise Refused when a VM must not write to the image: another one does, or something is built on it."""
        if others := users_of(image, viewer, in_use()):
            raise Refused(f"{image.name} is persistent and in use by {listed(others)}: one VM at a time.")
        require_unneeded(image, viewer, "written to by a VM", built_on(image, viewer))

    def again(self, job: Job) -> None:
        require_ready(job.disk.datastore)
        require_state(job.image, ObjectState.READY)
        if job.disk.kind == Disk.Kind.LINK:
            require_unneeded(job.image, job.user, "written to by a VM", built_on(job.image, job.user))
        if job.disk.kind == Disk.Kind.COPY:
            there = driver_for(job.disk, driver_of(job.disk.datastore))
            job.params = job.params | keyed(way_between(driver_of(job.image.datastore), job.image.format, there))
            job.save(update_fields=["params"])
        if job.disk.base_id:
            self._find_copy(job)
        Disk.objects.filter(pk=job.disk_id).update(state=ObjectState.PENDING, error="")

    def _find_copy(self, job: Job) -> None:
        """Find anew what the disk lies over: it may have been made, or have left the cache, since."""
        disk: Any = job.disk
        found = self._way(job, job.image, disk.datastore, disk.host)
        disk.kind, disk.format, disk.base_id = found["kind"], found["format"], found.get("copy")
        disk.save(update_fields=["kind", "format", "base"])
        kept = {name: value for name, value in job.params.items() if name not in OF_WAY}
        job.params = kept | keyed(found)
        job.save(update_fields=["params"])

    def check_still(self, job: Job) -> None:
        require_there(job.params)

    def resources(self, job: Job) -> dict[str, bool]:
        return {
            f"disk:{job.disk_id}": True,
            f"image:{job.image_id}": job.disk.kind == Disk.Kind.LINK,
            f"datastore:{job.datastore_id}": False,
            **on_its_host(job.disk),
            **held_by(job.params),
        } | (hosts_on_the_way(job) if self._carries(job) else {})

    def plan(self, job: Job) -> Plan:
        image, disk = job.image, job.disk
        driver = driver_of(disk.datastore)
        source = driver if image.datastore_id == disk.datastore_id else driver_of(image.datastore)
        volume, made = image_volume(image, source), disk_volume(disk, driver)
        if disk.kind == Disk.Kind.LINK:
            return attaching(disk, driver, volume) or (
                Stage("disk", driver.link(volume, driver.disk_path(disk.vm_id, disk.number))),
            )
        if disk.base_id:
            return over_copy(job, driver_for(disk, driver), made)
        if disk.kind == Disk.Kind.CLONE:
            return Stage("disk", driver.clone(volume, made)), *attaching(disk, driver, made)
        return carried(job, "disk", source, volume, driver_for(disk, driver), made, attaching(disk, driver, made))

    def succeeded(self, job: Job, results: Results) -> None:
        self.made(job)
        self._cached(job, results)
        if job.disk.kind == Disk.Kind.COPY:
            note_copied(job.disk, results)
        if job.disk.kind == Disk.Kind.LINK:  # from now on a VM may write to it
            Image.objects.filter(pk=job.image_id).update(**Image.WRITTEN)

    def _cached(self, job: Job, results: Results) -> None:
        """Note what the disk lies over, and how well the cache of its host serves."""
        disk: Any = job.disk
        if not keeps_copies(disk.datastore) or job.image.persistent:
            return
        driver = caches(driver_for(disk, driver_of(disk.datastore))) if job.params.get("makes") else None
        if driver:
            filled(job, disk.base, job.image, driver, results)
        count_use(job, job.params)

    def failed(self, job: Job, error: str) -> None:
        super().failed(job, error)
        not_filled(job.params, error)

    def cancelled(self, job: Job) -> None:
        super().cancelled(job)
        forget_unused(job.params, "The disk for which it was to be made was cancelled.")

    def check_undo(self, job: Job) -> None:
        super().check_undo(job)
        require_alone(job)
        if comes_back(job.disk):
            raise Refused(
                f"What was written to {job.disk} would be lost: it is a copy of a persistent image. "
                "Delete the disk, and it comes back to the image first."
            )


class DiskChange(Change):
    """A use case about a disk that is there."""

    of, model = "disk", Disk
    targets: ClassVar[tuple[str, ...]] = ("disk",)

    def ask(self, job: Job) -> None:
        super().ask(job)
        job.vm = job.disk.vm
        job.title = f"{self.label.removesuffix(' disk')} {job.disk}"  # its name says that it is one
        job.target_label = str(job.disk)

    def require_usable(self, job: Job) -> None:
        super().require_usable(job)
        require_shut_down(job.disk)
