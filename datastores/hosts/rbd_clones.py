"""Clones of RBD images, and the protected snapshot that they are made of.

That snapshot holds the image as cloudstore last left it. So it also tells whether anybody has written to the image
since: notes about the bytes of an image (``ceph.ask_mark``) hold as long as it does, and are removed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import SNAP, RbdImage
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.hosts.ceph import (
    NO_MARK,
    ImageInfo,
    Snap,
    ask_info,
    ask_snaps,
    ask_written,
    info,
    mark,
    removed,
    set_mark,
    snaps,
    tell,
    written,
)
from datastores.hosts.rbd_images import the_image

RESTORED, CHECKSUM = "restored", "sha256"
"""Notes: the name of the snapshot that the image was taken back to; the digest of its bytes."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """``written``: something was written to the image since the snapshot. ``mark``: a note about its bytes."""

    info: ImageInfo | None
    snaps: dict[str, Snap]
    written: bool = False
    mark: str = ""

    @property
    def virtual_size(self) -> int:
        """Bytes of the disk as it is now; 0 when there is none."""
        return self.info.size if self.info else 0

    @property
    def snap(self) -> Snap | None:
        return self.snaps.get(SNAP)

    @property
    def current(self) -> bool:
        """Whether the snapshot holds the image as it is now."""
        return self.snap is not None and not self.written and self.snap.size == self.virtual_size


def source_reads(image: RbdImage) -> tuple[Command, ...]:
    return ask_info(image), ask_snaps(image), ask_written(image, SNAP)


def source_facts(host: str, reads: Sequence[Command], outputs: Sequence[Output]) -> SourceFacts:
    """Return what ``source_reads`` tell, and a note if one was asked for as well. Raises CommandFailed."""
    found = snaps(host, reads[1], outputs[1])
    changed = SNAP in found and written(host, reads[2], outputs[2])
    said = mark(host, reads[3], outputs[3]) if len(reads) > 3 else ""
    return SourceFacts(info(host, reads[0], outputs[0]), found, changed, said)


def taken(image: RbdImage) -> tuple[Action, ...]:
    """Return the making of the snapshot that clones are made of."""
    spec = image.at(SNAP)
    make = Action(tell(image, "snap", "create", "--no-progress", spec), undo=_drop(image), harmless=True)
    protect = Action(tell(image, "snap", "protect", spec), undo=tell(image, "snap", "unprotect", spec), harmless=True)
    return make, protect


def dropped(image: RbdImage, snap: Snap | None) -> tuple[Action, ...]:
    """Return the removal of that snapshot, and of what was noted because of it. It is made again when it is needed.

    Ceph refuses to unprotect it as long as there are clones of it.
    """
    if snap is None:
        return ()
    spec = image.at(SNAP)
    unprotect = tell(image, "snap", "unprotect", spec)
    freed = (Action(unprotect, undo=tell(image, "snap", "protect", spec), harmless=True),) if snap.protected else ()
    forget = [Action(set_mark(image, name, NO_MARK), harmless=True) for name in (RESTORED, CHECKSUM)]
    return *freed, *forget, Action(_drop(image), harmless=True)


def _drop(image: RbdImage) -> Command:
    return tell(image, "snap", "rm", "--no-progress", image.at(SNAP))


@dataclass(frozen=True, slots=True)
class RbdClonesPrepared:
    """``image`` has the protected snapshot of which clones are made, with the image as it is now."""

    host: str
    image: RbdImage

    @property
    def title(self) -> str:
        return f"{self.image.at(SNAP)} is the image as it is now"

    def reads(self) -> tuple[Command, ...]:
        return source_reads(self.image)

    def facts(self, outputs: Sequence[Output]) -> SourceFacts:
        return source_facts(self.host, self.reads(), outputs)

    def plan(self, facts: SourceFacts) -> Change | None:
        if facts.info is None:  # an earlier step makes it
            return Change(self.title, taken(self.image), follows=True)
        if not facts.current:
            return Change(self.title, (*dropped(self.image, facts.snap), *taken(self.image)), follows=True)
        return None if facts.snap and facts.snap.protected else Change(self.title, taken(self.image)[1:], follows=True)


@dataclass(frozen=True, slots=True)
class RbdCloned:
    """``target`` is a clone of ``source``, of its snapshot for clones.

    Nothing is read of the source: rbd does not clone what is not there, and each look at it takes as long as a clone.
    """

    host: str
    source: RbdImage
    target: RbdImage

    @property
    def title(self) -> str:
        return f"{self.target.spec} is a clone of {self.source.spec}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_info(self.target),)

    def facts(self, outputs: Sequence[Output]) -> ImageInfo | None:
        return info(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: ImageInfo | None) -> Change | None:
        of = self.source.at(SNAP)
        if facts is None:
            clone = tell(self.target, "clone", of, self.target.spec)
            return Change(self.title, (Action(clone, undo=removed(self.target)),))
        if facts.parent != of:
            what = f"a clone of {facts.parent}" if facts.parent else "an image that stands alone"
            raise Refused(f"{self.target.spec} is there already, {what}. It was left as it is.")
        return None


@dataclass(frozen=True, slots=True)
class RbdFlattened:
    """``image`` stands alone: what it shared with the image that it was cloned from was copied.

    Nothing undoes it: it only takes more room.
    """

    host: str
    image: RbdImage

    @property
    def title(self) -> str:
        return f"{self.image.spec} stands alone"

    def reads(self) -> tuple[Command, ...]:
        return (ask_info(self.image),)

    def facts(self, outputs: Sequence[Output]) -> ImageInfo | None:
        return info(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: ImageInfo | None) -> Change | None:
        image = the_image(self.host, self.image, facts)
        if not image.parent:
            return None
        command = tell(self.image, "flatten", "--no-progress", self.image.spec)
        flatten = Detached(command, total=image.size, counted=Counted.READ)
        return Change(f"copy what {self.image.spec} shares with {image.parent}", (Action(flatten, harmless=True),))
