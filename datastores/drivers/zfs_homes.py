"""Where volumes of a ZFS datastore are, and how they come in and go out: as files, or as data sets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.openings import Opening
from datastores.domain.plan import Plan, Stage
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.domain.zfs import BASE_MAX, DISK, GOLD, dataset_name
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import TO_BE_SENT, FileDriver
from datastores.drivers.mounting import NetworkMount, nothing_yet, tried
from datastores.drivers.nfs_exports import FSTYPE, NfsExport, among
from datastores.drivers.received import Received
from datastores.drivers.travels import Sent
from datastores.drivers.zfs_options import ZfsOptions
from datastores.hosts.copies import PART
from datastores.hosts.disks import DiskLinked
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.opened import Opened
from datastores.hosts.receiving import FileReceived
from datastores.hosts.sending import StreamAllowed
from datastores.hosts.zfs_clones import GoldTaken
from datastores.hosts.zfs_fetching import StreamFetched
from datastores.hosts.zfs_streams import StreamReceived
from datastores.hosts.zfs_volumes import VolumeDatasetExists

IMAGES, DISKS = "images", "var"
"""Below the base: a data set for each image, and one for each disk of a VM."""
_DISK_NAME = re.compile(r"disk\.(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Home:
    """Where a volume is: its data set, where that is mounted, and the link by which a VM finds its disk, or ""."""

    dataset: str
    mountpoint: str
    link: str = ""

    @property
    def file(self) -> str:
        return f"{self.mountpoint}/{DISK}"


@dataclass(frozen=True, slots=True)
class ZfsHomes(FileDriver):
    """What a ZFS datastore knows of its places; ``ZfsDriver`` says what is done there."""

    sends_streams: ClassVar[bool] = True

    options: ZfsOptions
    mounted_from: Callable[[str], str] = field(default=nothing_yet, compare=False, repr=False)
    """Return what the host of this name was told to mount; "" for nothing yet."""

    def __post_init__(self) -> None:
        StorageDriver.__post_init__(self)
        if self.base == "/" or len(dataset_name(self.dataset)) > BASE_MAX:
            raise BadInput(f"Name the data set for {self.base}: at most {BASE_MAX} characters.")
        if self.shared:
            self.over_nfs.check_base()

    # Names

    @property
    def dataset(self) -> str:
        return self.options.dataset or self.base[1:]

    @property
    def shared(self) -> bool:
        return self.options.exported

    @property
    def written_from(self) -> tuple[str, ...]:
        """Data sets are made on the storage host, so what is to lie in them is copied there."""
        return (self.host,)

    def mount_point(self, host: str) -> str:
        """Nothing is ever written to the bare directory of a client."""
        return self.base if self.shared and host != self.host else ""

    @property
    def over_nfs(self) -> NfsExport:
        """How other hosts see it, where it is exported.

        One export of the base with crossmnt, not the property sharenfs of each data set: it is a file of ours like any
        export, and nothing has to be told to the server when a disk is made. A client sees the new data set at once,
        and mounts it by itself when it looks there (tried with zfs 2.1, nfs-utils 2.6 and Linux 6.1).
        """
        return NfsExport(self.host, self.base, self.hosts, among(self.options), self.locate, self.base, nested=True)

    @property
    def openings(self) -> tuple[Opening, ...]:
        return self.over_nfs.openings if self.shared else ()

    def source_on(self, host: str) -> str:
        """Return what ``host`` mounts. That stays, also when the server gets another address."""
        return self.mounted_from(host) or self.over_nfs.source

    def remembered(self, host: str) -> str:
        return self.source_on(host) if self.mount_point(host) else ""

    def mount_on(self, host: str) -> NetworkMount:
        return NetworkMount(self.source_on(host), self.base, FSTYPE, self.options.mount, nested=True)

    def same_directory(self, token: str) -> Plan:
        """Root of every client may write there, unless the server takes it for nobody."""
        others = self.seen_from[1:] if among(self.options).root_writes else ()
        trials = tried(self.base, self.ownership, others, token)
        stages = (Stage("write on the other hosts", trials),) if trials else ()
        return *stages, *FileDriver.same_directory(self, token)

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return f"{self.base}/{IMAGES}/{uuid if isinstance(uuid, UUID) else UUID(uuid)}/{DISK}"

    def home(self, volume: Volume) -> Home:
        """Return where the bytes of a volume are.

        :raises Refused: it lies elsewhere, or has no name of ours.
        """
        self.check_inside(volume)
        match posixpath.relpath(volume.path, self.base).split("/"):
            case ["images", name, "disk.0"]:
                return Home(f"{self.dataset}/{IMAGES}/{name}", f"{self.base}/{IMAGES}/{name}")
            case [vm, name] if vm.isdecimal() and (disk := _DISK_NAME.match(name)):
                own = f"{DISKS}/{vm}.{disk[1]}"
                return Home(f"{self.dataset}/{own}", f"{self.base}/{own}", volume.path)
        raise Refused(f"{volume.path} is neither the place of an image nor of a VM's disk in {self.base}.")

    def opened(self, volume: Volume) -> Opened:
        """The path of a VM's disk is a link."""
        return Opened(self.home(volume).file, volume.format.qemu, volume.virtual_size)

    def makes_directory(self, volume: Volume) -> bool:
        """No: a data set is made for it."""
        return False

    # How volumes come in and go out

    def receive(self, volume: Volume) -> Received:
        home = self.home(volume)
        room = VolumeDatasetExists(self.host, home.dataset, home.mountpoint, volume.format, volume.reserved)
        link = (DiskLinked(self.host, home.link, home.file, coming=True),) if home.link else ()
        file = Volume(home.file, volume.format, volume.virtual_size)
        return Received(file, (room,), link, self.ownership, coming=True)

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        file = Volume(self.home(volume).file, volume.format, volume.virtual_size)
        return FileDriver.export(self, host, file, place)

    def streams(self, volume: Volume, target: StorageDriver, copy: Volume) -> Steps:
        """To another ZFS datastore of the same host, whose files have the same owner, the data set itself is sent."""
        if not isinstance(target, ZfsHomes) or (target.host, target.ownership) != (self.host, self.ownership):
            return ()
        if copy.format is not volume.format:
            return ()
        here, there = self.home(volume), target.home(copy)
        gold = GoldTaken(self.host, here.dataset, here.mountpoint)
        place = (there.dataset, there.mountpoint, copy.format, copy.reserved)
        received = StreamReceived(self.host, here.dataset, GOLD, *place)
        link = (DiskLinked(self.host, there.link, there.file, coming=True),) if there.link else ()
        return gold, received, *link

    def sends(self, volume: Volume, format: Format, name: str) -> Sent:
        file = self.home(volume).file
        if volume.format is format:
            return Sent(file)
        path = f"{self.base}/{name}{PART}"
        place = Received(Volume(path, format, volume.virtual_size), ownership=TO_BE_SENT)
        return Sent(path, self.export(self.host, volume, place), made=True)

    def fetches(self, route: Route, copy: Volume, data: int) -> Steps:
        place = self.receive(copy)
        fetched = FileReceived(route, place.file.path, self.ownership, False, data, coming=True)
        return *place.before, fetched, *place.after

    def streams_to(self, target: StorageDriver) -> str:
        """What comes in a stream keeps its mode; its owner is put right where he has another number."""
        if not isinstance(target, ZfsHomes):
            return f"{target.label} datastores take files"
        return "" if target.ownership == self.ownership else "the files of the two have other owners or modes"

    def fetches_stream(self, route: Route, volume: Volume, target: StorageDriver, copy: Volume) -> tuple[Steps, Steps]:
        if not isinstance(target, ZfsHomes):
            raise Unsupported(f"{target.label} datastores take files.")
        here, there = self.home(volume), target.home(copy)
        gold = GoldTaken(self.host, here.dataset, here.mountpoint)
        place = (there.dataset, there.mountpoint, copy.format, target.ownership, copy.reserved, volume.allocated)
        link = (DiskLinked(target.host, there.link, there.file, coming=True),) if there.link else ()
        return (gold, StreamAllowed(route, here.dataset, GOLD)), (StreamFetched(route, GOLD, *place), *link)

    def inspected(self, volume: Volume) -> Steps:
        return (ImageIsSafe(self.host, self.home(volume).file, volume.format),)
