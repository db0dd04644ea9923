"""Marks of the sessions that cloudstore began at targets of others, to which somebody else may log in, too."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from datastores.domain.iscsi import Lun
from datastores.domain.plan import Action, Command, Output, WriteFile
from datastores.hosts.parsing import text_file, text_reads

DIRECTORY = "/var/lib/cloudstore/sessions"


def mark_of(lun: Lun) -> str:
    """Return the file that says of a host that its session at the target was begun by cloudstore."""
    return f"{DIRECTORY}/{hashlib.sha256(f'{lun.iqn} {lun.portal}'.encode()).hexdigest()[:16]}"


def ask_mark(lun: Lun) -> tuple[Command, Command]:
    """Return the reads of :func:`marked`."""
    return text_reads(mark_of(lun))


def marked(host: str, lun: Lun, outputs: Sequence[Output]) -> str | None:
    """Return what was said of the record of the target before, "" for no record; None for no mark.

    :raises CommandFailed: it could not be read.
    """
    text = text_file(host, mark_of(lun), outputs).text
    return None if text is None else text.rstrip("\n").rpartition(" ")[2]


def marking(lun: Lun, recorded: str) -> tuple[Action, ...]:
    """Return what marks the session that is about to be begun. ``recorded``: what the record of the target says.

    It is one word.
    """
    directory = Action(Command(("install", "-d", "-m", "0755", "--", DIRECTORY)), harmless=True)
    write = WriteFile(mark_of(lun), f"{lun.iqn} {lun.portal} {recorded}\n")
    return directory, Action(write, write.undo)


def unmarking(lun: Lun, recorded: str) -> Action:
    """Return what takes the mark away. ``recorded``: what it says, for the way back."""
    back = Command(("sh", "-c", 'printf "%s\\n" "$2" > "$1"', "sh", mark_of(lun), f"{lun.iqn} {lun.portal} {recorded}"))
    return Action(Command(("rm", "-f", "--", mark_of(lun))), back)
