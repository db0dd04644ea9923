"""Samples as a chart shows them: a few hundred points at most, of a day, a week, a month or a year."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from datastores.domain.errors import BadInput
from datastores.models.samples import DAILY, FINE, HOURLY

GAP = 2.5
"""Times the distance of two points: where less was sampled, the line is broken."""


@dataclass(frozen=True, slots=True)
class Span:
    """``step``: seconds from one point to the next. ``resolutions``: the samples it is made of, the coarsest first."""

    name: str
    length: timedelta
    step: int
    resolutions: tuple[int, ...]


SPANS = {
    span.name: span
    for span in (
        Span("day", timedelta(days=1), FINE, (FINE,)),
        Span("week", timedelta(days=7), HOURLY, (HOURLY, FINE)),
        Span("month", timedelta(days=30), 2 * HOURLY, (HOURLY, FINE)),
        Span("year", timedelta(days=365), DAILY, (DAILY, HOURLY, FINE)),
    )
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the samples. ``unit``: "bytes", "ms" or "" for a plain number."""

    name: str
    label: str
    unit: str = ""


HOST_FIGURES = (
    Figure("latency", "Round trip", "ms"),
    Figure("load", "Load"),
    Figure("memory_used", "Used", "bytes"),
    Figure("memory_total", "Memory", "bytes"),
    Figure("root_used", "Used", "bytes"),
    Figure("root_total", "Size", "bytes"),
)
DATASTORE_FIGURES = (
    Figure("used", "Used", "bytes"),
    Figure("promised", "More promised", "bytes"),
    Figure("total", "Size", "bytes"),
    Figure("inodes_used", "Inodes used"),
    Figure("inodes_total", "Inodes"),
)
Point = tuple[float, list[float | None]]
"""Seconds since 1970, and the value of each figure."""


def span_asked(request: HttpRequest, usual: str = "day") -> Span:
    """Return the span that the address asks for. Raises BadInput for one that there is not."""
    name = request.GET.get("span", usual)
    if name not in SPANS:
        raise BadInput(f"There is no span {name!r:.40}: it is {', '.join(SPANS)}.")
    return SPANS[name]


def columns(samples: QuerySet[Any], figures: Sequence[Figure], span: Span) -> dict[str, Any]:
    """Return the samples of one host, or datastore, as columns of numbers; one query."""
    until = timezone.now().timestamp()
    points = list(broken(points_of(rows_of(samples, figures, span), span.step), span.step))
    values = zip(*(values for _, values in points), strict=True) if points else [[] for _ in figures]
    return {
        "span": span.name,
        "since": round(until - span.length.total_seconds()),
        "until": round(until),
        "at": [round(at) for at, _ in points],
        "figures": [
            {"name": figure.name, "label": figure.label, "unit": figure.unit, "values": list(column)}
            for figure, column in zip(figures, values, strict=True)
        ],
    }


def rows_of(samples: QuerySet[Any], figures: Sequence[Figure], span: Span) -> list[Point]:
    """Return the samples of the span in order: the means, and what was sampled since the last of them."""
    now = timezone.now()
    wanted = Q(resolution__in=span.resolutions, at__gte=now - span.length, at__lte=now)
    found = samples.filter(wanted).order_by("-resolution", "at")
    rows: list[Point] = []
    covered = 0.0
    for resolution, group in groupby(
        found.values_list("resolution", "at", *(figure.name for figure in figures)), key=lambda row: row[0]
    ):
        fresh = [(at.timestamp(), values) for _, at, *values in group if at.timestamp() >= covered]
        rows += [(at + (resolution / 2 if resolution != FINE else 0), values) for at, values in fresh]
        covered = fresh[-1][0] + resolution if fresh else covered
    return rows


def points_of(rows: Iterable[Point], step: int) -> Iterator[Point]:
    """Yield one point for all rows of a step, with their means."""
    for _, group in groupby(rows, key=lambda row: row[0] // step):
        several = list(group)
        times = [at for at, _ in several]
        yield sum(times) / len(times), [mean(column) for column in zip(*(row for _, row in several), strict=True)]


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    found = sum(known) / len(known)
    return round(found) if isinstance(known[0], int) else round(found, 3)


def broken(points: Iterable[Point], step: int) -> Iterator[Point]:
    """Yield the points, with one of nothing where some are missing: there the line ends."""
    before: float | None = None
    for at, values in points:
        if before is not None and at - before > GAP * step:
            yield before + step, [None] * len(values)
        yield at, values
        before = at
