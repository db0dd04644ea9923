"""New logical volumes, empty or with the bytes of a disk: made as ``<name>.part``, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.lvm import group_name, volume_name
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.domain.values import SECTOR, format_size
from datastores.hosts import lvm, qemu_img
from datastores.hosts.blocks import MKFS, SMALLEST, Filesystem
from datastores.hosts.capacity import FileSystem, ask_room, check_room, rooms
from datastores.hosts.copies import PART, Ownership, comparison, made, renamed, same, scratch, stale
from datastores.hosts.inodes import Files, Inode, around, look, room_for, seen, the_file
from datastores.hosts.lvm import Group, Volumes, ask_group, ask_volumes, the_group
from datastores.hosts.opened import Opened
from datastores.hosts.parsing import canonical_path

FILL = """
set -e
vg=$1 part=$2 bytes=$3 thin=$4 tag=$5 empty=$6; shift 6
found=$(lvs --noheadings -o lv_name --select "lv_name=\\"$part\\"" -- "$vg")
[ -z "$found" ] || lvremove -q -y -- "$vg/$part"
if [ -n "$thin" ]; then
    lvcreate -q -y -kn -V "${bytes}b" -T "$vg/$thin" --addtag "$tag" -n "$part"
else
    lvcreate -q -y -Wn -Zn --type linear -L "${bytes}b" --addtag "$tag" -n "$part" -- "$vg"
    [ "$empty" = "$bytes" ] || blkdiscard -z -o "$empty" -- "/dev/$vg/$part"
