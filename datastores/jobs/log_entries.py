"""What the log of a job is made of: entries, the batch that one flush stores, and their text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from datastores.domain.plan import Action, Detached, EditLines, WriteFile
from datastores.domain.states import EventKind, Level
from datastores.transport.quoting import shell_line

BLOCK_LINES = 4000
LINE_CHARACTERS = 8 * 1024
_LONG_LINE = re.compile(rf"(?m)^([^\n]{{{LINE_CHARACTERS}}})[^\n]+")


@dataclass(slots=True)
class Entry:
    """A log entry that has no number yet."""

    kind: EventKind
    text: str
    level: Level = Level.INFO
    step: int | None = None
    data: Any = None
    at: datetime = field(default_factory=timezone.now)
    host: str = ""
    """Of an entry that belongs to no step."""


@dataclass(slots=True)
class Batch:
    """What one flush stores: entries, fields of steps, and where their numbers begin."""

    entries: list[Entry]
    steps: dict[int, dict[str, Any]]
    characters: int
    seq: int
    line: int


def with_lines_cut(text: str) -> str:
    """Return the text with what is too long of its lines left out."""
    return _LONG_LINE.sub(r"\1... (line cut)", text) if has_long_line(text) else text


def has_long_line(text: str) -> bool:
    """Tell whether a line is longer than LINE_CHARACTERS; looks at one place in each so many characters."""
    start = 0
    while len(text) - start > LINE_CHARACTERS:
        end = text.rfind("\n", start, start + LINE_CHARACTERS + 1)
        if end < 0:
            return True
        start = end + 1
    return False


def blocks(text: str) -> Iterator[str]:
    """Cut a text between lines into pieces of at most BLOCK_LINES lines."""
    if text.count("\n") < BLOCK_LINES:
        yield text
        return
    lines = text.split("\n")
    for start in range(0, len(lines), BLOCK_LINES):
        yield "\n".join(lines[start : start + BLOCK_LINES])


def describe(action: Action) -> str:
    """Return the action as the log shows it: the command, or the file with its diff."""
    operation = action.do
    if isinstance(operation, WriteFile | EditLines):
        return f"write {operation.path}\n{operation.diff}".rstrip("\n")
    command = operation.command if isinstance(operation, Detached) else operation
    return f"$ {shell_line(command.argv)}"


def elapsed(since: float) -> str:
    """Return "340 ms" or "12.3 s" since a ``time.monotonic()``."""
    seconds = time.monotonic() - since
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
