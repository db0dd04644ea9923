"""How fast datastores fill, from the daily means of the last weeks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from datastores.domain.growth import Growth, growth
from datastores.models import Datastore, DatastoreSample
from datastores.models.samples import DAILY
from datastores.models.visibility import among

LOOKED_BACK = timedelta(days=30)
DAY = timedelta(days=1)
HALF_A_DAY = timedelta(hours=12)


def growth_of(datastores: Iterable[Datastore]) -> dict[int, Growth]:
    """Return the growth of each datastore by its key, in one query.

    What was measured last counts as a point, too, so that today's growth is not known tomorrow only.
    """
    rows = list(datastores)
    now = timezone.now()
    points: dict[int, list[tuple[float, float]]] = {row.pk: [] for row in rows}
    means = DatastoreSample.objects.filter(resolution=DAILY, at__gte=now - LOOKED_BACK, at__lte=now)
    for key, at, used in among(means, "datastore", points).values_list("datastore_id", "at", "used"):
        if key in points:
            points[key].append((days_between(now, at + HALF_A_DAY), used))
    for row in rows:
        if row.measured_at is not None and row.used is not None:
            points[row.pk].append((days_between(now, row.measured_at), row.used))
    return {row.pk: growth(points[row.pk], row.free) for row in rows}


def add_growth(datastores: Iterable[Datastore]) -> None:
    """Let each datastore know its growth; one query for all."""
    rows = list(datastores)
    found = growth_of(rows)
    for row in rows:
        row.growth = found[row.pk]


def days_between(start: datetime, end: datetime) -> float:
    return (end - start) / DAY
