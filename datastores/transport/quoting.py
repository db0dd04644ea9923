"""The only place where argv lists become text for a shell.

The text is for a POSIX shell (sh, dash, bash, zsh, ksh); a connection checks once that the account's login
shell is one, because others (fish, csh) read the same quotes differently.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from datastores.domain.errors import BadInput
from datastores.domain.plan import Command

LONGEST = 120_000
"""Bytes of one command line. Linux hands at most 128 KiB to a program as a single argument (MAX_ARG_STRLEN),
and sshd gives the whole line to the login shell as one."""

ENVIRONMENT = 'export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"; '
"""Before every command: messages that can be parsed, and the programs of an administrator for every account."""

KILL_AFTER = 5
STOPPED = frozenset({124, 137})
"""What ``timeout`` exits with when it ended a command: by SIGTERM, or by SIGKILL after that."""


def with_deadline(argv: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return ``argv`` so that the host itself ends it when its time is up, whatever becomes of us.

    :raises BadInput: as ``shell_line``; or no time at all, which ``timeout`` would take for no limit.
    """
    _check(argv)
    if not 0 < seconds < 1e9:
        raise BadInput(f"The time for {argv[0]} is {seconds} s; it must be more than nothing, and end.")
    # Never with -v: with nobody left to read its message it would die of that, before it ends the command
    return ("timeout", "-k", str(KILL_AFTER), f"{seconds:.10g}", *argv)


def shell_line(argv: Sequence[str]) -> str:
    """Return ``argv`` as one line that a POSIX shell splits into exactly these words.

    :raises BadInput: there is no word, or one that no program can receive.
    """
    _check(argv)
    return shlex.join(argv)


def piped_line(argv: Sequence[str], data: bytes) -> str:
    """Return a line that gives ``argv`` exactly these bytes as its input. Its exit status is that of ``argv``.

    :raises BadInput: as ``shell_line``; or the bytes hold a NUL.
    """
    line = shell_line(argv)
    if b"\0" in data:
        raise BadInput(f"The input of {argv[0]} contains a NUL character; no shell can hold that.")
    text = shlex.quote(data.decode("utf-8", "surrogateescape"))
    # A program that ends before it has read all of it says why; the broken pipe would only be noise beside that
    return f"printf %s {text} 2>/dev/null | {line}"


def encode_input(command: Command) -> bytes:
    """Return the bytes that a command is to read.

    :raises BadInput: its input is no bytes in latin-1.
    """
    try:
        return command.stdin.encode("latin-1")
    except UnicodeEncodeError:  # would hold the whole input, which may be secret
        raise BadInput(f"The input of {command.argv[0]} is not bytes in latin-1.") from None


def encode_line(line: str) -> bytes:
    """Return the bytes of a command line. File names that are not UTF-8 pass as surrogate escapes.

    :raises BadInput: it has characters that no encoding knows, or is too long.
    """
    try:
        encoded = line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadInput(f"An argument contains half a character (U+{ord(line[error.start]):04X}).") from error
    if len(encoded) > LONGEST:
        raise BadInput(f"A command line has {len(encoded)} bytes; a host takes at most {LONGEST}.")
    return encoded


def whole(line: bytes) -> bytes:
    """Return the script for a shell that reads it from its input: it runs all of it or, if it is cut off, nothing."""
    return b"{ " + line + b"\n}\n"


def marked(line: bytes, mark: bytes) -> bytes:
    """Return ``whole(line)`` for a shell that goes on: after it both outputs get the mark, the first its status too."""
    end = b"s=$?; printf '%%s%%s.' %s $s; printf %%s %s >&2" % (mark, mark)
    return whole(b"( " + line + b"\n) </dev/null\n" + end)


def _check(argv: Sequence[str]) -> None:
    if not argv or not argv[0]:
        raise BadInput("A command needs the name of a program.")
    for word in argv:
        if "\0" in word:
            raise BadInput(f"An argument of {argv[0]} contains a NUL character; no program can receive that.")
