"""Pools that are made of whole, empty disks. No pool is ever made with ``-f``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import format_size
from datastores.domain.zfs import Disks, pool_name
from datastores.hosts.parsing import expect
from datastores.hosts.zfs import ask_pool, health

CREATE_SECONDS = 300.0
LSBLK = ("lsblk", "-J", "-b", "-o", "PATH,TYPE,SIZE,FSTYPE,LABEL,MOUNTPOINT")
NO_DISK = ("not a block device", "No such file or directory")
MEMBER = "zfs_member"
USABLE = frozenset({"disk", "part", "mpath", "lvm"})
CLEAR = """
pool=$1
shift
others=$(zfs list -H -o name -t all -r -- "$pool" | tail -n +2) || exit
[ -z "$others" ] || { echo "$pool holds $others" >&2; exit 1; }
zpool destroy -- "$pool" || exit
for disk; do
    for part in $(lsblk -n -l -o PATH -- "$disk" | tail -n +2); do zpool labelclear -f -- "$part"; done
    wipefs -q -a -- "$disk" || exit
done
"""
"""Destroy a pool that holds nothing, and leave its disks as empty as they were found."""


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """A device that may become part of a pool. ``holds``: what is on it, in words. ``pools``: those that it is of."""

    type: str
    size: int
    holds: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """``health``: "" when there is no such pool. ``disks``: by the path that was asked about; None: no such device."""

    health: str
    disks: dict[str, FoundDisk | None]


def holdings(device: dict[str, Any], partitions: Sequence[dict[str, Any]]) -> list[str]:
    """Return in words what lsblk sees on a device and on its partitions."""
    found = [f"{device['path']} has the {each['type']} {each['path']}" for each in partitions]
    for each in (device, *partitions):
        if each["mountpoint"]:
            found.append(f"{each['path']} is mounted at {each['mountpoint']}")
        if each["fstype"]:
            found.append(f"{each['path']} holds {each['fstype']} {each['label'] or ''}".rstrip())
    return found


@dataclass(frozen=True, slots=True)
class PoolExists:
    """There is a pool of exactly these disks, made when there is none. The disks have to be empty.

    Its own root is mounted nowhere: data sets below say where they are.
    """

    host: str
    pool: str
    disks: Disks

    def __post_init__(self) -> None:
        pool_name(self.pool)

    @property
    def title(self) -> str:
        return f"the pool {self.pool} is made of {' '.join(self.disks.words)}"

    def reads(self) -> tuple[Command, ...]:
        looks = (each for disk in self.disks.all for each in (_ask_disk(disk), _ask_signatures(disk)))
        return ask_pool(self.pool), *looks

    def facts(self, outputs: Sequence[Output]) -> PoolFacts:
        ask, *looks = self.reads()
        pairs = zip(looks[::2], outputs[1::2], looks[1::2], outputs[2::2], strict=True)
        disks = [self._disk(*pair) for pair in pairs]
        return PoolFacts(health(self.host, ask, outputs[0]), dict(zip(self.disks.all, disks, strict=True)))

    def plan(self, facts: PoolFacts) -> Change | None:
        for path, disk in facts.disks.items():
            if disk is None:
                raise Refused(f"There is no disk {path} on {self.host}.")
        there = {path: disk for path, disk in facts.disks.items() if disk}
        if facts.health:
            mine = {*self.disks.data, *self.disks.log}  # a cache is of no pool: its label names none
            if others := [path for path in there if path in mine and self.pool not in there[path].pools]:
                raise Refused(
                    f"{self.host} has a pool {self.pool} already, and {', '.join(others)} is no disk of it. Leave the "
                    "disks out to use that pool, or choose another name."
                )
            return None
        self._check_empty(there)
        options = ("-o", "ashift=12", "-O", "mountpoint=none")
        create = Command(("zpool", "create", *options, "--", self.pool, *self.disks.words), timeout=CREATE_SECONDS)
        undo = Command(("sh", "-c", CLEAR, "sh", self.pool, *self.disks.all), timeout=CREATE_SECONDS)
        size = format_size(sum(there[path].size for path in self.disks.data))
        return Change(f"make the pool {self.pool} of disks with {size}", (Action(create, undo),))

    def _check_empty(self, disks: dict[str, FoundDisk]) -> None:
        if held := [words for disk in disks.values() for words in disk.holds]:
            raise Refused(
                f"Disks for the pool {self.pool} on {self.host} are not empty: {'; '.join(held)}. Nothing was changed. "
                "If that is not needed any more, remove it there (zpool labelclear, wipefs -a) and try again."
            )
        if others := [path for path, disk in disks.items() if disk.type not in USABLE]:
            raise Refused(f"A pool cannot be made of {', '.join(others)} on {self.host}: that is no disk.")

    def _disk(self, ask: Command, said: Output, signatures: Command, seen: Output) -> FoundDisk | None:
        if not said.ok and said.stderr.strip().endswith(NO_DISK):
            return None
        device, *partitions = json.loads(expect(self.host, ask, said))["blockdevices"]
        kinds = {each["type"] for each in json.loads(expect(self.host, signatures, seen))["signatures"]}
        told = holdings(device, partitions) or [f"{device['path']} holds {kind}" for kind in sorted(kinds)]
        labels = (each["label"] for each in (device, *partitions) if each["fstype"] == MEMBER and each["label"])
        return FoundDisk(device["type"], int(device["size"]), tuple(told), tuple(labels))


def _ask_disk(path: str) -> Command:
    return read(*LSBLK, "--", path, root=True)


def _ask_signatures(path: str) -> Command:
    return read("wipefs", "-J", "-O", "TYPE", "--", path, root=True)