fi
"$@"
sync -- "/dev/$vg/$part"
"""
"""Make a volume anew and fill it. A thick one holds what lay there before, so what the command does not write (from the
byte ``empty`` on) is emptied."""
NOTHING = ("true",)
TAG = "cloudstore.of."


@dataclass(frozen=True, slots=True)
class FilledFacts:
    group: Group | None
    volumes: Volumes
    files: Files


@dataclass(frozen=True, slots=True)
class VolumeFilled:
    """The volume ``name`` has ``size`` bytes, rounded up to extents, and holds the ``source``, or a new file system.

    ``size`` 0: as many as the file that it is made of. ``pool``: the thin pool it lies in; "" for a thick one. A tag
    tells what it was made of: nobody compares terabytes.
    """

    host: str
    group: str
    name: str
    size: int
    pool: str = ""
    source: Opened | None = None
    filesystem: Filesystem = Filesystem.NONE
    compared: bool = False
    """It is compared with the source before it has its name: that is going to be deleted."""

    def __post_init__(self) -> None:
        group_name(self.group), volume_name(self.name)
        if self.pool:
            volume_name(self.pool)
        if self.size < 0 or self.size % SECTOR or not (self.size or self._file):
            raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {self.size}.")
        if self.size and self.source and self.source.size > self.size:
            raise BadInput(f"{self.source.path} has {self.source.size} bytes, more than the {self.size} of the volume.")
        least = SMALLEST.get(self.filesystem, 1 << 20)
        if self.filesystem and self.size < least:
            raise BadInput(f"{self.filesystem} needs at least {format_size(least)}.")

    @property
    def title(self) -> str:
        inside = f"holds {self.source.path}" if self.source else f"is empty, with {self.filesystem or 'nothing'} on it"
        size = f" of {format_size(self.size)}" if self.size else ""
        return f"{self.group}/{self.name}{size} {inside}"

    @property
    def part(self) -> str:
        return self.name + lvm.PART

    def _tag(self, file: Inode | None) -> str:
        """Return what the volume is marked with that holds what the source holds now."""
        if not self.source:
            return f"{TAG}nothing-{self.filesystem}"
        now = f"{file.size}/{file.modified}" if file else ""
        return TAG + hashlib.sha256(f"{self.source.path}/{self.source.size}/{now}".encode()).hexdigest()[:32]

    @property
    def _file(self) -> Opened | None:
        return self.source if self.source and self.source.is_file else None

    def reads(self) -> tuple[Command, ...]:
        pool = (self.pool,) if self.pool else ()
        asked = ask_group(self.group), ask_volumes(self.group, self.name, self.part, *pool)
        return *asked, *((look(self._file.path),) if self._file else ())

    def facts(self, outputs: Sequence[Output]) -> FilledFacts:
        files = seen(self.reads()[2], outputs[2]) if self._file else {}
        return FilledFacts(*lvm.read_both(self.host, self.reads(), outputs), files)

    def plan(self, facts: FilledFacts) -> Change | None:
        group = the_group(self.host, facts.group, self.group)
        file = the_file(self.host, facts.files, self._file.path) if self._file else None
        wanted = group.rounded(self.size or (file.size if file else 0))
        there = facts.volumes.get(self.name)
        tag = self._tag(file)
        if there:
            if tag in there.tags and there.size == wanted:
                return None
            raise Refused(
                f"{self.group}/{self.name} on {self.host} is there already, and was not made of "
                f"{self.source.path if self.source else 'nothing'} as that is now. It was left as it is."
            )
        self._check_room(facts, group, file, wanted)
        if not wanted:
            raise Refused(f"{self.source.path if self.source else self.name} on {self.host} is empty.")
        command = self._fill(wanted, tag, file.size if file and not self.size else 0)
        fill = Detached(
            command, total=file.allocated if file else wanted, counted=Counted.READ if self.source else None
        )
        complete = lvm.rename(self.group, self.part, self.name), lvm.rename(self.group, self.name, self.part)
        return Change(self.title, (*self._scratch(fill), *self._compared(), Action(*complete)))

    def _scratch(self, do: Detached) -> tuple[Action, ...]:
        return (Action(do, undo=lvm.unmake(self.group, self.part), scratch=True),)

    def _compared(self) -> tuple[Action, ...]:
        if not (self.source and self.compared):
            return ()
        device = lvm.device(self.group, self.part)
        compare = qemu_img.compare(self.source.options, qemu_img.opened(device, "raw"))
        return self._scratch(comparison(device, compare, 0))

    def _fill(self, wanted: int, tag: str, length: int) -> Command:
        device, empty = lvm.device(self.group, self.part), 0
        command: tuple[str, ...] = NOTHING
        if self.source:
            command = qemu_img.onto_device(self.source.options, device, is_zero=bool(self.pool)).argv
            empty = (self.source.size or length) // SECTOR * SECTOR
        elif self.filesystem:
            command = (*MKFS[self.filesystem], device)
        words = (self.group, self.part, str(wanted), self.pool, tag, str(empty))
        return Command(("sh", "-c", FILL, "sh", *words, *command), timeout=86400)

    def _check_room(self, facts: FilledFacts, group: Group, file: Inode | None, wanted: int) -> None:
        pool = facts.volumes.get(self.pool)
        if self.pool and not (pool and pool.is_pool):
            raise Refused(f"There is no thin pool {self.group}/{self.pool} on {self.host}.")
        needed = min(file.allocated, wanted) if file and pool else 0 if pool else wanted
        free = lvm.room(group, pool).free
        if needed > free:
            raise Refused(
                f"{self.group}{f'/{self.pool}' if pool else ''} on {self.host} has {format_size(free)} free, but "
                f"{format_size(needed)} are needed. Nothing was copied; make room there or take another datastore."
            )


@dataclass(frozen=True, slots=True)
class TakenFacts:
    files: Files
    room: dict[str, FileSystem]


@dataclass(frozen=True, slots=True)
class DeviceTaken:
    """``target`` is a raw file with the first ``size`` bytes of a device: the disk, without what rounding added."""

    host: str
    device: str
    size: int
    target: str
    ownership: Ownership
    with_directory: bool = False
    coming: bool = False
    """The directory of ``target`` is made by an earlier step."""
    compared: bool = False
    """It is compared with the device before it has its name: that is going to be deleted."""

    def __post_init__(self) -> None:
        canonical_path(self.target)
        Opened(self.device, "raw", self.size, device=True)

    @property
    def title(self) -> str:
        return f"{self.target} is a copy of {self.device}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        target, parent, above = around(self.target)
        return look(target, self.part, parent, above), ask_room(parent, above)

    def facts(self, outputs: Sequence[Output]) -> TakenFacts:
        stat, space = self.reads()
        return TakenFacts(seen(stat, outputs[0]), dict(rooms(space, outputs[1])))

    def plan(self, facts: TakenFacts) -> Change | None:
        there = facts.files.get(self.target)
        if there is not None:
            if not there.is_file or there.size != self.size:
                raise stale(self.host, self.target, self.device)
            return None
        directory = room_for(
            self.host, facts.files, self.target, with_directory=self.with_directory, coming=self.coming
        )
        check_room(self.host, around(self.target)[1], facts.room, 0)
        source = Opened(self.device, "raw", self.size, device=True)
        convert = qemu_img.to_raw(source.options, self.part)
        written = made(self.part, convert, self.size)
        if self.compared:
            written += same(
                self.part, qemu_img.compare(source.options, qemu_img.opened(self.part, "raw")), 2 * self.size
            )
        owned = scratch(self.part, *self.ownership.commands(self.part))
        return Change(self.title, (*directory, *written, *owned, renamed(self.part, self.target)))
