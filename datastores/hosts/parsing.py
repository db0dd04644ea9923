"""What several steps read in the same way: exit statuses, entries of the file system, small text files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Command, Output, read
from datastores.domain.values import absolute_path, account_name, file_mode, format_size

TEXT_MAX = 1 << 20
"""Bytes; no configuration file that we edit is larger."""

_NO_SUCH_FILE = "No such file or directory"
_FORMAT = r"%y %m %U %G %u %g %s %D %p\0%l\0"
_KINDS = {
    "f": "a file",
    "d": "a directory",
    "l": "a symbolic link",
    "b": "a block device",
    "c": "a character device",
    "p": "a named pipe",
    "s": "a socket",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in the file system, links not followed.

    ``kind``: the letter of find's %y (f d l b c p s). ``owner`` and ``group`` are numbers where the host knows
    no name. ``size``: bytes. ``device``: number of the file system. ``target``: of a symbolic link.
    """

    path: str
    kind: str
    mode: str
    uid: int
    gid: int
    owner: str
    group: str
    size: int
    device: int
    target: str = ""

    def __str__(self) -> str:
        link = f" to {self.target}" if self.kind == "l" else ""
        return f"{_KINDS.get(self.kind, 'something unknown')}{link}"

    @property
    def is_file(self) -> bool:
        return self.kind == "f"

    @property
    def is_directory(self) -> bool:
        return self.kind == "d"

    @property
    def is_link(self) -> bool:
        return self.kind == "l"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A configuration file as it is. Both None: there is nothing of that name; text None: it is no plain file."""

    entry: Entry | None
    text: str | None


def canonical_path(value: str, what: str = "The path") -> None:
    """Raise BadInput unless ``value`` is an absolute path in its shortest form, as absolute_path returns it."""
    if absolute_path(value, what) != value:
        raise BadInput(f"{what} {value} is not in its shortest form {absolute_path(value, what)}.")


def canonical_access(owner: str, group: str, mode: str) -> None:
    """Raise BadInput unless these are two names and a mode of four octal digits, such as 0755."""
    for name in (owner, group):
        account_name(name)
    if file_mode(mode) != mode:
        raise BadInput(f"The mode {mode} needs four digits, such as {file_mode(mode)}.")


def expect(host: str, command: Command, output: Output) -> str:
    """Return what the command printed, every byte of it (``plan.encode`` is the way back).

    :raises CommandFailed: it exited with another status than 0.
    """
    if not output.ok:
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    return output.raw.decode("utf-8", "surrogateescape")


def entries_read(*paths: str) -> Command:
    """Return the command that :func:`entries` parses: one process for all paths.

    As root, because a directory on the way may be closed to others. Paths are absolute, so none is an option.
    """
    return read("find", *paths, "-maxdepth", "0", "-printf", _FORMAT, root=True)


def entries(host: str, command: Command, output: Output) -> dict[str, Entry]:
    """Return the entries there are, by path.

    :raises CommandFailed: one could not be read for another reason than its absence.
    """
    parts = output.raw.decode("utf-8", "surrogateescape").split("\0")
    found = {entry.path: entry for entry in map(_entry, parts[:-1:2], parts[1::2])}
    asked = command.argv[1 : command.argv.index("-maxdepth")]
    complaints = [line for line in output.stderr.splitlines() if line.startswith("find: ")]
    missing = len(set(asked) - found.keys())
    if missing != len(complaints) or not all(line.endswith(_NO_SUCH_FILE) for line in complaints):
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    return found


def _entry(fields: str, target: str) -> Entry:
    kind, mode, uid, gid, owner, group, size, device, path = fields.split(" ", 8)
    return Entry(
        path=path, kind=kind, mode=mode.zfill(4), uid=int(uid), gid=int(gid), owner=owner, group=group,
        size=int(size), device=int(device), target=target,
    )  # fmt: skip


def text_reads(path: str) -> tuple[Command, Command]:
    """Return the commands that :func:`text_file` parses."""
    return entries_read(path), read("head", "-c", str(TEXT_MAX + 1), "--", path, root=True)


def text_file(host: str, path: str, outputs: Sequence[Output]) -> TextFile:
    """Return the file at ``path`` with its text.

    :raises CommandFailed: it is there and cannot be read.
    """
    look, contents = text_reads(path)
    entry = entries(host, look, outputs[0]).get(path)
    if entry is None or not entry.is_file:
        return TextFile(entry, None)
    return TextFile(entry, expect(host, contents, outputs[1]))


def editable(host: str, path: str, file: TextFile) -> str | None:
    """Return the text that may be replaced; None when there is no file.

    :raises Refused: something else is there, or it is too large to be what we take it for.
    """
    if file.entry is None:
        return None
    if file.text is None:
        raise Refused(f"{path} on {host} is {file.entry}, not a plain file. It was left as it is.")
    if len(file.text) > TEXT_MAX:
        raise Refused(f"{path} on {host} has {format_size(file.entry.size)}: too much for a file of settings.")
    return file.text
