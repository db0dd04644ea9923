"""A shared directory in which disks are qcow2 overlays: they hold only their difference from the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from datastores.domain.errors import Unsupported
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers import internal_snapshots
from datastores.drivers.base import Steps
from datastores.drivers.files import FileDriver
from datastores.hosts.disks import DiskAbsent
from datastores.hosts.overlays import OverlayExists, OverlayTemplateKept


@dataclass(frozen=True, slots=True)
class Qcow2Driver(FileDriver):
    kind: ClassVar[str] = "qcow2"
    label: ClassVar[str] = "qcow2"
    about: ClassVar[str] = (
        "A directory that all hosts have mounted; disks are overlays, made at once on any file system."
    )
    tm: ClassVar[str] = "qcow2"
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT, Capability.LIVE_MIGRATION}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SYSTEM

    clone_needs_source: ClassVar[bool] = True
    snapshots_inside: ClassVar[bool] = True

    @property
    def shared(self) -> bool:
        return True

    def clone_format(self, format: Format) -> Format:
        return Format.QCOW2

    capabilities = internal_snapshots.capabilities
    snapshot = internal_snapshots.snapshot
    revert = internal_snapshots.revert
    delete_snapshot = internal_snapshots.delete_snapshot

    def clone(self, source: Volume, target: Volume) -> Steps:
        """The overlay is qcow2, whatever the format of the image below it."""
        self.check_inside(target)
        if target.format is not Format.QCOW2:
            raise Unsupported(f"An overlay is a qcow2 file; it cannot be {target.format}.")
        where = (source.path, source.format, target.path)
        return (OverlayExists(self.host, *where, self.makes_directory(target)),)

    def prepare(self, image: Volume) -> Steps:
        return (self._template(image),)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        kept = DiskAbsent(self.host, self._template(volume).path, self.base)
        return (kept, *FileDriver.delete_image(self, volume, snapshots))

    def _template(self, image: Volume) -> OverlayTemplateKept:
        self.check_inside(image)
        return OverlayTemplateKept(self.host, image.path, image.format)

    def stands_alone(self, volume: Volume) -> bool:
        """A qcow2 file may be an overlay, so it is read through what it stands on."""
        return volume.format is not Format.QCOW2
