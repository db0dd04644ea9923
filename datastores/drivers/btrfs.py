"""btrfs on the storage host: disks are instant clones that share their blocks with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from datastores.domain.volumes import Capability, Format, Placement
from datastores.drivers import reflinks
from datastores.drivers.files import FileDriver


@dataclass(frozen=True, slots=True)
class BtrfsDriver(FileDriver):
    kind: ClassVar[str] = "btrfs"
    label: ClassVar[str] = "btrfs"
    about: ClassVar[str] = "A btrfs file system on the storage host; clones and snapshots of any size in milliseconds."
    tm: ClassVar[str] = "btrfs"
    can: ClassVar[frozenset[Capability]] = reflinks.CAN
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    Options: ClassVar[type[Any]] = reflinks.ReflinkOptions

    options: reflinks.ReflinkOptions

    @property
    def shared(self) -> bool:
        return self.options.exported

    def capabilities(self, format: Format) -> frozenset[Capability]:
        can = FileDriver.capabilities(self, format)
        return can | {Capability.LIVE_MIGRATION} if self.shared else can

    activate = reflinks.activate
    clone = reflinks.clone
    snapshot = reflinks.snapshot
    revert = reflinks.revert
    delete_snapshot = reflinks.delete_snapshot
