"""How much room there is, and on which kind of file system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Command, Output, read
from datastores.domain.values import format_size
from datastores.domain.volumes import Capacity, Format, Volume
from datastores.hosts.inodes import missing

FIELDS = r"--printf=%a %b %f %S %c %d %T\0%n\0"
"""Two records per path; the type may hold blanks and slashes (``ext2/ext3``, ``UNKNOWN (0x...)``)."""
FOUND = r"%s %b %f\0"
BLOCK = 512  # of find's %b
BESIDE = (".*", "*.part", "*.sha256", "*.overlay")
"""Names of probes, unfinished copies, checksums and templates of overlays."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system below a path; sizes in bytes, ``available`` is what is left for us.

    ``inodes``: how many files it can hold; 0: as many as there is room for.
    """

    type: str
    total: int
    free: int
    available: int
    inodes: int
    free_inodes: int

    @property
    def capacity(self) -> Capacity:
        inodes = (self.inodes, self.inodes - self.free_inodes) if self.inodes else (None, None)
        return Capacity(self.total, self.total - self.free, self.available, *inodes)


def ask_room(*paths: str) -> Command:
    """Return the one read that tells of the file systems below ``paths``."""
    return read("stat", "-f", FIELDS, "--", *dict.fromkeys(paths), root=True)


def rooms(command: Command, output: Output) -> Mapping[str, FileSystem]:
    """Return the file systems by path; a path that does not exist is left out.

    :raises CommandFailed: one could not be read.
    """
    words = [word.decode("utf-8", "surrogateescape") for word in output.raw.split(b"\0")[:-1]]
    found = {}
    for numbers, path in zip(words[::2], words[1::2], strict=False):
        available, total, free, unit, inodes, free_inodes, kind = numbers.split(" ", 6)
        sizes = [int(count) * int(unit) for count in (total, free, available)]
        found[path] = FileSystem(kind, sizes[0], sizes[1], sizes[2], int(inodes), int(free_inodes))
    if len(found) + missing(output) != len(command.argv) - command.argv.index("--") - 1:
        raise CommandFailed(command.argv, output.exit_status, output.stderr)
    return found


def check_room(host: str, place: str, found: Mapping[str, FileSystem], needed: int) -> None:
    """Check that ``needed`` bytes fit into the first file system of ``found``.

    :raises Refused: they do not.
    """
    for below in found.values():
        if below.available < needed:
            raise Refused(
                f"{place} on {host} has {format_size(below.available)} free, but {format_size(needed)} are "
                "needed. Nothing was copied; make room there or take another datastore."
            )
        return


def list_files(directory: str) -> Command:
    """Return the read that lists the files right in ``directory``; what we keep beside images is left out."""
    ours = (word for pattern in BESIDE for word in ("!", "-name", pattern))
    pick = ("-maxdepth", "1", "-type", "f", *ours)
    return read("find", "-P", directory, "-mindepth", "1", *pick, "-printf", FOUND, root=True)


def listed(command: Command, output: Output) -> tuple[Volume, ...]:
    """Return the volumes that ``list_files`` found; the extension tells the format, and no extension is raw.

    The virtual size of a qcow2 image is not known from outside: 0.

    :raises CommandFailed: the directory could not be read.
    """
    if not output.ok:
        raise CommandFailed(command.argv, output.exit_status, output.stderr)
    directory = command.argv[2]
    volumes = []
    for record in output.raw.split(b"\0")[:-1]:
        size, blocks, name = record.decode("utf-8", "surrogateescape").split(" ", 2)
        extension = name.rpartition(".")[2]
        kind = Format(extension) if extension in set(Format) else Format.RAW
        virtual = 0 if kind is Format.QCOW2 else int(size)
        volumes.append(Volume(f"{directory}/{name}", kind, virtual, int(blocks) * BLOCK))
    return tuple(sorted(volumes, key=lambda volume: volume.path))
