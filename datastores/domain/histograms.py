"""How many measured times fall into which bucket, so that quantiles can be told later without the times."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
"""Upper bounds in seconds: from a clone to a copy of half a day."""
CLONES = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)


def empty(bounds: Sequence[float]) -> list[int]:
    """Return a bucket for each bound, and one for what is longer than all."""
    return [0] * (len(bounds) + 1)


def bucket_of(seconds: float, bounds: Sequence[float]) -> int:
    """Return the bucket that a time belongs into: that of the least bound which it does not exceed."""
    return bisect_left(bounds, seconds)


def cumulative(buckets: Sequence[int], bounds: Sequence[float]) -> list[tuple[str, int]]:
    """Return (bound as Prometheus writes it, how many took at most as long), the last one for all."""
    total, found = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), buckets, strict=True):
        total += count
        found.append((bound, total))
    return found
