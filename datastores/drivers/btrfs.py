"""btrfs on the storage host: disks are instant clones that share their blocks with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.domain.characters import Character
from datastores.drivers.reflinks import ReflinkDriver


@dataclass(frozen=True, slots=True)
class BtrfsDriver(ReflinkDriver):
    kind: ClassVar[str] = "btrfs"
    label: ClassVar[str] = "btrfs"
    about: ClassVar[str] = "A btrfs file system on the storage host; clones and snapshots of any size in milliseconds."
    tm: ClassVar[str] = "btrfs"
    character: ClassVar[Character] = Character(
        parts=1,
        simplicity="one file system of the storage host",
        performance="local disks; small writes into shared blocks are slow",
        redundancy="RAID 1 and 10 of its own, inside one machine",
        capacity="the disks of one machine; grows disk by disk",
    )
