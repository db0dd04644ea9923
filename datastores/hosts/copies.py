"""Full, independent copies: to ``<target>.part``, synced, then renamed. A target under its own name is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.capacity import FileSystem, ask_room, check_room, rooms
from datastores.hosts.inodes import Files, Inode, around, gone, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

PART = ".part"
MAKE = 'umask 077; part=$1; shift; "$@" && exec sync -- "$part"'
"""Run what makes a file, and see its bytes on the disk. Nobody else may open it before it has its owner and mode: he
could read it, or change it after its inspection."""


COMPARE = """
part=$1 bytes=$2
shift 2
[ ! -e "$part" ] || dd if="$part" iflag=nocache count=0 status=none
command -v qemu-img >/dev/null || [ -z "$bytes" ] || set -- cmp -- "$bytes" "$part"
"$@" && exit
echo "$part differs from what it was made of just now: it is not used. Look at the disks of this host." >&2
exit 1
"""
"""$1: the copy, which is read from its disk again; $2: a file that has the same bytes, "" for none; $3...: who compares
them. Without qemu-img only the latter can be compared, holes and all."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owns a file and who may use it; empty: as the file it is made from."""

    owner: str = ""
    group: str = ""
    mode: str = ""

    def or_like(self, file: Inode) -> Ownership:
        return Ownership(self.owner or file.owner, self.group or file.group, self.mode or file.permissions)

    def __bool__(self) -> bool:
        return bool(self.owner or self.group or self.mode)

    def with_mode(self, mode: str) -> Ownership:
        """Return it with this mode, unless it has one."""
        return replace(self, mode=self.mode or mode)

    def empty(self, path: str) -> Command:
        """Return the making of an empty file, in place of what an earlier attempt may have left."""
        return Command(("install", "-o", self.owner, "-g", self.group, "-m", self.mode, "--", "/dev/null", path))

    def commands(self, path: str) -> tuple[Command, ...]:
        chown = ("chown", "--no-dereference", f"{self.owner}:{self.group}", "--", path)
        return Command(chown), Command(("chmod", self.mode, "--", path))


AS_SOURCE = Ownership()


def owned_as(file: Inode) -> Ownership:
    return Ownership(file.owner, file.group, file.permissions)


def scratch(part: str, *operations: Command | Detached) -> tuple[Action, ...]:
    """Return actions that touch nothing but ``part``, which is ours alone."""
    return tuple(Action(operation, undo=gone(part), scratch=True) for operation in operations)


def made(part: str, command: Command, total: int) -> tuple[Action, ...]:
    """Return the making of ``part`` by ``command``, which may last; ``total`` bytes are to be written."""
    long = Command(("sh", "-c", MAKE, "sh", part, *command.argv))
    return scratch(part, Detached(long, growing=part, total=total))


def comparison(copy: str, compare: Command, total: int, bytes_of: str = "") -> Detached:
    """Return the comparison of a copy with its source. ``total``: bytes to be read; ``bytes_of``: see ``COMPARE``."""
    long = Command(("sh", "-c", COMPARE, "sh", copy, bytes_of, *compare.argv))
    return Detached(long, total=total, counted=Counted.READ)


def same(part: str, compare: Command, total: int, bytes_of: str = "") -> tuple[Action, ...]:
    return scratch(part, comparison(part, compare, total, bytes_of))


def renamed(part: str, target: str) -> Action:
    """Return what gives a complete ``part`` its name; nothing is overwritten.

    An ``mv -n`` that found somebody else's file says nothing and leaves both where they are; so does its undo.
    """
    there, back = ("mv", "-nT", "--", part, target), ("mv", "-nT", "--", target, part)
    return Action(Command(there), undo=Command(back))


def check_part(host: str, files: Files, part: str) -> None:
    """Check that what is left of an earlier attempt is a file, which is then overwritten."""
    if part in files and not files[part].is_file:
        raise Refused(f"{part} on {host} is {files[part].noun}; it is in the way of the copy. Remove it.")


def stale(host: str, target: str, source: str) -> Refused:
    return Refused(
        f"{target} on {host} is there already, and it is not a copy of {source} as that is now: size or time differ. "
        "Either something else has this name, or one of the two was written to. Nothing was overwritten."
    )


@dataclass(frozen=True, slots=True)
class CopyFacts:
    files: Files
    room: dict[str, FileSystem]


