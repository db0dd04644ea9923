"""LVM: disks are logical volumes of the storage host, thin ones as a rule, and a clone is a thin snapshot."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datastores.domain import lvm as names
from datastores.domain.characters import Character
from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Shell
from datastores.domain.values import object_name
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import FileDriver
from datastores.drivers.lvm_options import LvmOptions
from datastores.drivers.received import Received
from datastores.hosts import lvm
from datastores.hosts.blocks import Filesystem
from datastores.hosts.checksums import BytesHashed, DataDigestKnown
from datastores.hosts.device_inspection import DeviceIsSafe
from datastores.hosts.disk_throughput import Used
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.lvm_clones import CloneLinked
from datastores.hosts.lvm_contents import DeviceTaken, VolumeFilled
from datastores.hosts.lvm_groups import GroupReady, PoolReady
from datastores.hosts.lvm_tails import TailEmpty
from datastores.hosts.lvm_volumes import (
    ReturnPrepared,
    VolumeAbsent,
    VolumeCloned,
    VolumeGrown,
    VolumeRenamed,
    VolumeReturned,
)
from datastores.hosts.lvm_wiping import Wipe
from datastores.hosts.opened import Opened
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.stored import FileStored, Footprint

RAW_FORMATS = (Format.RAW, Format.ISO)
"""A volume holds bytes as they are: what lies in qcow2 would be seen as qcow2 by the guest."""
PACKAGES = ("lvm2", "thin-provisioning-tools", "qemu-utils")


@dataclass(frozen=True, slots=True)
class LvmDriver(FileDriver):
    """Volumes of one host. ``<base>/<uuid>.raw`` and ``<base>/<vm>/disk.<n>`` are links to devices; CDs are files.

    The last extent of a volume is whole, so a volume may be larger than its disk: what leaves the datastore, or is
    summed up, is the disk alone, and nothing leaves that would be cut off (``whole``).
    """

    kind: ClassVar[str] = "lvm"
    label: ClassVar[str] = "LVM"
    about: ClassVar[str] = "Logical volumes of one host; clones are thin snapshots, made at once."
    ds: ClassVar[str] = "lvm"
    tm: ClassVar[str] = "lvm"
    character: ClassVar[Character] = Character(
        parts=1,
        simplicity="a volume group of the storage host",
        performance="local disks, with nothing in between",
        redundancy="RAID below the volume group, inside one machine",
        capacity="the disks of one machine; grows disk by disk",
    )
    can: ClassVar[frozenset[Capability]] = frozenset({Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT})
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    formats: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    exports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    imports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    shares_blocks: ClassVar[bool] = True
    sends_files: ClassVar[bool] = False
    leaves: ClassVar[str] = "The volume group stays on its host with all its volumes, and so does the directory."
    Options: ClassVar[type[Any]] = LvmOptions

    # a volume is no file: what these do with files would leave one beside it
    sends = StorageDriver.sends
    fetches = StorageDriver.fetches

    options: LvmOptions

    @property
    def shared(self) -> bool:
        return False

    def capabilities(self, format: Format) -> frozenset[Capability]:
        if format is not Format.RAW:
            return frozenset()
        # a thick volume that grows shows what lay there before until all of that is overwritten
        return self.can if self.options.thin else frozenset()

    # Names

    @property
    def _vg(self) -> str:
        return self.options.group_name

    @property
    def _pool(self) -> str:
        return self.options.pool if self.options.thin else ""

    def volume_name(self, volume: Volume) -> str:
        """Return its logical volume: lv-one-<uuid> of an image, lv-one-<vm>-<number> of a disk."""
        self.check_inside(volume)
        if volume.format is not Format.RAW:
            raise Unsupported(f"{self.label} datastores store {', '.join(self.formats)} images, not {volume.format}.")
        directory, name = posixpath.split(posixpath.relpath(volume.path, self.base))
        if not directory and name.endswith(".raw"):
            return names.volume_name(self.options.prefix + name.removesuffix(".raw"))
        if directory.isdigit() and name.startswith("disk."):
            return names.volume_name(f"{self.options.prefix}{directory}-{name.removeprefix('disk.')}")
        raise Refused(f"{volume.path} is neither an image nor a disk of the datastore at {self.base}.")

    def device(self, volume: Volume) -> str:
        return lvm.device(self._vg, self.volume_name(volume))

    def _linked(self, volume: Volume) -> DeviceLinked:
        return DeviceLinked(self.host, volume.path, self.device(volume))

    # Reading

    def writable(self, host: str) -> str:
        """No file that is written here lies in the volume group."""
        return ""

    def measured_as(self, volume: Volume, host: str, link: str) -> Used | None:
        return Used(self.opened(volume)) if host == self.host else None

    def capacity(self, shell: Shell) -> Capacity:
        """That of the thin pool, or of the volume group. CDs lie elsewhere, and are small."""
        asked = lvm.ask_group(self._vg), lvm.ask_volumes(self._vg, self.options.pool)
        found, volumes = lvm.read_both(self.host, asked, shell.run_many(asked))
        pool = volumes.get(self._pool)
        if self._pool and not pool:
            raise Refused(f"There is no thin pool {self._vg}/{self._pool} on {self.host}.")
        return lvm.room(lvm.the_group(self.host, found, self._vg), pool)

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        asked = lvm.ask_group(self._vg), lvm.ask_volumes(self._vg)
        _, found = lvm.read_both(self.host, asked, shell.run_many(asked))
        return *FileDriver.volumes(self, shell), *self._images(found)

    def _images(self, found: lvm.Volumes) -> Iterator[Volume]:
        """An image's name has the 36 characters of a UUID; a disk's has fewer, a snapshot's more."""
        for name, volume in sorted(found.items()):
            uuid = name.removeprefix(self.options.prefix)
            if name.startswith(self.options.prefix) and len(uuid) == 36:
                yield Volume(f"{self.base}/{uuid}.raw", Format.RAW, volume.size, volume.allocated)

    # Steps

    def activate(self, host: str) -> Steps:
        if host != self.host:
            return FileDriver.activate(self, host)
        pool = (PoolReady(host, self._vg, self._pool),) if self._pool else ()
        return (
            *(PackageInstalled(host, name) for name in PACKAGES),
            GroupReady(host, self._vg, tuple(self.options.disks.split())),
            *pool,
            *FileDriver.activate(self, host),
        )

    def keeps(self, host: str) -> Steps:
        """A group or pool that is gone is never made anew unasked: its disks may only be away."""
        if host != self.host:
            return FileDriver.activate(self, host)
        pool = (PoolReady(host, self._vg, self._pool, make=False),) if self._pool else ()
        return GroupReady(host, self._vg), *pool, *FileDriver.activate(self, host)

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        """The link is looked at; what is written to the volume behind it leaves no trace there."""
        if volume.format is Format.ISO:
            return FileDriver.stored(self, volume, before, link)
        leads = self.device(Volume(link, Format.RAW)) if link else self.device(volume)
        return (FileStored(self.host, self.base, volume.path, link=leads),)

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        name = self.volume_name(volume)
        made = VolumeFilled(self.host, self._vg, name, volume.virtual_size, self._pool, filesystem=filesystem)
        return made, self._linked(volume)

    def import_file(self, source: str, volume: Volume) -> Steps:
        self.check_inside(volume)
        if volume.format is Format.ISO:
            return FileDriver.import_file(self, source, volume)
        return self._filled(Opened(source, "raw", volume.virtual_size), volume)

    def copy(self, source: Volume, target: Volume) -> Steps:
        self.check_inside(target)
        if Format.ISO in {source.format, target.format}:
            return FileDriver.copy(self, source, target)
        return *self.whole(source), *self._filled(self.opened(source), target)

    def whole(self, volume: Volume) -> Steps:
        if volume.format is Format.ISO:
            return ()
        return (TailEmpty(self.host, self.device(volume), names.whole_sectors(volume.virtual_size)),)

    def opened(self, volume: Volume) -> Opened:
        if volume.format is Format.ISO:
            return FileDriver.opened(self, volume)
        return Opened(self.device(volume), "raw", names.whole_sectors(volume.virtual_size), device=True)

    def inspected(self, volume: Volume) -> Steps:
        if volume.format is Format.ISO:
            return FileDriver.inspected(self, volume)
        self.volume_name(volume)
        return (DeviceIsSafe(self.host, volume.path),)

    def fill(self, host: str, source: StorageDriver, volume: Volume, copy: Volume, *, compared: bool = False) -> Steps:
        """CDs are files."""
        return () if copy.format is Format.ISO else self._filled(source.opened(volume), copy, compared=compared)

    def _filled(self, source: Opened, target: Volume, *, compared: bool = False) -> Steps:
        size = names.whole_sectors(max(target.virtual_size, source.size))
        filled = VolumeFilled(
            self.host, self._vg, self.volume_name(target), size, self._pool, source, compared=compared
        )
        return filled, self._linked(target)

    def checksum(self, volume: Volume) -> Steps:
        if volume.format is Format.ISO:
            return FileDriver.checksum(self, volume)
        self.volume_name(volume)
        hashed = BytesHashed(self.host, volume.path, volume.virtual_size)
        return DiskAbsent(self.host, hashed.kept, self.base), hashed

    def data_digest(self, volume: Volume) -> Steps:
        if volume.format is Format.ISO:
            return FileDriver.data_digest(self, volume)
        self.volume_name(volume)
        digest = DataDigestKnown(self.host, volume.path, volume.virtual_size)
        return DiskAbsent(self.host, digest.kept, self.base), digest

    def delete(self, volume: Volume) -> Steps:
        """A link goes first: as long as a volume is left, it can be deleted again."""
        self.check_inside(volume)
        gone = FileDriver.delete(self, volume)
        if volume.format is Format.ISO:
            return gone
        return *gone, VolumeAbsent(self.host, self._vg, self.volume_name(volume), Wipe(self.options.wipe))

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        apart = tuple(step for name in snapshots for step in self.delete_snapshot(volume, name))
        return *apart, *FileDriver.delete_image(self, volume)

    def link(self, volume: Volume, disk_path: str) -> Steps:
        if volume.format is Format.ISO:
            return FileDriver.link(self, volume, disk_path)
        return (DeviceLinked(self.host, disk_path, self.device(volume)),)

    def rename(self, volume: Volume, path: str) -> Steps:
        new = Volume(path, volume.format)
        if volume.format is Format.ISO:
            return FileDriver.rename(self, volume, path)
        renamed = VolumeRenamed(self.host, self._vg, self.volume_name(volume), self.volume_name(new))
        return DiskAbsent(self.host, volume.path, self.base), renamed, self._linked(new)

    def clone(self, source: Volume, target: Volume) -> Steps:
        self.check_inside(target)
        self.require(Capability.CLONE, source)
        return (CloneLinked(self.host, self._vg, self.volume_name(source), self.volume_name(target), target.path),)

    def resize(self, volume: Volume, size: int) -> Steps:
        self.check_inside(volume)
        self.require(Capability.RESIZE, volume)
        return (VolumeGrown(self.host, self._vg, self.volume_name(volume), size),)

    def snapshot(self, volume: Volume, name: str) -> Steps:
        return (VolumeCloned(self.host, self._vg, self.volume_name(volume), self._snapshot(volume, name)),)

    def revert(self, volume: Volume, name: str) -> Steps:
        """Younger snapshots stay: each is a volume of its own."""
        snapshot, own = self._snapshot(volume, name), self.volume_name(volume)
        return ReturnPrepared(self.host, self._vg, snapshot, own), VolumeReturned(self.host, self._vg, own)

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        gone = VolumeAbsent(self.host, self._vg, self._snapshot(volume, name), Wipe(self.options.wipe))
        return (gone,)

    def _snapshot(self, volume: Volume, name: str) -> str:
        """Return the logical volume of a snapshot.

        :raises CloudstoreError: the volume can have none, lies elsewhere, or the name is not acceptable.
        """
        self.check_inside(volume)
        self.require(Capability.SNAPSHOT, volume)
        if object_name(name, "The name of the snapshot") != name:
            raise BadInput("The name of the snapshot begins or ends with a blank.")
        return names.snapshot_name(self.volume_name(volume), name)

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        if Format.ISO in {volume.format, place.file.format}:
            return FileDriver.export(self, host, volume, place)
        size = names.whole_sectors(volume.virtual_size)
        return (DeviceTaken(host, self.device(volume), size, place.file.path, *place.how),)
