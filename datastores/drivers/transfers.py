"""Images on their way from one datastore to another: over a host that sees both, in the first common format."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.domain.errors import Unsupported
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import Steps, StorageDriver


def common_host(source: StorageDriver, target: StorageDriver) -> str:
    """Return a host on which the paths of both are valid; one of the storage hosts if possible.

    :raises Unsupported: there is none.
    """
    both = [host for host in source.seen_from if host in target.seen_from]
    if not both:
        raise Unsupported(
            f"No host sees both {source.base} on {source.host} and {target.base} on {target.host}. "
            "Mount one of them on a host of the other, or take a datastore that both hosts share."
        )
    return target.host if target.host in both else both[0]


def common_format(source: StorageDriver, target: StorageDriver, format: Format) -> Format:
    """Return the format in which an image travels: its own if the target takes that, else the first common one.

    :raises Unsupported: there is none. A CD stays a CD.
    """
    if format in source.exports and format in target.imports:
        return format
    disks = [each for each in source.exports if each in target.imports and each is not Format.ISO]
    if format is Format.ISO or not disks:
        raise Unsupported(f"{source.label} and {target.label} datastores have no format in common for {format} images.")
    return disks[0]


@dataclass(frozen=True, slots=True)
class Way:
    """How an image gets from one datastore to the other: over this host, in this format.

    Settled once for a transfer: the datastores may be given other hosts while it is under way.
    """

    host: str
    format: Format


def way(source: StorageDriver, format: Format, target: StorageDriver) -> Way:
    """Return how an image of this format gets from one datastore to the other.

    :raises Unsupported: no host sees both, or they have no format in common.
    """
    return Way(common_host(source, target), common_format(source, target, format))


def transfer(source: StorageDriver, volume: Volume, target: StorageDriver, copy: Volume, host: str) -> Steps:
    """Return the steps that make ``copy`` in ``target`` a full, independent copy of ``volume`` in ``source``.

    ``host``: sees both.

    :raises Unsupported: the two have no host or no format in common, or ``copy`` has a format the target refuses.
    """
    if copy.format not in target.imports or volume.format not in source.exports:
        raise Unsupported(f"{target.label} datastores take no {copy.format} images from {source.label} datastores.")
    target.check_inside(copy)
    if streamed := source.streams(volume, target, copy):
        return streamed
    place = target.receive(copy)
    copied = source.export(
        host, volume, place.file, ownership=target.ownership, with_directory=place.with_directory, coming=place.coming
    )
    return *target.guard(host), *place.before, *copied, *place.after
