"""Full copies of RBD images: within a cluster, from files and devices, and to files.

A copy is made under another name, in a unit on the host that first removes what an earlier attempt left: a unit that
still runs is attached to, not disturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import Access, RbdImage
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.domain.values import format_size
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.capacity import FileSystem, ask_room, check_room, rooms
from datastores.hosts.ceph import ImageInfo, anew, answered, ask, ask_info, info, removed
from datastores.hosts.copies import AS_SOURCE, PART, Ownership, check_part, comparison, made, renamed, same, scratch
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.opened import Opened
from datastores.hosts.parsing import canonical_path
from datastores.hosts.rbd_images import renamed as image_renamed
from datastores.hosts.rbd_images import the_image


def ask_pools(access: Access) -> Command:
    return ask(access, "df")


@dataclass(frozen=True, slots=True)
class PoolRoom:
    """Bytes of a pool that guests' data take, and that are left for more: copies are counted once."""

    stored: int
    free: int


def room_in(host: str, command: Command, output: Output, pool: str) -> PoolRoom:
    """Return how full a pool is.

    :raises CommandFailed: that is not known. :raises Refused: there is no such pool.
    """
    found = answered(host, command, output, lambda said: {each["name"]: _room(each["stats"]) for each in said["pools"]})
    if pool not in found:
        raise Refused(f"There is no pool {pool} in the cluster, as {host} sees it.")
    return found[pool]


def _room(stats: dict[str, int]) -> PoolRoom:
    return PoolRoom(int(stats["stored"]), int(stats["max_avail"]))


def check_whole(image: RbdImage, found: ImageInfo, size: int, source: str) -> None:
    """Raise Refused when an image under the name of the copy is none of a disk of ``size`` bytes."""
    if found.size < size or found.parent:
        raise Refused(
            f"{image.spec} is there already, an image of {format_size(found.size)}, and no copy of {source}, "
            f"which has {format_size(size)}. Nothing was overwritten."
        )


def copied(image: RbdImage, total: int, *argv: str, compare: Detached | None = None) -> tuple[Action, ...]:
    """Return the making of an image by a command that reads ``total`` bytes, its comparison, and its renaming."""
    long = Detached(anew(image.part, *argv), total=total, counted=Counted.READ)
    steps = [each for each in (long, compare) if each]
    return *(Action(each, undo=removed(image.part), scratch=True) for each in steps), image_renamed(image)


@dataclass(frozen=True, slots=True)
class CopyFacts:
    source: ImageInfo | None
    target: ImageInfo | None


@dataclass(frozen=True, slots=True)
class RbdImageCopied:
    """``target`` is a full copy of ``source``, which may be a clone, and stands alone; snapshots are not copied."""

    host: str
    source: RbdImage
    target: RbdImage
    compared: bool = False
    """It is compared with the source before it has its name: that is going to be deleted."""

    @property
    def title(self) -> str:
        return f"{self.target.spec} is a copy of {self.source.spec}"

    def reads(self) -> tuple[Command, ...]:
        return ask_info(self.source), ask_info(self.target)

    def facts(self, outputs: Sequence[Output]) -> CopyFacts:
        reads = self.reads()
        return CopyFacts(info(self.host, reads[0], outputs[0]), info(self.host, reads[1], outputs[1]))

    def plan(self, facts: CopyFacts) -> Change | None:
        size = the_image(self.host, self.source, facts.source).size
        if facts.target is not None:
            check_whole(self.target, facts.target, size, self.source.spec)
            return None
        copy = self.source.rbd("cp", "--no-progress", self.source.spec, self.target.part.spec)
        return Change(self.title, copied(self.target, size, *copy, compare=self._comparison()))

    def _comparison(self) -> Detached | None:
        """rbd compares nothing, so the host reads both, without what the cluster knows to be empty."""
        part = self.target.part
        compare = qemu_img.compare(*(qemu_img.opened(image.qemu, "raw") for image in (self.source, part)))
        return comparison(part.spec, compare, 0) if self.compared else None


@dataclass(frozen=True, slots=True)
class ImportFacts:
    """``size``: bytes of the disk that is in the source. ``files``: with the source, where that is a file."""

    size: int
    files: Files
    target: ImageInfo | None
    room: PoolRoom


