"""From rows to what drivers understand: which host, which driver, which path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Prefetch, prefetch_related_objects

from datastores.domain.errors import Refused
from datastores.domain.gluster import Brick
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.iscsi import Lun, PinnedLun, Portal
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.abilities import Abilities
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import driver_class, make_driver
from datastores.models import ApplianceLun, Datastore, DatastoreHost, Disk, Host, Image
from datastores.models import Brick as BrickRow

IN_ORDER = Prefetch(
    "members", DatastoreHost.objects.select_related("host").defer("host__facts").order_by("position"), "in_order"
)


BRICKS = Prefetch(
    "bricks", BrickRow.objects.select_related("host").defer("host__facts").order_by("position"), "bricks_in_order"
)


def hosts_of(datastore: Datastore) -> list[Host]:
    """Return the hosts of a datastore, the storage host first. Looked up once for this object."""
    prefetch_related_objects([datastore], IN_ORDER)
    return [member.host for member in datastore.in_order]


def member_of(datastore: Datastore, host: Host) -> DatastoreHost:
    """Return what is known of a host as one of a datastore's."""
    hosts_of(datastore)
    return next(member for member in datastore.in_order if member.host_id == host.pk)


def look_up_hosts(datastores: Iterable[Datastore]) -> None:
    """Look up the hosts of all of them in one query."""
    prefetch_related_objects(list(datastores), IN_ORDER)


def host_names(datastore: Datastore) -> list[str]:
    """Return what the hosts of a datastore are called, the storage host first."""
    if hasattr(datastore, "in_order"):
        return [host.name for host in hosts_of(datastore)]
    return list(datastore.members.order_by("position").values_list("host__name", flat=True))


def driver_of(datastore: Datastore) -> StorageDriver:
    """Return the driver of a datastore, with its options checked.

    :raises Refused: it is gone: somebody deleted it since it was looked up.
    """
    hosts = host_names(datastore)
    if not hosts:
        raise Refused(f"The datastore {datastore.name} is gone.")
    return driver_on(datastore, hosts)


def keeping(datastore: Datastore) -> type[Abilities]:
    """Return the kind that keeps its bytes: its own, or one inside of that."""
    return driver_class(datastore.kind).keeps_with(datastore.options)


def driver_on(datastore: Datastore, hosts: Sequence[str], bricks: Sequence[PlacedBrick] | None = None) -> StorageDriver:
    """Return the driver of a datastore as it would be on these hosts, the storage host first, or with these bricks."""
    return make_driver(
        datastore.kind, host=hosts[0], base=datastore.base, hosts=hosts, options=datastore.options,
        locate=Addresses(datastore).of, secret=datastore.secret,
        bricks=bricks_of(datastore) if bricks is None else bricks, luns=luns_of(datastore),
    )  # fmt: skip


def bricks_of(datastore: Datastore) -> list[PlacedBrick]:
    """Return the bricks of a datastore, in the order of its volume. Looked up once, and only where it may have any."""
    if not driver_class(datastore.kind).has_bricks:
        return []
    prefetch_related_objects([datastore], BRICKS)
    return [PlacedBrick(row.host.name, Brick(row.peer, row.path)) for row in datastore.bricks_in_order]


def luns_of(datastore: Datastore) -> list[PinnedLun]:
    """Return the LUNs that are images of a datastore. Looked up only where it may have any."""
    if not driver_class(datastore.kind).has_luns or datastore.pk is None:
        return []
    rows = ApplianceLun.objects.filter(datastore=datastore).exclude(image=None)
    columns = ("image__uuid", "portal", "port", "iqn", "number", "image__virtual_size")
    return [
        PinnedLun(str(uuid), Lun(Portal(address, port), name, number), size)
        for uuid, address, port, name, number, size in rows.values_list(*columns)
    ]


class Addresses:
    """At which address hosts reach each other: that at which cloudstore does. Asked of few datastores, so late."""

    def __init__(self, datastore: Datastore) -> None:
        known = getattr(datastore, "in_order", ())
        self._known = {member.host.name: member.host.address for member in known}

    def of(self, name: str) -> str:
        """Return the address of the host of this name.

        :raises Refused: there is none.
        """
        if name not in self._known:
            address = Host.objects.filter(name=name).values_list("address", flat=True).first()
            if address is None:
                raise Refused(f"There is no host {name} any more.")
            self._known[name] = address
        return self._known[name]


def require_ready(datastore: Datastore) -> None:
    """Raise Refused when the datastore, or the host its commands run on, cannot be used now."""
    if datastore.state != ObjectState.READY:
        raise Refused(f"The datastore {datastore.name} is {datastore.state}.")
    host = hosts_of(datastore)[0]
    if host.maintenance:
        raise Refused(f"{host.name}, the storage host of {datastore.name}, is in maintenance.")
    if not host.usable:
        raise Refused(f"{host.name}, the storage host of {datastore.name}, is {host.state}. {host.error}".strip())


def require_state(thing: Image | Disk, *states: ObjectState) -> None:
    """Raise Refused when an image or disk is gone, or in another state.

    Its own columns are read anew: the row was looked up before it was this request's turn.
    """
    row = type(thing)._default_manager.filter(pk=thing.pk).values().first()
    if row is None:
        raise Refused(f"{thing} is gone.")
    for name, value in row.items():  # refresh_from_db() would have the datastore looked up again, too
        setattr(thing, name, value)
    if thing.state not in states:
        raise Refused(f"{thing} is {thing.state}; this needs it {' or '.join(states)}.")


def image_volume(image: Image, driver: StorageDriver | None = None) -> Volume:
    """Return where the image's bytes are. The file is named by our UUID, never by a person."""
    driver = driver or driver_of(image.datastore)
    format_ = Format(image.format)
    return Volume(driver.image_path(image.uuid, format_), format_, image.virtual_size, image.real_size)


def preparing(driver: StorageDriver, image: Volume) -> Plan:
    """Return the stage that makes ready what clones of the image are made with, where its kind has something."""
    steps = driver.prepare(image)
    return (Stage("prepare clones", steps),) if steps else ()


def disk_volume(disk: Disk, driver: StorageDriver | None = None) -> Volume:
    """Return where the disk's bytes are, or the link to them where its kind has links."""
    driver = driver or driver_of(disk.datastore)
    if disk.kind == Disk.Kind.LINK and not driver.links and disk.image:
        return image_volume(disk.image, driver)
    path = driver.disk_path(disk.vm_id, disk.number)
    return Volume(path, Format(disk.format), disk.virtual_size, reserved=disk.reserved)


def room_kept(driver: StorageDriver, size: int) -> int:
    """Return the bytes that are kept for a new disk of this size; 0: its room is taken as it is written to."""
    return driver.room_of(size) if driver.reserves else 0


def with_paths(disks: Iterable[Disk]) -> list[tuple[Disk, str]]:
    """Return each disk with its path; one driver for each datastore, and one query for the hosts of them all."""
    rows = list(disks)
    datastores = {disk.datastore_id: disk.datastore for disk in rows}
    look_up_hosts(datastores.values())
    drivers = {key: driver_of(datastore) for key, datastore in datastores.items()}
    return [(disk, disk_volume(disk, drivers[disk.datastore_id]).path) for disk in rows]
