"""Who has files open below a directory: read from /proc, so that no tool has to be installed for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.hosts.parsing import canonical_path, expect
from datastores.hosts.services import unit_name

MOST_NAMED = 5
VANISHED = "No such file or directory", "No such process"
"""What find(1) says of processes that ended while it looked."""
_GLOB = re.compile(r"([\\*?\[\]])")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has something open. ``unit``: its systemd unit; "" when that is not known."""

    pid: int
    name: str
    unit: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} ({self.unit or f'process {self.pid}'}) has {self.path} open"


def ask_open(directory: str) -> Command:
    """Return the read of all links of /proc (files, directories, programs, mapped files) that lead below it."""
    literal = _GLOB.sub(r"\\\1", directory)
    inside = ("(", "-lname", literal, "-o", "-lname", f"{literal}/*", ")")
    places = ("fd/*", "map_files/*", "cwd", "root", "exe")
    some = [word for place in places for word in ("-o", "-path", f"/proc/[0-9]*/{place}")][1:]
    others = ("-path", "/proc/[!0-9]*", "-prune", "-o")
    pick = ("-type", "l", "(", *some, ")", *inside)
    return read("find", "/proc", "-mindepth", "1", "-maxdepth", "3", *others, *pick, "-printf", r"%P\0%l\0",
                root=True, timeout=30)  # fmt: skip


ASK_PROCESSES = read("ps", "-e", "-ww", "-o", "pid=,unit=,comm=", root=True)


def holders(host: str, commands: Sequence[Command], outputs: Sequence[Output]) -> tuple[Holder, ...]:
    """Return who has something open, each process once.

    :raises CommandFailed: /proc could not be read.
    """
    found, listed = outputs
    complaints = [line for line in found.stderr.splitlines() if not line.endswith(VANISHED)]
    if complaints or found.exit_status not in {0, 1}:
        raise CommandFailed(commands[0].argv, found.exit_status, found.stderr, host)
    words = found.raw.decode("utf-8", "surrogateescape").split("\0")
    paths = dict(zip((int(place.partition("/")[0]) for place in words[:-1:2]), words[1::2], strict=False))
    known = {}
    for line in expect(host, commands[1], listed).splitlines():
        pid, unit, name = line.split(None, 2)
        known[int(pid)] = (name, "" if unit == "-" else unit)
    return tuple(Holder(pid, *known.get(pid, ("a process", "")), path) for pid, path in sorted(paths.items()))


@dataclass(frozen=True, slots=True)
class DirectoryAtRest:
    """Nobody has anything open below ``path``. ``stopped``: units that steps before this one stop. A check."""

    host: str
    path: str
    stopped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        canonical_path(self.path)
        for unit in self.stopped:
            unit_name(unit)

    @property
    def title(self) -> str:
        return f"nothing below {self.path} is open"

    def reads(self) -> tuple[Command, ...]:
        return ask_open(self.path), ASK_PROCESSES

    def facts(self, outputs: Sequence[Output]) -> tuple[Holder, ...]:
        return holders(self.host, self.reads(), outputs)

    def plan(self, facts: tuple[Holder, ...]) -> Change | None:
        others = [holder for holder in facts if holder.unit not in self.stopped]
        if others:
            raise Refused(self._who(others))
        return Change(f"look whether {self.path} is at rest when its services have stopped", ()) if facts else None

    def _who(self, others: Collection[Holder]) -> str:
        first = [str(holder) for holder in others][:MOST_NAMED]
        more = f", and {len(others) - len(first)} more processes" if len(others) > len(first) else ""
        return (
            f"{self.path} on {self.host} is in use: {'; '.join(first)}{more}. Stop that first, or name the service "
            "among those to be stopped meanwhile. Machines that run have their disks there: shut them down."
        )
