"""Disks that hold only their difference from a base image: qcow2 with a backing file.

An overlay that nobody has written to is the same for all who stand on one base. So an image keeps one as a template,
and a clone is a copy of that: starting qemu-img takes longer than all else that a clone does on its host. For the
same reason headers are read here and not by ``qemu-img info``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.domain.volumes import Format
from datastores.hosts import qemu_img
from datastores.hosts.copies import AS_SOURCE, PART, Ownership, check_part, owned_as, renamed, scratch
from datastores.hosts.image_headers import Qcow2Head, qcow2_head
from datastores.hosts.inodes import Files, Inode, around, gone, look, room_for, seen, the_file
from datastores.hosts.parsing import canonical_path

HEAD = 4096
"""Bytes: the header of an overlay ends with the name of its base, which is at most 1023 long."""
TEMPLATE = ".overlay"


@dataclass(frozen=True, slots=True)
class OverlayFacts:
    """``heads``: by path, what the qcow2 files say; a file without such a header has the one of nothing."""

    files: Files
    heads: dict[str, Qcow2Head]


@dataclass(frozen=True, slots=True)
class _Base:
    """The image that an overlay stands on. ``format`` is written into the overlay, so that nobody ever guesses it."""

    path: str
    format: Format

    @property
    def template(self) -> str:
        return self.path + TEMPLATE

    @property
    def has_head(self) -> tuple[str, ...]:
        return (self.path,) if self.format is Format.QCOW2 else ()

    def overlay(self, facts: OverlayFacts) -> Qcow2Head:
        """Return the header of an overlay on the base as it is now."""
        of_raw = facts.files[self.path].size
        size = facts.heads[self.path].virtual_size if self.has_head else of_raw
        return Qcow2Head(size, (self.path, self.format.qemu))

    def create(self, facts: OverlayFacts, part: str, ownership: Ownership = AS_SOURCE) -> tuple[Action, ...]:
        """Return the making of ``part``, with the owner and mode of the base where no other is wanted."""
        size = self.overlay(facts).virtual_size
        create = qemu_img.create(part, size, base=self.path, base_format=self.format.qemu)
        return scratch(part, ownership.or_like(facts.files[self.path]).empty(part), create)


def _read(wanted: tuple[str, ...], *heads: str) -> tuple[Command, ...]:
    return look(*wanted), *(_ask_head(path) for path in heads)


def _ask_head(path: str) -> Command:
    # nonblock: a FIFO in the way would let dd wait for ever
    flags = ("iflag=nofollow,nonblock,fullblock", "status=none")
    return read("dd", f"if={path}", f"bs={HEAD}", "count=1", *flags, root=True)


def _facts(reads: tuple[Command, ...], outputs: Sequence[Output]) -> OverlayFacts:
    """Return what the answers to ``_read`` say.

    :raises CommandFailed: a file that is there could not be read.
    """
    files = seen(reads[0], outputs[0])
    heads = {}
    for command, output in zip(reads[1:], outputs[1:], strict=True):
        path = command.argv[1].removeprefix("if=")
        if path in files and files[path].is_file:
            if not output.ok:
                raise CommandFailed(command.argv, output.exit_status, output.stderr)
            heads[path] = _head(output.raw)
    return OverlayFacts(files, heads)


def _head(raw: bytes) -> Qcow2Head:
    try:
        return qcow2_head(raw)
    except ValueError:
        return Qcow2Head(0)


@dataclass(frozen=True, slots=True)
class OverlayTemplateKept:
    """Beside the image ``base`` is an overlay on it, as large as it is now, that nobody uses: clones are copies of it.

    A check while the image is not there yet: its change is empty, so that a plan can be shown that makes it first.
    """

    host: str
    base: str
    base_format: Format

    def __post_init__(self) -> None:
        canonical_path(self.base)

    @property
    def title(self) -> str:
        return f"{self.path} is an empty overlay"

    @property
    def path(self) -> str:
        return self._base.template

    @property
    def part(self) -> str:
        return self.path + PART

    @property
    def _base(self) -> _Base:
        return _Base(self.base, self.base_format)

    def reads(self) -> tuple[Command, ...]:
        return _read((self.base, self.path, self.part), self.path, *self._base.has_head)

    def facts(self, outputs: Sequence[Output]) -> OverlayFacts:
        return _facts(self.reads(), outputs)

    def plan(self, facts: OverlayFacts) -> Change | None:
        if self.base not in facts.files:
            return Change(f"make {self.path} when {self.base} is there", ())
        the_file(self.host, facts.files, self.base)
        check_part(self.host, facts.files, self.part)
        if self.path in facts.files and _is_template(facts, self._base, the_file(self.host, facts.files, self.path)):
            return None
        name = Command(("mv", "-fT", "--", self.part, self.path))
        made = (*self._base.create(facts, self.part), Action(name, undo=gone(self.path), scratch=True))
        return Change(self.title, made, follows=True)


@dataclass(frozen=True, slots=True)
class OverlayExists:
    """``target`` is a qcow2 overlay on ``base``. Owner and mode are the base's, unless others are wanted.

    The base must not be written to any more: whoever made the image sees to that. ``coming``: a step before this one
    makes it. ``if_missing``: what to do when it is not there.
    """

    host: str
    base: str
    base_format: Format
    target: str
    with_directory: bool = False
    ownership: Ownership = AS_SOURCE
    coming: bool = False
    if_missing: str = ""

    def __post_init__(self) -> None:
        canonical_path(self.base)
        canonical_path(self.target)

    @property
    def title(self) -> str:
        return f"{self.target} is an overlay on {self.base}"

    @property
    def part(self) -> str:
        return self.target + PART

    @property
    def _base(self) -> _Base:
        return _Base(self.base, self.base_format)

    def reads(self) -> tuple[Command, ...]:
        base = self._base
        wanted = (self.base, base.template, self.part, *around(self.target))
        return _read(wanted, self.target, base.template, *base.has_head)

    def facts(self, outputs: Sequence[Output]) -> OverlayFacts:
        return _facts(self.reads(), outputs)

    def plan(self, facts: OverlayFacts) -> Change | None:
        if self.coming and self.base not in facts.files:
            return Change(f"make {self.target} when {self.base} is there", (), follows=True)
        if self.if_missing and self.base not in facts.files:
            raise Refused(f"There is no file {self.base} on {self.host}. {self.if_missing}")
        the_file(self.host, facts.files, self.base)
        if self.target in facts.files:
            the_file(self.host, facts.files, self.target)
            self._check(facts.heads[self.target].backing)
            return None
        check_part(self.host, facts.files, self.part)
        directory = room_for(self.host, facts.files, self.target, with_directory=self.with_directory)
        actions = (*directory, *self._made(facts), renamed(self.part, self.target))
        return Change(self.title, actions, follows=self.coming)

    def _made(self, facts: OverlayFacts) -> tuple[Action, ...]:
        template = facts.files.get(self._base.template)
        if template is None or not _is_template(facts, self._base, template):
            return self._base.create(facts, self.part, self.ownership)
        copied = Command(("cp", "--preserve=mode,ownership", "-PT", "--", template.path, self.part))
        owned = self.ownership.or_like(template).commands(self.part) if self.ownership else ()
        return scratch(self.part, copied, *owned)

    def _check(self, backing: tuple[str, str]) -> None:
        if backing != (self.base, self.base_format.qemu):
            on = f"an overlay on {backing[0]}" if backing[0] else "a disk of its own"
            raise Refused(
                f"{self.target} on {self.host} is there already, but it is {on}, not an overlay on {self.base} "
                f"({self.base_format.qemu}). Nothing was changed."
            )


def _is_template(facts: OverlayFacts, base: _Base, found: Inode) -> bool:
    """Tell whether a file is an overlay on the base as that is now, with its owner and mode."""
    same = found.is_file and facts.heads[found.path] == base.overlay(facts)
    return same and owned_as(found) == owned_as(facts.files[base.path])
