"""New, empty disks, with or without a file system on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import SECTOR, format_size
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import AS_SOURCE, PART, Ownership, check_part, renamed, scratch
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

MIB = 1 << 20
NOTHING_FOUND = 2  # blkid(8)
SLOW = 600.0
"""Seconds for making a file system, or for writing it out, on a slow disk."""


class Filesystem(StrEnum):
    """What is made on a new disk; the values are blkid's names."""

    NONE = ""
    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    VFAT = "vfat"
    SWAP = "swap"


MKFS: dict[Filesystem, tuple[str, ...]] = {
    Filesystem.EXT4: ("mkfs.ext4", "-q", "-F", "--"),
    Filesystem.XFS: ("mkfs.xfs", "-q", "--"),
    Filesystem.BTRFS: ("mkfs.btrfs", "-q", "--"),
    Filesystem.VFAT: ("mkfs.vfat", "--"),
    Filesystem.SWAP: ("mkswap", "--"),
}
SMALLEST = {Filesystem.XFS: 300 * MIB, Filesystem.BTRFS: 128 * MIB}
"""Bytes below which the tool refuses: xfsprogs 5.19, btrfs-progs 4.x."""


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """``size``: bytes for a guest. ``filesystem``: as blkid names it; it cannot look into qcow2."""

    files: Files
    size: int = 0
    filesystem: str = ""


@dataclass(frozen=True, slots=True)
class DataBlockExists:
    """``path`` is a disk of ``size`` bytes with ``filesystem`` on it.

    The file system of a qcow2 disk is made on a raw one that is then converted, because no mkfs knows qcow2.
    """

    host: str
    path: str
    format: Format
    size: int
    filesystem: Filesystem = Filesystem.NONE
    ownership: Ownership = AS_SOURCE
    """Empty: as the directory, with mode 0660."""
    with_directory: bool = False
    coming: bool = False
    """A step before this one makes the directory."""

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if self.size <= 0 or self.size % SECTOR:
            raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {self.size}.")
        if self.format is Format.ISO:
            raise BadInput("An empty disk is raw or qcow2; an ISO image is made from files.")
        least = SMALLEST.get(self.filesystem, MIB)
        if self.filesystem and self.size < least:
            raise BadInput(f"{self.filesystem} needs at least {format_size(least)}.")

    @property
    def title(self) -> str:
        inside = f" with {self.filesystem}" if self.filesystem else ""
        return f"{self.path} is a {self.format} disk of {format_size(self.size)}{inside}"

    @property
    def part(self) -> str:
        return self.path + PART

    @property
    def raw(self) -> str:
        """Where the file system is made: the new disk itself, or what is converted to it."""
        return self.part if self.format is Format.RAW else f"{self.path}.raw{PART}"

    def reads(self) -> tuple[Command, ...]:
        stat = look(*around(self.path), self.part, self.raw)
        if self.format is Format.QCOW2:
            return stat, qemu_img.ask_info(self.path, "qcow2")
        return stat, read("blkid", "-p", "-s", "TYPE", "-o", "value", "--", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> BlockFacts:
        stat, details = self.reads()
        files = seen(stat, outputs[0])
        if self.path not in files or not files[self.path].is_file:
            return BlockFacts(files)
        if self.format is Format.QCOW2:
            return BlockFacts(files, qemu_img.info(details, outputs[1]).virtual_size, self.filesystem)
        if outputs[1].exit_status not in {0, NOTHING_FOUND}:
            raise CommandFailed(details.argv, outputs[1].exit_status, outputs[1].stderr)
        return BlockFacts(files, files[self.path].size, outputs[1].stdout.strip())

    def plan(self, facts: BlockFacts) -> Change | None:
        if self.path in facts.files:
            the_file(self.host, facts.files, self.path)
            if (facts.size, facts.filesystem) != (self.size, self.filesystem):
                has = facts.filesystem or "no file system"
                raise Refused(
                    f"{self.path} on {self.host} is there already, a disk of {format_size(facts.size)} with {has}. "
                    "It was left as it is."
                )
            return None
        for part in (self.part, self.raw):
            check_part(self.host, facts.files, part)
        directory = room_for(self.host, facts.files, self.path, with_directory=self.with_directory, coming=self.coming)
        synced = scratch(self.part, Command(("sync", "--", self.part), timeout=SLOW))
        made = self._raw(facts) if self.format is Format.RAW else self._qcow2(facts)
        return Change(self.title, (*directory, *made, *synced, renamed(self.part, self.path)))

    def _raw(self, facts: BlockFacts) -> tuple[Action, ...]:
        size = Command(("truncate", "-s", str(self.size), "--", self.raw))
        return scratch(self.raw, self._empty(self.raw, facts), size, *self._mkfs())

    def _qcow2(self, facts: BlockFacts) -> tuple[Action, ...]:
        new = self._empty(self.part, facts)
        if not self.filesystem:
            return scratch(self.part, new, qemu_img.create(self.part, self.size))
        convert = replace(qemu_img.convert(self.raw, "raw", self.part, "qcow2"), timeout=SLOW)
        remove = Command(("rm", "--", self.raw))
        return (*self._raw(facts), *scratch(self.part, new, convert), *scratch(self.raw, remove))

    def _mkfs(self) -> tuple[Command, ...]:
        return (Command((*MKFS[self.filesystem], self.raw), timeout=SLOW),) if self.filesystem else ()

    def _empty(self, path: str, facts: BlockFacts) -> Command:
        _, parent, above = around(self.path)
        like = facts.files[parent if parent in facts.files else above]
        return self.ownership.with_mode("0660").or_like(like).empty(path)
