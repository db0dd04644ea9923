"""GlusterFS in its own words: how bricks form a volume, and what its names may hold (gluster(8), versions 9 to 11)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network

from datastores.domain.errors import BadInput, Refused
from datastores.domain.values import absolute_path, host_address, one_line

VOLUME_NAME_MAX = 128
"""Ours; gluster allows 256, but the name becomes part of file names that get more added to them."""

_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_RESERVED = frozenset({"all", "volume", "type", "subvolumes", "option", "end-volume"})  # of the CLI and of volume files
_BRICK = re.compile(r"[A-Za-z0-9/._+@-]+\Z")  # a colon parts the host from the path, a comma lists bricks
_OPTION = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9_-]+)+\Z")
_PATTERN = re.compile(r"(\d{1,3}|\*)(\.(\d{1,3}|\*)){0,3}\Z")
_GFID = re.compile(r"gfid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_ENTRY = re.compile(r"(/[^,()]*)\(([^,()]+)\)\Z")
ADDRESS_LISTS = frozenset({"auth.allow", "auth.reject"})


class Form(StrEnum):
    """What holds the copies of a file. Each is distributed when there is more than one set of bricks."""

    DISTRIBUTE = "distribute"  # each file on one brick, no copy
    REPLICATE = "replicate"  # whole copies
    ARBITER = "replicate with arbiter"  # the last brick of a set has names and attributes only
    DISPERSE = "disperse"  # erasure code
    STRIPE = "stripe"  # obsolete, gone with version 6
    TIER = "tier"  # obsolete, gone with version 6


OBSOLETE = frozenset({Form.STRIPE, Form.TIER})


@dataclass(frozen=True, slots=True)
class Layout:
    """How bricks form a volume. ``copies``: 1 when files are not replicated; an arbiter counts as one of them.

    ``fragments``: the bricks of a disperse set, of which ``redundancy`` may fail; 0: it is none.
    """

    copies: int = 1
    arbiters: int = 0
    fragments: int = 0
    redundancy: int = 0
    obsolete: str = ""
    """The type of a volume that is read, but never made: in gluster's word."""

    def __post_init__(self) -> None:
        if self.obsolete:
            return
        if self.copies < 1 or self.copies > 16:
            raise BadInput("A volume keeps from 1 to 16 copies of a file.")
        if self.arbiters and (self.copies, self.arbiters) != (3, 1):
            raise BadInput("An arbiter is the third brick of three: replica 3 arbiter 1.")
        if self.fragments and self.copies > 1:
            raise BadInput("A volume is either replicated or dispersed.")
        if bool(self.fragments) != bool(self.redundancy):
            raise BadInput("A dispersed volume has a number of bricks and of those that may fail, at least 1.")
        if self.fragments and not 0 < 2 * self.redundancy < self.fragments:
            raise BadInput(
                f"Of {self.fragments} bricks at least 1 and fewer than half may fail: not {self.redundancy}."
            )

    @property
    def form(self) -> Form:
        if self.obsolete:
            return Form.TIER if "ier" in self.obsolete else Form.STRIPE
        if self.fragments:
            return Form.DISPERSE
        if self.copies == 1:
            return Form.DISTRIBUTE
        return Form.ARBITER if self.arbiters else Form.REPLICATE

    @property
    def set_size(self) -> int:
        """Bricks that belong together; a volume has a multiple of that."""
        return self.fragments or self.copies

    @property
    def words(self) -> tuple[str, ...]:
        """How ``gluster volume create`` is told."""
        if self.fragments:
            return ("disperse", str(self.fragments), "redundancy", str(self.redundancy))
        if self.copies == 1:
            return ()
        arbiter = ("arbiter", str(self.arbiters)) if self.arbiters else ()
        return ("replica", str(self.copies), *arbiter)

    @property
    def may_fail(self) -> int:
        """Bricks of a set that may fail with every file still there to read and write."""
        return self.redundancy or (self.copies - 1) // 2

    @property
    def usable(self) -> float:
        """The part of the bricks' space that files get, with bricks of one size; an arbiter's needs next to none."""
        if self.fragments:
            return (self.fragments - self.redundancy) / self.fragments
        return 1 / (self.copies - self.arbiters)

    @property
    def remark(self) -> str:
        """What one should know before making it; "" when there is nothing."""
        if self.copies == 2:
            return (
                "With two copies either brick can go on alone, and then both may have changed (split-brain). "
                "A third copy or an arbiter prevents that."
            )
        data = self.fragments - self.redundancy
        if self.fragments and data & (data - 1):
            return f"{data} data bricks are no power of two, so that most writes have to read first and are slow."
        if self.copies == 1 and not self.fragments:
            return "A file is on one brick only: when that is lost, so is the file."
        return ""

    def name(self, bricks: int) -> str:
        """Return the words for a volume of so many bricks, such as "distributed replicate 2 x 3"."""
        if self.obsolete:
            return f"{self.obsolete.lower()} (obsolete)"
        sets = bricks // self.set_size
        if self.form is Form.DISTRIBUTE:
            return f"{self.form} {bricks}"
        parts = f"({self.copies - 1} + 1)" if self.arbiters else str(self.set_size)
        parts = f"({self.fragments - self.redundancy} + {self.redundancy})" if self.fragments else parts
        return f"{'distributed ' if sets > 1 else ''}{self.form} {sets} x {parts}"


@dataclass(frozen=True, slots=True)
class Brick:
    """A directory of a peer that is part of a volume. ``peer``: as the pool knows it, not as this product does."""

    peer: str
    path: str

    def __str__(self) -> str:
        return f"{self.peer}:{self.path}"


