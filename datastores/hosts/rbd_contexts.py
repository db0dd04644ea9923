"""Context CDs as images of RBD: made in a file, then imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import RbdImage
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.ceph import ImageInfo, ask_info, ask_mark, info, mark, removed, set_mark, tell
from datastores.hosts.contexts import MAKERS, ContextFile, ContextIsoExists, Variable, first_maker
from datastores.hosts.copies import Ownership
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.rbd_images import renamed, scratch

CONTEXT = "context"
OF_ROOT = Ownership("root", "root", "0600")


@dataclass(frozen=True, slots=True)
class RbdContextFacts:
    """``digest``: what is noted of the content of the image that is there."""

    files: Files
    info: ImageInfo | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RbdContextExists:
    """``image`` is a CD labelled CONTEXT that holds these variables and files.

    A digest of the content is noted at the image. Nothing of the content appears in a log. ``directory``: where the CD
    is made, closed to others.
    """

    host: str
    image: RbdImage
    variables: tuple[Variable, ...] = ()
    files: tuple[ContextFile, ...] = ()
    directory: str = "/var/tmp"  # noqa: S108

    def __post_init__(self) -> None:
        self._file()

    @property
    def title(self) -> str:
        return f"{self.image.spec} holds the context ({len(self.variables)} variables, {len(self.files)} files)"

    def reads(self) -> tuple[Command, ...]:
        return look(self.directory, *MAKERS), ask_info(self.image), ask_mark(self.image, CONTEXT)

    def facts(self, outputs: Sequence[Output]) -> RbdContextFacts:
        stat, look_at, note = self.reads()
        found = info(self.host, look_at, outputs[1])
        return RbdContextFacts(seen(stat, outputs[0]), found, mark(self.host, note, outputs[2]) if found else "")

    def sizes(self, facts: RbdContextFacts) -> tuple[int, int]:
        """Return how many bytes a guest sees, and how many are taken: no CD has holes."""
        size = facts.info.size if facts.info else 0
        return size, size

    def plan(self, facts: RbdContextFacts) -> Change | None:
        file = self._file()
        if facts.info is not None:
            if facts.digest == file.publisher:
                return None
            raise Refused(f"{self.image.spec} is there already, and holds something else. It was left as it is.")
        part, iso = self.image.part, f"{file.work}/iso"
        load = tell(part, "import", "--no-progress", iso, part.spec)
        loaded = scratch(self.image, removed(part), load, set_mark(part, CONTEXT, file.publisher))
        cleared = Action(file.clear(), undo=file.clear(), scratch=True)
        made = file.making(first_maker(self.host, facts.files), OF_ROOT)
        return Change(self.title, (*made, *loaded, cleared, renamed(self.image)))

    def _file(self) -> ContextIsoExists:
        return ContextIsoExists(self.host, f"{self.directory}/{self.image.name}.iso", self.variables, self.files)
