"""May an image be read from there? The storage host's root opens the file, so the path must be beyond doubt."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.values import is_below
from datastores.hosts.inodes import FIELDS, Inode, missing
from datastores.hosts.parsing import canonical_path

ANCESTRY = """path=$(realpath -e -- "$1") || exit
format=$2
set --
while [ "$path" != / ]; do set -- "$@" "$path"; path=$(dirname -- "$path"); done
exec stat "$format" -- "$@" /
"""
"""Print the records of the resolved path and of every directory above it: up to the root, whatever links say."""

TRUSTED = frozenset({"root"})


def place(output: Output) -> str:
    """Return what ``realpath -z`` said."""
    return output.raw.decode("utf-8", "surrogateescape").rstrip("\0")


def is_there(directory: str, output: Output) -> bool:
    """Tell whether ``realpath`` found the directory.

    :raises CommandFailed: it could not look.
    """
    if not output.ok and not output.stderr.rstrip().endswith(": No such file or directory"):
        raise CommandFailed(("realpath", directory), output.exit_status, output.stderr)
    return output.ok


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """``chain``: the resolved path and everything above it; empty: it cannot be resolved.

    ``allowed`` and ``forbidden``: those of the step's directories that are there, resolved.
    """

    chain: tuple[Inode, ...]
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceAllowed:
    """The file at ``path`` lies below one of the directories ``allowed``, and only ``owners`` could swap it away.

    It is in none of the directories ``forbidden``, even where these lie below an allowed one: the disks in a datastore
    are somebody's, and their paths can be guessed.
    Resolved paths are compared part by part: "/var/tmpevil/x" is not below "/var/tmp". A path that cannot be
    resolved is refused, and so is one with a symbolic link in it (the person is told the real path, if that is
    allowed). The path that is checked is thus the path that is copied.
    Between check and copy, ``cp -P`` follows no link in the last part, and no other part can become one: each
    directory below the allowed one must be one that only ``owners`` and root can rename.
    """

    host: str
    path: str
    allowed: tuple[str, ...]
    owners: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is a file that images may be made from"

    def reads(self) -> tuple[Command, ...]:
        ancestry = read("sh", "-c", ANCESTRY, "sh", self.path, FIELDS, root=True)
        directories = (*self.allowed, *self.forbidden)
        return ancestry, *(read("realpath", "-ez", "--", directory, root=True) for directory in directories)

    def facts(self, outputs: Sequence[Output]) -> SourceFacts:
        first, *resolved = outputs
        count = len(self.allowed)
        allowed = tuple(place(output) for output in resolved[:count] if output.ok)
        taken = zip(self.forbidden, resolved[count:], strict=True)
        forbidden = tuple(place(output) for directory, output in taken if is_there(directory, output))
        if first.ok:
            return SourceFacts(Inode.parse_all(first.raw), allowed, forbidden)
        unresolved = first.stderr.startswith("realpath: ") or missing(first)
        if not unresolved:
            raise CommandFailed(("realpath", self.path), first.exit_status, first.stderr)
        return SourceFacts((), allowed, forbidden)

    def plan(self, facts: SourceFacts) -> Change | None:
        if not facts.chain:
            raise self._refusal("there is no such file")
        file, *above = facts.chain
        home = next((each for each in facts.allowed if is_below(file.path, each) and file.path != each), None)
        if home is None:
            led = "a symbolic link leads it to a place that is" if file.path != self.path else "it is"
            raise self._refusal(f"{led} not below {' or '.join(self.allowed) or 'any allowed directory'}")
        if taken := next((each for each in facts.forbidden if is_below(file.path, each)), None):
            raise self._refusal(f"it lies in {taken}, which belongs to a datastore")
        if file.path != self.path:
            raise self._refusal(f"there is a symbolic link in it. Give the real path, {file.path}")
        if not file.is_file:
            raise self._refusal(f"it is {file.noun}, not a file")
        self._check_directories([each for each in above if is_below(each.path, home)])
        return None

    def _check_directories(self, directories: list[Inode]) -> None:
        """Check that nobody can put another directory in place of one of these (innermost first)."""
        for inner, outer in pairwise(directories):
            if not self._fixed(inner, outer):
                raise self._refusal(
                    f"the directory {inner.path} could be replaced by another account than "
                    f"{' or '.join(sorted(self._trusted))} while the file is read. Move the file up, or change the "
                    f"owner or mode of {outer.path}"
                )

    def _fixed(self, inner: Inode, outer: Inode) -> bool:
        open_to_others = outer.mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = outer.mode & stat.S_ISVTX
        if outer.owner not in self._trusted:
            return False
        return not open_to_others or bool(sticky and inner.owner in self._trusted)

    @property
    def _trusted(self) -> frozenset[str]:
        return TRUSTED.union(self.owners)

    def _refusal(self, reason: str) -> Refused:
        return Refused(f"No image can be made from {self.path} on {self.host}: {reason}.")
