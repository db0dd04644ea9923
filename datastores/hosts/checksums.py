"""SHA-256 of an image's bytes, computed where they are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.hosts.parsing import canonical_path

_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *]")


@dataclass(frozen=True, slots=True)
class ChecksumKnown:
    """The SHA-256 of ``path`` has been computed; the facts are its 64 hexadecimal digits, "" before.

    Reading terabytes takes longer than a connection may last, so a unit on the host does it, and leaves the digest
    beside the image as ``<path>.sha256``. One that is older than the image's last change (ctime) does not count.
    """

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"checksum of {posixpath.basename(self.path)} is known"

    @property
    def kept(self) -> str:
        return f"{self.path}.sha256"

    def reads(self) -> tuple[Command, ...]:
        newer = read("find", self.kept, "-maxdepth", "0", "-newermc", self.path, "-print", root=True)
        return newer, read("cat", "--", self.kept, root=True)

    def facts(self, outputs: Sequence[Output]) -> str:
        newer, text = outputs
        for command, output in zip(self.reads(), outputs, strict=True):
            if not output.ok and not output.stderr.strip().endswith("No such file or directory"):
                raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        found = _LINE.match(text.stdout) if newer.stdout.strip() else None
        return found[1] if found else ""

    def plan(self, facts: str) -> Change | None:
        if facts:
            return None
        compute = Command(("sh", "-c", 'exec sha256sum -- "$1" > "$2"', "sh", self.path, self.kept), timeout=86400)
        return Change(
            self.title, (Action(Detached(compute), undo=Command(("rm", "-f", "--", self.kept)), scratch=True),)
        )
