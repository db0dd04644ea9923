"""What lies behind the message of a command that failed, in a sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

from datastores.domain.programs import package_of

NO_PROGRAM = 126, 127, 203
"""What sh(1), timeout(1) and systemd.exec(5) exit with."""
_MISSING = re.compile(
    r"(?:^|: )(?:command )?[\"'`]?(?P<unknown>[A-Za-z0-9_./-]+)[\"']?: (?:command )?not found\s*$"
    r"|[Ff]ailed to (?:run command|execute|locate executable) [\"'`]?(?P<unrun>[^\"':\s]+)[\"']?: No such file "
    r"|^(?:exec|env): [\"'`]?(?P<unfound>[A-Za-z0-9_./-]+)[\"']?: No such file or directory\s*$",
    re.MULTILINE,
)
"""As dash, bash, sudo, timeout and systemd say it, in the locale C."""
_PATH = r"[\"'`]?(?P<path>/[^\"'\n]*?)[\"']?: "


def _where(found: re.Match[str]) -> str:
    return found["path"] or "a file system"


def _dead(found: re.Match[str], host: str) -> str:
    """Sockets say ENOTCONN, too: only of a path is it about what is mounted there."""
    if not found["path"]:
        return ""
    return (
        f"What serves {found['path']} to {host} has stopped: a GlusterFS volume that was stopped, or whose mount has "
        "died. Start the volume (its page says whether it runs). Where it runs, unmount it there (`umount -l`) and "
        "mount it again."
    )


def _stale(found: re.Match[str], host: str) -> str:
    return (
        f"The server of {_where(found)} does not know any more what {host} has mounted there: it was exported anew, "
        "restored or replaced. Unmount it there (`umount -l`) and mount it again."
    )


def _read_only(found: re.Match[str], host: str) -> str:
    return (
        f"The file system of {_where(found)} on {host} is read-only: it was mounted so, or the kernel made it so after "
        "an error (`dmesg` there says). When its disk is sound, say `mount -o remount,rw` there."
    )


def _full(found: re.Match[str], host: str) -> str:
    return f"The file system of {_where(found)} on {host} is full. Make room there."


_CAUSES: tuple[tuple[str, Callable[[re.Match[str], str], str]], ...] = (
    ("Transport endpoint is not connected", _dead),
    ("Stale (?:NFS )?file handle", _stale),
    ("Read-only file system", _read_only),
    ("No space left on device", _full),
)
"""errno(3) in words, as glibc has them, and what is behind it."""
_ERRORS = tuple((re.compile(f"(?:{_PATH})?{words}"), sentence) for words, sentence in _CAUSES)


def cause(exit_status: int, stderr: str, host: str) -> str:
    """Return what is behind the failure of a command, and what to do; "": nothing is known of it."""
    host = host or "the host"
    for words, sentence in _ERRORS:
        if (found := words.search(stderr)) and (said := sentence(found, host)):
            return said
    told = exit_status in NO_PROGRAM or "command not found" in stderr  # the latter is sudo's, with a status of its own
    if told and (missing := _MISSING.search(stderr)):
        name = next(filter(None, missing.groups())).rpartition("/")[2]
        package = package_of(name)
        what = f"the package {package}" if package else "what brings it"
        return f"There is no program {name} on {host}. Install {what} there."
    return ""
