"""The directory entries of disks: links to a master, and the end of a disk together with its directory."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.files import FileAbsent, FileAbsentFacts
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

SWEEP = 'rmdir --ignore-fail-on-non-empty -- "$1" || [ ! -e "$1" ]'
"""Remove a directory if it is empty. Another job that deleted the last disk but one may have been faster."""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """``target``: where the link leads; "" when there is none."""

    files: Files
    target: str = ""


@dataclass(frozen=True, slots=True)
class DiskLinked:
    """``path`` is a symbolic link to the image ``target``: the VM uses the master itself.

    It makes the VM's directory as a clone would, and wants the master to be there.
    """

    host: str
    path: str
    target: str
    coming: bool = False
    """A step before this one makes the image."""

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.path} is a link to {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return look(self.target, *around(self.path)), read("readlink", "-z", "--", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> LinkFacts:
        stat, readlink = self.reads()
        files = seen(stat, outputs[0])
        if self.path not in files or not files[self.path].is_link:
            return LinkFacts(files)
        if not outputs[1].ok:
            raise CommandFailed(readlink.argv, outputs[1].exit_status, outputs[1].stderr)
        return LinkFacts(files, outputs[1].raw.decode("utf-8", "surrogateescape").removesuffix("\0"))

    def plan(self, facts: LinkFacts) -> Change | None:
        if not self.coming or self.target in facts.files:
            the_file(self.host, facts.files, self.target)
        there = facts.files.get(self.path)
        if there is not None:
            if facts.target == self.target:
                return None
            leads = f" to {facts.target}" if facts.target else ""
            raise Refused(f"{self.path} on {self.host} is {there.noun}{leads}, not a link to {self.target}.")
        directory = room_for(self.host, facts.files, self.path, with_directory=True)
        link = Action(Command(("ln", "-sT", "--", self.target, self.path)), undo=Command(("rm", "--", self.path)))
        return Change(self.title, (*directory, link))


@dataclass(frozen=True, slots=True)
class DiskAbsent:
    """``path`` is gone, and so is its directory if nothing else is in it; ``within`` itself always stays.

    One step and not two, because whether the directory is empty is only known when the disk is gone.
    """

    host: str
    path: str
    within: str

    def __post_init__(self) -> None:
        self._file()

    @property
    def title(self) -> str:
        return self._file().title

    def reads(self) -> tuple[Command, ...]:
        return self._file().reads()

    def facts(self, outputs: Sequence[Output]) -> FileAbsentFacts:
        return self._file().facts(outputs)

    def plan(self, facts: FileAbsentFacts) -> Change | None:
        change = self._file().plan(facts)
        directory = posixpath.dirname(self.path)
        if change is None or directory == self.within:
            return change
        sweep = Action(Command(("sh", "-c", SWEEP, "sh", directory)))
        return replace(change, actions=(*change.actions, sweep))

    def _file(self) -> FileAbsent:
        return FileAbsent(self.host, self.path, self.within)
