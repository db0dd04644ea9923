"""On which host a disk is used, in datastores of kinds where each disk is used on one: it lies or is attached there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import groupby
from operator import attrgetter

from django.db.models import Count

from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import distinct
from datastores.domain.plan import Plan, Stage
from datastores.domain.volumes import Capability, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS
from datastores.models import ApplianceLun, Datastore, Disk, Host, VirtualMachine
from datastores.services import leases
from datastores.services.placing import hosts_of

ON_ONE_HOST = frozenset(kind for kind, driver in DRIVERS.items() if driver.one_host)
"""Kinds of datastores of which each disk is used on one host."""
TARGET_MAX = 30
"""Characters of what a target is called as a resource, whose names are short."""
LYING = frozenset(kind for kind in ON_ONE_HOST if Capability.ATTACH not in DRIVERS[kind].can)
"""Those of which each disk lies on the host where it is used: every host has a file system of its own for them."""


def host_for(
    datastore: Datastore,
    vm: VirtualMachine,
    wanted: int | None = None,
    *,
    moved: Disk | None = None,
    spread: Counter[int] | None = None,
    size: int = 0,
    apart: bool = False,
) -> Host | None:
    """Return the host on which a disk is to be used; None: on any that sees the datastore.

    The one that was wanted, else that of the machine's other disks, else the one with the fewest disks. ``moved``: the
    disk, when it is there already. ``spread``: disks that are on their way to each host, which is counted up.
    ``apart``: also where the machine's other disks are not, as on the way there, one disk after the other. ``size``:
    bytes that it may come to; where they do not fit, as measured last, no disk is put unless that host was wanted.

    :raises BadInput: what was wanted is no host of the datastore.
    :raises Refused: the host cannot be used now, or other disks of the machine are used elsewhere.
    """
    if datastore.kind not in ON_ONE_HOST:
        return None
    hosts = {host.pk: host for host in hosts_of(datastore)}
    others = Disk.objects.filter(vm=vm).exclude(host=None).exclude(pk=moved.pk if moved else None)
    beside = others.values_list("host", flat=True).first()
    spread = Counter() if spread is None else spread
    if wanted is None:
        wanted = beside or _emptiest(hosts, spread, _full(datastore, size))
    if wanted not in hosts:
        raise BadInput(f"That is no host of {datastore.name}. Disks in it are used on its hosts only.")
    host = hosts[wanted]
    if not apart and beside not in {None, wanted}:
        raise Refused(f"Other disks of {vm.name} are not used on {host.name}, and a machine runs on one host.")
    require_usable(host)
    spread[host.pk] += 1
    return host


def _full(datastore: Datastore, size: int) -> set[int]:
    """Return the hosts on which there is no room for so many bytes, as far as that is known."""
    if datastore.kind not in LYING or not size:
        return set()
    full = set(datastore.members.filter(position__gt=0, free__lt=size).values_list("host", flat=True))
    if datastore.free is not None and datastore.free < size:
        full.add(hosts_of(datastore)[0].pk)
    return full


def _emptiest(hosts: dict[int, Host], spread: Counter[int], full: Collection[int] = ()) -> int:
    """Return the host with the fewest disks among those that can be used now and have room, the first if none can."""
    rows = Host.objects.filter(pk__in=hosts).annotate(count=Count("disks"))
    counts = {key: count + spread[key] for key, count in rows.values_list("pk", "count")}
    usable = [key for key, host in hosts.items() if host.usable and not host.maintenance] or list(hosts)
    return min([key for key in usable if key not in full] or usable, key=lambda key: counts[key])


def require_usable(host: Host) -> None:
    """Raise Refused when nothing can be done on the host now."""
    if host.maintenance or not host.usable:
        raise Refused(f"{host.name} is {'in maintenance' if host.maintenance else host.state}. {host.error}".strip())


def on_its_host(disk: Disk) -> dict[str, bool]:
    """Return the host that a disk is used on as a resource: neither renamed, deleted nor taken out meanwhile."""
    if not disk.host_id:
        return {}
    used = {f"host:{disk.host_id}": False, **leases.uses_hosts(disk.datastore_id)}
    return used | target_on(disk, disk.host_id)


def target_on(disk: Disk, host: int) -> dict[str, bool]:
    """Return the session of a host at the target of a LUN as a resource.

    All LUNs of a target share it: who attaches one counts on what who detaches another ends.
    """
    if not DRIVERS[disk.datastore.kind].has_luns:
        return {}
    names = ApplianceLun.objects.filter(image=disk.image_id).values_list("iqn", flat=True)
    return {f"target {distinct(name, TARGET_MAX)} of host:{host}": True for name in names}


def driver_for(disk: Disk, driver: StorageDriver) -> StorageDriver:
    """Return the driver for the bytes of a disk: where they lie on its own host, with that as the host of commands."""
    return driver.at(disk.host.name) if disk.host else driver


def attaching(disk: Disk, driver: StorageDriver, volume: Volume) -> Plan:
    """Return the stages after which ``volume`` is the disk on its host; () for kinds that are seen by themselves."""
    if disk.host is None or Capability.ATTACH not in driver.can:
        return ()
    return in_order("attach", driver.attach(volume, disk.host.name, driver.link_path(disk.vm_id, disk.number)))


def detaching(disk: Disk, driver: StorageDriver, volume: Volume, *, lost: bool = False) -> Plan:
    """Return the stages that take back what ``attaching`` made. ``lost``: the host is gone for good."""
    if disk.host is None or Capability.ATTACH not in driver.can:
        return ()
    link = driver.link_path(disk.vm_id, disk.number)
    return in_order("detach", driver.detach(volume, disk.host.name, link, lost=lost))


def in_order(title: str, steps: Steps) -> Plan:
    """Return one stage for each row of steps on the same host: in a stage, hosts do not wait for each other."""
    return tuple(Stage(title, tuple(row)) for _, row in groupby(steps, key=attrgetter("host")))
