"""Directories that are subvolumes of btrfs, and how much these may hold (btrfs-subvolume(8), btrfs-qgroup(8)).

What is limited is what a subvolume refers to: blocks that its files share count once. ``btrfs qgroup`` of 6.2 dies when
it is to print a limit as JSON, so its table is read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.domain.values import format_size
from datastores.domain.volumes import Capacity
from datastores.hosts.files import Entries, access_actions, ancestors, make_directory
from datastores.hosts.parsing import canonical_access, canonical_path, entries, entries_read

_ROW = re.compile(r"^(0/\d+)\s+(\d+)\s+\d+\s+(\d+|none)\s+(?:\d+|none)\b", re.M)
NOT_ENABLED, NOT_THERE = "quotas not enabled", "No such file or directory"
NO_SUBVOLUME = "Not a Btrfs subvolume"
RESCAN_SECONDS = 86400.0
STOP_COUNTING = """
found=$(btrfs qgroup show --raw -r -e -- "$1" 2>&1) || case $found in
    *"quotas not enabled"*) exit 0 ;;
    *) printf "%s\\n" "$found" >&2; exit 1 ;;
esac
others=$(printf "%s\\n" "$found" | awk '$1 ~ /^[0-9]+\\/[0-9]+$/ && ($4 != "none" || $5 != "none") { print $1 }')
[ -z "$others" ] || { echo "it goes on counting, for the limits of" $others; exit 0; }
btrfs quota disable "$1"
"""
"""Whoever disables quotas drops every limit of the file system, so that is done only when none is left."""


@dataclass(frozen=True, slots=True)
class SubvolumeFacts:
    entries: Entries
    is_subvolume: bool


@dataclass(frozen=True, slots=True)
class SubvolumePresent:
    """``path`` is a subvolume of btrfs, with this owner, group and mode. Missing parents are made, 0755 root root.

    A directory that is there never becomes one: files would have to be moved.
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
        return f"{self.path} is a subvolume of {self.owner}:{self.group} with mode {self.mode}"

    def reads(self) -> tuple[Command, ...]:
        show = read("btrfs", "subvolume", "show", "--", self.path, root=True)
        return entries_read(*ancestors(self.path), self.path), show

    def facts(self, outputs: Sequence[Output]) -> SubvolumeFacts:
        listing, show = self.reads()
        found = entries(self.host, listing, outputs[0])
        said = outputs[1]
        if self.path in found and not said.ok and NO_SUBVOLUME not in said.stderr and "Not a Btrfs" not in said.stderr:
            raise CommandFailed(show.argv, said.exit_status, said.stderr, self.host)
        return SubvolumeFacts(found, said.ok)

    def plan(self, facts: SubvolumeFacts) -> Change | None:
        there = facts.entries.get(self.path)
        if there is None:
            missing = [path for path in ancestors(self.path) if path not in facts.entries]
            parents = tuple(make_directory(path, "root", "root", "0755") for path in missing)
            return Change(f"make the subvolume {self.path}", (*parents, *self._make()))
        if not there.is_directory or not facts.is_subvolume:
            what = "a directory" if there.is_directory else str(there)
            raise Refused(
                f"{self.path} on {self.host} is {what}, and no subvolume of btrfs of its own, so it cannot be limited. "
                "Take another path, or move what lies in it to a subvolume."
            )
        actions = access_actions(there, self.owner, self.group, self.mode)
        return Change(self.title, actions) if actions else None

    def _make(self) -> tuple[Action, ...]:
        remove = Command(("rmdir", "--", self.path))
        own = Command(("chown", f"{self.owner}:{self.group}", "--", self.path))
        mode = Command(("chmod", self.mode, "--", self.path))
        make = Command(("btrfs", "--quiet", "subvolume", "create", "--", self.path))
        return Action(make, remove), Action(own, harmless=True), Action(mode, harmless=True)


@dataclass(frozen=True, slots=True)
class QgroupFacts:
    """``there``: whether there is such a path. ``counts``: whether its file system counts. ``group``: what is counted.

    Bytes; ``limit`` 0: none.
    """

    there: bool
    counts: bool
    group: str = ""
    used: int = 0
    limit: int = 0


def ask_limit(path: str) -> Command:
    return read("btrfs", "qgroup", "show", "--raw", "-r", "-e", "-f", path, root=True)


def limit_of(host: str, command: Command, output: Output) -> QgroupFacts:
    """Return what the read above saw.

    :raises CommandFailed: it could not be read.
    """
    if not output.ok and NOT_ENABLED in output.stderr:
        return QgroupFacts(there=True, counts=False)
    if not output.ok and NOT_THERE in output.stderr:
        return QgroupFacts(there=False, counts=False)
    row = _ROW.search(output.stdout)
    if not output.ok or row is None:
        raise CommandFailed(command.argv, output.exit_status, output.stderr or f"it said {output.stdout!r}", host)
    return QgroupFacts(True, True, row[1], int(row[2]), 0 if row[3] == "none" else int(row[3]))


def within(found: QgroupFacts, whole: Capacity) -> Capacity:
    """Return how full a limited subvolume is. ``whole``: its file system."""
    if not found.limit:
        return whole
    free = max(0, min(found.limit - found.used, whole.free))
    return Capacity(found.used + free, found.used, free)


@dataclass(frozen=True, slots=True)
class SubvolumeLimited:
    """The subvolume ``path`` holds at most ``size`` bytes; 0: no limit.

    The file system counts from then on, which makes each change of shared blocks a little slower. ``mounted``: the path
    is a mount point; otherwise the directory above it is on the same file system. A limit that is reached can be
    changed only from there ("Disk quota exceeded" else).
    """

    host: str
    path: str
    size: int
    mounted: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} holds at most {format_size(self.size) if self.size else 'what its file system has'}"

    def reads(self) -> tuple[Command, ...]:
        return (ask_limit(self.path),)

    def facts(self, outputs: Sequence[Output]) -> QgroupFacts:
        return limit_of(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: QgroupFacts) -> Change | None:
        if not facts.there:
            return Change(f"limit {self.path} when it is there", ())
        if facts.limit == self.size:
            return None
        if self.size and facts.used > self.size:
            raise Refused(
                f"{self.path} on {self.host} holds {format_size(facts.used)} already. It cannot be limited to "
                f"{format_size(self.size)}."
            )
        actions = (*(() if facts.counts else self._count()), self._limit(facts))
        note = "" if facts.counts else "The whole file system counts from then on: what clones share is looked up then."
        return Change(self.title, actions, note, follows=True)

    def _count(self) -> tuple[Action, ...]:
        enable = Command(("btrfs", "quota", "enable", self.path))
        disable = Command(("sh", "-c", STOP_COUNTING, "sh", self.path))
        rescan = Command(("btrfs", "quota", "rescan", "-w", self.path), timeout=RESCAN_SECONDS)
        return Action(enable, disable), Action(Detached(rescan), harmless=True)

    def _limit(self, before: QgroupFacts) -> Action:
        where = (before.group, posixpath.dirname(self.path)) if before.group and not self.mounted else (self.path,)
        do, undo = (
            Command(("btrfs", "qgroup", "limit", str(size) if size else "none", *where))
            for size in (self.size, before.limit)
        )
        return Action(do, undo)
