"""btrfs on the storage host: disks are instant clones that share their blocks with the image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from datastores.domain.characters import Character
from datastores.domain.plan import Shell
from datastores.domain.values import parse_size
from datastores.domain.volumes import Capacity
from datastores.drivers.abilities import Steps
from datastores.drivers.files import FileDriver, words
from datastores.drivers.reflinks import ReflinkDriver, ReflinkOptions
from datastores.hosts.btrfs_limits import SubvolumeLimited, SubvolumePresent, ask_limit, limit_of, within
from datastores.hosts.files import DirectoryPresent


@dataclass(frozen=True, slots=True, kw_only=True)
class BtrfsOptions(ReflinkOptions):
    quota: str = field(
        default="",
        metadata=words(
            "Quota",
            "What all of it may hold at most, such as 2 TiB: the directory is made a subvolume then. Empty: what the "
            "file system has.",
        ),
    )

    def __post_init__(self) -> None:
        ReflinkOptions.__post_init__(self)
        self.limit()

    def limit(self) -> int:
        """Return the quota in bytes; 0: none."""
        return parse_size(self.quota) if self.quota.strip() not in {"", "0"} else 0


@dataclass(frozen=True, slots=True)
class BtrfsDriver(ReflinkDriver):
    kind: ClassVar[str] = "btrfs"
    label: ClassVar[str] = "btrfs"
    about: ClassVar[str] = "A btrfs file system on the storage host; clones and snapshots of any size in milliseconds."
    tm: ClassVar[str] = "btrfs"
    limits: ClassVar[tuple[str, ...]] = ("quota",)
    character: ClassVar[Character] = Character(
        parts=1,
        simplicity="one file system of the storage host",
        performance="local disks; small writes into shared blocks are slow",
        redundancy="RAID 1 and 10 of its own, inside one machine",
        capacity="the disks of one machine; grows disk by disk",
    )
    Options: ClassVar[type[Any]] = BtrfsOptions

    options: BtrfsOptions

    def activate(self, host: str) -> Steps:
        """With a quota, the directory of the storage host is a subvolume, which can be limited."""
        ready = ReflinkDriver.activate(self, host)
        if host != self.host or not self.options.limit():
            return ready
        made = (self._subvolume() if isinstance(step, DirectoryPresent) else step for step in ready)
        return *made, self._limit()

    def _subvolume(self) -> SubvolumePresent:
        return SubvolumePresent(self.host, self.base, self.options.owner, self.options.group, "0755")

    def limited(self) -> Steps:
        """What is not a subvolume itself would be limited with whatever else lies beside it."""
        limit = self._limit()
        return (limit,) if limit.mounted else (self._subvolume(), limit)

    def _limit(self) -> SubvolumeLimited:
        mounted = self.mount_point(self.host) == self.base
        return SubvolumeLimited(self.host, self.base, self.options.limit(), mounted)

    def capacity(self, shell: Shell) -> Capacity:
        whole = FileDriver.capacity(self, shell)
        if not self.options.limit():
            return whole
        ask = ask_limit(self.base)
        return within(limit_of(self.host, ask, shell.run(ask)), whole)
