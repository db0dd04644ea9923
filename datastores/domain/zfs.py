"""ZFS in its own words: names, layouts of pools, properties.

From zfsconcepts(7), zpoolconcepts(7) and zfsprops(7) of OpenZFS 2.1; 2.0 and 2.3 agree in what is used here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.errors import BadInput
from datastores.domain.values import absolute_path, object_name, parse_size

NAME_MAX = 255
"""Bytes of a whole name, snapshot included (ZFS_MAX_DATASET_NAME_LEN)."""
BASE_MAX = 64
"""Ours, for the data set of a datastore: names of images and of snapshots of people come behind it."""

_POOL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*\Z")
_SNAPSHOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.: -]*\Z")
_RESERVED = re.compile(r"(mirror|raidz|draid|spare).*|log\Z|c[0-9].*")
_DISK = re.compile(r"/dev/[A-Za-z0-9/_.:+@-]+\Z")
_WORD = re.compile(r"[a-z0-9-]{1,16}\Z")

GOLD = "gold"
"""The snapshot of a master that its clones are made of."""
OF_PEOPLE = "snap:"
"""What the names of snapshots begin with that people took. No name that a person chooses is ``gold`` then."""
FORMAT, CONTENT = "cloudstore:format", "cloudstore:content"
"""User properties: the format of the disk in a data set, and by what a snapshot knows which content it has."""
OF_ANOTHER = "from:"
"""What the names of snapshots begin with that came from a master whose place the data set has taken."""
DISK = "disk.0"
"""What the disk in a data set of its own is called."""
DELEGATED = ("clone", "create", "destroy", "mount", "share", "sharenfs")
"""What an account needs for clones by hand. On Linux only root mounts: see ``hosts.zfs_delegation``."""
SIZES = frozenset({"quota", "refquota", "reservation", "refreservation"})


def dataset_name(value: str, what: str = "The data set") -> str:
    """Return the name of a file system: components between slashes, the first of which is its pool.

    Blanks, which ZFS allows, are refused: mount tables and scripts trip over them.
    """
    pool, *components = value.split("/")
    if not _POOL.match(pool) or _RESERVED.match(pool):
        raise BadInput(
            f"{what} {value[:80]!r} begins with the name of a pool: a letter, then letters, digits and _ . -"
        )
    if not all(_COMPONENT.match(each) and each not in {".", ".."} for each in components):
        raise BadInput(f"{what} {value[:80]!r} may hold letters, digits and _ . : - between its slashes.")
    if len(value) > NAME_MAX:
        raise BadInput(f"{what} has {len(value)} characters; at most {NAME_MAX} are allowed.")
    return value


def pool_name(value: str) -> str:
    if "/" in value:
        raise BadInput(f"The name of a pool holds no slash, as {value[:80]!r} does.")
    return dataset_name(value, "The pool")


def pool_of(dataset: str) -> str:
    return dataset.partition("/")[0]


def snapshot_name(dataset: str, name: str) -> str:
    """Return the full name of a snapshot."""
    if not _SNAPSHOT.match(name):
        raise BadInput(f"{name[:80]!r} is not the name of a snapshot.")
    full = f"{dataset_name(dataset)}@{name}"
    if len(full) > NAME_MAX:
        raise BadInput(f"The name {full[:80]}... has {len(full)} characters; at most {NAME_MAX} are allowed.")
    return full


def of_people(name: str) -> str:
    """Return what a person's snapshot is called on its data set.

    A plus is no character of ZFS, and a colon is none of ours.
    """
    if object_name(name, "The name of the snapshot") != name:
        raise BadInput("The name of the snapshot begins or ends with a blank.")
    return OF_PEOPLE + name.replace("+", ":p")


def in_words(snapshot: str) -> str:
    """Return what people call a snapshot, given its full name or what follows the @."""
    name = snapshot.rpartition("@")[2]
    return name.removeprefix(OF_PEOPLE).replace(":p", "+") if name.startswith(OF_PEOPLE) else f"@{name}"


def disk_device(value: str) -> str:
    """Return the path of a disk, such as /dev/disk/by-id/ata-..."""
    if not _DISK.match(value) or absolute_path(value) != value:
        raise BadInput(f"{value[:80]!r} is not the path of a disk, such as /dev/disk/by-id/wwn-0x5000c500a1b2c3d4.")
    return value


class Layout(StrEnum):
    """How the disks of a pool hold its blocks."""

    SINGLE = "single"
    STRIPE = "stripe"
    MIRROR = "mirror"
    RAIDZ1 = "raidz1"
    RAIDZ2 = "raidz2"
    RAIDZ3 = "raidz3"


LEAST = {Layout.SINGLE: 1, Layout.STRIPE: 1, Layout.MIRROR: 2, Layout.RAIDZ1: 3, Layout.RAIDZ2: 4, Layout.RAIDZ3: 5}
"""Disks of a layout. zpool takes one less for raidz; that is a mirror with more work."""


@dataclass(frozen=True, slots=True)
class Disks:
    """The disks of a pool. ``log``: one, or several that mirror each other. ``cache``: any; the pool misses none."""

    layout: Layout
    data: tuple[str, ...]
    log: tuple[str, ...] = ()
    cache: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for disk in self.all:
            disk_device(disk)
        if len(set(self.all)) != len(self.all):
            raise BadInput("A disk is named twice.")
        if len(self.data) < LEAST[self.layout]:
            raise BadInput(f"A pool with the layout {self.layout} needs at least {LEAST[self.layout]} disks.")

    @property
    def all(self) -> tuple[str, ...]:
        return *self.data, *self.log, *self.cache

    @property
    def words(self) -> tuple[str, ...]:
        """What zpool-create(8) calls virtual devices."""
        data = self.data if self.layout in (Layout.SINGLE, Layout.STRIPE) else (self.layout.value, *self.data)
        log = ("log", *(("mirror",) if len(self.log) > 1 else ()), *self.log) if self.log else ()
        return *data, *log, *(("cache", *self.cache) if self.cache else ())


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a data set and its value as ``zfs get -p`` prints it: bytes for sizes, 0 for none."""

    name: str
    value: str

    def __post_init__(self) -> None:
        if self.name in SIZES | {"recordsize"}:
            if not self.value.isdecimal() or not self.value.isascii():
                raise BadInput(f"{self.name} is a number of bytes, not {self.value!r}.")
        elif not _WORD.match(self.name) or not _WORD.match(self.value):
            raise BadInput(f"{self.name[:40]!r}={self.value[:40]!r} is not a property of a data set.")

    def __str__(self) -> str:
        """As ``zfs set`` takes it: it prints 0 for no quota, but does not take that."""
        return f"{self.name}={'none' if self.name in SIZES and self.value == '0' else self.value}"


def size_property(name: str, value: str) -> Property:
    """Return a quota or reservation, given as "25 GiB"; "" or "0" for none."""
    return Property(name, str(parse_size(value)) if value.strip() not in {"", "0"} else "0")


def record_size(value: str) -> Property:
    """Return the largest block of a file: a power of two from 4 KiB to 1 MiB (``large_blocks`` is usual since 0.8)."""
    size = parse_size(value)
    if size & (size - 1) or not 4 << 10 <= size <= 1 << 20:
        raise BadInput(f"The record size is a power of two from 4 KiB to 1 MiB, not {value}.")
    return Property("recordsize", str(size))


def room_of_disk(size: int, record: int) -> int:
    """Return the bytes that a disk of ``size`` may come to take in records of this size.

    Beside the bytes themselves: pointers to the records (128 bytes each, kept twice), and tables of qcow2.
    """
    return size + 2 * 128 * -(-size // record) + size // 4096 + (1 << 20)


def words_of(text: str) -> Sequence[str]:
    """Return the devices that were listed with blanks or commas between them."""
    return text.replace(",", " ").split()
