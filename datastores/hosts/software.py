"""What runs on a host: its release, programs and accounts. Parsers of what ``facts`` reads."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.plan import Output
from datastores.domain.programs import TOOLS
from datastores.hosts.accounts import NOBODY, Group, User

SERVICE_ACCOUNTS = frozenset(
    {"root", "oneadmin", "nova", "libvirt-qemu", "libvirt", "kvm", "cloud", "glance", "cinder", "qemu", "disk", "sudo"}
)
FIRST_PERSON = 1000
"""Debian Policy 9.2.2: numbers from here on belong to people and to what an administrator adds."""


class Rights(StrEnum):
    """What the account that we log in with may do."""

    ROOT = "root"
    SUDO = "sudo without a password"
    NONE = "no sudo without a password"
    NO_SUDO = "sudo is not installed"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is there. ``version``: of its package, "" when no package brought it."""

    name: str
    version: str


def release(text: str) -> dict[str, str]:
    """Return the settings of os-release(5), unquoted."""
    words = (word.partition("=") for line in text.splitlines() for word in shlex.split(line, comments=True)[:1])
    return {name: value for name, _, value in words}


def rights(user_id: int, sudo: Output) -> Rights:
    """Return what the account may do; ``sudo``: how it answered to being asked for nothing."""
    if user_id == 0:
        return Rights.ROOT
    if sudo.exit_status == 127:
        return Rights.NO_SUDO
    return Rights.SUDO if sudo.ok else Rights.NONE


def versions(text: str) -> dict[str, str]:
    """Return the version of each installed package from lines such as "xfsprogs 6.1.0-1 ii"."""
    words = (line.split() for line in text.splitlines())
    return {package: version for package, version, state in (word for word in words if len(word) == 3) if state == "ii"}


def tools(text: str, version: dict[str, str]) -> tuple[Tool, ...]:
    """Return the programs whose paths were printed, one on each line."""
    names = (posixpath.basename(path) for path in text.splitlines())
    return tuple(Tool(name, version.get(TOOLS[name], "")) for name in names if name in TOOLS)


def of_interest(found: User | Group) -> bool:
    """Tell whether an account or group matters for who owns disks: people and the accounts of clouds."""
    number = found.uid if isinstance(found, User) else found.gid
    return number >= FIRST_PERSON or number == NOBODY or found.name in SERVICE_ACCOUNTS
