"""What is said to whom: no message tells a tenant what images, machines and jobs of other people are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from datastores.models import Image, Job, User
from datastores.models.visibility import VisibleQuerySet

Viewer: TypeAlias = User | None
"""Who reads the message; None: the schedule itself, which sees everything."""
MOST_NAMES = 10


def in_words(viewer: Viewer, rows: VisibleQuerySet, word: Callable[[Any], str], noun: str) -> list[str]:
    """Return the first rows by name, how many more there are, and how many of other people; [] when there is none."""
    sees_all = viewer is None or viewer.sees_everything
    seen = rows if sees_all else rows.visible_to(viewer)
    words = [word(row) for row in seen[:MOST_NAMES]]
    count = seen.count()
    foreign = 0 if sees_all else rows.count() - count
    if count > MOST_NAMES:
        words.append(_counted(count - MOST_NAMES, f"more {noun}"))
    if foreign:
        words.append(f"{_counted(foreign, noun)} of other people")
    return words


def job_in_words(viewer: Viewer, job: Job) -> str:
    """Return "job 7 (Clone a to b, asked by olga)"; without what it does when that is not for the viewer."""
    who = f"asked by {job.user_label or 'cloudstore'}"
    return f"job {job.pk} ({job.title}, {who})" if may_see(viewer, job) else f"job {job.pk} ({who})"


def may_see(viewer: Viewer, row: Image | Job) -> bool:
    if viewer is None or viewer.sees_everything:
        return True
    return type(row).objects.visible_to(viewer).filter(pk=row.pk).exists()


def listed(words: Sequence[str]) -> str:
    """Return "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
