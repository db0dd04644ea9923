"""ZFS on the storage host: each image in a data set of its own, disks are clones of its golden snapshot."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datastores.domain.characters import Character
from datastores.domain.plan import Shell
from datastores.domain.values import disk_mode
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.domain.zfs import pool_of
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.nfs_exports import CLIENT_PACKAGE, among
from datastores.drivers.zfs_homes import DISKS, IMAGES, Home, ZfsHomes
from datastores.drivers.zfs_options import ZfsOptions
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.checksums import ChecksumKnown, DataDigestKnown
from datastores.hosts.contexts import ContextFile, ContextIsoExists, Variable
from datastores.hosts.copies import FileCopied
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.nfs_clients import ClosedByClients
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.sizes import ImageResized
from datastores.hosts.stored import FileStored, Footprint
from datastores.hosts.zfs import PoolReady, ZfsReady
from datastores.hosts.zfs_clones import CloneExists, GoldTaken
from datastores.hosts.zfs_datasets import DatasetExists, OnlyKnownDatasets
from datastores.hosts.zfs_delegation import PermissionsDelegated
from datastores.hosts.zfs_limits import DatasetLimited, RoomReserved
from datastores.hosts.zfs_listings import ask_room, ask_volumes, room, volumes
from datastores.hosts.zfs_pools import PoolExists
from datastores.hosts.zfs_promotion import ClonePromoted, MasterGone
from datastores.hosts.zfs_snapshots import DatasetRolledBack, DatasetSnapshotAbsent, DatasetSnapshotTaken
from datastores.hosts.zfs_volumes import VolumeDatasetAbsent


@dataclass(frozen=True, slots=True)
class ZfsDriver(ZfsHomes):
    """An image is ``<base>/images/<uuid>/disk.0``, in the data set ``<data set>/images/<uuid>`` with its ``@gold``.

    The disk of a VM is the data set ``<data set>/var/<vm>.<n>``: one for each disk and none for the VM, so a clone is
    one data set made and one mounted. ``<base>/<vm>/disk.<n>`` is a link to the ``disk.0`` in it.
    """

    kind: ClassVar[str] = "zfs"
    label: ClassVar[str] = "ZFS"
    about: ClassVar[str] = (
        "Data sets of a ZFS pool on the storage host; disks are clones of a golden snapshot, made at once."
    )
    ds: ClassVar[str] = "zfs"
    tm: ClassVar[str] = "zfs"
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CLONE, Capability.PROMOTE, Capability.RESIZE, Capability.SNAPSHOT, Capability.RESERVE}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    clone_needs_source: ClassVar[bool] = True
    shares_blocks: ClassVar[bool] = True
    revert_takes_younger: ClassVar[bool] = True
    limits: ClassVar[tuple[str, ...]] = ("quota", "reservation", "reserve")
    leaves: ClassVar[str] = (
        "Its pool and its data sets stay on the storage host, as they are. No other host has it mounted any more."
    )
    character: ClassVar[Character] = Character(
        parts=2,
        simplicity="a pool on one host, with ZFS compiled for its kernel",
        performance="disks of one host with a cache in memory; compressed",
        redundancy="mirrors or RAID-Z and checksums; the host is a single point",
        capacity="what one pool has; clones and snapshots share blocks",
    )
    Options: ClassVar[type[Any]] = ZfsOptions

    rename = StorageDriver.rename

    def check_new(self) -> None:
        ZfsHomes.check_new(self)
        disk_mode(self.options.mode)
        self.options.check_new()
        if self.shared:
            among(self.options).check_new()

    def capabilities(self, format: Format) -> frozenset[Capability]:
        can = ZfsHomes.capabilities(self, format)
        return can | {Capability.LIVE_MIGRATION} if self.shared else can

    # Reading

    def capacity(self, shell: Shell) -> Capacity:
        ask = ask_room(self.dataset)
        return room(self.host, ask, shell.run(ask))

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        reads = ask_volumes(f"{self.dataset}/{IMAGES}", f"{self.base}/{IMAGES}")
        return volumes(self.host, reads, shell.run_many(reads))

    # Setting up

    def activate(self, host: str) -> Steps:
        """Only the storage host has anything to do with it, unless it is exported."""
        if host != self.host:
            return self._mounted(host)
        pool, disks = pool_of(self.dataset), self.options.pool_disks()
        made = (PoolExists(host, pool, disks),) if disks else (PoolReady(host, pool),)
        mounted = BaseReady(host, self.base, self.base, coming=True)
        return ZfsReady(host), *made, *self._datasets(), mounted, *self._served()

    def keeps(self, host: str) -> Steps:
        """A pool that is gone is never made anew unasked: its disks may only be away."""
        if host != self.host:
            return self._mounted(host)
        mounted = BaseReady(host, self.base, self.base)
        return PoolReady(host, pool_of(self.dataset)), *self._datasets(), mounted, *self._served()

    def _served(self) -> Steps:
        return (self.over_nfs.package(), *self.over_nfs.served()) if self.shared else ()

    def _mounted(self, host: str) -> Steps:
        if not self.shared:
            return ()
        return PackageInstalled(host, CLIENT_PACKAGE), *self.mount_on(host).made(host)

    def serve(self) -> Steps:
        return self.over_nfs.serve() if self.shared else ()

    def deactivate(self, host: str) -> Steps:
        """Data sets stay mounted on the storage host."""
        if not self.shared:
            return ()
        return (self.over_nfs.gone(),) if host == self.host else self.mount_on(host).gone(host)

    def _datasets(self) -> Steps:
        """Return the base data set and what is right below it; those inherit their mount points."""
        below = tuple(
            DatasetExists(self.host, f"{self.dataset}/{name}", f"{self.base}/{name}") for name in (IMAGES, DISKS)
        )
        account = self.options.account
        allowed = (PermissionsDelegated(self.host, self.dataset, account),) if account else ()
        base = DatasetExists(self.host, self.dataset, self.base, self.options.properties(), places=True)
        return base, *below, *allowed

    # What is stored

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        home = self.home(volume)
        if link:
            return (FileStored(self.host, self.base, volume.path, 0, None, link),)
        least = 1 if volume.format is Format.QCOW2 else volume.virtual_size
        above = posixpath.dirname(home.mountpoint)
        file = FileStored(self.host, above, home.file, least, before, "", self.options.mode)
        return (file, FileStored(self.host, self.base, home.link, link=home.file)) if home.link else (file,)

    def stores_only(self, volumes: Sequence[Volume]) -> Steps:
        known = tuple(sorted(posixpath.basename(self.home(volume).mountpoint) for volume in volumes))
        return (OnlyKnownDatasets(self.host, f"{self.dataset}/{IMAGES}", known),)

    # Steps

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        place = self.receive(volume)
        what = (place.file.path, volume.format, volume.virtual_size, filesystem)
        return *place.before, DataBlockExists(self.host, *what, self.ownership, coming=True), *place.after

    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        place = self.receive(Volume(path, Format.ISO))
        cd = ContextIsoExists(self.host, place.file.path, variables, files, self.ownership, coming=True)
        return *place.before, cd, *place.after

    def import_file(self, source: str, volume: Volume) -> Steps:
        place = self.receive(volume)
        copied = FileCopied(self.host, source, place.file.path, self.ownership, coming=True)
        return *place.before, copied, *place.after

    def copy(self, source: Volume, target: Volume) -> Steps:
        place = self.receive(target)
        return *place.before, *self.export(self.host, source, place), *place.after

    def checksum(self, volume: Volume) -> Steps:
        """The digest is kept in the data set of the image, and goes with it."""
        return (ChecksumKnown(self.host, self.home(volume).file, volume.file_size),)

    def data_digest(self, volume: Volume) -> Steps:
        return (DataDigestKnown(self.host, self.home(volume).file),)

    def delete(self, volume: Volume) -> Steps:
        home = self.home(volume)
        return *self._closed(home), VolumeDatasetAbsent(self.host, home.dataset, home.link, self.base, self.shared)

    def _closed(self, home: Home) -> Steps:
        """On the storage host itself, unmounting fails as long as something is open."""
        return (ClosedByClients(self.host, home.file),) if self.shared else ()

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        """All that is kept of it is in its data set, the snapshots among it."""
        return self.delete(volume)

    def prepare(self, image: Volume) -> Steps:
        home = self.home(image)
        return (GoldTaken(self.host, home.dataset, home.mountpoint),)

    # Steps by capability

    def clone(self, source: Volume, target: Volume) -> Steps:
        here, there = self.home(source), self.home(target)
        place = (there.dataset, there.mountpoint, target.format, there.link, target.reserved)
        return (CloneExists(self.host, here.dataset, here.mountpoint, *place),)

    def promote(self, clone: Volume, source: Volume) -> Steps:
        master = self.home(source)
        pair = master.dataset, self.home(clone).dataset
        gone = MasterGone(self.host, *pair, self.shared)
        return *self._closed(master), ClonePromoted(self.host, *pair), gone

    def resize(self, volume: Volume, size: int) -> Steps:
        self.require(Capability.RESIZE, volume)
        home = self.home(volume)
        room = (RoomReserved(self.host, home.dataset, self.room_of(size)),) if volume.reserved else ()
        return *room, ImageResized(self.host, home.file, volume.format, size)

    @property
    def reserves(self) -> bool:
        return self.options.reserve

    def room_of(self, size: int) -> int:
        return self.options.room_of(size)

    def reserve(self, volume: Volume) -> Steps:
        return (RoomReserved(self.host, self.home(volume).dataset, volume.reserved),)

    def limited(self) -> Steps:
        return (DatasetLimited(self.host, self.dataset, *self.options.limits()),)

    def snapshot(self, volume: Volume, name: str) -> Steps:
        home = self._home(volume)
        return (DatasetSnapshotTaken(self.host, home.dataset, home.mountpoint, name),)

    def revert(self, volume: Volume, name: str) -> Steps:
        """Younger snapshots are destroyed on the way: data sets have no tree of them."""
        home = self._home(volume)
        back = DatasetRolledBack(self.host, home.dataset, home.mountpoint, name, volume.format, self.shared)
        return *self._closed(home), back

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        return (DatasetSnapshotAbsent(self.host, self._home(volume).dataset, name),)

    def _home(self, volume: Volume) -> Home:
        """Return where a volume is that snapshots may be taken of."""
        self.require(Capability.SNAPSHOT, volume)
        return self.home(volume)
