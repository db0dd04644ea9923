"""Files that have to be where they were left: one listing of a datastore's directory tells it of all of them.

What these statements find wrong with bytes and names no step can put right, so it is refused, and told apart by the
refusal's type. A mode that lets others in can be put right.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.values import file_mode, format_size
from datastores.hosts.capacity import BESIDE, BLOCK
from datastores.hosts.files import mode_action
from datastores.hosts.parsing import canonical_path

LISTING_DEADLINE = 60.0
_THERE = 'cd -- "$1" && shift && exec "$@"'
"""A directory that is not there must not look like an empty one."""
_FIELDS = r"%y %m %s %b %T@ %P\0%l\0"
OF_OTHERS = 0o077
"""The bits of a mode that are for the group and for everybody else."""
MOST_NAMES = 200
"""Foreign files that are named; of the others their number is told."""


class Missing(Refused):
    """The file of a volume is not there."""


class Altered(Refused):
    """The file of a volume is there, and somebody else changed it."""


class Foreign(Refused):
    """Files are there that belong to nothing."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """By what a change of a file is noticed: bytes, and when it was written to (seconds since 1970, as find says)."""

    size: int
    written: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A name below a directory. ``kind``: f or l; ``target``: where a link leads to.

    ``allocated``: bytes of the blocks that the file refers to. Those that it shares with others count for each.
    """

    kind: str
    footprint: Footprint
    target: str = ""
    allocated: int = 0
    mode: int = 0


def list_stored(directory: str) -> Command:
    """Return the read that lists files and links in ``directory`` and the directories right in it.

    What is kept beside images is left out, and so is what goes while it is listed.
    """
    ours = (word for pattern in BESIDE for word in ("!", "-name", pattern))
    depth = ("-ignore_readdir_race", "-mindepth", "1", "-maxdepth", "2")
    find = ("find", "-P", ".", *depth, "(", "-type", "f", "-o", "-type", "l", ")", *ours, "-printf", _FIELDS)
    return read("sh", "-c", _THERE, "sh", directory, *find, root=True, timeout=LISTING_DEADLINE)


def look_at(base: str, path: str) -> Command:
    """Return the read of one file below ``base``, in the words of ``list_stored``; its name there is ""."""
    name = f"./{posixpath.relpath(path, base)}"
    find = ("find", "-P", name, "-maxdepth", "0", "-printf", _FIELDS)
    return read("sh", "-c", _THERE, "sh", base, *find, root=True)


@functools.lru_cache(maxsize=32)
def stored(command: Command, output: Output) -> Mapping[str, Stored]:
    """Return what ``list_stored`` found, by the path from the directory on. Kept: many statements ask it of one output.

    :raises CommandFailed: it could not be read, or not all of it.
    """
    if not output.ok:
        raise CommandFailed(command.argv[5:], output.exit_status, output.stderr)
    parts = output.raw.decode("utf-8", "surrogateescape").split("\0")
    found = {}
    for fields, target in zip(parts[:-1:2], parts[1::2], strict=True):
        kind, mode, size, blocks, written, path = fields.split(" ", 5)
        found[path] = Stored(kind, Footprint(int(size), written), target, int(blocks) * BLOCK, int(mode, 8))
    return found


