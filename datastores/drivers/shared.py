"""Any POSIX directory that is mounted at the same path on every host: NFS, GlusterFS, Lustre, MooseFS..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.domain.characters import Character
from datastores.domain.volumes import Capability, Placement
from datastores.drivers import internal_snapshots
from datastores.drivers.directories import DirectoryDriver


@dataclass(frozen=True, slots=True)
class SharedDriver(DirectoryDriver):
    kind: ClassVar[str] = "shared"
    label: ClassVar[str] = "Shared"
    about: ClassVar[str] = "A directory that all hosts have mounted; disks are full copies, and VMs migrate live."
    tm: ClassVar[str] = "shared"
    character: ClassVar[Character] = Character(
        parts=2,
        simplicity="one mount on every host, made by others",
        performance="that of the network and the server behind it",
        redundancy="that of the server behind it",
        capacity="one file system; every disk takes its full room",
    )
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.RESIZE, Capability.SNAPSHOT, Capability.LIVE_MIGRATION}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SYSTEM

    snapshots_inside: ClassVar[bool] = True

    @property
    def shared(self) -> bool:
        return True

    capabilities = internal_snapshots.capabilities
    snapshot = internal_snapshots.snapshot
    revert = internal_snapshots.revert
    delete_snapshot = internal_snapshots.delete_snapshot
