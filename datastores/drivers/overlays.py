"""Disks as qcow2 overlays, which hold only their difference from the image below them.

Functions that kinds which make such disks take as their methods.
"""

from __future__ import annotations

from collections.abc import Sequence

from datastores.domain.errors import Unsupported
from datastores.domain.volumes import Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.files import FileDriver
from datastores.hosts.disks import DiskAbsent
from datastores.hosts.overlays import OverlayExists, OverlayTemplateKept


def clone_format(driver: FileDriver, format: Format) -> Format:
    return Format.QCOW2


def clone(driver: FileDriver, source: Volume, target: Volume) -> Steps:
    """The overlay is qcow2, whatever the format of the image below it."""
    driver.check_inside(target)
    if target.format is not Format.QCOW2:
        raise Unsupported(f"An overlay is a qcow2 file; it cannot be {target.format}.")
    where = (source.path, source.format, target.path)
    return (OverlayExists(driver.host, *where, driver.makes_directory(target)),)


def prepare(driver: FileDriver, image: Volume) -> Steps:
    return (_template(driver, image),)


def delete_image(driver: FileDriver, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
    kept = DiskAbsent(driver.host, _template(driver, volume).path, driver.base)
    return (kept, *FileDriver.delete_image(driver, volume, snapshots))


def stands_alone(driver: FileDriver, volume: Volume) -> bool:
    """A qcow2 file may be an overlay, so it is read through what it stands on."""
    return volume.format is not Format.QCOW2


def _template(driver: FileDriver, image: Volume) -> OverlayTemplateKept:
    driver.check_inside(image)
    return OverlayTemplateKept(driver.host, image.path, image.format)
