"""Who uses a device of a host: programs that have it open, and what the kernel made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command, Output, read
from datastores.hosts.parsing import expect

OPEN = """
device=$(readlink -e -- "$1") || exit 0
exec find /proc -ignore_readdir_race -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/fd/*' -lname "$device" -printf '%h\\n'
"""
"""Name the processes that have a device open: /proc/<number>/fd."""
HELD = """
device=$(readlink -e -- "$1") || exit 0
exec lsblk -J -p -o NAME,TYPE,MOUNTPOINT -- "$device"
"""
"""List what stands on a device (/sys/block/*/holders), and where each of it is mounted."""
OPEN_OF_TARGET = """
for link in /dev/disk/by-path/*"-iscsi-$1-lun-"*; do
    device=$(readlink -e -- "$link") || continue
    find /proc -ignore_readdir_race -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/fd/*' -lname "$device" -printf '%h\n'
done
"""
HELD_OF_TARGET = """
for link in /dev/disk/by-path/*"-iscsi-$1-lun-"*; do
    device=$(readlink -e -- "$link") && set -- "$@" "$device"
done
shift
[ $# -eq 0 ] || exec lsblk -J -p -o NAME,TYPE,MOUNTPOINT -- "$@"
"""
"""The same of all devices that come from a target."""


def ask_use(device: str) -> tuple[Command, Command]:
    """Return the reads of :func:`uses`."""
    return read("sh", "-c", OPEN, "sh", device, root=True), read("sh", "-c", HELD, "sh", device, root=True)


def ask_use_of_target(iqn: str) -> tuple[Command, Command]:
    """Return the reads of :func:`uses`, for all devices that come from an iSCSI target, at whichever portal."""
    words = (OPEN_OF_TARGET, HELD_OF_TARGET)
    first, second = (read("sh", "-c", script, "sh", iqn, root=True) for script in words)
    return first, second


def uses(host: str, asked: tuple[Command, Command], outputs: Sequence[Output]) -> tuple[str, ...]:
    """Return in words who uses the device; () for nobody, also when it is not there.

    :raises CommandFailed: it could not be read.
    """
    (opened, held), (processes, listed) = asked, outputs
    if processes.exit_status not in {0, 1}:  # find(1): 1 when a process ended meanwhile
        raise CommandFailed(opened.argv, processes.exit_status, processes.stderr, host)
    numbers = sorted({line.split("/")[2] for line in processes.stdout.splitlines()}, key=int)
    named = (f"it is open in the processes {', '.join(numbers)}",) if numbers else ()
    said = expect(host, held, listed)
    try:
        found = json.loads(said)["blockdevices"] if said.strip() else []
        return *named, *(use for each in found for use in _uses(each))
    except (ValueError, LookupError, TypeError) as error:
        raise CommandFailed(held.argv, listed.exit_status, f"unreadable output ({error!r})", host) from error


def _uses(listed: Mapping[str, Any]) -> Iterator[str]:
    """A partition is not in use for being there: the kernel finds those of guests, too."""
    for point in filter(None, [listed.get("mountpoint")]):
        yield f"{listed['name']} is {'used for swap' if point == '[SWAP]' else f'mounted at {point}'}"
    for child in listed.get("children", ()):
        if child["type"] != "part":
            yield f"{child['name']} ({child['type']}) stands on {listed['name']}"
        yield from _uses(child)
