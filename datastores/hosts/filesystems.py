"""Is the directory of a datastore what it should be: there, mounted, writable, able to share blocks?

Both steps are checks: they change nothing. While there is no directory, their change is empty, so that a plan can
be shown that makes it first; what can be told before that is refused already then.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.volumes import Capacity
from datastores.hosts.capacity import ask_room, rooms
from datastores.hosts.inodes import Inode, look, seen
from datastores.hosts.parsing import canonical_path

ON_MOUNT_POINT = """path=$2
while [ ! -e "$path" ]; do path=$(dirname -- "$path"); done
exec "$1" "$(findmnt --noheadings --output TARGET --target "$path")"
"""
"""Run a program that wants a mount point, for a path below it that need not exist yet."""

MOUNT_IT = "Mount it there, then try again; or name the mount point among the options, when it lies above."


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The directory and the mount that it lies on."""

    directory: Inode | None
    mount_point: str = ""
    source: str = ""
    type: str = ""
    options: tuple[str, ...] = ()
    capacity: Capacity | None = None


@dataclass(frozen=True, slots=True)
class BaseReady:
    """``path`` is a directory that can be written to, on the file system that it is meant to be on.

    ``mount_point``: what has to be mounted (``path`` or above it), "" for whatever it lies on. Without this, a
    datastore whose mount failed at boot would silently fill the root disk.
    """

    host: str
    path: str
    mount_point: str = ""
    coming: bool = False
    """A step before this one mounts it: what is not mounted yet is no reason to refuse the plan."""

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        mounted = f", with {self.mount_point} mounted" if self.mount_point else ""
        return f"{self.path} is a writable directory{mounted}"

    def reads(self) -> tuple[Command, ...]:
        wanted = ("--json", "--bytes", "--output", "TARGET,SOURCE,FSTYPE,OPTIONS,SIZE,USED,AVAIL")
        return look(self.path), read("findmnt", *wanted, "--target", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> BaseFacts:
        stat, findmnt = self.reads()
        directory = seen(stat, outputs[0]).get(self.path)
        if directory is None:
            return BaseFacts(None)
        if not outputs[1].ok:
            raise CommandFailed(findmnt.argv, outputs[1].exit_status, outputs[1].stderr)
        mount = json.loads(outputs[1].stdout)["filesystems"][-1]
        capacity = Capacity(*(int(mount[size] or 0) for size in ("size", "used", "avail")))
        options = tuple(mount["options"].split(","))
        return BaseFacts(directory, mount["target"], mount["source"], mount["fstype"], options, capacity)

    def plan(self, facts: BaseFacts) -> Change | None:
        if self.coming and (facts.directory is None or facts.mount_point != self.mount_point):
            return Change(f"look at {self.path} when it is mounted", ())
        if facts.directory is None and self.mount_point == self.path:
            raise Refused(f"{self.path} is not mounted on {self.host}: there is no such directory. {MOUNT_IT}")
        if facts.directory is None:
            return Change(f"look at {self.path} when it is there", ())
        if not facts.directory.is_directory:
            raise Refused(f"{self.path} on {self.host} is {facts.directory.noun}, not a directory.")
        if self.mount_point and facts.mount_point != self.mount_point:
            raise Refused(
                f"Nothing is mounted at {self.mount_point} on {self.host}: {self.path} is a bare directory on "
                f"{facts.mount_point} ({facts.source}), and the wrong disk would be filled. {MOUNT_IT}"
            )
        if "ro" in facts.options:
            raise Refused(
                f"{self.path} on {self.host} is read-only: {facts.source} is mounted so at {facts.mount_point}, or was "
                "made so after an error. See its log, repair it and mount it writable."
            )
        return None


@dataclass(frozen=True, slots=True)
class ReflinkFacts:
    """``place``: the path, or the nearest directory above it that is there, with the ``type`` of its file system."""

    place: str
    type: str
    shares: bool


@dataclass(frozen=True, slots=True)
class CanReflink:
    """Files below ``path`` can share their blocks: it is on btrfs, or on an XFS that was made with reflink=1.

    Read from the file system's own description. Trying it would be writing.
    """

    host: str
    path: str
    kind: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is on {self.kind} and can clone files"

    def reads(self) -> tuple[Command, ...]:
        return ask_room(self.path, *above(self.path)), read(
            "sh", "-c", ON_MOUNT_POINT, "sh", "xfs_info", self.path, root=True
        )

    def facts(self, outputs: Sequence[Output]) -> ReflinkFacts:
        room, geometry = self.reads()
        place, found = max(rooms(room, outputs[0]).items(), key=lambda item: len(item[0]))
        if found.type == "xfs" and not outputs[1].ok:
            raise CommandFailed(geometry.argv[4:], outputs[1].exit_status, outputs[1].stderr)
        shares = found.type == "btrfs" or (
            found.type == "xfs" and re.search(r"\breflink=1\b", outputs[1].stdout) is not None
        )
        return ReflinkFacts(place, found.type, shares)

    def plan(self, facts: ReflinkFacts) -> Change | None:
        if facts.type != self.kind:
            raise Refused(f"{facts.place} on {self.host} is on {facts.type}, not on {self.kind}.")
        if not facts.shares:
            raise Refused(
                f"The {facts.type} below {facts.place} on {self.host} was made without reflink: it cannot clone files. "
                "That is settled when it is made (mkfs.xfs -m reflink=1): use another disk, or a shared datastore."
            )
        return None if facts.place == self.path else Change(f"look at {self.path} when it is there", ())


def above(path: str) -> tuple[str, ...]:
    """Return the directories above an absolute path, the nearest first."""
    parent = posixpath.dirname(path)
    return () if parent == path else (parent, *above(parent))
