"""Is this file what it says it is, and does it stay within itself?

How the pieces of an import fit together: ``sources.SourceAllowed`` says that the path may be read, and that nobody
can put another file there; ``copies.FileCopied`` copies it without following a link; ``ImageIsSafe`` then judges the
*copy*, which nobody else can change, from bytes read by ``dd``; only after that may a tool that interprets formats
see it (``qemu_img.ImageOpens``, which is asked for a second opinion of qcow2), always with the format that was found,
and in a later stage: the reads of one stage go ahead together, so within it the tool would look before the verdict.

Disks that were made here need no inspection and must not get one: a guest may write a qcow2 header to its raw disk,
and the disk stays raw. Clone, resize and save-as use the declared format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Change, Command, Output, read
from datastores.domain.values import format_size
from datastores.domain.volumes import Format
from datastores.hosts.image_headers import HEAD, TAIL, WRAPPED, Header, examine
from datastores.hosts.inodes import Inode, look, seen, the_file
from datastores.hosts.parsing import canonical_path

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of a file after its inspection; sizes in bytes."""

    file: Inode | None = None
    header: Header | None = None

    @property
    def format(self) -> str:
        """The one format it has: a ``Format`` or one of WRAPPED; "" when there is no file, or no single one."""
        if self.header is None:
            return ""
        wrapped = WRAPPED.intersection(self.header.formats)
        if wrapped:
            return self.header.formats[0] if len(self.header.formats) == 1 else ""
        return Format.ISO if "iso" in self.header.formats else Format.RAW

    @property
    def virtual_size(self) -> int:
        """What a guest will see."""
        if self.file is None or self.header is None:
            return 0
        return self.header.virtual_size if self.format not in {Format.RAW, Format.ISO} else self.file.size

    @property
    def allocated(self) -> int:
        return self.file.allocated if self.file else 0


@dataclass(frozen=True, slots=True)
class ImageIsSafe:
    """The file at ``path`` is an image of the expected format that refers to nothing outside itself.

    ``expected``: a ``Format`` or one of WRAPPED; None takes whichever of raw, qcow2 and ISO it is. Any bytes are
    raw except those of a format that a tool would interpret. ``limit``: bytes that a guest may see at most, 0 for
    none. A check: it changes nothing. While there is no file, its change is empty, so that a plan can be shown that
    makes the file first.
    """

    host: str
    path: str
    expected: str | None = None
    limit: int = 0

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is a safe {self.expected or 'raw, qcow2 or ISO'} image"

    def reads(self) -> tuple[Command, ...]:
        size = (f"bs={CHUNK}", f"count={HEAD // CHUNK}")
        head = ("dd", f"if={self.path}", *size, "iflag=nofollow,fullblock", "status=none")
        tail = ("tail", "-c", str(TAIL), "--", self.path)
        return look(self.path), read(*head, root=True), read(*tail, root=True)

    def facts(self, outputs: Sequence[Output]) -> ImageFacts:
        stat, *parts = self.reads()
        file = seen(stat, outputs[0]).get(self.path)
        if file is None or not file.is_file:
            return ImageFacts(file)
        for command, output in zip(parts, outputs[1:], strict=True):
            if not output.ok:
                raise CommandFailed(command.argv, output.exit_status, output.stderr)
        return ImageFacts(file, examine(outputs[1].raw, outputs[2].raw, file.size))

    def plan(self, facts: ImageFacts) -> Change | None:
        if facts.file is None:
            return Change(f"inspect {self.path} when it is there", ())
        file = the_file(self.host, {self.path: facts.file}, self.path)
        if not file.size:
            raise self._refusal("it is empty")
        if facts.header is None:
            raise self._refusal("it could not be inspected")
        self._check_format(facts, facts.header)
        if facts.header.dangers:
            raise self._refusal("; ".join(facts.header.dangers))
        if self.limit and facts.virtual_size > self.limit:
            size, most = format_size(facts.virtual_size), format_size(self.limit)
            raise self._refusal(f"a guest would see {size} in it, and at most {most} are allowed")
        return None

    def _check_format(self, facts: ImageFacts, header: Header) -> None:
        found = " and ".join(name.upper() for name in header.formats) or "plain bytes"
        if not facts.format:
            raise self._refusal(f"it can be taken for several things at once ({found})")
        if self.expected is None:
            if facts.format not in set(Format):
                raise self._refusal(f"it is {found}; only raw, qcow2 and ISO images are stored. Convert it first")
            return
        plain = {Format.RAW, Format.ISO} if self.expected == Format.RAW else {self.expected}
        if facts.format not in plain:
            raise self._refusal(f"it was declared {self.expected}, but it is {found}")

    def _refusal(self, reason: str) -> Refused:
        return Refused(f"{self.path} on {self.host} is not taken as an image: {reason}. No tool has opened it.")
