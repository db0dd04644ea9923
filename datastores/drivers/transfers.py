"""Images on their way from one datastore to another, in the first common format.

A host that sees both copies them; where there is none, the target's host fetches them from the source's over SSH.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from datastores.domain.errors import Unsupported
from datastores.domain.plan import Plan, Stage
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.hosts.receiving import ReceivingForgotten, SourceReachable
from datastores.hosts.sending import SendingAllowed, SendingEnded


def common_host(source: StorageDriver, target: StorageDriver) -> str:
    """Return a host on which one can be copied into the other, a storage host if possible; "" if there is none."""
    both = [host for host in source.seen_from if host in target.written_from]
    return target.host if target.host in both else next(iter(both), "")


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

    ``sender``: the host from which it is fetched over SSH; "" when ``host`` sees both datastores itself.
    Settled once for a transfer: the datastores may be given other hosts while it is under way.
    """

    host: str
    format: Format
    sender: str = ""


def way(source: StorageDriver, format: Format, target: StorageDriver) -> Way:
    """Return how an image of this format gets from one datastore to the other.

    :raises Unsupported: they have no format in common; or no host sees both, and one of them keeps no files.
    """
    travels = common_format(source, target, format)
    if host := common_host(source, target):
        return Way(host, travels)
    check_files(source, target)
    return Way(target.host, travels, source.host)


def check_files(source: StorageDriver, target: StorageDriver) -> None:
    """Raise Unsupported unless both keep files, which one host can send and another fetch."""
    for driver in (source, target):
        if not driver.keeper.sends_files:
            raise Unsupported(
                f"No host sees both {source.base} on {source.host} and {target.base} on {target.host}, and volumes of "
                f"{driver.label} datastores are not sent from host to host. Take a datastore that both hosts share."
            )


def transfer(
    source: StorageDriver, volume: Volume, target: StorageDriver, copy: Volume, host: str, *, moved: bool = False
) -> Steps:
    """Return the steps that make ``copy`` in ``target`` a full, independent copy of ``volume`` in ``source``.

    ``host``: sees both. ``moved``: ``volume`` is going to be deleted, so the copy is compared with it first.

    :raises Unsupported: the two have no host or no format in common, or ``copy`` has a format the target refuses.
    """
    if copy.format not in target.imports or volume.format not in source.exports:
        raise Unsupported(f"{target.label} datastores take no {copy.format} images from {source.label} datastores.")
    target.check_inside(copy)
    if streamed := source.keeper.streams(volume, target.keeper, copy):
        return streamed
    whole = source.whole(volume)
    if filled := target.fill(host, source, volume, copy, compared=moved):
        return *whole, *target.guard(host), *filled
    place = replace(target.receive(copy), compared=moved)
    copied = source.export(host, volume, place)
    return *whole, *target.guard(host), *place.before, *copied, *place.after


@dataclass(frozen=True, slots=True)
class Journey:
    """The stages of a transfer over SSH, and what is done ``after`` all else of its plan."""

    stages: Plan
    after: Plan


def over_ssh(source: StorageDriver, volume: Volume, target: StorageDriver, copy: Volume, route: Route) -> Journey:
    """Return the stages that make ``copy`` in ``target`` a full, independent copy of ``volume`` in ``source``.

    The target's host fetches it from the source's; nothing of it passes through any other machine.

    :raises Unsupported: the two have no format in common, or their kinds send or take nothing in this way.
    """
    if copy.format not in target.imports or volume.format not in source.exports:
        raise Unsupported(f"{target.label} datastores take no {copy.format} images from {source.label} datastores.")
    check_files(source, target)
    source, target = source.keeper, target.keeper
    why = source.streams_to(target) if copy.format is volume.format else "its format changes"
    if not why:
        return streamed(source, volume, target, copy, route)
    as_file = f" as a file: {why}" if source.sends_streams else ""
    sent = source.sends(volume, copy.format, f"transfer-{route.token}")
    lay = (Stage("lay it ready", sent.steps),) if sent.steps else ()
    return Journey(
        (
            Stage("see the other host", (SourceReachable(route),)),
            *lay,
            Stage("let it be fetched", (SendingAllowed(route, sent.path, coming=sent.made),)),
            Stage(f"fetch it{as_file}", target.fetches(route, copy, 0 if sent.made else volume.allocated)),
            Stage("let nobody fetch it any more", (SendingEnded(route, sent.path if sent.made else ""),)),
            *inspecting(target, copy),
        ),
        (Stage("clear away", (ReceivingForgotten(route),)),),
    )


def inspecting(target: StorageDriver, copy: Volume) -> Plan:
    """Return the stage that judges what came.

    A qcow2 file may name others that whoever opens it reads, too; that of raw bytes is decided by nobody's header.
    """
    looks = target.inspected(copy) if copy.format is Format.QCOW2 else ()
    return (Stage("inspect the copy", looks),) if looks else ()


def streamed(source: StorageDriver, volume: Volume, target: StorageDriver, copy: Volume, route: Route) -> Journey:
    """Return the stages of a transfer over SSH that sends more than a file, as the kind of both does best."""
    let, fetched = source.fetches_stream(route, volume, target, copy)
    return Journey(
        (
            Stage("see the other host", (SourceReachable(route),)),
            Stage("let it be fetched", let),
            Stage("fetch it", fetched),
            Stage("let nobody fetch it any more", (SendingEnded(route),)),
            *inspecting(target, copy),
        ),
        (Stage("clear away", (ReceivingForgotten(route),)),),
    )
