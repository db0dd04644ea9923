"""SHA-256 of an RBD image's bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import SNAP, RbdImage
from datastores.domain.plan import Action, Change, Command, Counted, Detached, Output
from datastores.hosts.ceph import NO_MARK, ask_mark, set_mark
from datastores.hosts.rbd_clones import CHECKSUM, SourceFacts, source_facts, source_reads

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
COMPUTE = """set -o pipefail
count=$1; shift
digest=$("${@:1:count}" | sha256sum) || exit
exec "${@:count+1}" "${digest%% *}\""""
"""The first words print the bytes, as many as the number says; the others note the digest."""


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
