"""XFS with reflink on the storage host: disks are instant clones that share their blocks with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.domain.characters import Character
from datastores.drivers.reflinks import ReflinkDriver


@dataclass(frozen=True, slots=True)
class XfsDriver(ReflinkDriver):
    kind: ClassVar[str] = "xfs"
    label: ClassVar[str] = "XFS"
    about: ClassVar[str] = "An XFS file system on the storage host; clones and snapshots of any size in milliseconds."
    tm: ClassVar[str] = "xfs"
    character: ClassVar[Character] = Character(
        parts=1,
        simplicity="one file system of the storage host",
        performance="local disks at full speed",
        redundancy="only by RAID below it, inside one machine",
        capacity="the disks of one machine; grows, never shrinks",
    )
