"""Directories, and files that are no more."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.values import format_size, is_below
from datastores.hosts.parsing import (
    Entry,
    canonical_access,
    canonical_path,
    entries,
    entries_read,
    expect,
)

Entries = dict[str, Entry]


def ancestors(path: str) -> tuple[str, ...]:
    """Return the directories that ``path`` lies in, outermost first, without the root: /a/b/c -> /a, /a/b."""
    parents: list[str] = []
    while (path := posixpath.dirname(path)) != "/":
        parents.insert(0, path)
    return tuple(parents)


def exactly(mode: str) -> str:
    """Return the mode with a fifth digit: with four, GNU chmod and install leave a directory its set-ID bits."""
    return f"0{mode}"


def mode_action(path: str, before: str, mode: str) -> Action:
    """Return what gives an existing entry its mode, and takes it back."""
    give, take_back = (("chmod", exactly(each), "--", path) for each in (mode, before))
    return Action(Command(give), Command(take_back))


def access_actions(entry: Entry, owner: str, group: str, mode: str) -> tuple[Action, ...]:
    """Return what gives an existing entry its owner, group and mode. The mode is last: chown clears its s bits."""
    actions: list[Action] = []
    if (entry.owner, entry.group) != (owner, group):
        actions.append(
            Action(
                Command(("chown", "-h", f"{owner}:{group}", "--", entry.path)),
                Command(("chown", "-h", f"{entry.uid}:{entry.gid}", "--", entry.path)),
            )
        )
    if entry.mode != mode or (actions and int(mode, 8) & 0o7000):
        actions.append(mode_action(entry.path, entry.mode, mode))
    return tuple(actions)


def directory_command(path: str, owner: str, group: str, mode: str) -> Command:
    return Command(("install", "-d", "-m", exactly(mode), "-o", owner, "-g", group, "--", path))


def make_directory(path: str, owner: str, group: str, mode: str) -> Action:
    """Return what makes one directory, and takes it back while it is empty."""
    return Action(directory_command(path, owner, group, mode), Command(("rmdir", "--", path)))


def ask_inside(path: str) -> Command:
    """Return the read that names one entry of a directory; it prints nothing when it is empty."""
    inside = ("-xdev", "-mindepth", "1", "-maxdepth", "1", "-printf", r"%f\0", "-quit")
    return read("find", path, *inside, root=True)


@dataclass(frozen=True, slots=True)
class DirectoryPresent:
    """``path`` is a directory with this owner, group and mode. Missing parents are made, 0755 root root.

    ``coming``: a step before this one makes some of them.
    """

    host: str
    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0755"
    coming: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_access(self.owner, self.group, self.mode)

    @property
    def title(self) -> str:
        return f"directory {self.path} belongs to {self.owner}:{self.group} with mode {self.mode}"

    def reads(self) -> tuple[Command, ...]:
        return (entries_read(*ancestors(self.path), self.path),)

    def facts(self, outputs: Sequence[Output]) -> Entries:
        return entries(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Entries) -> Change | None:
        there = facts.get(self.path)
        if there is None:
            return Change(f"make the directory {self.path}", self._make(facts), follows=self.coming)
        if not there.is_directory:
            raise Refused(f"{self.path} on {self.host} is {there}, not a directory. Move it away first.")
        actions = access_actions(there, self.owner, self.group, self.mode)
        if not actions:
            return None
        before = f"{there.owner}:{there.group} {there.mode}"
        return Change(f"{self.path}: {before} becomes {self.owner}:{self.group} {self.mode}", actions)

    def _make(self, facts: Entries) -> tuple[Action, ...]:
        return (*made_parents(self.path, facts), make_directory(self.path, self.owner, self.group, self.mode))


@dataclass(frozen=True, slots=True)
class DirectoryVacant:
    """Nothing lies in ``path``, which may be missing: a check before it is given to somebody."""

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"nothing lies in {self.path}"

    def reads(self) -> tuple[Command, ...]:
        return entries_read(self.path), ask_inside(self.path)

    def facts(self, outputs: Sequence[Output]) -> bool:
        """Tell whether something lies in it."""
        look, inside = self.reads()
        there = entries(self.host, look, outputs[0])
        return bool(there) and bool(expect(self.host, inside, outputs[1]))

    def plan(self, facts: bool) -> Change | None:
        if facts:
            raise Refused(f"{self.path} on {self.host} holds files: delete or move them first.")
        return None


def made_parents(path: str, there: Entries) -> tuple[Action, ...]:
    """Return what makes the directories above ``path`` that are not among those that are there."""
    missing = [parent for parent in ancestors(path) if parent not in there]
    return tuple(make_directory(parent, "root", "root", "0755") for parent in missing)


@dataclass(frozen=True, slots=True)
class DirectorySwept:
    """``path`` is gone, unless something lies in it: that belongs to somebody, and stays.

    As long as something is mounted on it, what lies below that is not known: a step before this one unmounts it.
    """

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"the directory {self.path} is gone, unless something lies in it"

    def reads(self) -> tuple[Command, ...]:
        return entries_read(self.path, posixpath.dirname(self.path)), ask_inside(self.path)

    def facts(self, outputs: Sequence[Output]) -> Entry | None:
        """Return the directory when it is empty or mounted over; None: nothing is to be done."""
        look, inside = self.reads()
        found = entries(self.host, look, outputs[0])
        there, above = found.get(self.path), found.get(posixpath.dirname(self.path))
        if there is None or above is None or not there.is_directory:
            return None
        return there if there.device != above.device or not expect(self.host, inside, outputs[1]) else None

    def plan(self, facts: Entry | None) -> Change | None:
        if facts is None:
            return None
        again = directory_command(self.path, facts.owner, facts.group, facts.mode)
        remove = Action(Command(("rmdir", "--", self.path)), again)
        return Change(f"remove the directory {self.path} if it is empty", (remove,), follows=True)


@dataclass(frozen=True, slots=True)
class MountedRootBelongs:
    """The root of what is mounted at ``path`` has this owner, group and mode. A step before this one mounts it.

    A file system of its own begins as root's, whatever the directory was like that it is mounted on.
    """

    host: str
    path: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0755"

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_access(self.owner, self.group, self.mode)

    @property
    def title(self) -> str:
        return f"what is mounted at {self.path} belongs to {self.owner}:{self.group} with mode {self.mode}"

    def reads(self) -> tuple[Command, ...]:
        return (entries_read(self.path, posixpath.dirname(self.path)),)

    def facts(self, outputs: Sequence[Output]) -> Entry | None:
        """Return the root; None: nothing is mounted there yet."""
        found = entries(self.host, self.reads()[0], outputs[0])
        there, above = found.get(self.path), found.get(posixpath.dirname(self.path))
        return there if there and above and there.device != above.device else None

    def plan(self, facts: Entry | None) -> Change | None:
        if facts is None:
            return Change(f"look at {self.path} when it is mounted", ())
        if not facts.is_directory:
            raise Refused(f"{self.path} on {self.host} is {facts}, not a directory.")
        actions = access_actions(facts, self.owner, self.group, self.mode)
        before, after = f"{facts.owner}:{facts.group} {facts.mode}", f"{self.owner}:{self.group} {self.mode}"
        return Change(f"{self.path}: {before} becomes {after}", actions, follows=True) if actions else None


@dataclass(frozen=True, slots=True)
class FileAbsentFacts:
    """``entry``: None when there is nothing. The two directories as ``realpath`` gives them; "" for a missing one."""

    entry: Entry | None
    parent: str = ""
    within: str = ""


@dataclass(frozen=True, slots=True)
class FileAbsent:
    """``path`` is gone. It has to lie strictly below ``within``, and no link may lead out of that on the way."""

    host: str
    path: str
    within: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_path(self.within, "The directory")
        if self.path == self.within or not is_below(self.path, self.within):
            raise BadInput(f"{self.path} does not lie below {self.within}, so it is not deleted.")

    @property
    def title(self) -> str:
        return f"{self.path} is gone"

    @property
    def _parent(self) -> str:
        return posixpath.dirname(self.path)

    def reads(self) -> tuple[Command, ...]:
        return (
            entries_read(self.path),
            read("realpath", "-e", "--", self._parent, root=True),
            read("realpath", "-e", "--", self.within, root=True),
        )

    def facts(self, outputs: Sequence[Output]) -> FileAbsentFacts:
        look, *resolve = self.reads()
        entry = entries(self.host, look, outputs[0]).get(self.path)
        if entry is None:
            return FileAbsentFacts(None)
        found = (
            expect(self.host, command, output).removesuffix("\n")
            for command, output in zip(resolve, outputs[1:], strict=True)
        )
        return FileAbsentFacts(entry, *found)

    def plan(self, facts: FileAbsentFacts) -> Change | None:
        if facts.entry is None:
            return None
        relative = posixpath.relpath(self._parent, self.within)
        if facts.parent != posixpath.normpath(posixpath.join(facts.within, relative)):
            raise Refused(
                f"{self._parent} on {self.host} is really {facts.parent}: a link below {self.within} leads there. "
                "Nothing was deleted; remove the link, or name the file by its real path."
            )
        if not (facts.entry.is_file or facts.entry.is_link):
            raise Refused(f"{self.path} on {self.host} is {facts.entry}, not a file. Nothing was deleted.")
        remove = Command(("rm", "--", self.path))
        if facts.entry.is_link:
            undo = Command(("ln", "-sT", "--", facts.entry.target, self.path))
            return Change(f"delete the link {self.path} to {facts.entry.target}", (Action(remove, undo),))
        lost = f"a file of {format_size(facts.entry.size)} is lost for good"
        return Change(f"delete {self.path}: {lost}", (Action(remove, final=True),), note="This cannot be undone.")
