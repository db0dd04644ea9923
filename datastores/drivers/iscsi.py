"""iSCSI: the storage host serves each disk as a target of its own, to the host alone where its VM runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from datastores.domain.characters import Character
from datastores.domain.errors import Unsupported
from datastores.domain.iscsi import Lun, Portal, name_part
from datastores.domain.plan import AnyStep, Shell
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.base import Steps, StorageDriver
from datastores.drivers.btrfs import BtrfsDriver
from datastores.drivers.files import FileOptions
from datastores.drivers.iscsi_options import Backing, FilesInside, Initiator, IscsiOptions, Server
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.xfs import XfsDriver
from datastores.hosts import lio, tgt
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import ContextFile, Variable
from datastores.hosts.copies import Ownership
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.files import DirectoryPresent, DirectorySwept
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.lio import LioTargetGone, LioTargetServed
from datastores.hosts.open_iscsi import InterfaceNamed, SessionClosed, SessionOpen
from datastores.hosts.opened import Opened
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceRunning
from datastores.hosts.stored import Footprint
from datastores.hosts.tgt import plain_path
from datastores.hosts.tgt_targets import TargetGone, TargetRenewed, TargetServed, TargetUnused

INTERFACE = "cloudstore"
"""Of open-iscsi, by which hosts log in under a name of ours."""
RAW_FORMATS = (Format.RAW, Format.ISO)
"""A target serves bytes as they are: what lies in qcow2 would be seen as qcow2 by the guest."""


@dataclass(frozen=True, slots=True)
class IscsiDriver(StorageDriver):
    """Bytes lie in ``<base>/luns`` of the storage host, as another kind keeps them there.

    On the host of a VM ``<base>/<vm>/disk.<n>`` leads to the device, or to the address that QEMU opens.
    """

    kind: ClassVar[str] = "iscsi"
    label: ClassVar[str] = "iSCSI"
    about: ClassVar[str] = "The storage host serves each disk as an iSCSI target, to the host of its VM alone."
    ds: ClassVar[str] = "iscsi"
    tm: ClassVar[str] = "iscsi"
    character: ClassVar[Character] = Character(
        parts=3,
        simplicity="volumes, targets and initiators, made by cloudstore",
        performance="one network link and one server for all; blocks, not files",
        redundancy="RAID in the server; the server is a single point",
        capacity="what one server has",
    )
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT, Capability.ATTACH}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    formats: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    exports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    imports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    shares_blocks: ClassVar[bool] = True
    one_host: ClassVar[bool] = True
    leaves: ClassVar[str] = "No disk is served any more. Packages, and the bytes on the storage host, stay."
    Options: ClassVar[type[Any]] = IscsiOptions

    options: IscsiOptions

    def __post_init__(self) -> None:
        StorageDriver.__post_init__(self)
        plain_path(self.base)

    @property
    def inside(self) -> StorageDriver:
        """The kind that keeps the bytes."""
        where = f"{self.base}/luns"
        if self.options.backing == Backing.FILES:
            return FilesInside(self.host, where, (self.host,), FileOptions(mode="0600"))
        if self.options.backing == Backing.LVM:
            return LvmDriver(self.host, where, (self.host,), self.options.volumes_options())
        kind = XfsDriver if self.options.backing == Backing.XFS else BtrfsDriver
        return kind(self.host, where, (self.host,), kind.Options(mode="0600"))

    @property
    def shared(self) -> bool:
        return False

    def capabilities(self, format: Format) -> frozenset[Capability]:
        if format not in self.formats:
            return frozenset()
        return self.inside.capabilities(format) | {Capability.ATTACH}

    def check_inside(self, volume: Volume) -> None:
        self.inside.check_inside(volume)

    # What is served, and where it is found

    def target(self, volume: Volume) -> str:
        """Return the name of its target: <authority>:<host>.<vg>.<lv>, or <authority>:<host>.<path> of a file."""
        self.check_inside(volume)
        inside = self.inside
        if isinstance(inside, LvmDriver) and volume.format is Format.RAW:
            where = f"{self.options.group_name}.{inside.volume_name(volume)}"
            return f"{self.options.authority}:{name_part(self.host)}.{name_part(where)}"
        return f"{self.options.authority}:{name_part(self.host)}.{name_part(volume.path)}"

    def lun(self, volume: Volume) -> Lun:
        portal = Portal(self.options.portal or self.locate(self.host), self.options.port)
        return Lun(portal, self.target(volume), tgt.LUN)

    def reached(self, volume: Volume) -> str:
        """Return what a VM on another host opens: a device of its kernel, or an address."""
        lun = self.lun(volume)
        return lun.url if self.options.initiator == Initiator.QEMU else lun.device

    def attach(self, volume: Volume, host: str, link: str) -> Steps:
        """The target is made before anybody logs in to it."""
        logged_in: Steps = ()
        if self._by_name:
            logged_in = (InterfaceNamed(host, INTERFACE, self.initiator(host)),)
        if self.options.initiator == Initiator.KERNEL:
            logged_in = *logged_in, SessionOpen(host, self.lun(volume), self._interface)
        return self._served(volume, host), *logged_in, DeviceLinked(host, link, self.reached(volume))

    def detach(self, volume: Volume, host: str, link: str) -> Steps:
        """The target goes only when it is seen that nobody is logged in: then its bytes may be deleted."""
        kernel = self.options.initiator == Initiator.KERNEL
        session = (SessionClosed(host, self.lun(volume), self._interface),) if kernel else ()
        return DiskAbsent(host, link, self.base), *session, *self._gone(volume, *((host,) if kernel else ()))

    @property
    def _by_name(self) -> bool:
        return self.options.target == Server.LIO

    @property
    def _interface(self) -> str:
        return INTERFACE if self._by_name else ""

    def initiator(self, host: str) -> str:
        """Return the name that a host logs in by, where the target goes by names."""
        return f"{self.options.authority}:{name_part(host)}"

    def _served(self, volume: Volume, host: str) -> AnyStep:
        name, named = self.target(volume), tuple(self.options.clients.split())
        inside = self.inside
        if not self._by_name:
            return TargetServed(self.host, name, volume.path, volume.virtual_size, named or (self.locate(host),))
        if not isinstance(inside, LvmDriver) or volume.format is not Format.RAW:
            raise Unsupported("LIO serves volumes alone, and CDs are files. Choose tgt where CDs are attached, too.")
        return LioTargetServed(self.host, name, inside.device(volume), named or (self.initiator(host),))

    def _gone(self, volume: Volume, *leaving: str) -> Steps:
        """``leaving``: hosts that steps before this one log out."""
        name = self.target(volume)
        if self._by_name:
            return (LioTargetGone(self.host, name, tuple(self.initiator(host) for host in leaving)),)
        return (TargetGone(self.host, name, tuple(self.locate(host) for host in leaving)),)

    # Hosts

    def activate(self, host: str) -> Steps:
        return self._ready(host, self.inside.activate)

    def _ready(self, host: str, inside: Callable[[str], Steps]) -> Steps:
        directory = DirectoryPresent(host, self.base, mode="0755"), BaseReady(host, self.base)
        client = "open-iscsi" if self.options.initiator == Initiator.KERNEL else "qemu-block-extra"
        initiating = (PackageInstalled(host, client),)
        if host != self.host:
            return *initiating, *directory
        package, service = ("targetcli-fb", lio.SERVICE) if self._by_name else ("tgt", tgt.SERVICE)
        served = PackageInstalled(host, package), ServiceRunning(host, service)
        return *initiating, *directory, *inside(host), *served

    def keeps(self, host: str) -> Steps:
        return self._ready(host, self.inside.keeps)

    def deactivate(self, host: str) -> Steps:
        """Packages and daemons stay, for others may use them; and so does what lies in the directory."""
        inside = (DirectorySwept(host, self.inside.base),) if host == self.host else ()
        return *inside, DirectorySwept(host, self.base)

    # Bytes: as the kind inside does it

    def capacity(self, shell: Shell) -> Capacity:
        return self.inside.capacity(shell)

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        return self.inside.volumes(shell)

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return self.inside.image_path(uuid, format)

    def disk_path(self, vm: int, number: int) -> str:
        return self.inside.disk_path(vm, number)

    def path(self, volume: Volume) -> str:
        return self.inside.path(volume)

    def opened(self, volume: Volume) -> Opened:
        return self.inside.opened(volume)

    def makes_directory(self, volume: Volume) -> bool:
        return self.inside.makes_directory(volume)

    def clone_format(self, format: Format) -> Format:
        return self.inside.clone_format(format)

    @property
    def ownership(self) -> Ownership:
        return self.inside.ownership

    def guard(self, host: str) -> Steps:
        return self.inside.guard(host)

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        """Of a persistent disk there is nothing on the storage host but its image."""
        return () if link else self.inside.stored(volume, before)

    def stores_only(self, volumes: Sequence[Volume]) -> Steps:
        return self.inside.stores_only(volumes)

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        self.check_format(volume)
        return self.inside.create(volume, filesystem)

    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        return self.inside.context(path, variables, files)

    def import_file(self, source: str, volume: Volume) -> Steps:
        self.check_format(volume)
        return self.inside.import_file(source, volume)

    def inspected(self, volume: Volume) -> Steps:
        return self.inside.inspected(volume)

    def checksum(self, volume: Volume) -> Steps:
        return self.inside.checksum(volume)

    def delete(self, volume: Volume) -> Steps:
        """``detach`` has logged hosts out by then; if it has not, the target does not go, and so its bytes stay."""
        return *self._gone(volume, *self.hosts), *self.inside.delete(volume)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        return *self._gone(volume, *self.hosts), *self.inside.delete_image(volume, snapshots)

    def prepare(self, image: Volume) -> Steps:
        return self.inside.prepare(image)

    def copy(self, source: Volume, target: Volume) -> Steps:
        self.check_format(target)
        return self.inside.copy(source, target)

    def link(self, volume: Volume, disk_path: str) -> Steps:
        return self.inside.link(volume, disk_path)

    def clone(self, source: Volume, target: Volume) -> Steps:
        self.check_format(target)
        self.require(Capability.CLONE, source)
        return self.inside.clone(source, target)

    def resize(self, volume: Volume, size: int) -> Steps:
        """The target takes note of the size when it opens the disk, so nobody may be logged in."""
        name, grown = self.target(volume), self.inside.resize(volume, size)
        if self._by_name:  # it asks the volume each time
            return grown
        return TargetUnused(self.host, name), *grown, TargetRenewed(self.host, name, size)

    def _with_snapshots(self, volume: Volume) -> StorageDriver:
        self.check_inside(volume)
        self.require(Capability.SNAPSHOT, volume)
        return self.inside

    def snapshot(self, volume: Volume, name: str) -> Steps:
        return self._with_snapshots(volume).snapshot(volume, name)

    def revert(self, volume: Volume, name: str) -> Steps:
        return self._with_snapshots(volume).revert(volume, name)

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        return self._with_snapshots(volume).delete_snapshot(volume, name)

    def rename(self, volume: Volume, path: str) -> Steps:
        """By then it is detached: its target had its name."""
        return *self._gone(volume, *self.hosts), *self.inside.rename(volume, path)

    def whole(self, volume: Volume) -> Steps:
        return self.inside.whole(volume)

    def fill(self, host: str, source: StorageDriver, volume: Volume, copy: Volume) -> Steps:
        return self.inside.fill(host, source, volume, copy)

    def export(
        self,
        host: str,
        volume: Volume,
        target: Volume,
        *,
        ownership: Ownership,
        with_directory: bool = False,
        coming: bool = False,
    ) -> Steps:
        return self.inside.export(
            host, volume, target, ownership=ownership, with_directory=with_directory, coming=coming
        )

    def check_format(self, volume: Volume) -> None:
        """Raise when the volume lies elsewhere, or is of a format that no target can serve."""
        self.check_inside(volume)
        if volume.format not in self.formats:
            raise Unsupported(f"{self.label} datastores store {', '.join(self.formats)} images, not {volume.format}.")
