"""Fault points: programs of a host that wait, in the middle of a real job, until a test lets them go on.

On a host that has them, ``cp`` and a few others are found first in /usr/local/bin, where a script stands before the
real program. A point is a file in a directory that this machine and the host share; it holds the calls of one tool
that have a certain argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.lab.host import Host
from tests.lab.machine import wait_until

SHARED = "/srv/points"
TOOLS = ("cp", "mv", "install", "chown", "chmod", "rm", "findmnt")
_numbers = count(1)

# <tool>.<when>.<number> holds a line: the word. "gone" appended ends the waiting call without doing anything.
SCRIPT = r"""#!/bin/sh
tool=${0##*/}
hold() {
    when=$1; shift
    for point in /srv/points/"$tool.$when".*; do
        [ -e "$point" ] && read -r word < "$point" || continue
        mine=
        for argument; do [ "$argument" = "$word" ] && mine=yes; done
        [ "$mine" ] || continue
        : > "${point%/*}/held.${point##*.}"
        number=0
        while [ -e "$point" ]; do
            grep -qx gone "$point" 2>/dev/null && { /usr/bin/rm "$point"; exit 137; }
            if grep -qx chatter "$point" 2>/dev/null; then
                seq -f "line %.0f of the copy" $((number + 1)) $((number + 40))
                number=$((number + 40))
            fi
            sleep 0.04
        done
    done
}
hold before "$@"
if ls /srv/points/"$tool.half".* >/dev/null 2>&1; then
    eval "from=\${$(($# - 1))} target=\${$#}"
    dd if="$from" of="$target" bs=1M count=8 status=none
    hold half "$@"
fi
/usr/bin/"$tool" "$@"
status=$?
hold after "$@"
exit $status
"""


@dataclass(frozen=True)
class Point:
    """Holds the calls of ``tool`` with the argument ``word``: "before", "after", or (of cp) when "half" is done."""

    directory: Path
    tool: str
    when: str
    word: str
    number: int

    @property
    def file(self) -> Path:
        return self.directory / f"{self.tool}.{self.when}.{self.number}"

    @property
    def held(self) -> bool:
        return (self.directory / f"held.{self.number}").exists()

    def wait(self, seconds: float = 30) -> None:
        what = f"{self.tool} with {self.word} did not come {self.when} within {seconds:g} s"
        wait_until(lambda: self.held, seconds=seconds, otherwise=what)

    def chatter(self) -> None:
        """Let the waiting call write lines, some thousand a second, until it goes on."""
        self._say("chatter")

    def end_call(self) -> None:
        """End the call that waits before it has done anything, as if it had never reached the host."""
        self._say("gone")

    def open(self) -> None:
        self.file.unlink(missing_ok=True)

    def _say(self, what: str) -> None:
        part = self.directory / f"part.{self.number}"
        part.write_text(f"{self.word}\n{what}\n")
        part.rename(self.file)


@dataclass(frozen=True)
class Points:
    """The directory that all hosts of the lab see at SHARED."""

    directory: Path

    def install(self, host: Host) -> None:
        script = self.directory / "script"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        for tool in TOOLS:
            host.run(["ln", "-sfn", f"{SHARED}/script", f"/usr/local/bin/{tool}"], check=True)

    def set(self, tool: str, word: str, *, when: str = "before") -> Point:
        point = Point(self.directory, tool, when, word, next(_numbers))
        point.file.write_text(f"{word}\n")
        return point

    @contextmanager
    def holding(self, tool: str, word: str, *, when: str = "before") -> Iterator[Point]:
        """Set a point that is open afterwards, whatever happens."""
        point = self.set(tool, word, when=when)
        try:
            yield point
        finally:
            point.open()
