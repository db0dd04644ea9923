"""Whether a host sees directories of other machines: there, answering, and mounted where they have to be.

A network file system whose server is gone hangs whoever looks at it, and one whose export was made anew is stale. So
each directory is looked at by a process of its own, which is killed after some seconds, and all of them side by side.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Command, Output, read
from datastores.hosts.parsing import canonical_path

SECONDS = 4
"""That a directory gets to answer; it is killed a second later."""
AT_ONCE = 32
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
TIMED_OUT = (124, 137)
"""What ``timeout`` exits with."""
_LOOK = """
export LC_ALL=C
number=0
for path; do
    number=$((number + 1))
    {
        said=$(timeout -k 1 "$0" sh -c 'stat -L -c %f -- "$1" && findmnt -no TARGET --target "$1"' sh "$path" 2>&1)
        printf '%s %s %s\\0' "$number" "$?" "$said"
    } &
    [ $((number % {at_once})) -ne 0 ] || wait
done
wait
""".replace("{at_once}", str(AT_ONCE))
"""Each says its number, how the look ended, and the mode and mount point or what is wrong."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A directory that a host has to see. ``mount_point``: what has to be mounted there or above; "" for nothing."""

    path: str
    mount_point: str = ""

    def __post_init__(self) -> None:
        canonical_path(self.path)


def look_at(sights: Sequence[Sight]) -> Command:
    """Return the one read that looks at all of them. Not as root: whoever may not look learns nothing."""
    turns = -(-len(sights) // AT_ONCE)
    paths = (sight.path for sight in sights)
    return read("sh", "-c", _LOOK, str(SECONDS), *paths, timeout=5.0 + (SECONDS + 2.0) * turns)


def unseen(sights: Sequence[Sight], output: Output, host: str = "") -> list[str | None]:
    """Return why each is not seen; "": it is. None: that is not known, because the account may not look there.

    :raises CommandFailed: the host could not be read, or not of all of them.
    """
    found: dict[int, str | None] = {}
    try:
        for record in output.raw.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            number, status, said = record.split(" ", 2)
            found[int(number)] = _judge(sights[int(number) - 1], int(status), said)
    except (ValueError, LookupError) as error:
        raise CommandFailed(("sh",), output.exit_status, f"unreadable output ({error!r})", host) from error
    if len(found) != len(sights):
        raise CommandFailed(("sh",), output.exit_status, output.stderr or "some directories were not looked at", host)
    return [found[number] for number in range(1, len(sights) + 1)]


def _judge(sight: Sight, status: int, said: str) -> str | None:
    if status in TIMED_OUT:
        return f"{sight.path} did not answer within {SECONDS} s: the server behind it is away, or the network."
    mode, *mounted = said.splitlines()
    if status:
        if "Permission denied" in said:
            return None
        words = said.splitlines()[-1].rpartition(": ")[2]
        return f"{sight.path} cannot be looked at: {words}."
    if not stat.S_ISDIR(int(mode, 16)):
        return f"{sight.path} is no directory."
    mounted_at = _plain(mounted[-1].strip()) if mounted else ""
    if sight.mount_point and mounted_at != sight.mount_point:
        return f"Nothing is mounted at {sight.mount_point}: {sight.path} is a bare directory on {mounted_at}."
    return ""


def _plain(escaped: str) -> str:
    """Return a path as it is; in the C locale, findmnt(8) writes bytes beyond ASCII as ``\\xc3``."""
    found = _ESCAPED.sub(lambda one: bytes([int(one[1], 16)]), escaped.encode("utf-8", "surrogateescape"))
    return found.decode("utf-8", "surrogateescape")
