"""Kinds that keep disks on devices: nothing is copied to one as to a file, and it is longer than the disk on it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from datastores.domain.volumes import Volume
from datastores.drivers.base import Steps


@runtime_checkable
class KeepsDevices(Protocol):
    """A driver whose disks may be on devices. CDs are files with every kind."""

    @property
    def on_devices(self) -> bool:
        """Whether its disks are on devices, as its options stand."""

    def inspect(self, volume: Volume) -> Steps:
        """Look at what was copied to a device, before any tool does."""

    def fill(self, host: str, source: Volume, device: bool, target: Volume) -> Steps:
        """Make ``target`` of the file or ``device`` at ``source.path`` of ``host``; (): the other one copies it."""
