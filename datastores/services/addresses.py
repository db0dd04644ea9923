"""What stands on the address of a host: sessions that would be lost with it, and mounts that go on with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from datastores.domain.errors import CloudstoreError, Refused
from datastores.domain.volumes import Capability
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS
from datastores.models import Datastore, DatastoreHost, Disk, Host
from datastores.services.placing import driver_of, remember_mounts
from datastores.services.viewers import listed

ATTACHING = [kind for kind, driver in DRIVERS.items() if Capability.ATTACH in driver.can]
MOST_NAMED = 5


def change_address(host: Host) -> None:
    """Prepare that the host, as it is stored, gets another address.

    :raises Refused: disks are attached by it.
    """
    require_no_sessions(host)
    remember_served(host)


def require_no_sessions(host: Host) -> None:
    """Raise Refused when disks would be lost: initiators go on with the address of a target, and it with theirs."""
    for datastore, driver in _attaching(host):
        disks = Disk.objects.filter(datastore=datastore).exclude(host=None)
        if host.name != driver.host or not driver.found_by_address:
            disks = disks.filter(host=host) if driver.lets_in_by_address else disks.none()
        if count := disks.count():
            first = disks.select_related("vm").order_by("pk")[:MOST_NAMED]
            named = listed([f"{disk.vm.name} disk.{disk.number}" for disk in first])
            more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
            raise Refused(
                f"{host} cannot get another address now: disks of {datastore.name} are attached by {host.address} "
                f"({named}{more}), and their machines would lose them. Shut these machines down, and delete their "
                "disks or move them to another datastore, first."
            )


def _attaching(host: Host) -> Iterator[tuple[Datastore, StorageDriver]]:
    for datastore in Datastore.objects.filter(hosts=host, kind__in=ATTACHING).order_by("pk"):
        with contextlib.suppress(CloudstoreError):  # what cannot be read serves nothing that we know of
            yield datastore, driver_of(datastore)


def remember_served(host: Host) -> None:
    """Note what others mount of it before it gets another address: that is what they have to unmount one day."""
    for datastore in Datastore.objects.filter(members__host=host, members__position=0):
        with contextlib.suppress(CloudstoreError):  # where nothing can be said of its options, nothing is stated either
            remember_mounts(datastore)


def still_mounted(host: Host, address: str) -> str:
    """Return a sentence on hosts that go on mounting from the address that a storage host had; "" for none."""
    served = Datastore.objects.filter(members__host=host, members__position=0)
    rows = DatastoreHost.objects.filter(datastore__in=served).exclude(mounted_from="")
    mounted: dict[str, list[str]] = {}
    for row in rows.select_related("host", "datastore").order_by("datastore__name", "host__name"):
        if row.mounted_from.startswith((f"{address}:", f"[{address}]:")):
            mounted.setdefault(row.datastore.name, []).append(row.host.name)
    if not mounted:
        return ""
    told = "; ".join(f"{name} on {listed(hosts)}" for name, hosts in mounted.items())
    return (
        f"Still mounted from {address}: {told}. If nothing answers there any more, shut the machines that use it down, "
        "and take these hosts out of the datastore and in again."
    )
