"""Images of RBD: empty ones, larger ones, and the end of them.

An image is made under another name and renamed when it is whole, so one under its own name needs no second look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import RbdImage
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output
from datastores.domain.values import SECTOR, format_size
from datastores.hosts.blocks import MIB, MKFS, SLOW, SMALLEST, Filesystem
from datastores.hosts.ceph import (
    GONE,
    ImageInfo,
    ask_info,
    info,
    removed,
    tell,
)
from datastores.hosts.copies import PART
from datastores.hosts.inodes import gone
from datastores.hosts.parsing import canonical_path


def renamed(image: RbdImage) -> Action:
    """Return what gives an image that is whole its name; nothing is replaced by it."""
    there, back = ("rename", image.part.spec, image.spec), ("rename", image.spec, image.part.spec)
    return Action(tell(image, *there), undo=tell(image, *back))


def scratch(image: RbdImage, *commands: Command | Detached) -> tuple[Action, ...]:
    """Return actions that touch nothing but the unfinished image."""
    return tuple(Action(command, undo=removed(image.part), scratch=True) for command in commands)


def size_in_sectors(size: int) -> None:
    if size <= 0 or size % SECTOR:
        raise BadInput(f"The size of a disk is a multiple of {SECTOR} bytes, not {size}.")


def in_bytes(size: int) -> str:
    """Return a size as rbd takes it; a bare number would be MiB."""
    return f"{size}B"


def the_image(host: str, image: RbdImage, found: ImageInfo | None) -> ImageInfo:
    """Return what is known of the image.

    :raises Refused: there is none.
    """
    if found is None:
        raise Refused(f"There is no image {image.spec}, as {host} sees the cluster.")
    return found


@dataclass(frozen=True, slots=True)
class RbdImageExists:
    """``image`` is a disk of ``size`` bytes with ``filesystem`` on it.

    No mkfs knows RBD, and not every kernel maps it, so a file system is made in a sparse file below ``directory`` and
    imported.
    """

    host: str
    image: RbdImage
    size: int
    filesystem: Filesystem = Filesystem.NONE
    directory: str = "/var/tmp"  # noqa: S108

    def __post_init__(self) -> None:
        size_in_sectors(self.size)
        canonical_path(self.directory, "The directory")
        if self.filesystem and self.size < SMALLEST.get(self.filesystem, MIB):
            raise BadInput(f"{self.filesystem} needs at least {format_size(SMALLEST[self.filesystem])}.")

    @property
    def title(self) -> str:
        inside = f" with {self.filesystem}" if self.filesystem else ""
        return f"{self.image.spec} is a disk of {format_size(self.size)}{inside}"

    @property
    def file(self) -> str:
        return f"{self.directory}/{self.image.name}{PART}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_info(self.image),)

    def facts(self, outputs: Sequence[Output]) -> ImageInfo | None:
        return info(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: ImageInfo | None) -> Change | None:
        if facts is None:
            return Change(self.title, self._formatted() if self.filesystem else self._empty())
        if facts.size != self.size or facts.parent:
            raise Refused(
                f"{self.image.spec} is there already, an image of {format_size(facts.size)}"
                f"{f' cloned from {facts.parent}' if facts.parent else ''}. It was left as it is."
            )
        return None

    def _empty(self) -> tuple[Action, ...]:
        """One command makes it whole or not at all."""
        make = tell(self.image, "create", "--size", in_bytes(self.size), self.image.spec)
        return (Action(make, undo=removed(self.image)),)

    def _formatted(self) -> tuple[Action, ...]:
        remove = gone(self.file)
        in_file = (
            Command(("install", "-m", "0600", "--", "/dev/null", self.file)),
            Command(("truncate", "-s", str(self.size), "--", self.file)),
            Command((*MKFS[self.filesystem], self.file), timeout=SLOW),
        )
        made = (Action(each, undo=remove, scratch=True) for each in in_file)
        load = tell(self.image, "import", "--no-progress", self.file, self.image.part.spec, seconds=SLOW)
        cleared = Action(Command(("rm", "--", self.file)), undo=remove, scratch=True)
        return *made, *scratch(self.image, removed(self.image.part), load), cleared, renamed(self.image)


@dataclass(frozen=True, slots=True)
class RbdImageResized:
    """The image has ``size`` bytes for its guest. Growing only: what is cut off is lost.

    Nothing undoes it: a disk that is too large harms nobody.
    """

    host: str
    image: RbdImage
    size: int

    def __post_init__(self) -> None:
        size_in_sectors(self.size)

    @property
    def title(self) -> str:
        return f"{self.image.spec} has {format_size(self.size)}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_info(self.image),)

    def facts(self, outputs: Sequence[Output]) -> ImageInfo | None:
        return info(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: ImageInfo | None) -> Change | None:
        now = the_image(self.host, self.image, facts).size
        if now == self.size:
            return None
        if now > self.size:
            raise Refused(
                f"{self.image.spec} has {format_size(now)}; making it smaller ({format_size(self.size)}) would cut off "
                "data. Shrink the file system inside first, then copy it to a new, smaller disk."
            )
        grow = tell(self.image, "resize", "--no-progress", "--size", in_bytes(self.size), self.image.spec)
        return Change(f"grow {self.image.spec} from {format_size(now)} to {format_size(self.size)}", (Action(grow),))


@dataclass(frozen=True, slots=True)
class RbdImageAbsent:
    """``image`` is gone. rbd refuses one that has snapshots, or that a VM has open.

    ``days``: how long it lies in the pool's trash, from which it can be brought back; 0: it is gone at once.
    """

    host: str
    image: RbdImage
    days: int = 0

    @property
    def title(self) -> str:
        return f"{self.image.spec} is gone"

    def reads(self) -> tuple[Command, ...]:
        return (ask_info(self.image),)

    def facts(self, outputs: Sequence[Output]) -> ImageInfo | None:
        return info(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: ImageInfo | None) -> Change | None:
        if facts is None:
            return None
        if self.days:
            mv = tell(self.image, "trash", "mv", "--expires-at", f"{self.days} days", self.image.spec)
            where = f"{self.image.pool}/{facts.id}"
            back = tell(self.image, "trash", "restore", "--image", self.image.name, where)
            note = f"It can be brought back from the trash of the pool for {self.days} days."
            return Change(f"put {self.image.spec} into the trash", (Action(mv, undo=back),), note)
        remove = Command(("sh", "-c", GONE, "sh", *self.image.rbd("rm", "--no-progress", self.image.spec)))
        lost = f"delete {self.image.spec}: an image of {format_size(facts.size)} is lost for good"
        return Change(lost, (Action(Detached(remove), final=True),), note="This cannot be undone.")
