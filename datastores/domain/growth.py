"""How fast something fills, and when it will be full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from datastores.domain.values import format_size

LEAST_DAYS = 3.0
"""Of history; less says more about the last copy than about the pace."""
FARTHEST_DAYS = 3650.0
"""Nobody plans for what comes later."""
STEADY = 1 << 20
"""Bytes a day; what changes by less stays as it is."""


@dataclass(frozen=True, slots=True)
class Growth:
    """``bytes_per_day``: negative when it shrinks; None: too little is known.

    ``days_to_full``: None when it will not be full at this pace within ten years.
    """

    bytes_per_day: float | None = None
    days_to_full: float | None = None

    @property
    def pace(self) -> str:
        """Return "+12 GiB/day", "steady" or, when too little is known, ""."""
        if self.bytes_per_day is None:
            return ""
        if abs(self.bytes_per_day) < STEADY:
            return "steady"
        sign = "+" if self.bytes_per_day > 0 else "-"
        return f"{sign}{format_size(round(abs(self.bytes_per_day)))}/day"

    @property
    def remaining(self) -> str:
        """Return "40 days", "less than a day" or, when it will not be full, ""."""
        if self.days_to_full is None:
            return ""
        days = int(self.days_to_full)
        if days < 1:
            return "less than a day"
        return "1 day" if days == 1 else f"{days:,} days"


def growth(points: Sequence[tuple[float, float]], free: int | None) -> Growth:
    """Return the growth that ``points`` tell of: (days since any moment, bytes). ``free``: bytes left now."""
    pace = bytes_per_day(points)
    return Growth(pace, days_to_full(pace, free))


def bytes_per_day(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the slope of the points by Theil and Sen: the median of those between any two of them.

    A copy that came and went, or a day on which much was deleted, does not bend it. None: there are less than three
    points, or they span less than three days.
    """
    days = [day for day, _ in points]
    if len(days) < 3 or max(days) - min(days) < LEAST_DAYS:
        return None
    return median((later - earlier) / (end - start) for (start, earlier), (end, later) in pairs(points))


def pairs(points: Sequence[tuple[float, float]]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return every two points that are not of one moment."""
    return [(first, second) for first, second in combinations(points, 2) if first[0] != second[0]]


def days_to_full(pace: float | None, free: int | None) -> float | None:
    """Return the days after which nothing is left; None: it does not grow, or not so soon that anybody cares."""
    if pace is None or free is None or pace < STEADY:
        return None
    days = max(0, free) / pace
    return days if days <= FARTHEST_DAYS else None
