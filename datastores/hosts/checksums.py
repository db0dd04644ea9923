"""SHA-256 of an image's bytes, and a digest of its data alone, computed where they are."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output, read
from datastores.hosts import data_digest
from datastores.hosts.inodes import look, seen
from datastores.hosts.parsing import canonical_path

HASH = """set -o pipefail
digest=$(head -c "$2" -- "$1" | sha256sum) || exit
printf '%s\\n' "$digest" >"$3"
"""
"""$1: what is read, $2: bytes, $3: where the digest is kept; nothing is, when not all of them could be read."""
_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *]")
PROGRAM = ("python3", "-I", "-c", inspect.getsource(data_digest))
"""Prints the digest of the data in the file that is named next, of so many bytes as come then."""
HASH_DATA = """umask 077; exec "$@" >"$0\""""
"""$0: where the digest is kept; the others compute it."""
OF_DATA = re.compile(r"data ([0-9a-f]{64})\n?\Z")


def _read(compute: Command, size: int) -> Detached:
    return Detached(compute, total=size, counted=Counted.READ)


@dataclass(frozen=True, slots=True)
class ChecksumKnown:
    """The SHA-256 of ``path`` has been computed; the facts are its 64 hexadecimal digits, "" before.

    Reading terabytes takes longer than a connection may last, so a unit on the host does it, and leaves the digest
    beside the image as ``<path>.sha256``. One that is older than the image's last change (ctime) does not count.
    ``size``: bytes of the file, for the progress alone; 0: unknown.
    """

    host: str
    path: str
    size: int = 0

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
            self.title, (Action(_read(compute, self.size), undo=Command(("rm", "-f", "--", self.kept)), scratch=True),)
        )


@dataclass(frozen=True, slots=True)
class BytesHashed:
    """The SHA-256 of the first ``size`` bytes of ``path`` has been computed; the facts are its digits, "" before.

    ``path``: a link to a device, which is longer than the disk on it. Its times tell nothing of what was written to it,
    so any digest that is there counts: whoever wants to know anew removes it first.
    """

    host: str
    path: str
    size: int

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if self.size <= 0:
            raise BadInput(f"The size of a disk is more than {self.size} bytes.")

    @property
    def title(self) -> str:
        return f"checksum of {posixpath.basename(self.path)} is known"

    @property
    def kept(self) -> str:
        return f"{self.path}.sha256"

    def reads(self) -> tuple[Command, ...]:
        return (read("cat", "--", self.kept, root=True),)

    def facts(self, outputs: Sequence[Output]) -> str:
        (command,), (output,) = self.reads(), outputs
        if not output.ok and not output.stderr.strip().endswith("No such file or directory"):
            raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        found = _LINE.match(output.stdout)
        return found[1] if found else ""

    def plan(self, facts: str) -> Change | None:
        if facts:
            return None
        compute = Command(("bash", "-c", HASH, "bash", self.path, str(self.size), self.kept), timeout=86400)
        undo = Command(("rm", "-f", "--", self.kept))
        action = Action(_read(compute, self.size), undo=undo, scratch=True)
        return Change(self.title, (action,), follows=True)  # a digest that is shown may be removed by the step before


@dataclass(frozen=True, slots=True)
class DataDigest:
    """``value``: 64 hexadecimal digits, "" before it is known. ``total``: bytes that are read for it; 0: unknown."""

    value: str
    total: int = 0


@dataclass(frozen=True, slots=True)
class DataDigestKnown:
    """The digest of the data in ``path``, its holes left out (``data_digest``), has been computed: the facts are it.

    It takes the place of a checksum that is kept beside the image, and counts as long as one would. ``device``: bytes
    of the disk, where the path is a link to a device, of which nothing tells when it was written to; 0: it is a file.
    """

    host: str
    path: str
    device: int = 0

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"digest of the data in {posixpath.basename(self.path)} is known"

    @property
    def kept(self) -> str:
        return f"{self.path}.sha256"

    def reads(self) -> tuple[Command, ...]:
        newer = () if self.device else ("-newermc", self.path)
        counts = read("find", self.kept, "-maxdepth", "0", *newer, "-print", root=True)
        return counts, read("cat", "--", self.kept, root=True), look(self.path)

    def facts(self, outputs: Sequence[Output]) -> DataDigest:
        counts, text, stat = outputs
        for command, output in zip(self.reads()[:2], outputs[:2], strict=True):
            if not output.ok and not output.stderr.strip().endswith("No such file or directory"):
                raise CommandFailed(command.argv, output.exit_status, output.stderr, self.host)
        file = seen(self.reads()[2], stat).get(self.path)
        found = OF_DATA.match(text.stdout) if counts.stdout.strip() else None
        return DataDigest(found[1] if found else "", self.device or (min(file.size, file.allocated) if file else 0))

    def plan(self, facts: DataDigest) -> Change | None:
        if facts.value:
            return None
        program = (*PROGRAM, self.path, str(self.device))
        compute = Command(("sh", "-c", HASH_DATA, self.kept, *program), timeout=86400)
        undo = Command(("rm", "-f", "--", self.kept))
        action = Action(_read(compute, facts.total), undo=undo, scratch=True)
        return Change(self.title, (action,), follows=bool(self.device))
