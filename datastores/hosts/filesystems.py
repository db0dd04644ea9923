"""Is the directory of a datastore what it should be: there, mounted, writable, able to share blocks?

Both steps are checks: they change nothing. While there is no directory, their change is empty, so that a plan can
be shown that makes or mounts it first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.hosts.capacity import ask_room, rooms
from datastores.hosts.inodes import Inode, look, seen
from datastores.hosts.parsing import canonical_path

ON_MOUNT_POINT = 'exec "$1" "$(findmnt --noheadings --output TARGET --target "$2")"'
"""Run a program that wants a mount point, for a path that may be a directory below it."""


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The directory and the mount that it lies on."""

    directory: Inode | None
    mount_point: str = ""
    source: str = ""
    type: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseReady:
    """``path`` is a directory that can be written to, on the file system that it is meant to be on.

    ``mount_point``: what has to be mounted (``path`` or above it), "" for whatever it lies on. Without this, a
    datastore whose mount failed at boot would silently fill the root disk.
    """

    host: str
    path: str
    mount_point: str = ""

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        mounted = f", with {self.mount_point} mounted" if self.mount_point else ""
        return f"{self.path} is a writable directory{mounted}"

    def reads(self) -> tuple[Command, ...]:
        wanted = ("--json", "--output", "TARGET,SOURCE,FSTYPE,OPTIONS")
        return look(self.path), read("findmnt", *wanted, "--target", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> BaseFacts:
        stat, findmnt = self.reads()
        directory = seen(stat, outputs[0]).get(self.path)
        if directory is None:
            return BaseFacts(None)
        if not outputs[1].ok:
            raise CommandFailed(findmnt.argv, outputs[1].exit_status, outputs[1].stderr)
        mount = json.loads(outputs[1].stdout)["filesystems"][-1]
        return BaseFacts(
            directory, mount["target"], mount["source"], mount["fstype"], tuple(mount["options"].split(","))
        )

    def plan(self, facts: BaseFacts) -> Change | None:
        if facts.directory is None:
            return Change(f"look at {self.path} when it is there", ())
        if not facts.directory.is_directory:
            raise Refused(f"{self.path} on {self.host} is {facts.directory.noun}, not a directory.")
        if self.mount_point and facts.mount_point != self.mount_point:
            raise Refused(
                f"Nothing is mounted at {self.mount_point} on {self.host}: {self.path} is a bare directory on "
                f"{facts.mount_point} ({facts.source}). Mount the datastore first; now the wrong disk would be filled."
            )
        if "ro" in facts.options:
            raise Refused(
                f"{self.path} on {self.host} is read-only: {facts.source} is mounted so at {facts.mount_point}, or was "
                "made so after an error. See its log, repair it and mount it writable."
            )
        return None


@dataclass(frozen=True, slots=True)
class ReflinkFacts:
    there: bool
    type: str = ""
    shares: bool = False


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
        return ask_room(self.path), read("sh", "-c", ON_MOUNT_POINT, "sh", "xfs_info", self.path, root=True)

    def facts(self, outputs: Sequence[Output]) -> ReflinkFacts:
        room, geometry = self.reads()
        found = rooms(room, outputs[0]).get(self.path)
        if found is None:
            return ReflinkFacts(there=False)
        if found.type == "xfs" and not outputs[1].ok:
            raise CommandFailed(geometry.argv[4:], outputs[1].exit_status, outputs[1].stderr)
        shares = found.type == "btrfs" or (
            found.type == "xfs" and re.search(r"\breflink=1\b", outputs[1].stdout) is not None
        )
        return ReflinkFacts(True, found.type, shares)

    def plan(self, facts: ReflinkFacts) -> Change | None:
        if not facts.there:
            return Change(f"look at {self.path} when it is there", ())
        if facts.type != self.kind:
            raise Refused(f"{self.path} on {self.host} is on {facts.type}, not on {self.kind}.")
        if not facts.shares:
            raise Refused(
                f"The {facts.type} below {self.path} on {self.host} was made without reflink: it cannot clone files. "
                "That is settled when it is made (mkfs.xfs -m reflink=1): use another disk, or a shared datastore."
            )
        return None
