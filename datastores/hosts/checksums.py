"""SHA-256 of an image's bytes, and a digest of its data alone, computed where they are."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import Action, AnyStep, Change, Command, Counted, Detached, Output, read
from datastores.hosts import data_digest
from datastores.hosts.inodes import look, seen
from datastores.hosts.parsing import canonical_path

HASH_FILE = """sha256sum -- "$1" >"$2" && mv -fT -- "$2" "$3\""""
"""$1: what is read, $2: where it is written to, $3: where the digest is kept."""
HASH = """set -o pipefail
digest=$(head -c "$4" -- "$1" | sha256sum) || exit
printf '%s\\n' "$digest" >"$2" && mv -fT -- "$2" "$3"
"""
"""The same of $4 bytes; nothing is kept when not all of them could be read."""
_LINE = re.compile(r"\\?([0-9a-f]{64}) [ *]")
PROGRAM = ("python3", "-I", "-c", inspect.getsource(data_digest))
"""Prints the digest of the data in the file that is named next, of so many bytes as come then."""
HASH_DATA = """umask 077; part=$1 kept=$2; shift 2; "$@" >"$part" && mv -fT -- "$part" "$kept\""""
"""$1: where it is written to, $2: where the digest is kept; the others compute it."""
OF_DATA = re.compile(r"data ([0-9a-f]{64})\n?\Z")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is computed of ``path`` is kept beside it, whole or not at all.

    ``token``: of the job, where others may compute the same at that time: each writes to a file of its own, and what
    one has kept is not taken back, as the others may have it from there. "": nobody else does.
    """

    host: str
    path: str
    token: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        canonical_path(self.path)
        if self.token and not (self.token.isalnum() and self.token.isascii()):
            raise BadInput("The token of a job consists of letters and digits.")

    @property
    def kept(self) -> str:
        return f"{self.path}.sha256"

    @property
    def part(self) -> str:
        return f"{self.kept}.{self.token}.part" if self.token else f"{self.kept}.part"

    def computed(self, argv: tuple[str, ...], size: int) -> Action:
        """Return the action that computes and keeps it. ``size``: bytes that are read; 0: unknown."""
        compute = Detached(Command(argv, timeout=86400), total=size, counted=Counted.READ)
        mine = (self.part,) if self.token else (self.part, self.kept)
        return Action(compute, undo=Command(("rm", "-f", "--", *mine)), scratch=True)


def of_job(steps: tuple[AnyStep, ...], token: str) -> tuple[AnyStep, ...]:
    """Return the steps as those of one job among others that may compute the same now."""
    return tuple(replace(step, token=token) if isinstance(step, _Kept) else step for step in steps)


@dataclass(frozen=True, slots=True)
class ChecksumKnown(_Kept):
    """The SHA-256 of ``path`` has been computed; the facts are its 64 hexadecimal digits, "" before.

    Reading terabytes takes longer than a connection may last, so a unit on the host does it, and leaves the digest
    beside the image as ``<path>.sha256``. One that is older than the image's last change (ctime) does not count.
    ``size``: bytes of the file, for the progress alone; 0: unknown.
    """

    size: int = 0

    @property
    def title(self) -> str:
        return f"checksum of {posixpath.basename(self.path)} is known"

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
        argv = "sh", "-c", HASH_FILE, "sh", self.path, self.part, self.kept
        return Change(self.title, (self.computed(argv, self.size),))


@dataclass(frozen=True, slots=True)
class BytesHashed(_Kept):
    """The SHA-256 of the first ``size`` bytes of ``path`` has been computed; the facts are its digits, "" before.

    ``path``: a link to a device, which is longer than the disk on it. Its times tell nothing of what was written to it,
    so any digest that is there counts: whoever wants to know anew removes it first.
    """

    size: int

    def __post_init__(self) -> None:
        _Kept.__post_init__(self)
        if self.size <= 0:
            raise BadInput(f"The size of a disk is more than {self.size} bytes.")

    @property
    def title(self) -> str:
        return f"checksum of {posixpath.basename(self.path)} is known"

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
        argv = "bash", "-c", HASH, "bash", self.path, self.part, self.kept, str(self.size)
        action = self.computed(argv, self.size)
        return Change(self.title, (action,), follows=True)  # a digest that is shown may be removed by the step before


@dataclass(frozen=True, slots=True)
class DataDigest:
    """``value``: 64 hexadecimal digits, "" before it is known. ``total``: bytes that are read for it; 0: unknown."""

    value: str
    total: int = 0


@dataclass(frozen=True, slots=True)
class DataDigestKnown(_Kept):
    """The digest of the data in ``path``, its holes left out (``data_digest``), has been computed: the facts are it.

    It takes the place of a checksum that is kept beside the image, and counts as long as one would. ``device``: bytes
    of the disk, where the path is a link to a device, of which nothing tells when it was written to; 0: it is a file.
    """

    device: int = 0

    @property
    def title(self) -> str:
        return f"digest of the data in {posixpath.basename(self.path)} is known"

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
        action = self.computed(("sh", "-c", HASH_DATA, "sh", self.part, self.kept, *program), facts.total)
        return Change(self.title, (action,), follows=bool(self.device))
