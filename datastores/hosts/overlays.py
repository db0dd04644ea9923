"""Disks that hold only their difference from a base image: qcow2 with a backing file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.plan import Change, Command, Output
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import PART, check_part, owned_as, renamed, scratch
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class OverlayFacts:
    files: Files
    info: qemu_img.ImageInfo | None


@dataclass(frozen=True, slots=True)
class OverlayExists:
    """``target`` is a qcow2 overlay on ``base``, whose format is written into it, so that nobody ever guesses it.

    Owner and mode are the base's. The base must not be written to any more: whoever made the image sees to that.
    """

    host: str
    base: str
    base_format: Format
    target: str
    with_directory: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.base)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is an overlay on {self.base}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        return look(self.base, self.part, *around(self.target)), qemu_img.ask_info_if_there(self.target, "qcow2")

    def facts(self, outputs: Sequence[Output]) -> OverlayFacts:
        stat, details = self.reads()
        files = seen(stat, outputs[0])
        there = self.target in files and files[self.target].is_file
        return OverlayFacts(files, qemu_img.info(details, outputs[1]) if there else None)

    def plan(self, facts: OverlayFacts) -> Change | None:
        base = the_file(self.host, facts.files, self.base)
        if self.target in facts.files:
            the_file(self.host, facts.files, self.target)
            self._check(facts.info)
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(self.host, facts.files, self.target, with_directory=self.with_directory)
        create = qemu_img.create(self.part, base=self.base, base_format=self.base_format.qemu)
        made = scratch(self.part, owned_as(base).empty(self.part), create)
        return Change(self.title, (*directory, *made, renamed(self.part, self.target)))

    def _check(self, found: qemu_img.ImageInfo | None) -> None:
        if found is None or (found.backing, found.backing_format) != (self.base, self.base_format.qemu):
            on = f"an overlay on {found.backing}" if found and found.backing else "a disk of its own"
            raise Refused(
                f"{self.target} on {self.host} is there already, but it is {on}, not an overlay on {self.base} "
                f"({self.base_format.qemu}). Nothing was changed."
            )
