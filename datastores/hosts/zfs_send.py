"""Runs on the host that has a data set: ``python3 -I send.py``, the forced command of the key of one transfer.

It needs nothing but Python 3.7, zfs, and the file ``source`` beside it, which names the one snapshot that it may send:
whoever has the key can ask for nothing else. From its input it reads a line: the token from which an earlier attempt is
to go on, or "-", and the features that the other pool has. ``zfs_receive.py`` is the other end.

    HEADER  magic, guid of the snapshot, bytes that are going to come (as zfs estimates them)
    then the stream of zfs-send(8)
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

MAGIC = b"cloudstore stream 1\n"
HEADER = struct.Struct(">20sQQ")
REFUSED = 3
"""Exit status when trying again is of no use; standard error says why."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMPRESSED = "lz4_compress", "zstd_compress"
"""Features that a pool has to have to take blocks as they are compressed here."""
_TOKEN = re.compile(r"[0-9]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+\Z")
_NAME, _GUID = re.compile(r"^\s*toname = (.*)$", re.M), re.compile(r"^\s*toguid = (0x[0-9a-f]+|\d+)$", re.M)
_SIZE = re.compile(r"^size\s+(\d+)$", re.M)


def told(*command: str) -> str:
    """Return what a command says. :raises ValueError: it failed."""
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    if process.returncode:
        raise ValueError(process.stderr.strip() or f"{command[0]} ended with status {process.returncode}")
    return process.stdout + process.stderr


def guid_of(snapshot: str) -> int:
    return int(told("zfs", "get", "-H", "-p", "-o", "value", "guid", snapshot))


def flags(here: set[str], there: set[str]) -> list[str]:
    """Return how blocks are sent: as they lie here, as far as the other pool can hold such.

    ``here``: features that blocks of this pool have; ``there``: those that the other pool has.
    """
    compressed = ["-c"] if here & set(COMPRESSED) <= there else []
    return compressed + (["-L"] if "large_blocks" in there else [])


def features(pool: str) -> set[str]:
    """Return those features of the pool that some block of it has."""
    names = ",".join(f"feature@{name}" for name in COMPRESSED)
    said = told("zpool", "get", "-H", "-o", "property,value", names, pool).splitlines()
    words = (line.split("\t") for line in said if "\t" in line)
    return {name[len("feature@") :] for name, value in words if value == "active"}


def command_for(snapshot: str, guid: int, token: str, there: set[str]) -> list[str]:
    """Return what sends the snapshot, from where the token says.

    :raises ValueError: the token is none, or one of another snapshot: that would be sent instead.
    """
    if token == "-":  # noqa: S105  # no secret: how far it came
        return ["zfs", "send", *flags(features(snapshot.partition("/")[0].partition("@")[0]), there), snapshot]
    if not _TOKEN.match(token):
        raise ValueError(f"{token[:40]!r} is no token")
    said = told("zfs", "send", "-n", "-v", "-t", token)
    name, number = _NAME.findall(said), _GUID.findall(said)
    if name != [snapshot] or [int(each, 0) for each in number] != [guid]:
        raise ValueError(f"The token is not one of {snapshot} as it is now.")
    return ["zfs", "send", "-t", token]


def estimate(command: list[str]) -> int:
    """Return how many bytes the command is going to send; 0: zfs does not say."""
    found = _SIZE.findall(told(*command[:2], "-n", "-P", *command[2:]))
    return int(found[-1]) if found else 0


def main(snapshot: str, asked: str) -> None:
    """Send the snapshot as it was asked for: this process becomes ``zfs send``."""
    token, *there = asked.split() or ["-"]
    guid = guid_of(snapshot)
    command = command_for(snapshot, guid, token, set(there))
    sys.stdout.buffer.write(HEADER.pack(MAGIC, guid, estimate(command)))
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    os.environ["PATH"], os.environ["LC_ALL"] = PATH, "C"
    try:
        main(Path(__file__).resolve().with_name("source").read_text(), sys.stdin.readline(1 << 16).strip())
    except BrokenPipeError:
        sys.exit(1)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
