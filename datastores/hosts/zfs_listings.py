"""How much room a data set has, and which disks lie in the data sets below one."""

from __future__ import annotations

from collections.abc import Sequence

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Command, Output, read
from datastores.domain.volumes import Capacity, Format, Volume
from datastores.domain.zfs import DISK
from datastores.hosts.capacity import BLOCK
from datastores.hosts.parsing import expect
from datastores.hosts.zfs import ask_with_snapshots, found

_FOUND = r"%s %b %P\0"


def ask_room(dataset: str) -> Command:
    """Return the read of what a data set takes with all below it, and of what its quota and pool leave it."""
    return read("zfs", "get", "-H", "-p", "-o", "value", "used,available", dataset, root=True)


def room(host: str, command: Command, output: Output) -> Capacity:
    """Return that. Its file system alone would tell of neither snapshots nor data sets below.

    :raises Refused: there is no such data set.
    :raises CommandFailed: it could not be read.
    """
    if "dataset does not exist" in output.stderr:
        raise Refused(f"There is no data set {command.argv[-1]} on {host}. Look whether its pool is imported.")
    used, free = (int(line) for line in expect(host, command, output).split())
    return Capacity(used + free, used, free)


def ask_volumes(parent: str, directory: str) -> tuple[Command, Command]:
    """Return the reads that list the disks in the data sets right below ``parent``, mounted at ``directory``."""
    pick = ("-mindepth", "2", "-maxdepth", "2", "-type", "f", "-name", DISK)
    return ask_with_snapshots(parent), read("find", "-P", directory, *pick, "-printf", _FOUND, root=True)


def volumes(host: str, reads: tuple[Command, Command], outputs: Sequence[Output]) -> tuple[Volume, ...]:
    """Return the volumes that these listed. What another made has no format of ours, and counts as raw.

    The virtual size of a qcow2 image is not known from outside: 0.

    :raises CommandFailed: they could not be read.
    """
    listing, find = reads
    there = found(host, listing, outputs[0])
    parent, directory = listing.argv[-1], find.argv[2]
    if parent not in there:
        raise CommandFailed(listing.argv, outputs[0].exit_status, outputs[0].stderr, host)
    volumes = []
    for record in expect(host, find, outputs[1]).split("\0")[:-1]:
        size, blocks, path = record.split(" ", 2)
        dataset = there.get(f"{parent}/{path.partition('/')[0]}")
        noted = dataset.format if dataset else ""
        kind = Format(noted) if noted in set(Format) else Format.RAW
        virtual = 0 if kind is Format.QCOW2 else int(size)
        volumes.append(Volume(f"{directory}/{path}", kind, virtual, int(blocks) * BLOCK))
    return tuple(sorted(volumes, key=lambda volume: volume.path))
