"""Snapshots inside qcow2 files. Functions that kinds which store qcow2 take as their methods."""

from __future__ import annotations

from datastores.domain.volumes import Capability, Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.files import FileDriver
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotRestored


def capabilities(driver: FileDriver, format: Format) -> frozenset[Capability]:
    """Only qcow2 has snapshots."""
    can = FileDriver.capabilities(driver, format)
    return can if format is Format.QCOW2 else can - {Capability.SNAPSHOT}


def snapshot(driver: FileDriver, volume: Volume, name: str) -> Steps:
    return (SnapshotExists(*_place(driver, volume), name),)


def revert(driver: FileDriver, volume: Volume, name: str) -> Steps:
    """Younger snapshots stay."""
    return (SnapshotRestored(*_place(driver, volume), name),)


def delete_snapshot(driver: FileDriver, volume: Volume, name: str) -> Steps:
    return (SnapshotAbsent(*_place(driver, volume), name),)


def _place(driver: FileDriver, volume: Volume) -> tuple[str, str]:
    driver.require(Capability.SNAPSHOT, volume)
    driver.check_inside(volume)
    return driver.host, volume.path
