"""Images of RBD in a pool of a Ceph cluster, which somebody else runs; all hosts are its clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from datastores.domain import openings
from datastores.domain.ceph import Access, RbdImage, cephx_key, image_at
from datastores.domain.characters import Character
from datastores.domain.errors import Refused, Unsupported
from datastores.domain.openings import Opening, opening
from datastores.domain.plan import Shell
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.ceph_options import CephOptions
from datastores.drivers.received import Received
from datastores.hosts.blocks import Filesystem
from datastores.hosts.ceph import ask_images, images
from datastores.hosts.ceph_client import ClusterUsable, PoolReady, QemuOpensRbd
from datastores.hosts.ceph_files import CephConfPresent, CephKeyringPresent
from datastores.hosts.contexts import ContextFile, Variable
from datastores.hosts.disk_throughput import Used
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.libvirt_secrets import LibvirtSecretDefined, of_ceph
from datastores.hosts.opened import Opened
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.rbd_checksums import RbdChecksumKnown, RbdDataDigestKnown
from datastores.hosts.rbd_clones import RbdCloned, RbdClonesPrepared, RbdFlattened
from datastores.hosts.rbd_contexts import RbdContextExists
from datastores.hosts.rbd_copies import RbdImageCopied, RbdImageExported, RbdImageImported, ask_pools, room_in
from datastores.hosts.rbd_images import RbdImageAbsent, RbdImageExists, RbdImageResized
from datastores.hosts.rbd_links import RbdImageLinked, RbdImageUnlinked
from datastores.hosts.rbd_snapshots import (
    RbdSnapshotAbsent,
    RbdSnapshotExists,
    RbdSnapshotRestored,
    RbdSnapshotsAbsent,
)
from datastores.hosts.rbd_stored import MASTER, OnlyKnownRbdImages, RbdImageStored
from datastores.hosts.rbd_trash import RbdImageRestored, RbdTrashPurged
from datastores.hosts.stored import Footprint

PACKAGES = ("ceph-common", "qemu-utils", "qemu-block-extra")
PREFIX = "one-"
"""Names begin as OpenNebula's do: one-<image> and one-<vm>-<number>."""


