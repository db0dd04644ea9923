"""What files are: size, owner, time, identity. One ``stat`` process tells it of all paths that a step asks about."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Command, Output, read

FIELDS = r"--printf=%f/%s/%b/%B/%d:%i/%h/%U/%G/%a/%.9Y/%n\0"
"""One record per file, ended by NUL. Account names hold no slash, and the path comes last."""


@dataclass(frozen=True, slots=True)
class Inode:
    """A file as ``stat`` sees it, symbolic links not followed. Sizes in bytes."""

    path: str
    mode: int
    size: int
    allocated: int
    identity: str
    links: int
    owner: str
    group: str
    permissions: str
    modified: str
    """Seconds since 1970 with nine decimals."""

    @classmethod
    def parse_all(cls, raw: bytes) -> tuple[Inode, ...]:
        """Return the files whose FIELDS are in ``raw``."""
        return tuple(cls._parse(record) for record in raw.split(b"\0")[:-1])

    @classmethod
    def _parse(cls, record: bytes) -> Inode:
        words = record.decode("utf-8", "surrogateescape").split("/", 10)
        mode, size, blocks, unit, identity, links, owner, group, permissions, modified, path = words
        return cls(
            path, int(mode, 16), int(size), int(blocks) * int(unit), identity, int(links), owner, group,
            permissions.zfill(4), modified,
        )  # fmt: skip

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def noun(self) -> str:
        kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link"}
        return kinds.get(stat.S_IFMT(self.mode), "a device or another special file")

    def has_time(self, modified: str) -> bool:
        """Tell whether ``modified`` is this file's time, as far as its file system can keep the decimals."""
        return modified.startswith(self.modified.rstrip("0"))

    def is_copy_of(self, source: Inode) -> bool:
        """Tell whether this is a whole file of its own that holds what ``source`` holds now.

        Nobody compares 25 GiB to find out. Our copies carry the source's modification time to the nanosecond,
        our own growing of a disk keeps it, and any write by a guest changes it; so the time is the fingerprint,
        together with a size that is not smaller. A hard link or the source itself is no copy.
        """
        apart = self.is_file and self.links == 1 and self.identity != source.identity
        return apart and self.size >= source.size and self.has_time(source.modified)


Files: TypeAlias = Mapping[str, Inode]
"""The files that are there, by path."""


def look(*paths: str) -> Command:
    """Return the one read that tells what is at ``paths``."""
    return read("stat", FIELDS, "--", *dict.fromkeys(paths), root=True)


def seen(command: Command, output: Output) -> Files:
    """Return what ``look`` saw. A path is missing only when ``stat`` says that it does not exist.

    :raises CommandFailed: something could not be read.
    """
    files = {found.path: found for found in Inode.parse_all(output.raw)}
    if len(files) + missing(output) != len(command.argv) - command.argv.index("--") - 1:
        raise CommandFailed(command.argv, output.exit_status, output.stderr)
    return files


def missing(output: Output) -> int:
    """Return of how many paths ``stat`` said that they do not exist."""
    lines = output.stderr.splitlines()
    return sum(line.startswith("stat: ") and line.endswith(": No such file or directory") for line in lines)


def around(target: str) -> tuple[str, str, str]:
    """Return what has to be known before a file is made: the target, its directory and the one above that."""
    parent = posixpath.dirname(target)
    return target, parent, posixpath.dirname(parent)


def the_file(host: str, files: Files, path: str) -> Inode:
    """Return the regular file at ``path``.

    :raises Refused: there is none.
    """
    found = files.get(path)
    if found is None:
        raise Refused(f"There is no file {path} on {host}.")
    if not found.is_file:
        raise Refused(f"{path} on {host} is {found.noun}, not a file.")
    return found


def room_for(host: str, files: Files, target: str, *, with_directory: bool, coming: bool = False) -> tuple[Action, ...]:
    """Return what makes the directory of ``target``: nothing, when it is there already.

    Without ``with_directory`` it has to be there: it is the datastore, and a datastore that is missing is one that
    is not mounted. A new directory is like the one above it, which is never made: also when what is mounted there goes
    meanwhile, since it is made from within. With ``coming`` a step before this one makes it.

    :raises Refused: there is no place for the target.
    """
    _, parent, above = around(target)
    if parent in files:
        if not files[parent].is_directory:
            raise Refused(f"{parent} on {host} is {files[parent].noun}, not a directory.")
        return ()
    if coming:
        return ()
    needed = above if with_directory else parent
    if needed not in files or not files[needed].is_directory:
        raise Refused(
            f"There is no directory {needed} on {host}, so {target} cannot be made. "
            "If it is a datastore, see whether it is mounted."
        )
    like = files[above]
    access = ("-o", like.owner, "-g", like.group, "-m", like.permissions)
    make = ("env", "-C", above, "install", "-d", *access, "--", posixpath.basename(parent))
    remove = ("rmdir", "--ignore-fail-on-non-empty", "--", parent)
    return (Action(Command(make), undo=Command(remove), scratch=True),)


def gone(path: str) -> Command:
    """Return the undo of whatever makes ``path``."""
    return Command(("rm", "-f", "--", path))
