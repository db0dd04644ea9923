"""A shared directory in which disks are qcow2 overlays: they hold only their difference from the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.domain.characters import Character
from datastores.domain.volumes import Capability, Placement
from datastores.drivers import internal_snapshots, overlays
from datastores.drivers.directories import DirectoryDriver


@dataclass(frozen=True, slots=True)
class Qcow2Driver(DirectoryDriver):
    kind: ClassVar[str] = "qcow2"
    label: ClassVar[str] = "qcow2"
    about: ClassVar[str] = (
        "A directory that all hosts have mounted; disks are overlays, made at once on any file system."
    )
    tm: ClassVar[str] = "qcow2"
    character: ClassVar[Character] = Character(
        parts=2,
        simplicity="one mount on every host, made by others",
        performance="that of the network and the server; overlays cost a little",
        redundancy="that of the server behind it",
        capacity="one file system; disks hold what differs from their image",
    )
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

    clone_format = overlays.clone_format
    clone = overlays.clone
    prepare = overlays.prepare
    delete_image = overlays.delete_image
    stands_alone = overlays.stands_alone

    capabilities = internal_snapshots.capabilities
    snapshot = internal_snapshots.snapshot
    revert = internal_snapshots.revert
    delete_snapshot = internal_snapshots.delete_snapshot
