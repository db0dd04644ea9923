"""SHA-256 of an RBD image's bytes, and the digest of its data alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import SNAP, RbdImage
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.hosts.ceph import NO_MARK, ask_mark, set_mark
from datastores.hosts.checksums import PROGRAM, DataDigest
from datastores.hosts.rbd_clones import CHECKSUM, SourceFacts, source_facts, source_reads

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
COMPUTE = """set -o pipefail
count=$1; shift
digest=$("${@:1:count}" | sha256sum) || exit
exec "${@:count+1}" "${digest%% *}\""""
"""The first words print the bytes, as many as the number says; the others note the digest."""
OF_DATA = "data-"
"""What a digest of the data begins with, where a checksum is noted."""
COMPUTE_DATA = """set -o pipefail
count=$1 program=$2; shift 2
digest=$("${@:1:count}" | "${@:count+1:program}") || exit
exec "${@:count+program+1}" "${digest/data /data-}\""""
"""The same with the program that computes the digest between the two, as many words as the second number says."""


@dataclass(frozen=True, slots=True)
class RbdChecksumKnown:
    """The SHA-256 of the image has been computed; the facts are its 64 hexadecimal digits, "" before.

    It is that of the snapshot for clones, which nobody can change, and is noted at the image as long as that is what
    the image is (``rbd_clones.RbdClonesPrepared`` comes first).
    """

    host: str
    image: RbdImage
    size: int = 0
    """Bytes of the disk, for the progress alone; 0: unknown."""

    @property
    def title(self) -> str:
        return f"checksum of {self.image.name} is known"

    def reads(self) -> tuple[Command, ...]:
        return *source_reads(self.image), ask_mark(self.image, CHECKSUM)

    def facts(self, outputs: Sequence[Output]) -> str:
        found: SourceFacts = source_facts(self.host, self.reads(), outputs)
        return found.mark if found.current and _DIGEST.match(found.mark) else ""

    def plan(self, facts: str) -> Change | None:
        if facts:
            return None
        image = self.image
        export = image.rbd("export", "--no-progress", image.at(SNAP), "-")
        note = image.rbd("image-meta", "set", image.spec, f"cloudstore.{CHECKSUM}")
        compute = Command(("bash", "-c", COMPUTE, "bash", str(len(export)), *export, *note), timeout=86400)
        forget = set_mark(image, CHECKSUM, NO_MARK)
        detached = Detached(compute, total=self.size, counted=Counted.READ)
        return Change(self.title, (Action(detached, undo=forget, scratch=True),))


@dataclass(frozen=True, slots=True)
class RbdDataDigestKnown:
    """The digest of the image's data (``data_digest``) has been computed; the facts are it.

    It is noted in the place of the checksum, and counts as long as one would (see ``RbdChecksumKnown``).
    """

    host: str
    image: RbdImage
    size: int
    """Bytes of the disk."""

    @property
    def title(self) -> str:
        return f"digest of the data in {self.image.name} is known"

    def reads(self) -> tuple[Command, ...]:
        return *source_reads(self.image), ask_mark(self.image, CHECKSUM)

    def facts(self, outputs: Sequence[Output]) -> DataDigest:
        found: SourceFacts = source_facts(self.host, self.reads(), outputs)
        value = found.mark.removeprefix(OF_DATA)
        noted = found.current and value != found.mark and _DIGEST.match(value)
        return DataDigest(value if noted else "", self.size)

    def plan(self, facts: DataDigest) -> Change | None:
        if facts.value:
            return None
        image = self.image
        export = image.rbd("export", "--no-progress", image.at(SNAP), "-")
        note = image.rbd("image-meta", "set", image.spec, f"cloudstore.{CHECKSUM}")
        program = (*PROGRAM, "-", str(self.size))
        counts = str(len(export)), str(len(program))
        compute = Command(("bash", "-c", COMPUTE_DATA, "bash", *counts, *export, *program, *note), timeout=86400)
        detached = Detached(compute, total=self.size, counted=Counted.READ)
        return Change(self.title, (Action(detached, undo=set_mark(image, CHECKSUM, NO_MARK), scratch=True),))
