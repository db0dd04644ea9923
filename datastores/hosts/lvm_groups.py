"""Volume groups and thin pools, made of disks that hold nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.lvm import device_path, group_name, volume_name
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts import lvm
from datastores.hosts.lvm import Group, Volumes, ask_group, ask_volumes
from datastores.hosts.parsing import expect

OF_FREE = "90%FREE"
"""What a thin pool takes of its group: the rest is for its metadata to grow, and to repair them."""
UNMAKE = """
others=$(lvs --noheadings -o lv_name --select "$3" -- "$1") || exit
[ -z "$others" ] || { echo "$1/$2 is in use by" $others >&2; exit 1; }
lvremove -q -y -- "$1/$2"
"""
"""A pool in which volumes are, whoever has made them, is not taken away: they would go with it."""
LSBLK = ("lsblk", "--json", "--bytes", "--output", "NAME,PATH,TYPE,FSTYPE,PTTYPE,MOUNTPOINTS")
"""Only with NAME it tells what is built on what."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """``holds``: what is on each disk, in words; "" for nothing. Disks are not looked at when the group is there."""

    group: Group | None
    holds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupReady:
    """The volume group is there; it is made of ``disks`` if it is not, and only of disks that hold nothing."""

    host: str
    group: str
    disks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        group_name(self.group)
        for disk in self.disks:
            if device_path(disk) != disk:
                raise BadInput(f"The disk {disk} is usually written {device_path(disk)}.")

    @property
    def title(self) -> str:
        return f"there is a volume group {self.group}"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), *(self._ask_disk(disk) for disk in self.disks)

    def _ask_disk(self, disk: str) -> Command:
        return read(*LSBLK, "--", disk, root=True)

    def facts(self, outputs: Sequence[Output]) -> GroupFacts:
        found = lvm.group_if_installed(self.host, ask_group(self.group), outputs[0])
        if found:
            return GroupFacts(found)
        held = (self._held(disk, output) for disk, output in zip(self.disks, outputs[1:], strict=True))
        return GroupFacts(None, tuple(held))

    def _held(self, disk: str, output: Output) -> str:
        command = self._ask_disk(disk)
        try:
            found = json.loads(expect(self.host, command, output))["blockdevices"]
            return ", ".join(_contents(found[0]))
        except (ValueError, LookupError, TypeError) as error:
            raise CommandFailed(
                command.argv, output.exit_status, f"unreadable output ({error!r})", self.host
            ) from error

    def plan(self, facts: GroupFacts) -> Change | None:
        if facts.group:
            return None
        if not self.disks:
            raise Refused(
                f"There is no volume group {self.group} on {self.host}. Make it there, or name the disks to make it of."
            )
        for disk, holds in zip(self.disks, facts.holds, strict=True):
            if holds:
                raise Refused(
                    f"{disk} on {self.host} is not empty: it holds {holds}. Choose another disk; or see that nobody "
                    f"needs what is on it, and say `wipefs --all {disk}` there."
                )
        make = Command(("vgcreate", "-q", "--", self.group, *self.disks))
        unmake = Command(("vgremove", "-q", "--", self.group))
        forget = Command(("pvremove", "-q", "--", *self.disks))
        mark = Command(("pvcreate", "-q", "--", *self.disks))  # without --yes it wipes nothing that it finds
        made = Action(mark, undo=forget), Action(make, undo=unmake)
        return Change(f"make the volume group {self.group} of {', '.join(self.disks)}", made)


def _contents(found: dict[str, Any]) -> Iterator[str]:
    """Yield what a disk holds: a file system, a table of partitions, what is mounted of it, what is built on it."""
    for what in ("fstype", "pttype"):
        if found.get(what):
            yield str(found[what])
    yield from (f"what is mounted at {place}" for place in found.get("mountpoints") or () if place)
    yield from (f"{child['path']} ({child['type']})" for child in found.get("children") or ())


@dataclass(frozen=True, slots=True)
class PoolFacts:
    group: Group | None
    volumes: Volumes


@dataclass(frozen=True, slots=True)
class PoolReady:
    """The group has a thin pool of this name. A new one takes nine tenths of what is free.

    ``make`` False: one that is missing is refused, for its disks may only be away.
    """

    host: str
    group: str
    pool: str
    make: bool = True

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.pool)

    @property
    def title(self) -> str:
        return f"{self.group}/{self.pool} is a thin pool"

    def reads(self) -> tuple[Command, ...]:
        return ask_group(self.group), ask_volumes(self.group, self.pool)

    def facts(self, outputs: Sequence[Output]) -> PoolFacts:
        found = lvm.group_if_installed(self.host, self.reads()[0], outputs[0])
        return PoolFacts(found, lvm.volumes(self.host, self.reads()[1], outputs[1]) if found else {})

    def plan(self, facts: PoolFacts) -> Change | None:
        """A group that is not there yet gets the same plan: an earlier step may make it."""
        there = facts.volumes.get(self.pool)
        if there and there.is_pool and there.attributes[7:8] != "z":
            raise Refused(
                f"The thin pool {self.group}/{self.pool} on {self.host} does not empty what it gives out, so disks "
                f"would show what others have deleted. Say `lvchange -Zy {self.group}/{self.pool}` there."
            )
        if there and there.is_pool:
            return None
        if there:
            raise Refused(f"{self.group}/{self.pool} on {self.host} is a volume, and no thin pool. Name another pool.")
        if not self.make:
            raise Refused(f"There is no thin pool {self.group}/{self.pool} on {self.host}: its disks may be away.")
        if facts.group and not facts.group.free:
            raise Refused(f"{self.group} on {self.host} has nothing free for a thin pool. Name one that is there.")
        words = ("-q", "--yes", "--type", "thin-pool", "-Zy", "-l", OF_FREE, "-n", self.pool)
        make = Command(("lvcreate", *words, "--", self.group), timeout=lvm.SLOW)
        users = f'pool_lv="{self.pool}"'
        unmake = Command(("sh", "-c", UNMAKE, "sh", self.group, self.pool, users), timeout=lvm.SLOW)
        return Change(f"make the thin pool {self.group}/{self.pool}", (Action(make, unmake),))