@dataclass(frozen=True, slots=True)
class FileCopied:
    """``target`` is a full copy of the file ``source``, sharing no bytes with it, of the same format.

    ``cp -P`` opens its source without following a symbolic link in the last component. A source that was written
    to during the copy does not pass the verification, and the copy is removed.
    An earlier attempt's ``.part`` is replaced by ``cp`` itself: a unit that still runs is attached to, not disturbed.
    """

    host: str
    source: str
    target: str
    ownership: Ownership = AS_SOURCE
    with_directory: bool = False
    coming: bool = False
    """A step before this one makes the directory."""
    compared: bool = False
    """It is compared with its source before it has its name: that is going to be deleted."""

    def __post_init__(self) -> None:
        canonical_path(self.source)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is a copy of {self.source}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        target, parent, above = around(self.target)
        return look(self.source, target, self.part, parent, above), ask_room(parent, above)

    def facts(self, outputs: Sequence[Output]) -> CopyFacts:
        stat, room = self.reads()
        return CopyFacts(seen(stat, outputs[0]), dict(rooms(room, outputs[1])))

    def plan(self, facts: CopyFacts) -> Change | None:
        source = the_file(self.host, facts.files, self.source)
        target = facts.files.get(self.target)
        if target is not None:
            if not target.is_copy_of(source):
                raise stale(self.host, self.target, self.source)
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(
            self.host, facts.files, self.target, with_directory=self.with_directory, coming=self.coming
        )
        check_room(self.host, around(self.target)[1], facts.room, source.allocated)
        copied = made(self.part, self._cp(), source.allocated)
        if self.compared:
            compare = qemu_img.compare(*(qemu_img.opened(path, "raw") for path in (self.source, self.part)))
            copied += same(self.part, compare, 2 * source.allocated, self.source)
        owned = scratch(self.part, *(self.ownership.or_like(source).commands(self.part) if self.ownership else ()))
        return Change(self.title, (*directory, *copied, *owned, renamed(self.part, self.target)))

    def _cp(self) -> Command:
        """Owner, mode and access lists come from the source only when nothing else is wanted."""
        keep = "timestamps" if self.ownership else "mode,ownership,timestamps"
        how = ("--sparse=always", "--reflink=never", f"--preserve={keep}", "--remove-destination")
        return Command(("cp", *how, "-PT", "--", self.source, self.part))


@dataclass(frozen=True, slots=True)
class ConversionFacts:
    files: Files
    room: dict[str, FileSystem]
    source_size: int
    target_size: int
    """Virtual sizes in bytes; 0: there is no such file."""
    written: int
    """Bytes that the conversion is going to write; 0: there is no source, or a target already."""


@dataclass(frozen=True, slots=True)
class FileConverted:
    """``target`` holds the disk that is in ``source``, in another format, and stands alone.

    ``source_format`` is the declared one, in qemu's words; it is never guessed. Backing files are read through.
    The copy gets the source's modification time (see ``Inode.is_copy_of``).
    """

    host: str
    source: str
    source_format: str
    target: str
    target_format: Format
    ownership: Ownership = AS_SOURCE
    with_directory: bool = False
    coming: bool = False
    """A step before this one makes the directory."""
    compared: bool = False
    """It is compared with its source before it has its name: that is going to be deleted."""

    def __post_init__(self) -> None:
        canonical_path(self.source)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is {self.source} as {self.target_format}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        target, parent, above = around(self.target)
        return (
            look(self.source, target, self.part, parent, above),
            ask_room(parent, above),
            qemu_img.ask_info(self.source, self.source_format),
            qemu_img.ask_info_if_there(target, self.target_format.qemu),
            qemu_img.ask_size_unless_there(target, self.source, self.source_format),
        )

    def facts(self, outputs: Sequence[Output]) -> ConversionFacts:
        stat, room, *asked, measure = self.reads()
        files = seen(stat, outputs[0])
        source, target = (
            qemu_img.info(command, output).virtual_size if path in files else 0
            for path, command, output in zip((self.source, self.target), asked, outputs[2:4], strict=True)
        )
        wanted = self.source in files and self.target not in files
        written = qemu_img.size(measure, outputs[4]) if wanted else 0
        return ConversionFacts(files, dict(rooms(room, outputs[1])), source, target, written)

    def plan(self, facts: ConversionFacts) -> Change | None:
        source = the_file(self.host, facts.files, self.source)
        target = facts.files.get(self.target)
        if target is not None:
            apart = target.is_file and target.identity != source.identity and target.has_time(source.modified)
            if not apart or facts.target_size < facts.source_size:
                raise stale(self.host, self.target, self.source)
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(
            self.host, facts.files, self.target, with_directory=self.with_directory, coming=self.coming
        )
        check_room(self.host, around(self.target)[1], facts.room, facts.written)
        convert = qemu_img.convert(self.source, self.source_format, self.part, self.target_format.qemu)
        converted = made(self.part, convert, facts.written)
        if self.compared:
            disks = (self.source, self.source_format), (self.part, self.target_format.qemu)
            converted += same(self.part, qemu_img.compare(*(qemu_img.opened(*disk) for disk in disks)), 0)
        timed = Command(("touch", "-m", "-r", self.source, "--", self.part))
        owned = scratch(self.part, *self.ownership.or_like(source).commands(self.part), timed)
        return Change(self.title, (*directory, *converted, *owned, renamed(self.part, self.target)))
