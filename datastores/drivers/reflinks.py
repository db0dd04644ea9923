"""What btrfs and XFS can do with files: share blocks. Functions that both kinds take as their methods."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastores.domain.errors import BadInput
from datastores.domain.values import object_name
from datastores.domain.volumes import Capability, Volume
from datastores.drivers.base import Steps
from datastores.drivers.files import FileDriver, FileOptions, Mounted, words
from datastores.hosts.disks import DiskAbsent
from datastores.hosts.filesystems import CanReflink
from datastores.hosts.reflinks import FileReverted, ReflinkExists

CAN = frozenset({Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflinkOptions(FileOptions):
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


def activate(driver: FileDriver, host: str) -> Steps:
    """Only the storage host makes clones; for the others it is a directory like any other."""
    ready = FileDriver.activate(driver, host)
    return (*ready, CanReflink(host, driver.base, driver.kind)) if host == driver.host else ready


def clone(driver: FileDriver, source: Volume, target: Volume) -> Steps:
    driver.check_inside(target)
    return (ReflinkExists(driver.host, source.path, target.path, driver.makes_directory(target)),)


def snapshot(driver: FileDriver, volume: Volume, name: str) -> Steps:
    """A snapshot is a clone beside the image: ``<image>.snap/<name>``."""
    driver.require(Capability.SNAPSHOT, volume)
    driver.check_inside(volume)
    return (ReflinkExists(driver.host, volume.path, _place(volume, name), with_directory=True),)


def revert(driver: FileDriver, volume: Volume, name: str) -> Steps:
    """Younger snapshots stay: each is a file of its own."""
    driver.require(Capability.SNAPSHOT, volume)
    driver.check_inside(volume)
    return (FileReverted(driver.host, _place(volume, name), volume.path),)


def delete_snapshot(driver: FileDriver, volume: Volume, name: str) -> Steps:
    driver.require(Capability.SNAPSHOT, volume)
    driver.check_inside(volume)
    return (DiskAbsent(driver.host, _place(volume, name), driver.base),)


def _place(volume: Volume, name: str) -> str:
    if object_name(name, "The name of the snapshot") != name:
        raise BadInput("The name of the snapshot begins or ends with a blank.")
    return f"{volume.path}.snap/{name}"