def parse_brick(text: str) -> Brick:
    """Return the brick that ``peer:/path`` names, as it was found: others may have names that we would not give."""
    peer, _, path = text.partition(":/")
    return Brick(peer, f"/{path}")


def check_bricks(bricks: Sequence[Brick]) -> None:
    """Raise BadInput unless these are bricks that we may name."""
    for brick in bricks:
        peer_name(brick.peer)
        brick_path(brick.path)


def peer_name(value: str) -> str:
    """Return the name or address by which the pool knows a host."""
    if host_address(value, "The peer") != value or value == "localhost":
        raise BadInput(f"{value[:80]!r} is no peer's name as every other peer knows it, in small letters.")
    return value


def brick_path(value: str) -> str:
    """Return the path of a brick's directory."""
    if absolute_path(value, "The path of the brick") != value or value == "/":
        raise BadInput(f"{value[:80]} is no path of a brick in its shortest form, such as /srv/bricks/vms.")
    if not _BRICK.match(value):
        raise BadInput("The path of a brick may hold letters, digits and / . _ + @ -.")
    return value


def volume_directory(value: str) -> str:
    """Return a directory of a volume as its path from the root of the volume; "/" is all of it.

    No comma or bracket: in auth.allow these part directories and the addresses that may mount them.
    """
    if absolute_path(value, "The directory") != value or not _BRICK.match(value):
        raise BadInput(
            f"{value[:80]!r} is no directory of a volume: a path in it, such as /tenants/blue, of letters, digits and "
            "/ . _ + @ -."
        )
    return value


def check_layout(layout: Layout, bricks: Sequence[Brick], *, forced: bool = False) -> None:
    """Check that a volume can be made of these bricks, in this order: each set is neighbours.

    ``forced``: bricks of one set may be on one host.

    :raises Refused: it cannot, or it would not survive what it is for.
    """
    if layout.obsolete:
        raise Refused(f"Volumes of type {layout.obsolete} are obsolete since GlusterFS 6. None is made any more.")
    if len(set(bricks)) < len(bricks):
        raise Refused(f"The brick {next(one for one in bricks if bricks.count(one) > 1)} is named twice.")
    size = layout.set_size
    if not bricks or len(bricks) % size:
        raise Refused(
            f"{layout.form.capitalize()} takes its bricks {size} at a time: {len(bricks)} is no multiple of that."
        )
    for number in range(0, len(bricks) if size > 1 and not forced else 0, size):
        peers = [brick.peer for brick in bricks[number : number + size]]
        twice = next((peer for peer in peers if peers.count(peer) > 1), None)
        if twice:
            raise Refused(
                f"Set {number // size + 1} has several bricks on {twice}: when that host fails they fail together. "
                f"Name the bricks so that each {size} in a row are on different hosts, or force it."
            )


def volume_name(value: str) -> str:
    """Return the name of a GlusterFS volume."""
    if not _VOLUME.match(value) or len(value) > VOLUME_NAME_MAX or value in _RESERVED:
        raise BadInput(
            f"{value[:40]!r} is no name of a GlusterFS volume: letters, digits, - and _, "
            f"at most {VOLUME_NAME_MAX}, beginning with a letter or digit, and no word of gluster's own such as all."
        )
    return value


def torn_entry(value: str) -> str:
    """Return a file of a volume whose copies contradict each other: its path, or ``gfid:`` and its uuid."""
    if _GFID.match(value):
        return value
    if absolute_path(value, "The file") != value or value == "/":
        raise BadInput(f"{value[:80]!r} is no file of a volume: a path in it, or gfid: and a uuid.")
    return value


def option_name(value: str) -> str:
    """Return the full name of a volume's option. A short one would not be found among those that are set."""
    if not _OPTION.match(value):
        raise BadInput(f"{value[:60]!r} is no full name of an option, such as auth.allow or network.ping-timeout.")
    return value


def option_value(name: str, value: str) -> str:
    """Return what the option ``name`` may be set to."""
    if name in ADDRESS_LISTS:
        return access_list(value)
    if not value or value != one_line(value, f"The value of {name}").strip() or len(value) > 1024:
        raise BadInput(f"The value of {name} is empty, too long, or has blanks around it.")
    return value


def address_list(value: str) -> str:
    """Return who may mount: addresses, networks and patterns such as 10.77.*, with commas between, or * for all."""
    for part in value.split(","):
        if not (_PATTERN.match(part) and _is_pattern(part)) and not _is_network(part):
            raise BadInput(
                f"{part[:40]!r} is no address (10.0.0.7), network (10.0.0.0/24) or pattern of addresses (10.0.*)."
            )
    return value


def access_list(value: str) -> str:
    """Return who may mount what: a list of addresses, or directories with those of each, all parted by commas."""
    if not value.startswith("/"):
        return address_list(value)
    for entry in value.split(","):
        found = _ENTRY.match(entry)
        if not found:
            raise BadInput(f"{entry[:60]!r} is no directory with its addresses, such as /blue(10.0.0.7|10.0.1.*).")
        volume_directory(found[1])
        address_list(found[2].replace("|", ","))
    return value


def _is_pattern(text: str) -> bool:
    parts = text.split(".")
    return ("*" in parts or len(parts) == 4) and all(part == "*" or int(part) < 256 for part in parts)


def _is_network(text: str) -> bool:
    try:
        if "/" in text:
            ip_network(text)
        else:
            ip_address(text)
    except ValueError:
        return False
    return True
