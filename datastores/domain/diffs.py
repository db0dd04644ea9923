"""What differs between two texts, as diff(1) shows it."""

from __future__ import annotations

import difflib


def unified(path: str, before: str, after: str, *, around: int = 0) -> str:
    """Return a unified diff of two texts of a file. ``around``: the lines of context."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=around)
    return "\n".join(lines)
