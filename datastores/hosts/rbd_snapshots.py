"""Snapshots of RBD images that people take, go back to and delete. That of which clones are made is in rbd_clones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import SNAP, RbdImage
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output
from datastores.domain.values import object_name
from datastores.hosts.ceph import (
    LISTING_DEADLINE,
    ImageInfo,
    Snap,
    answered,
    ask_info,
    ask_mark,
    ask_rbd,
    ask_snaps,
    info,
    set_mark,
    snaps,
    tell,
)
from datastores.hosts.rbd_clones import RESTORED, SourceFacts, dropped, source_facts, source_reads, taken
from datastores.hosts.rbd_images import the_image


def snapshot_name(name: str) -> None:
    """Raise BadInput unless a person may give a snapshot this name."""
    if object_name(name, "The name of the snapshot") != name:
        raise BadInput("The name of the snapshot begins or ends with a blank.")
    if name == SNAP:
        raise BadInput(f"The snapshot {SNAP} is the one that clones are made of. Choose another name.")


@dataclass(frozen=True, slots=True)
class SnapsFacts:
    """``children``: images that are clones of one of the snapshots, as ``pool/image``."""

    info: ImageInfo | None
    snaps: dict[str, Snap]
    children: tuple[str, ...] = ()


def _snaps_facts(host: str, reads: Sequence[Command], outputs: Sequence[Output]) -> SnapsFacts:
    return SnapsFacts(info(host, reads[0], outputs[0]), snaps(host, reads[1], outputs[1]))


@dataclass(frozen=True, slots=True)
class RbdSnapshotExists:
    """The image has the snapshot. Undone by deleting it."""

    host: str
    image: RbdImage
    name: str

    def __post_init__(self) -> None:
        snapshot_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.image.spec} has the snapshot {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return ask_info(self.image), ask_snaps(self.image)

    def facts(self, outputs: Sequence[Output]) -> SnapsFacts:
        return _snaps_facts(self.host, self.reads(), outputs)

    def plan(self, facts: SnapsFacts) -> Change | None:
        the_image(self.host, self.image, facts.info)
        if self.name in facts.snaps:
            return None
        spec = self.image.at(self.name)
        make, back = (tell(self.image, "snap", verb, "--no-progress", spec) for verb in ("create", "rm"))
        return Change(self.title, (Action(make, undo=back),))


@dataclass(frozen=True, slots=True)
class RbdSnapshotAbsent:
    """The image does not have the snapshot. Nothing brings a deleted one back."""

    host: str
    image: RbdImage
    name: str

    def __post_init__(self) -> None:
        snapshot_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.image.spec} has no snapshot {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return ask_info(self.image), ask_snaps(self.image)

    def facts(self, outputs: Sequence[Output]) -> SnapsFacts:
        return _snaps_facts(self.host, self.reads(), outputs)

    def plan(self, facts: SnapsFacts) -> Change | None:
        if self.name not in facts.snaps:
            return None
        if facts.snaps[self.name].protected:
            raise Refused(f"{self.image.at(self.name)} is protected, by somebody else. Say `rbd snap unprotect` first.")
        remove = Action(tell(self.image, "snap", "rm", "--no-progress", self.image.at(self.name)), final=True)
        return Change(f"delete the snapshot {self.name} of {self.image.spec}", (remove,))


@dataclass(frozen=True, slots=True)
class RbdSnapshotRestored:
    """The image is as its snapshot, and was not written to since. Younger snapshots stay.

    After a rollback Ceph takes every object for written, so that is no proof. What was restored is noted, and a new
    snapshot for clones is taken: the note holds as long as nothing was written since that.
    """

    host: str
    image: RbdImage
    name: str

    def __post_init__(self) -> None:
        snapshot_name(self.name)

    @property
    def title(self) -> str:
        return f"{self.image.spec} is as its snapshot {self.name}"

    def reads(self) -> tuple[Command, ...]:
        return *source_reads(self.image), ask_mark(self.image, RESTORED)

    def facts(self, outputs: Sequence[Output]) -> SourceFacts:
        return source_facts(self.host, self.reads(), outputs)

    def plan(self, facts: SourceFacts) -> Change | None:
        the_image(self.host, self.image, facts.info)
        if self.name not in facts.snaps:
            raise Refused(f"{self.image.spec} has no snapshot {self.name}.")
        if facts.current and facts.mark == self.name:
            return None
        back = tell(self.image, "snap", "rollback", "--no-progress", self.image.at(self.name))
        noted = Action(set_mark(self.image, RESTORED, self.name), harmless=True)
        actions = (*dropped(self.image, facts.snap), Action(Detached(back), final=True), *taken(self.image), noted)
        return Change(self.title, actions, note="What was written since the snapshot is lost.")


@dataclass(frozen=True, slots=True)
class RbdSnapshotsAbsent:
    """The image has neither the snapshot that clones are made of, nor those called ``names``: it can be deleted.

    Clones keep them, and so do snapshots of somebody else, which would go with the image.
    """

    host: str
    image: RbdImage
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.image.spec} has no snapshots"

    def reads(self) -> tuple[Command, ...]:
        words = ("children", "--format", "json", self.image.spec)
        children = ask_rbd(self.image.access, *words, seconds=LISTING_DEADLINE)
        return ask_info(self.image), ask_snaps(self.image), children

    def facts(self, outputs: Sequence[Output]) -> SnapsFacts:
        reads = self.reads()
        found = _snaps_facts(self.host, reads, outputs)
        if found.info is None:
            return found
        clones = answered(
            self.host, reads[2], outputs[2], lambda said: [f"{each['pool']}/{each['image']}" for each in said]
        )
        return SnapsFacts(found.info, found.snaps, tuple(clones))

    def plan(self, facts: SnapsFacts) -> Change | None:
        if not facts.snaps:
            return None
        if facts.children:
            named = ", ".join(facts.children[:10]) + (" and more" if len(facts.children) > 10 else "")
            raise Refused(f"{self.image.spec} has clones ({named}). Delete or flatten them first.")
        if strange := sorted(facts.snaps.keys() - {SNAP, *self.names}):
            raise Refused(
                f"{self.image.spec} has snapshots of somebody else ({', '.join(strange)}). Nothing was deleted."
            )
        known = [
            Action(tell(self.image, "snap", "rm", "--no-progress", self.image.at(name)), final=True)
            for name in sorted(facts.snaps.keys() - {SNAP})
        ]
        actions = (*dropped(self.image, facts.snaps.get(SNAP)), *known)
        return Change(f"delete the snapshots of {self.image.spec}", actions)
