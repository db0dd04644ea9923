"""What is wrong or dangerous about the bricks that somebody named for a volume, in sentences for an operator.

Told before a plan is asked for; the steps refuse what is wrong by themselves, from what the hosts say then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from datastores.domain.export_checks import Severity
from datastores.domain.gluster import Brick, Form, Layout
from datastores.domain.values import is_below


@dataclass(frozen=True, slots=True)
class PlacedBrick:
    """A brick and the host, by the name that cloudstore has for it, where its directory is."""

    host: str
    brick: Brick

    def __str__(self) -> str:
        return f"{self.host}:{self.brick.path}"


@dataclass(frozen=True, slots=True)
class Finding:
    """``code``: the name of the check."""

    code: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Disks:
    """What is known of the file systems of one host: where they are mounted, the root left out."""

    host: str
    mount_points: tuple[str, ...]

    def below_one(self, path: str) -> bool:
        return any(is_below(path, point) for point in self.mount_points)


def check(
    layout: Layout,
    bricks: Sequence[PlacedBrick],
    storage: str,
    *,
    disks: Collection[Disks] = (),
    forced: bool = False,
) -> list[Finding]:
    """Return what is to be said of a volume of these bricks, the worst first.

    ``storage``: the host where the volume is managed. ``disks``: of the hosts that were read; others are not judged.
    ``forced``: bricks may be on the root file system, and several of a set on one host.
    """
    found = [
        *_number(layout, bricks), *_twice(bricks), *_storage(bricks, storage), *_sets(layout, bricks, forced),
        *_places(bricks, disks, forced), *_remarks(layout, bricks),
    ]  # fmt: skip
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def _number(layout: Layout, bricks: Sequence[PlacedBrick]) -> Iterator[Finding]:
    size, count = layout.set_size, len(bricks)
    if not count or count % size:
        fitting = ", ".join(str(size * sets) for sets in (1, 2, 3))
        yield Finding(
            "number", Severity.BAD,
            f"{layout.form.capitalize()} takes its bricks {size} at a time: {fitting} and so on, not {count}."
            if size > 1 else "Name at least one brick.",
        )  # fmt: skip


def _twice(bricks: Sequence[PlacedBrick]) -> Iterator[Finding]:
    for number, one in enumerate(bricks):
        for other in bricks[:number]:
            inner, outer = sorted((one.brick.path, other.brick.path), key=len, reverse=True)
            if one.host == other.host and is_below(inner, outer):
                yield Finding("twice", Severity.BAD, f"{one} is named twice, or lies in or around {other}.")


def _storage(bricks: Sequence[PlacedBrick], storage: str) -> Iterator[Finding]:
    if bricks and storage not in {placed.host for placed in bricks}:
        yield Finding(
            "storage host", Severity.BAD,
            f"The storage host {storage} has none of the bricks. The volume is managed from there: give it one, or "
            "choose a host that has one as the storage host.",
        )  # fmt: skip


def _sets(layout: Layout, bricks: Sequence[PlacedBrick], forced: bool) -> Iterator[Finding]:
    size = layout.set_size
    for first in range(0, len(bricks) if size > 1 else 0, size):
        hosts = [placed.host for placed in bricks[first : first + size]]
        if twice := next((host for host in hosts if hosts.count(host) > 1), None):
            yield Finding(
                "one host", Severity.WARNING if forced else Severity.BAD,
                f"Set {first // size + 1} has several bricks on {twice}: when that host fails they fail together. Name "
                f"the bricks so that each {size} in a row are on different hosts.",
            )  # fmt: skip


def _places(bricks: Sequence[PlacedBrick], disks: Collection[Disks], forced: bool) -> Iterator[Finding]:
    known = {each.host: each for each in disks}
    for placed in bricks:
        path, there = placed.brick.path, known.get(placed.host)
        if there is None:
            continue
        if path in there.mount_points:
            yield Finding(
                "mount point", Severity.BAD,
                f"{placed} is a mount point: when its disk is not mounted, files would go to what is below. Use a "
                f"directory in it, such as {path}/brick.",
            )  # fmt: skip
        elif not there.below_one(path):
            yield Finding(
                "root", Severity.WARNING if forced else Severity.BAD,
                f"{placed} is on the root file system: a full volume would stop the host. Mount a disk and use a "
                "directory there, or force it.",
            )  # fmt: skip


def _remarks(layout: Layout, bricks: Sequence[PlacedBrick]) -> Iterator[Finding]:
    if layout.remark:
        yield Finding("remark", Severity.WARNING, layout.remark)
    if bricks and not len(bricks) % layout.set_size:
        fail = layout.may_fail
        lost = {0: "none may fail", 1: "one may fail"}.get(fail, f"{fail} may fail")
        of = "" if layout.form is Form.DISTRIBUTE else f"; of each {layout.set_size} bricks {lost}"
        yield Finding(
            "room", Severity.INFO,
            f"{layout.name(len(bricks)).capitalize()}: files get {layout.usable:.0%} of the room of all bricks{of}.",
        )  # fmt: skip
