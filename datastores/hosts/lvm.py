"""Volume groups and logical volumes: what LVM says of them (lvs(8), vgs(8)), and the commands that change them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.lvm import whole_extents
from datastores.domain.plan import Command, Output, read
from datastores.domain.volumes import Capacity
from datastores.hosts.parsing import expect

REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix")
GROUP_FIELDS = "vg_name,vg_extent_size,vg_size,vg_free"
VOLUME_FIELDS = "lv_name,lv_size,pool_lv,origin,lv_tags,lv_attr,data_percent"
PART = ".part"
NOT_INSTALLED = 127
SLOW = 600.0
"""Seconds for a change of metadata on a busy host."""
UNMAKE = """
found=$(lvs --noheadings -o lv_name --select "lv_name=\\"$2\\"" -- "$1") || exit
[ -z "$found" ] || exec lvremove -q -y -- "$1/$2"
"""
"""Remove a volume that may not be there."""


@dataclass(frozen=True, slots=True)
class Group:
    """A volume group. Sizes in bytes."""

    name: str
    extent: int
    size: int
    free: int

    def rounded(self, size: int) -> int:
        return whole_extents(size, self.extent)


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume. ``size``: bytes. ``used``: per cent of a thin one, or of a pool, that are allocated."""

    name: str
    size: int
    pool: str = ""
    origin: str = ""
    tags: tuple[str, ...] = ()
    attributes: str = ""
    used: float | None = None

    @property
    def is_pool(self) -> bool:
        return self.attributes.startswith("t")

    @property
    def allocated(self) -> int:
        return self.size if self.used is None else round(self.size * self.used / 100)


def ask_group(group: str) -> Command:
    """Return the read of one group; nothing is found when there is none."""
    return read("vgs", *REPORT, "-o", GROUP_FIELDS, "--select", f'vg_name="{group}"', root=True)


def ask_volumes(group: str, *names: str) -> Command:
    """Return the read of these volumes of a group, or of all; what is not there is not found."""
    wanted = " || ".join(f'lv_name="{name}"' for name in names)
    return read("lvs", *REPORT, "-o", VOLUME_FIELDS, *(("--select", wanted) if names else ()), "--", group, root=True)


def _report(host: str, command: Command, output: Output, kind: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(expect(host, command, output))["report"][0][kind]
    except (ValueError, LookupError, TypeError) as error:
        raise CommandFailed(command.argv, output.exit_status, f"unreadable output ({error!r})", host) from error
    return found


def group(host: str, command: Command, output: Output) -> Group | None:
    """Return what ``ask_group`` found.

    :raises CommandFailed: it could not be read.
    """
    rows = _report(host, command, output, "vg")
    return next(
        (Group(row["vg_name"], int(row["vg_extent_size"]), int(row["vg_size"]), int(row["vg_free"])) for row in rows),
        None,
    )


def group_if_installed(host: str, command: Command, output: Output) -> Group | None:
    """Return the same; where LVM is not installed, a step before installs it, and there is no group."""
    return None if output.exit_status == NOT_INSTALLED else group(host, command, output)


def the_group(host: str, found: Group | None, name: str) -> Group:
    """Return the group, which has to be there.

    :raises Refused: it is not.
    """
    if found is None:
        raise Refused(f"There is no volume group {name} on {host}. Make it, or name the disks to make it of.")
    return found


Volumes = Mapping[str, LogicalVolume]


def volumes(host: str, command: Command, output: Output) -> Volumes:
    """Return what ``ask_volumes`` found, by name.

    :raises CommandFailed: it could not be read; so it is when there is no such group.
    """
    rows = (_volume(row) for row in _report(host, command, output, "lv"))
    return {row.name: row for row in rows}


def _volume(row: Mapping[str, str]) -> LogicalVolume:
    tags = tuple(tag for tag in row["lv_tags"].split(",") if tag)
    used = float(row["data_percent"]) if row["data_percent"] else None
    return LogicalVolume(row["lv_name"], int(row["lv_size"]), row["pool_lv"], row["origin"], tags, row["lv_attr"], used)


def room(group: Group, pool: LogicalVolume | None) -> Capacity:
    """Return how full a group is, or its thin pool."""
    if pool is None:
        return Capacity(group.size, group.size - group.free, group.free)
    return Capacity(pool.size, pool.allocated, pool.size - pool.allocated)


def device(group: str, name: str) -> str:
    """Return the device of a volume, as LVM links it."""
    return f"/dev/{group}/{name}"


def remove(group: str, name: str) -> Command:
    return Command(("lvremove", "-q", "-y", "--", f"{group}/{name}"), timeout=SLOW)


def unmake(group: str, name: str) -> Command:
    """Return the removal of a volume that may not be there: the undo of a scratch action."""
    return Command(("sh", "-c", UNMAKE, "sh", group, name), timeout=SLOW)


def rename(group: str, old: str, new: str) -> Command:
    return Command(("lvrename", "-q", "--", group, old, new), timeout=SLOW)


def snapshot(group: str, origin: str, name: str) -> Command:
    """Return the making of a thin snapshot, which is a volume like any other, and is active at once.

    A short command, so that clones share round trips. LVM lets no signal in while it writes (lvm-signal.c); before
    that it waits for the lock of the group, and has done nothing.
    """
    return Command(("lvcreate", "-q", "-kn", "-s", "-n", name, "--", f"{group}/{origin}"))


def read_both(host: str, commands: Sequence[Command], outputs: Sequence[Output]) -> tuple[Group | None, Volumes]:
    """Return what ``ask_group`` and ``ask_volumes`` found. Where there is no group, there are no volumes."""
    found = group(host, commands[0], outputs[0])
    return found, volumes(host, commands[1], outputs[1]) if found else {}