@dataclass(frozen=True, slots=True)
class CephDriver(StorageDriver):
    """``base`` is the directory of VMs on the hosts, and of files that images are made of on the storage host.

    Paths of volumes are ``pool/image``; ``opened`` gives what QEMU opens. ``secret``: the key of the account.
    """

    kind: ClassVar[str] = "ceph"
    label: ClassVar[str] = "Ceph"
    about: ClassVar[str] = (
        "A pool of a Ceph cluster; clones and snapshots of any size at once, and no host holds the bytes."
    )
    ds: ClassVar[str] = "ceph"
    tm: ClassVar[str] = "ceph"
    character: ClassVar[Character] = Character(
        parts=4,
        survives=True,
        simplicity="a cluster of monitors and disks, which somebody else runs",
        performance="each write goes to every copy; reads come from many disks at once",
        redundancy="copies or erasure code over several machines; heals itself",
        capacity="what the cluster has, divided by the copies; grows disk by disk",
    )
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CLONE, Capability.FLATTEN, Capability.RESIZE, Capability.SNAPSHOT, Capability.LIVE_MIGRATION}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    formats: ClassVar[tuple[Format, ...]] = (Format.RAW, Format.ISO)
    exports: ClassVar[tuple[Format, ...]] = (Format.RAW, Format.ISO)
    imports: ClassVar[tuple[Format, ...]] = (Format.RAW, Format.ISO)
    links: ClassVar[bool] = False
    clone_needs_source: ClassVar[bool] = True
    leaves: ClassVar[str] = (
        "Pool, packages, ceph.conf and keyring stay, since other datastores may use them. Withdraw the key in the "
        "cluster if nobody needs it any more."
    )
    key_label: ClassVar[str] = "Key"
    key_help: ClassVar[str] = (
        "Of the account, as `ceph auth print-key client.libvirt` prints it. Empty: its keyring is on the hosts already."
    )
    Options: ClassVar[type[Any]] = CephOptions

    options: CephOptions

    @classmethod
    def check_secret(cls, value: str) -> None:
        cephx_key(value)

    @property
    def shared(self) -> bool:
        return True

    @property
    def access(self) -> Access:
        return Access(self.options.cluster, self.options.user)

    def capabilities(self, format: Format) -> frozenset[Capability]:
        """A CD is neither made larger nor snapshotted."""
        return self.can - ({Capability.RESIZE, Capability.SNAPSHOT} if format is Format.ISO else set())

    # Reading

    def capacity(self, shell: Shell) -> Capacity:
        """Bytes as guests count them: copies within the cluster are left out."""
        ask = ask_pools(self.access)
        room = room_in(self.host, ask, shell.run(ask), self.options.pool)
        return Capacity(room.stored + room.free, room.stored, room.free)

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        ask = ask_images(self.access, self.options.pool)
        found = images(self.host, ask, shell.run(ask))
        return tuple(
            Volume(f"{self.options.pool}/{name}", Format.RAW, image.size, image.allocated)
            for name, image in sorted(found.items())
            if MASTER.match(name)
        )

    # Names

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return f"{self.options.pool}/{PREFIX}{uuid if isinstance(uuid, UUID) else UUID(uuid)}"

    def disk_path(self, vm: int, number: int) -> str:
        return f"{self.options.pool}/{PREFIX}{int(vm)}-{int(number)}"

    def opened(self, volume: Volume) -> Opened:
        return Opened(self._image(volume).qemu, volume.format.qemu, volume.virtual_size)

    def measured_as(self, volume: Volume, host: str, link: str) -> Used | None:
        return Used(self.opened(volume), "the cluster")

    def check_inside(self, volume: Volume) -> None:
        pool = self.options.pool
        if not volume.path.startswith(f"{pool}/"):
            raise Refused(f"{volume.path} does not lie in the datastore's pool {pool}; it was not touched.")

    def _image(self, volume: Volume) -> RbdImage:
        self.check_inside(volume)
        return image_at(self.access, volume.path)

    @property
    def openings(self) -> tuple[Opening, ...]:
        monitors = tuple(self.options.monitors.split(",")) if self.options.monitors else ("the monitors",)
        return (
            *opening(self.hosts, monitors, openings.CEPH_MONITORS, "Ceph"),
            *opening(self.hosts, ("all hosts of the cluster",), openings.CEPH_DAEMONS, "Ceph"),
        )

    # A host as a client

    def activate(self, host: str) -> Steps:
        packages = tuple(PackageInstalled(host, name) for name in PACKAGES)
        pool = PoolReady(host, self.access, self.options.pool, self.options.create_pool and host == self.host)
        usable = ClusterUsable(host, self.access, self.options.fsid), pool
        days = self.options.trash_days and host == self.host
        trash = (RbdTrashPurged(host, self.access, self.options.pool),) if days else ()
        opens = QemuOpensRbd(host, self.access, self.options.pool)
        return *packages, *self._files(host), *usable, *trash, opens

    def _files(self, host: str) -> Steps:
        options = self.options
        conf = (CephConfPresent(host, options.cluster, options.fsid, options.monitors),) if options.fsid else ()
        key = (CephKeyringPresent(host, self.access, self.secret, options.keyring_group),) if self.secret else ()
        return DirectoryPresent(host, self.base), *conf, *key, *self._secret(host)

    def _secret(self, host: str) -> Steps:
        """The same cluster and account have the same UUID on every host, so that VMs can migrate."""
        if not self.secret:
            return ()
        uuid = uuid5(NAMESPACE_URL, f"ceph:{self.options.fsid or self.options.cluster}/{self.access.entity}")
        return (LibvirtSecretDefined(host, of_ceph(self.access), str(uuid), self.secret),)

    def deactivate(self, host: str) -> Steps:
        """Nothing: others may be clients of the same cluster there."""
        return ()

    def keeps(self, host: str) -> Steps:
        """The cluster's health is not ours to keep."""
        return *(PackageInstalled(host, name) for name in PACKAGES), *self._files(host)

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        """A persistent disk is the image itself, of which that is said already."""
        return () if link else (RbdImageStored(self.host, self._image(volume), volume.virtual_size),)

    def stores_only(self, volumes: Sequence[Volume]) -> Steps:
        names = tuple(sorted(self._image(volume).name for volume in volumes))
        return (OnlyKnownRbdImages(self.host, self.access, self.options.pool, names),)

    # Steps

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        return (RbdImageExists(self.host, self._image(volume), volume.virtual_size, filesystem, self.base),)

    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        image = self._image(Volume(path, Format.ISO))
        return (RbdContextExists(self.host, image, variables, files, self.base),)

    def import_file(self, source: str, volume: Volume) -> Steps:
        return (RbdImageImported(self.host, Opened(source, volume.format.qemu, 0), self._image(volume)),)

    def inspected(self, volume: Volume) -> Steps:
        """Nothing: an image of RBD is only ever opened as raw, whatever its bytes look like."""
        return ()

    def checksum(self, volume: Volume) -> Steps:
        return *self.prepare(volume), RbdChecksumKnown(self.host, self._image(volume), volume.virtual_size)

    def data_digest(self, volume: Volume) -> Steps:
        return *self.prepare(volume), RbdDataDigestKnown(self.host, self._image(volume), volume.virtual_size)

    def delete(self, volume: Volume) -> Steps:
        """A disk goes at once: in the trash it would still keep the image that it was cloned from."""
        return (RbdImageAbsent(self.host, self._image(volume)),)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        image = self._image(volume)
        freed = RbdSnapshotsAbsent(self.host, image, tuple(snapshots))
        return freed, RbdImageAbsent(self.host, image, self.options.trash_days)

    @property
    def days_kept(self) -> int:
        return self.options.trash_days

    def bring_back(self, volume: Volume) -> Steps:
        return (RbdImageRestored(self.host, self._image(volume)),)

    def prepare(self, image: Volume) -> Steps:
        return (RbdClonesPrepared(self.host, self._image(image)),)

    def clone(self, source: Volume, target: Volume) -> Steps:
        return (RbdCloned(self.host, self._image(source), self._image(target)),)

    def copy(self, source: Volume, target: Volume) -> Steps:
        return (RbdImageCopied(self.host, self._image(source), self._image(target)),)

    def flatten(self, volume: Volume) -> Steps:
        return (RbdFlattened(self.host, self._image(volume)),)

    def link(self, volume: Volume, disk_path: str) -> Steps:
        return (RbdImageLinked(self.host, self._image(volume), self._name_of(disk_path)),)

    def unlink(self, volume: Volume, disk_path: str) -> Steps:
        """A VM may have written to it: clones made from now on have that, too."""
        unlinked = RbdImageUnlinked(self.host, self._image(volume), self._name_of(disk_path))
        return unlinked, *self.prepare(volume)

    def linked(self, volume: Volume, disk_path: str) -> Volume:
        return volume

    def _name_of(self, disk_path: str) -> str:
        return image_at(self.access, disk_path).name

    def resize(self, volume: Volume, size: int) -> Steps:
        self.require(Capability.RESIZE, volume)
        return (RbdImageResized(self.host, self._image(volume), size),)

    def snapshot(self, volume: Volume, name: str) -> Steps:
        self.require(Capability.SNAPSHOT, volume)
        return (RbdSnapshotExists(self.host, self._image(volume), name),)

    def revert(self, volume: Volume, name: str) -> Steps:
        self.require(Capability.SNAPSHOT, volume)
        return (RbdSnapshotRestored(self.host, self._image(volume), name),)

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        self.require(Capability.SNAPSHOT, volume)
        return (RbdSnapshotAbsent(self.host, self._image(volume), name),)

    # Transfers

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        file = place.file
        if (volume.format is Format.ISO) != (file.format is Format.ISO):
            raise Unsupported("A CD cannot become a disk of another format, nor the other way round.")
        return (RbdImageExported(host, self._image(volume), file.path, file.format, *place.how),)

    def fill(self, host: str, source: StorageDriver, volume: Volume, copy: Volume, *, compared: bool = False) -> Steps:
        """Take whatever QEMU opens on ``host``; within a cluster no host carries bytes, but one that compares them."""
        image = self._image(copy)
        if isinstance(source, CephDriver) and source.access == self.access:
            return (RbdImageCopied(host, image_at(self.access, volume.path), image, compared),)
        return (RbdImageImported(host, source.opened(volume), image, compared),)
