"""What btrfs and XFS can do with files: share blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datastores.domain.errors import BadInput
from datastores.domain.values import object_name
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.directories import DirectoryDriver, DirectoryOptions, Mounted
from datastores.drivers.files import FileDriver, words
from datastores.hosts.disks import DiskAbsent
from datastores.hosts.filesystems import CanReflink
from datastores.hosts.reflinks import FileReverted, ReflinkExists


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflinkOptions(DirectoryOptions):
    """Options of datastores on a local file system of the storage host."""

    mounted: Mounted = field(
        default=Mounted.NOWHERE,
        metadata=words(
            "Must be mounted", "Where nothing is written unless it is a mount: nowhere, clients, everywhere."
        ),
    )
    exported: bool = field(
        default=False,
        metadata=words("Exported", "The directory is exported, and mounted at the same path on every other host."),
    )


@dataclass(frozen=True, slots=True)
class ReflinkDriver(DirectoryDriver):
    """A kind that makes instant clones on a file system of the storage host. ``kind`` is that file system's name."""

    can: ClassVar[frozenset[Capability]] = frozenset({Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT})
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    shares_blocks: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = ReflinkOptions

    options: ReflinkOptions

    @property
    def shared(self) -> bool:
        return self.options.exported

    def capabilities(self, format: Format) -> frozenset[Capability]:
        can = FileDriver.capabilities(self, format)
        return can | {Capability.LIVE_MIGRATION} if self.shared else can

    def activate(self, host: str) -> Steps:
        """Only the storage host makes clones; for the others it is a directory like any other."""
        ready = FileDriver.activate(self, host)
        return (*ready, CanReflink(host, self.base, self.kind)) if host == self.host else ready

    def clone(self, source: Volume, target: Volume) -> Steps:
        self.check_inside(target)
        return (ReflinkExists(self.host, source.path, target.path, self.makes_directory(target)),)

    def snapshot(self, volume: Volume, name: str) -> Steps:
        """A snapshot is a clone beside the image: ``<image>.snap/<name>``."""
        return (ReflinkExists(self.host, volume.path, self._place(volume, name), with_directory=True),)

    def revert(self, volume: Volume, name: str) -> Steps:
        """Younger snapshots stay: each is a file of its own."""
        return (FileReverted(self.host, self._place(volume, name), volume.path, volume.format),)

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        return (DiskAbsent(self.host, self._place(volume, name), self.base),)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        """The image goes last: as long as anything is left on the host, it is there to be deleted again."""
        apart = tuple(step for name in snapshots for step in self.delete_snapshot(volume, name))
        return (*apart, *FileDriver.delete_image(self, volume))

    def _place(self, volume: Volume, name: str) -> str:
        """Return where the snapshot of this name is.

        :raises CloudstoreError: the volume can have none, lies elsewhere, or the name is not acceptable.
        """
        self.require(Capability.SNAPSHOT, volume)
        self.check_inside(volume)
        if object_name(name, "The name of the snapshot") != name:
            raise BadInput("The name of the snapshot begins or ends with a blank.")
        return f"{volume.path}.snap/{name}"
