"""Disks that are made to be measured, used on one host each for that time, and removed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from datastores.domain.afterwards import Ended
from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.throughput import MIB, SHARE, SMALLEST
from datastores.domain.values import format_size
from datastores.domain.volumes import Capability, Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.hosts.disk_throughput import DiskThroughputKnown, Used
from datastores.services.disk_hosts import in_order

NOBODY = 10**12
"""Machines whose disks these would be have numbers from here on: none that there is has one as large."""


@dataclass(frozen=True)
class Scratch:
    """The disk of one host, as that of a machine that there is not.

    Each is of another one: the directory of a machine that had two would be made with the first, other than approved.
    """

    driver: StorageDriver
    host: str
    vm: int
    size: int

    @property
    def volume(self) -> Volume:
        return Volume(self.driver.disk_path(self.vm, 0), Format.RAW, self.size)

    @property
    def link(self) -> str:
        return self.driver.link_path(self.vm, 0)

    @property
    def used(self) -> Used | None:
        return self.driver.measured_as(self.volume, self.host, self.link)

    @property
    def attaches(self) -> bool:
        return Capability.ATTACH in self.driver.can

    def attached(self) -> Steps:
        return self.driver.attach(self.volume, self.host, self.link) if self.attaches else ()

    def detached(self) -> Steps:
        return self.driver.detach(self.volume, self.host, self.link) if self.attaches else ()


def is_used(driver: StorageDriver, host: str) -> bool:
    """Return whether a disk can be made to be measured on the host."""
    if Format.RAW not in driver.formats or driver.has_luns:
        return False
    return Scratch(driver, host, NOBODY, SMALLEST).used is not None


def scratch_disks(driver: StorageDriver, hosts: Sequence[str], job: UUID, size: int) -> list[Scratch]:
    """Return a disk of ``size`` bytes for each host; no other job has disks of the same names."""
    first = NOBODY + job.int % NOBODY
    return [Scratch(driver, host, vm, size) for vm, host in enumerate(hosts, first)]


def with_disks(disks: Sequence[Scratch], meanwhile: Plan) -> Plan:
    """Return the stages that make the disks, those of ``meanwhile``, and those after which nothing is left of them.

    All are removed in the end: until then whatever fails takes back all that was done.
    """
    driver = disks[0].driver
    made = *driver.guard(driver.host), *(step for disk in disks for step in driver.create(disk.volume))
    attached = [stage for disk in disks for stage in in_order("attach", disk.attached())]
    detached = [stage for disk in disks for stage in in_order("detach", disk.detached())]
    ends = Stage("delete", tuple(step for disk in disks for step in driver.delete(disk.volume)))
    return Stage("create", made), *attached, *meanwhile, *(_ended(stage) for stage in (*detached, ends))


def _ended(stage: Stage) -> Stage:
    return Stage(stage.title, tuple(Ended(step) for step in stage.steps))


def disk_tests(disks: Sequence[Scratch], tokens: Mapping[str, str], seconds: int) -> Iterator[DiskThroughputKnown]:
    """Yield what measures each of the disks. ``tokens``: of the hosts."""
    for disk in disks:
        if used := disk.used:
            where = disk.driver.base, tokens[disk.host]
            yield DiskThroughputKnown(disk.host, *where, disk.size, seconds, used=used)


def room_for_test(size: int, free: int | None, disks: int) -> int:
    """Return how many bytes each of so many disks may have, of ``size`` at most. All are there at the same time.

    ``free``: bytes as measured last; None: not known, so no more than tell of anything.

    :raises Refused: too few to tell of anything but caches.
    """
    most = min(size, SMALLEST if free is None else free // SHARE // disks // MIB * MIB)
    if most < SMALLEST:
        each = f" by all {disks} disks together" if disks > 1 else ""
        raise Refused(
            f"{format_size(free or 0)} are free there. A test takes at most a tenth of that{each}, and less than "
            f"{format_size(SMALLEST)} on each host would tell of caches alone: make room there first."
        )
    return most
