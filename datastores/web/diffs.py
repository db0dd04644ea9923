"""A unified diff for the eye: of each changed pair of lines, the words that differ."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

TONES = {"+": "a", "-": "r", "@": "c"}
WORD = re.compile(r"[\w.:-]+|\s+|.")
"""Names, numbers and addresses are whole; all else is compared sign by sign."""
ALIKE = 0.5
"""The share of words that two lines have in common which are one line before and after."""
NEAR = 8
"""Among so many added lines the one is looked for that a removed line became."""
MOST_LINES, MOST_PAIRS, LONGEST = 2000, 200, 4000
"""Lines that are looked at, pairs and characters of a line that are compared: beyond, nothing is marked."""
MOST_WORDS = 100
"""If more than these differ, all between the first and the last of them is one piece."""

Piece = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a diff. ``tone``: its class; ``pieces``: its text in parts, each with whether it differs."""

    tone: str
    text: str
    pieces: tuple[Piece, ...]


def diff_lines(diff: str) -> tuple[Line, ...]:
    """Return the lines of a unified diff of one file."""
    texts = diff.splitlines()
    head = sum(1 for _ in takewhile(lambda text: not text.startswith("@"), texts))
    tones = ["c" if at < head else TONES.get(text[:1], "") for at, text in enumerate(texts)]
    pieces: dict[int, tuple[Piece, ...]] = {}
    for count, (old, new) in enumerate(pairs(texts, tones[:MOST_LINES])):
        if count == MOST_PAIRS:
            break
        pieces[old], pieces[new] = compared(texts[old], texts[new])
    return tuple(
        Line(tone, text, pieces.get(at, ((text, False),)))
        for at, (tone, text) in enumerate(zip(tones, texts, strict=True))
    )


def pairs(texts: Sequence[str], tones: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of lines that are one line before and after, in their order."""
    at = 0
    while at < len(tones):
        removed = run(tones, at, "r")
        added = run(tones, removed.stop, "a")
        free = added.start
        for old in removed:
            near = range(free, min(free + NEAR, added.stop))
            new = next((each for each in near if alike(texts[old][1:], texts[each][1:])), None)
            if new is not None:
                free = new + 1
                yield old, new
        at = max(added.stop, at + 1)


def run(tones: Sequence[str], start: int, tone: str) -> range:
    """Return the places from ``start`` on that have this tone."""
    end = start
    while end < len(tones) and tones[end] == tone:
        end += 1
    return range(start, end)


def alike(old: str, new: str) -> bool:
    if max(len(old), len(new)) > LONGEST:
        return False
    one, other = (Counter(word for word in WORD.findall(text) if not word.isspace()) for text in (old, new))
    total = one.total() + other.total()
    return total > 0 and 2 * (one & other).total() / total >= ALIKE


def compared(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Return both lines in pieces; the sign that a line begins with is part of its first piece."""
    before, after = WORD.findall(old[1:]), WORD.findall(new[1:])
    same = common(before, after)
    tail = common(before[same:][::-1], after[same:][::-1])
    middles = before[same : len(before) - tail], after[same : len(after) - tail]
    marked = differing(*middles)
    ends = "".join(before[:same]), "".join(before[len(before) - tail :])
    return tuple(  # type: ignore[return-value]
        tuple(merged([(line[:1] + ends[0], False), *middle, (ends[1], False)]))
        for line, middle in zip((old, new), marked, strict=True)
    )


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many words both begin with."""
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(one, other, strict=False)))


def differing(before: Sequence[str], after: Sequence[str]) -> tuple[list[Piece], list[Piece]]:
    if len(before) > MOST_WORDS or len(after) > MOST_WORDS:
        return [("".join(before), True)], [("".join(after), True)]
    old: list[Piece] = []
    new: list[Piece] = []
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for tag, begin, end, first, last in blocks:
        old.append(("".join(before[begin:end]), tag != "equal"))
        new.append(("".join(after[first:last]), tag != "equal"))
    return old, new


def merged(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield the pieces that hold text, neighbours of one kind as one."""
    held = ("", False)
    for text, marked in pieces:
        if not text:
            continue
        if held[0] and marked != held[1]:
            yield held
            held = ("", marked)
        held = (held[0] + text, marked)
    if held[0]:
        yield held
