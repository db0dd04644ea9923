"""Copies of images that a host keeps below the disks that are used on it: their end. Each can be made anew."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.copies import PART
from datastores.hosts.inodes import Files, look, seen
from datastores.hosts.overlays import TEMPLATE
from datastores.hosts.parsing import canonical_path

BESIDE = ("", ".sha256", TEMPLATE, PART, TEMPLATE + PART)
"""What may be there of one copy, by how its name ends."""
ANEW = "It is a copy: whoever needs it again has it made again."
_NAMED = re.compile(r"[0-9a-f-]{36}\.[0-9a-f]{16}\.(?:raw|qcow2|iso)(?:\.[a-z0-9]+)*\Z")
"""A copy is called by its image, what that held, and its format."""
EMPTY = """
cd -- "$1" && here=$PWD && shift && rm -f -- "$@" && cd / && rmdir --ignore-fail-on-non-empty -- "$here"
"""
"""$1: the directory; the others are names in it."""


@dataclass(frozen=True, slots=True)
class CachedCopyGone:
    """The copy at ``path`` is gone, with all that was kept beside it; ``within`` is the directory of the cache.

    That no disk lies over it, and that nobody has it open, is seen by others before.
    """

    host: str
    path: str
    within: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_path(self.within, "The directory")
        if posixpath.dirname(self.path) != self.within:
            raise BadInput(f"{self.path} does not lie in {self.within}, so it is not deleted.")

    @property
    def title(self) -> str:
        return f"{self.path} is not cached any more"

    def reads(self) -> tuple[Command, ...]:
        return (look(self.within, *(self.path + end for end in BESIDE)),)

    def facts(self, outputs: Sequence[Output]) -> Files:
        return seen(self.reads()[0], outputs[0])

    def plan(self, facts: Files) -> Change | None:
        there = [self.path + end for end in BESIDE if self.path + end in facts]
        if not there:
            return None
        if not facts[self.within].is_directory:
            raise Refused(f"{self.within} on {self.host} is {facts[self.within].noun}. Nothing was deleted.")
        for path in there:
            if not facts[path].is_file:
                raise Refused(f"{path} on {self.host} is {facts[path].noun}, not a file. Nothing was deleted.")
        return Change(self.title, (Action(Command(("rm", "-f", "--", *there)), harmless=True),), note=ANEW)


@dataclass(frozen=True, slots=True)
class CacheEmptied:
    """No copy is left in ``directory``, which is gone unless something else lies in it. No disk lies over any.

    A directory that holds nothing of ours stays as it is.
    """

    host: str
    directory: str

    def __post_init__(self) -> None:
        canonical_path(self.directory)

    @property
    def title(self) -> str:
        return f"nothing is cached in {self.directory}"

    def reads(self) -> tuple[Command, ...]:
        names = ("-mindepth", "1", "-maxdepth", "1", "-printf", r"%y%f\0")
        return look(self.directory), read("find", "-P", self.directory, *names, root=True)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...] | None:
        """Return the copies, and what is kept beside them, by name; None: there is no directory to be emptied."""
        stat, find = self.reads()
        there = seen(stat, outputs[0]).get(self.directory)
        if there is None or not there.is_directory:
            return None
        if not outputs[1].ok:
            raise CommandFailed(find.argv, outputs[1].exit_status, outputs[1].stderr, self.host)
        found = outputs[1].raw.decode("utf-8", "surrogateescape").split("\0")[:-1]
        ours = tuple(sorted(name[1:] for name in found if name[0] == "f" and _NAMED.match(name[1:])))
        return ours if ours or not found else None

    def plan(self, facts: tuple[str, ...] | None) -> Change | None:
        if facts is None:
            return None
        sweep = Action(Command(("sh", "-c", EMPTY, "sh", self.directory, *facts)), harmless=True)
        return Change(f"empty {self.directory}", (sweep,), note=ANEW, follows=True)
