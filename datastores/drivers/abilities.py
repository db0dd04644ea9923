"""What some kinds of datastore can do, and others refuse: by capability."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from datastores.domain.errors import Unsupported
from datastores.domain.plan import AnyStep
from datastores.domain.volumes import Capability, Format, Volume
from datastores.hosts.disk_throughput import Used

Steps: TypeAlias = tuple[AnyStep, ...]


class Abilities:
    """The part of a driver that refuses everything: a kind that can do it says how."""

    __slots__ = ()
    label: ClassVar[str]
    at_best: ClassVar[frozenset[Capability]] = frozenset()
    """What of its capabilities it has with some options alone."""
    clone_needs_source: ClassVar[bool] = False
    """Whether a clone breaks when the volume that it was made from goes. Like the two below, see ``keeps_with``."""
    revert_takes_younger: ClassVar[bool] = False
    """Whether going back to a snapshot destroys those that were taken after it."""
    limits: ClassVar[tuple[str, ...]] = ()
    """Names of the options that say how much it may take; they can be changed while it is in use (``limited``)."""

    unmeasured: ClassVar[str] = "This kind of datastore has no directory there that files could be written into."
    """Why nothing of it can be measured on a host, where neither ``writable`` nor ``measured_as`` tells how."""

    @classmethod
    def keeps_with(cls, options: Mapping[str, Any]) -> type[Abilities]:
        """Return the kind that keeps the bytes where these options were chosen: this one, or one inside of it.

        ``options``: as stored; those that are missing have their defaults.
        """
        return cls

    @abstractmethod
    def capabilities(self, format: Format) -> frozenset[Capability]:
        """What can be done with a volume of this format here; the pages offer nothing else."""

    def unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(f"{self.label} datastores have no {capability.value}.")

    def require(self, capability: Capability, volume: Volume) -> None:
        """Raise Unsupported when volumes of this format lack the capability."""
        if capability not in self.capabilities(volume.format):
            raise Unsupported(f"{volume.format} images in {self.label} datastores have no {capability.value}.")

    def clone(self, source: Volume, target: Volume) -> Steps:
        """Make a disk that shares what it has in common with ``source``, in milliseconds."""
        raise self.unsupported(Capability.CLONE)

    def flatten(self, volume: Volume) -> Steps:
        """Copy what a clone shares with its source, so that it stands alone."""
        raise self.unsupported(Capability.FLATTEN)

    def promote(self, clone: Volume, source: Volume) -> Steps:
        """Remove ``source``: ``clone``, which was made of it, takes its place for whatever else was made of it."""
        raise self.unsupported(Capability.PROMOTE)

    def resize(self, volume: Volume, size: int) -> Steps:
        """Make it larger, to ``size`` bytes."""
        raise self.unsupported(Capability.RESIZE)

    def snapshot(self, volume: Volume, name: str) -> Steps:
        raise self.unsupported(Capability.SNAPSHOT)

    def revert(self, volume: Volume, name: str) -> Steps:
        """Take it back to a snapshot. The facts of the last step have its ``virtual_size``, in bytes, as it is then."""
        raise self.unsupported(Capability.SNAPSHOT)

    def delete_snapshot(self, volume: Volume, name: str) -> Steps:
        raise self.unsupported(Capability.SNAPSHOT)

    @property
    def reserves(self) -> bool:
        """Whether room is kept for all that a new disk may come to hold (``room_of``)."""
        return False

    def room_of(self, size: int) -> int:
        """Return the bytes that are kept for a disk of this size, where any are."""
        return size

    def reserve(self, volume: Volume) -> Steps:
        """Keep ``volume.reserved`` bytes for a disk that is there; with 0 it takes room as it is written to."""
        raise self.unsupported(Capability.RESERVE)

    def attach(self, volume: Volume, host: str, link: str) -> Steps:
        """Let ``host`` use the volume, and lead ``link`` to it there (see ``link_path``)."""
        raise self.unsupported(Capability.ATTACH)

    def detach(self, volume: Volume, host: str, link: str, *, lost: bool = False) -> Steps:
        """Take back what ``attach`` made; when the volume is used there no more, nothing is left to do.

        ``lost``: the host is gone for good. Nothing is done there, and should it come back, it is not let in.
        """
        raise self.unsupported(Capability.ATTACH)

    def clone_format(self, format: Format) -> Format:
        """Return the format of a clone of a volume of this format."""
        return format

    def bring_back(self, volume: Volume) -> Steps:
        """Take back what ``delete_image`` did, where it keeps images for some days."""
        raise Unsupported(f"{self.label} datastores keep nothing of deleted images.")

    def rename(self, volume: Volume, path: str) -> Steps:
        """Give a disk another place within the datastore: that of a disk of another VM. No byte is copied."""
        raise Unsupported(f"Disks in {self.label} datastores cannot be handed over to another machine.")

    def measured_as(self, volume: Volume, host: str, link: str) -> Used | None:
        """Return how ``host`` uses a disk of raw bytes that it was given as ``link``.

        It is made to be measured, where no file can be written (``writable``). None: the host gets no such disk.
        """
        return None

    @property
    def found_by_address(self) -> bool:
        """Whether attached disks are reached at the address that the storage host has for others (``locate``)."""
        return False

    @property
    def lets_in_by_address(self) -> bool:
        """Whether a host is let in to the disks that are attached to it by the address that it has for others."""
        return False

    def guard_other(self, host: str) -> Steps:
        """Keep a host that is none of the datastore from its bytes, with all that run on it; () where nobody has to."""
        return ()

    def open_other(self, host: str) -> Steps:
        """Take that back."""
        return ()
