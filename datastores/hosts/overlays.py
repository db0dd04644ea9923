"""Disks that hold only their difference from a base image: qcow2 with a backing file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import PART, check_part, owned_as, renamed, scratch
from datastores.hosts.image_headers import qcow2_backing
from datastores.hosts.inodes import Files, around, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

HEAD = 4096
"""Bytes: the header of an overlay ends with the name of its base, which is at most 1023 long."""


@dataclass(frozen=True, slots=True)
class OverlayFacts:
    """``backing``: the base that the target's header names, and its format. None: there is no such file."""

    files: Files
    backing: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class OverlayExists:
    """``target`` is a qcow2 overlay on ``base``, whose format is written into it, so that nobody ever guesses it.

    Owner and mode are the base's. The base must not be written to any more: whoever made the image sees to that.
    The header is read here and not by ``qemu-img info``, whose start takes longer than all else of a clone.
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
        # nonblock: a FIFO in the way would let dd wait for ever
        flags = ("iflag=nofollow,nonblock,fullblock", "status=none")
        head = read("dd", f"if={self.target}", f"bs={HEAD}", "count=1", *flags, root=True)
        return look(self.base, self.part, *around(self.target)), head

    def facts(self, outputs: Sequence[Output]) -> OverlayFacts:
        stat, dd = self.reads()
        files = seen(stat, outputs[0])
        if self.target not in files or not files[self.target].is_file:
            return OverlayFacts(files, None)
        if not outputs[1].ok:
            raise CommandFailed(dd.argv, outputs[1].exit_status, outputs[1].stderr)
        try:
            return OverlayFacts(files, qcow2_backing(outputs[1].raw))
        except ValueError:
            return OverlayFacts(files, ("", ""))

    def plan(self, facts: OverlayFacts) -> Change | None:
        base = the_file(self.host, facts.files, self.base)
        if self.target in facts.files:
            the_file(self.host, facts.files, self.target)
            self._check(facts.backing)
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(self.host, facts.files, self.target, with_directory=self.with_directory)
        size = base.size if self.base_format is Format.RAW else 0
        create = qemu_img.create(self.part, size, base=self.base, base_format=self.base_format.qemu)
        made = scratch(self.part, owned_as(base).empty(self.part), create)
        return Change(self.title, (*directory, *made, renamed(self.part, self.target)))

    def _check(self, backing: tuple[str, str] | None) -> None:
        if backing != (self.base, self.base_format.qemu):
            on = f"an overlay on {backing[0]}" if backing and backing[0] else "a disk of its own"
            raise Refused(
                f"{self.target} on {self.host} is there already, but it is {on}, not an overlay on {self.base} "
                f"({self.base_format.qemu}). Nothing was changed."
            )