@dataclass(frozen=True, slots=True)
class FileStored:
    """A volume's file is at ``path`` below ``base``, with ``least`` bytes or more, and no more open than ``mode``.

    ``before``: what it was when cloudstore had worked on it last, where nobody else may write to it. ``link``: it is
    no file but a link to that path. ``mode``: octal; "" for any. Only what group and others may do beyond it differs.

    Owner and group are not judged: libvirt gives a file to QEMU while a VM runs (``dynamic_ownership``).
    """

    host: str
    base: str
    path: str
    least: int = 0
    before: Footprint | None = None
    link: str = ""
    mode: str = ""

    def __post_init__(self) -> None:
        canonical_path(self.base, "The base path")
        canonical_path(self.path)
        if self.mode and file_mode(self.mode) != self.mode:
            raise BadInput(f"The mode {self.mode} needs four digits, such as 0660.")

    @property
    def title(self) -> str:
        return self.identity + (f" with mode {self.mode} at most" if self.mode and not self.link else "")

    @property
    def identity(self) -> str:
        """What tells the statement from others for good: which mode it may have can be set otherwise."""
        return f"{self.path} leads to {self.link}" if self.link else f"{self.path} is stored"

    def reads(self) -> tuple[Command, ...]:
        return (list_stored(self.base),)

    def facts(self, outputs: Sequence[Output]) -> Stored | None:
        return stored(*self.reads(), outputs[0]).get(posixpath.relpath(self.path, self.base))

    def plan(self, facts: Stored | None) -> Change | None:
        if facts is None:
            raise Missing(f"There is no such file on {self.host}: somebody removed or renamed it.")
        if self.link:
            if facts.kind != "l":
                raise Altered(f"On {self.host} it is a file, not a link to {self.link}.")
            if facts.target != self.link:
                raise Altered(f"On {self.host} it leads to {plain(facts.target)}, not to {self.link}.")
            return None
        if facts.kind != "f":
            raise Altered(f"On {self.host} it is a link to {plain(facts.target)}, not a file.")
        self._check_bytes(facts)
        if not self._lets_others_in(facts):
            return None
        before = f"{facts.mode:04o}"
        return Change(f"{self.path}: mode {before} becomes {self.mode}", (mode_action(self.path, before, self.mode),))

    def _lets_others_in(self, facts: Stored) -> bool:
        return bool(self.mode and facts.mode & ~int(self.mode, 8) & OF_OTHERS)

    def _check_bytes(self, facts: Stored) -> None:
        """Refuse other bytes, and tell of a wrong mode along with them: it may be how they came about."""
        now = facts.footprint
        mode = f" Its mode is {facts.mode:04o}, not {self.mode}." if self._lets_others_in(facts) else ""
        if now.size < self.least:
            raise Altered(
                f"On {self.host} it has {now.size} bytes ({format_size(now.size)}), but needs {self.least} "
                f"({format_size(self.least)}): it was cut off {moment(now.written)}.{mode}"
            )
        if self.before and now != self.before:
            sizes = f"It has {now.size} bytes" + ("." if now.size == self.before.size else f", not {self.before.size}.")
            raise Altered(
                f"On {self.host} it was written to by somebody else {moment(now.written)}; it was of "
                f"{moment(self.before.written, '')}. {sizes}{mode}"
            )


@dataclass(frozen=True, slots=True)
class OnlyKnownFiles:
    """No file lies right in ``base`` but the ``known`` ones (names), and what is kept beside those."""

    host: str
    base: str
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        canonical_path(self.base, "The base path")

    @property
    def title(self) -> str:
        return f"{self.base} holds no file that belongs to nothing"

    def reads(self) -> tuple[Command, ...]:
        return (list_stored(self.base),)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        """Return the names of the files that belong to nothing."""
        names = stored(*self.reads(), outputs[0]).keys() - set(self.known)
        return tuple(sorted(name for name in names if "/" not in name))

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        if not facts:
            return None
        more = f"\nand {len(facts) - MOST_NAMES} more" if len(facts) > MOST_NAMES else ""
        raise Foreign("\n".join(plain(name) for name in facts[:MOST_NAMES]) + more)


def plain(name: str) -> str:
    """Return a name as it can be shown and stored, whatever bytes it is made of."""
    return repr(name)[1:-1]


def moment(written: str, before: str = "on ") -> str:
    """Return "on 2026-11-22 01:10:24 UTC" for seconds since 1970."""
    try:
        when = datetime.fromtimestamp(float(written), UTC)
    except (ValueError, OverflowError, OSError):  # a file may be of any year
        return f"{before}day {written}"
    return f"{before}{when:%Y-%m-%d %H:%M:%S} UTC"