@dataclass(frozen=True, slots=True)
class RbdImageImported:
    """``image`` holds the disk that is in ``source``. Backing files are read through."""

    host: str
    source: Opened
    image: RbdImage
    compared: bool = False
    """It is compared with the source before it has its name: that is going to be deleted."""

    @property
    def title(self) -> str:
        return f"{self.image.spec} is {self.source.path}"

    def reads(self) -> tuple[Command, ...]:
        there = (look(self.source.path),) if self.source.is_file else ()
        opened = qemu_img.ask_opened(self.source.options)
        return ask_info(self.image), ask_pools(self.image.access), opened, *there

    def facts(self, outputs: Sequence[Output]) -> ImportFacts:
        target, pools, opened, *stat = self.reads()
        files = seen(stat[0], outputs[3]) if stat else {}
        room = room_in(self.host, pools, outputs[1], self.image.pool)
        size = qemu_img.info(opened, outputs[2]).virtual_size
        return ImportFacts(size, files, info(self.host, target, outputs[0]), room)

    def plan(self, facts: ImportFacts) -> Change | None:
        file = facts.files.get(self.source.path)
        if file and (file.is_link or file.is_directory):
            raise Refused(f"{self.source.path} on {self.host} is {file.noun}, and no disk.")
        needed = file.allocated if file else 0
        if facts.target is not None:
            check_whole(self.image, facts.target, facts.size, self.source.path)
            return None
        if facts.room.free < needed:
            raise Refused(
                f"The pool {self.image.pool} has {format_size(facts.room.free)} free, but {format_size(needed)} are "
                "needed. Nothing was copied; make room there or take another datastore."
            )
        convert = qemu_img.to_raw(self.source.options, self.image.part.qemu)
        return Change(self.title, copied(self.image, needed or facts.size, *convert.argv, compare=self._comparison()))

    def _comparison(self) -> Detached | None:
        part = self.image.part
        compare = qemu_img.compare(self.source.options, qemu_img.opened(part.qemu, "raw"))
        return comparison(part.spec, compare, 0) if self.compared else None


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """``size`` and ``written``: bytes of the disk, and of the file that it will make."""

    files: Files
    room: dict[str, FileSystem]
    image: ImageInfo | None
    target_size: int
    written: int


@dataclass(frozen=True, slots=True)
class RbdImageExported:
    """The file ``target`` holds the disk that is in ``image``, and stands alone."""

    host: str
    image: RbdImage
    target: str
    target_format: Format
    ownership: Ownership = AS_SOURCE
    with_directory: bool = False
    coming: bool = False
    """The directory of ``target`` is made by an earlier step."""
    compared: bool = False
    """It is compared with the image before it has its name: that is going to be deleted."""

    def __post_init__(self) -> None:
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is {self.image.spec} as {self.target_format}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        target, parent, above = around(self.target)
        return (
            look(target, self.part, parent, above),
            ask_room(parent, above),
            ask_info(self.image),
            qemu_img.ask_info_if_there(target, self.target_format.qemu),
            qemu_img.ask_size_unless_there(target, self.image.qemu, "raw"),
        )

    def facts(self, outputs: Sequence[Output]) -> ExportFacts:
        stat, room, look_at, opened, measure = self.reads()
        files, image = seen(stat, outputs[0]), info(self.host, look_at, outputs[2])
        there = self.target in files
        size = qemu_img.info(opened, outputs[3]).virtual_size if there else 0
        written = qemu_img.size(measure, outputs[4]) if image and not there else 0
        return ExportFacts(files, dict(rooms(room, outputs[1])), image, size, written)

    def plan(self, facts: ExportFacts) -> Change | None:
        size = the_image(self.host, self.image, facts.image).size
        if self.target in facts.files:
            the_file(self.host, facts.files, self.target)
            if facts.target_size < size:
                raise Refused(
                    f"{self.target} on {self.host} is there already, a disk of {format_size(facts.target_size)} and "
                    f"no copy of {self.image.spec}, which has {format_size(size)}. Nothing was overwritten."
                )
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(
            self.host, facts.files, self.target, with_directory=self.with_directory, coming=self.coming
        )
        _, parent, above = around(self.target)
        check_room(self.host, parent, facts.room, facts.written)
        convert = qemu_img.convert(self.image.qemu, "raw", self.part, self.target_format.qemu)
        like = self.ownership.with_mode("0660").or_like(facts.files[parent if parent in facts.files else above])
        owned = scratch(self.part, *like.commands(self.part))
        written = made(self.part, convert, facts.written)
        if self.compared:
            disks = (self.image.qemu, "raw"), (self.part, self.target_format.qemu)
            written += same(self.part, qemu_img.compare(*(qemu_img.opened(*disk) for disk in disks)), 0)
        return Change(self.title, (*directory, *written, *owned, renamed(self.part, self.target)))
