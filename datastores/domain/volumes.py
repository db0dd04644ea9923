"""Volumes and datastores as the drivers see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Capability(StrEnum):
    CLONE = "clone"  # copy-on-write, in milliseconds
    RESIZE = "resize"
    SNAPSHOT = "snapshot"
    FLATTEN = "flatten"  # a clone becomes independent of what it was made from
    ATTACH = "attach"  # a hypervisor has to log in or map something first
    PROMOTE = "promote"  # a clone takes the place of what it was made from, which may go then
    RESERVE = "reserve"  # room is kept for all that a disk may come to hold
    LIVE_MIGRATION = "live migration"  # the same bytes are visible on every host


class Placement(StrEnum):
    """Where a VM disk's bytes live: OpenNebula's LN_TARGET and CLONE_TARGET."""

    NONE = "NONE"  # linked in place
    SELF = "SELF"  # in the image datastore
    SYSTEM = "SYSTEM"  # in the system datastore


class Format(StrEnum):
    RAW = "raw"
    QCOW2 = "qcow2"
    ISO = "iso"

    @property
    def qemu(self) -> str:
        """The name that qemu-img knows; an ISO file is raw to it."""
        return "raw" if self is Format.ISO else self.value


@dataclass(frozen=True, slots=True)
class Volume:
    """One file, data set or LV of a datastore. ``path`` is absolute on the storage host."""

    path: str
    format: Format
    virtual_size: int = 0
    allocated: int = 0
    """Bytes really used, for progress; 0 when unknown."""
    reserved: int = 0
    """Bytes that are kept for it, whatever else is written to the datastore; 0: it takes room as it is written to."""

    @property
    def file_size(self) -> int:
        """Bytes of the file that it is; 0 when unknown."""
        return self.allocated if self.format is Format.QCOW2 else self.virtual_size


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes of a datastore's file system, and its inodes; None: it makes as many as are needed, or was not asked."""

    total: int
    used: int
    free: int
    inodes: int | None = None
    used_inodes: int | None = None


def target_name(number: int, *, cd: bool = False) -> str:
    """Return the device that a disk of this number is in its VM: vda, vdb, ... vdz, vdaa; a CD is hda, hdb ...

    As Linux names disks of virtio and of IDE (TARGET of domain.md, LISTS). By the number, so that it stays what it is
    when another disk goes.
    """
    letters = ""
    while number >= 0:
        letters = chr(ord("a") + number % 26) + letters
        number = number // 26 - 1
    return f"{'hd' if cd else 'vd'}{letters}"
