"""What a kind of storage is like, in a few words, and which needs it meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Character:
    """A few words each; "" where nobody has said anything.

    ``parts``: how many things have to run, and to be looked after, for a VM to have its disk: the storage host is one,
    an export with its mounts another, and so on. 0: not said. ``survives``: the bytes stay available when any one
    machine is lost.
    """

    parts: int = 0
    survives: bool = False
    simplicity: str = ""
    performance: str = ""
    redundancy: str = ""
    capacity: str = ""


class Need(StrEnum):
    """What somebody may need of storage."""

    LIVE_MIGRATION = "live-migration"
    INSTANT_CLONES = "instant-clones"
    NO_SINGLE_POINT = "no-single-point"
    FEWEST_PARTS = "fewest-parts"


WORDS = {
    Need.LIVE_MIGRATION: "Live migration",
    Need.INSTANT_CLONES: "Instant clones",
    Need.NO_SINGLE_POINT: "No single point of failure",
    Need.FEWEST_PARTS: "Fewest parts",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of datastore as it is judged. ``migrates`` and ``clones``: 2 always, 1 with the right options, 0 never."""

    kind: str
    migrates: int
    clones: int
    character: Character


@dataclass(frozen=True, slots=True)
class Verdict:
    """``score``: the higher, the better it meets the needs. ``reasons``: (it speaks for it, in words) for each need."""

    kind: str
    score: int
    reasons: tuple[tuple[bool, str], ...]


MET = 10
"""What a need that is met counts; one that takes options counts half, and parts a little."""


def _migration(candidate: Candidate) -> tuple[int, bool, str]:
    says = {2: "VMs migrate live", 1: "VMs migrate live when all hosts see it", 0: "no live migration without a copy"}
    return MET * candidate.migrates // 2, candidate.migrates > 0, says[candidate.migrates]


def _clones(candidate: Candidate) -> tuple[int, bool, str]:
    says = {2: "clones at once", 1: "clones at once with the right options", 0: "every disk is a full copy"}
    return MET * candidate.clones // 2, candidate.clones > 0, says[candidate.clones]


def _survives(candidate: Candidate) -> tuple[int, bool, str]:
    if candidate.character.survives:
        return MET, True, "survives the loss of a machine"
    return 0, False, "gone as long as one machine is"


def _parts(candidate: Candidate) -> tuple[int, bool, str]:
    parts = candidate.character.parts
    if not parts:
        return 0, False, "nobody has said how many parts it has"
    return max(0, MET + 2 - 2 * parts), parts < 3, f"{parts} part{'' if parts == 1 else 's'} to look after"


JUDGES: dict[Need, Callable[[Candidate], tuple[int, bool, str]]] = {
    Need.LIVE_MIGRATION: _migration,
    Need.INSTANT_CLONES: _clones,
    Need.NO_SINGLE_POINT: _survives,
    Need.FEWEST_PARTS: _parts,
}


def judged(candidates: list[Candidate], needs: list[Need]) -> list[Verdict]:
    """Return the candidates, the one that meets the needs best first; among equals the one with fewer parts.

    Without needs they stay in their order.
    """
    verdicts = []
    for candidate in candidates:
        found = [JUDGES[need](candidate) for need in needs]
        score = sum(points for points, _, _ in found)
        verdicts.append(Verdict(candidate.kind, score, tuple((speaks, words) for _, speaks, words in found)))
    if not needs:
        return verdicts
    parts = {candidate.kind: candidate.character.parts or 99 for candidate in candidates}
    return sorted(verdicts, key=lambda verdict: (-verdict.score, parts[verdict.kind]))
