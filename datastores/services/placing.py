"""From rows to what drivers understand: which host, which driver, which path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import Prefetch, Q, prefetch_related_objects

from datastores.domain.errors import Refused
from datastores.domain.gluster import Brick
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.gluster_partitions import Partition
from datastores.domain.iscsi import HOST_MAX, Lun, Names, PinnedLun, Portal, distinct
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.abilities import Abilities
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import driver_class, make_driver
from datastores.models import ApplianceLun, Datastore, DatastoreHost, Disk, Host, Image, VolumeReading
from datastores.models import Brick as BrickRow
from datastores.models import Partition as PartitionRow

STARTED = "Started"
"""The state of a GlusterFS volume that runs, in its own word."""
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
    addresses = Addresses(datastore)
    return make_driver(
        datastore.kind, host=hosts[0], base=datastore.base, hosts=hosts, options=datastore.options,
        locate=addresses.of, mounted_from=addresses.mounted_from, secret=datastore.secret,
        bricks=bricks_of(datastore) if bricks is None else bricks, luns=luns_of(datastore),
        partitions=partitions_of(datastore), names=names_for(datastore),
    )  # fmt: skip


def bricks_of(datastore: Datastore) -> list[PlacedBrick]:
    """Return the bricks of a datastore, in the order of its volume. Looked up once, and only where it may have any."""
    if not driver_class(datastore.kind).has_bricks:
        return []
    prefetch_related_objects([datastore], BRICKS)
    return [PlacedBrick(row.host.name, Brick(row.peer, row.path)) for row in datastore.bricks_in_order]


def partitions_of(datastore: Datastore) -> list[Partition]:
    """Return the partitions of the volume of a datastore, by name. Looked up only where it may have any.

    Databases order names by their language, in which "ab" may come before "a-c": then the list of those who may mount
    would differ from that which was set.
    """
    if not driver_class(datastore.kind).has_bricks or datastore.pk is None:
        return []
    rows = PartitionRow.objects.filter(datastore=datastore).values_list("name", "addresses")
    return sorted((Partition(name, tuple(addresses)) for name, addresses in rows), key=lambda each: each.name)


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


def names_for(datastore: Datastore) -> Names:
    """Return what names on the hosts of a datastore were made of. Looked up only where its kind gives any."""
    if not driver_class(datastore.kind).has_names or datastore.pk is None:
        return Names()
    if hasattr(datastore, "in_order"):
        return Names(datastore.label, {member.host.name: member.peer for member in datastore.in_order})
    return Names(datastore.label, dict(datastore.members.values_list("host__name", "peer")))


def members_of(datastore: int, hosts: Iterable[Host], first: int = 0) -> list[DatastoreHost]:
    """Return rows to be stored for hosts that become those of a datastore, from this position on.

    What targets and initiators are to call a host is what they call it elsewhere, else its name, unless another one is
    called so.
    """
    wanted = {host.pk: distinct(host.name, HOST_MAX) for host in hosts}
    given = DatastoreHost.objects.filter(Q(host__in=wanted) | Q(peer__in=wanted.values())).exclude(peer="")
    known = dict(given.values_list("host", "peer"))
    for key, name in wanted.items():
        known.setdefault(key, f"{name}-{key}" if name in known.values() else name)
    return [
        DatastoreHost(datastore_id=datastore, host_id=key, position=position, peer=known[key])
        for position, key in enumerate(wanted, first)
    ]


class Addresses:
    """At which address hosts reach each other: that at which cloudstore does. Asked of few datastores, so late.

    What a host was told to mount names the address of its server by that time.
    """

    def __init__(self, datastore: Datastore) -> None:
        known = getattr(datastore, "in_order", ())
        self._known = {member.host.name: member.host.address for member in known}
        self._datastore = datastore
        self._mounted: dict[str, str] | None = {member.host.name: member.mounted_from for member in known} or None

    def mounted_from(self, name: str) -> str:
        """Return what the host of this name was told to mount; "" for nothing yet."""
        if self._mounted is None:
            rows = DatastoreHost.objects.filter(datastore=self._datastore.pk)
            self._mounted = dict(rows.values_list("host__name", "mounted_from"))
        return self._mounted.get(name, "")

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


def remember_mounts(datastore: Datastore) -> None:
    """Note what its hosts mount, where that is not remembered yet."""
    driver = driver_of(datastore)
    for member in datastore.members.filter(mounted_from="").select_related("host").defer("host__facts"):
        if source := driver.remembered(member.host.name):
            DatastoreHost.objects.filter(pk=member.pk).update(mounted_from=source)


def require_ready(datastore: Datastore) -> None:
    """Raise Refused when the datastore, or the host its commands run on, cannot be used now, or its volume is off."""
    require_host_ready(datastore)
    require_running(datastore)


def require_running(datastore: Datastore) -> None:
    """Raise Refused when the datastore is a volume that was stopped when it was read last."""
    if not driver_class(datastore.kind).has_bricks:
        return
    reading = VolumeReading.objects.filter(datastore=datastore).first()
    if reading and reading.at and reading.seen.get("state", STARTED) != STARTED:
        raise Refused(
            f"The GlusterFS volume of {datastore.name} is {reading.seen['state'].lower()}: nobody can read or write "
            f"there. Start it on its page. (It was read at {reading.at:%H:%M} UTC; if it runs by now, read it again "
            "there.)"
        )


def require_host_ready(datastore: Datastore) -> None:
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
