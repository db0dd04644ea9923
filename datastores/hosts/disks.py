"""The directory entries of disks: links to a master, and the end of a disk together with its directory."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.copies import renamed
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


def link_facts(files: Files, path: str, readlink: Command, output: Output) -> LinkFacts:
    """Return the files with where the link at ``path`` leads, if there is one.

    :raises CommandFailed: it could not be read.
    """
    if path not in files or not files[path].is_link:
        return LinkFacts(files)
    if not output.ok:
        raise CommandFailed(readlink.argv, output.exit_status, output.stderr)
    return LinkFacts(files, output.raw.decode("utf-8", "surrogateescape").removesuffix("\0"))


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
        return link_facts(seen(stat, outputs[0]), self.path, readlink, outputs[1])

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


@dataclass(frozen=True, slots=True)
class DeviceLinked:
    """``path`` is a symbolic link that leads to ``target``: a device, or what QEMU opens over the network by itself.

    It makes the VM's directory below the datastore's. Whether anything is at ``target`` is not looked at: a device of
    another host comes and goes.
    """

    host: str
    path: str
    target: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if not self.target.isprintable() or not self.target:
            raise BadInput("A link leads to something whose name can be printed.")

    @property
    def title(self) -> str:
        return f"{self.path} leads to {self.target}"

    def reads(self) -> tuple[Command, ...]:
        return look(*around(self.path)), read("readlink", "-z", "--", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> LinkFacts:
        stat, readlink = self.reads()
        return link_facts(seen(stat, outputs[0]), self.path, readlink, outputs[1])

    def plan(self, facts: LinkFacts) -> Change | None:
        there = facts.files.get(self.path)
        if there is not None:
            if facts.target == self.target:
                return None
            leads = f" to {facts.target}" if facts.target else ""
            raise Refused(f"{self.path} on {self.host} is {there.noun}{leads}, and not a link to {self.target}.")
        directory = room_for(self.host, facts.files, self.path, with_directory=True)
        link = Action(Command(("ln", "-sT", "--", self.target, self.path)), undo=Command(("rm", "--", self.path)))
        return Change(self.title, (*directory, link))


@dataclass(frozen=True, slots=True)
class DiskRenamed:
    """The disk that was at ``path`` is at ``target``, in the same file system; its old directory is gone if empty.

    Where neither or both are there, nobody knows which is the disk, so nothing is done.
    """

    host: str
    path: str
    target: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"the disk {self.path} is at {self.target}"

    @property
    def directory(self) -> str:
        return posixpath.dirname(self.path)

    def reads(self) -> tuple[Command, ...]:
        return (look(self.path, self.directory, *around(self.target)),)

    def facts(self, outputs: Sequence[Output]) -> Files:
        return seen(self.reads()[0], outputs[0])

    def plan(self, facts: Files) -> Change | None:
        there, target = facts.get(self.path), facts.get(self.target)
        if there is None and target is not None:
            return None
        if there is None:
            raise Refused(f"There is no disk {self.path} on {self.host}, and none at {self.target}.")
        if not (there.is_file or there.is_link):
            raise Refused(f"{self.path} on {self.host} is {there.noun}, not a disk. It was left as it is.")
        if target is not None:
            raise Refused(f"{self.target} on {self.host} is there already; it was left as it is.")
        made = room_for(self.host, facts, self.target, with_directory=True)
        return Change(
            f"{self.path} becomes {self.target}", (*made, renamed(self.path, self.target), self._sweep(facts))
        )

    def _sweep(self, facts: Files) -> Action:
        like = facts[self.directory]
        access = ("-m", like.permissions, "-o", like.owner, "-g", like.group)
        again = Command(("install", "-d", *access, "--", self.directory))
        return Action(Command(("sh", "-c", SWEEP, "sh", self.directory)), undo=again)
