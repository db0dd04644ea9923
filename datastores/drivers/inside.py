"""A kind of datastore that keeps its bytes with another kind inside, and adds how hosts reach them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from datastores.domain.errors import Unsupported
from datastores.domain.plan import Shell
from datastores.domain.volumes import Capability, Capacity, Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.received import Received
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import ContextFile, Variable
from datastores.hosts.copies import Ownership
from datastores.hosts.opened import Opened
from datastores.hosts.stored import Footprint


@dataclass(frozen=True, slots=True)
class InsideDriver(StorageDriver):
    """What is done with bytes is done by ``inside``."""

    chooses: ClassVar[str]
    """The option that says which kind keeps the bytes."""
    insides: ClassVar[Mapping[str, type[StorageDriver]]]
    """These kinds, by the value of the option. None that clones stand on is the usual one."""

    @property
    @abstractmethod
    def inside(self) -> StorageDriver:
        """The kind that keeps the bytes."""

    @classmethod
    def keeps_with(cls, options: Mapping[str, Any]) -> type[StorageDriver]:
        usual = cls.Options.__dataclass_fields__[cls.chooses].default
        return cls.insides[options.get(cls.chooses, usual)]

    @property
    def keeper(self) -> StorageDriver:
        return self.inside

    def check_inside(self, volume: Volume) -> None:
        self.inside.check_inside(volume)

    def capacity(self, shell: Shell) -> Capacity:
        return self.inside.capacity(shell)

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        return self.inside.volumes(shell)

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return self.inside.image_path(uuid, format)

    def disk_path(self, vm: int, number: int) -> str:
        return self.inside.disk_path(vm, number)

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

    def data_digest(self, volume: Volume) -> Steps:
        return self.inside.data_digest(volume)

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

    def promote(self, clone: Volume, source: Volume) -> Steps:
        self.require(Capability.PROMOTE, source)
        return self.inside.promote(clone, source)

    @property
    def reserves(self) -> bool:
        return self.inside.reserves

    def room_of(self, size: int) -> int:
        return self.inside.room_of(size)

    def reserve(self, volume: Volume) -> Steps:
        self.require(Capability.RESERVE, volume)
        return self.inside.reserve(volume)

    def limited(self) -> Steps:
        return self.inside.limited()

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

    def whole(self, volume: Volume) -> Steps:
        return self.inside.whole(volume)

    def fill(self, host: str, source: StorageDriver, volume: Volume, copy: Volume, *, compared: bool = False) -> Steps:
        return self.inside.fill(host, source, volume, copy, compared=compared)

    def receive(self, volume: Volume) -> Received:
        return self.inside.receive(volume)

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        return self.inside.export(host, volume, place)

    def check_format(self, volume: Volume) -> None:
        """Raise when the volume lies elsewhere, or is of a format that no target can serve."""
        self.check_inside(volume)
        if volume.format not in self.formats:
            raise Unsupported(f"{self.label} datastores store {', '.join(self.formats)} images, not {volume.format}.")
