"""Samples: stored as they are taken, thinned out as they grow old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import models, transaction
from django.db.models import Avg
from django.utils import timezone

from datastores.domain.volumes import Capacity
from datastores.models import Datastore, DatastoreSample, HostSample
from datastores.models.samples import DAILY, FINE, HOURLY, RESOLUTIONS, Sample
from datastores.services import settings
from datastores.services.promises import promised

MODELS: tuple[type[Sample], ...] = (HostSample, DatastoreSample)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
LATE = timedelta(minutes=5)
"""So long after its end an hour counts as complete: what was asked for in it may still come."""
OFTEN = timedelta(seconds=0.9 * FINE)
"""A datastore is measured more often than samples of it are kept; not a moment too late."""
DELETED_AT_ONCE = 500
"""Samples deleted in one transaction: whoever else wants to write waits no longer than that."""


def store(model: type[Sample], found: Mapping[int, Mapping[str, Any]], at: datetime, resolution: int = FINE) -> int:
    """Store what was found of each host, or datastore, by its key; one that was deleted meanwhile is left out."""
    owners = model._meta.get_field(model.owner).related_model
    with transaction.atomic():
        there = owners._default_manager.filter(pk__in=found).values_list("pk", flat=True)
        rows = [model(at=at, resolution=resolution, **{f"{model.owner}_id": key}, **found[key]) for key in there]
        model._default_manager.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def sample_datastore(datastore: Datastore, capacity: Capacity) -> bool:
    """Store what was measured just now, unless there is a sample of the last minutes."""
    now = timezone.now()
    lately = datastore.samples.filter(resolution=FINE, at__gt=now - OFTEN, at__lte=now)
    if lately.exists():
        return False
    figures = {
        "total": capacity.total, "used": capacity.used, "promised": promised(datastore.pk).get(datastore.pk, 0),
        "inodes_total": capacity.inodes, "inodes_used": capacity.used_inodes,
    }  # fmt: skip
    return bool(store(DatastoreSample, {datastore.pk: figures}, now))


def thin_samples() -> int:
    """Add the means of the hours and days that have ended, then delete what is old; return how many went.

    Both find out by themselves what is left to do: to do it twice, or not at all for a day, is the same in the end.
    """
    now = timezone.now()
    for model in MODELS:
        for finer, coarser in pairwise(RESOLUTIONS):
            add_means(model, finer, coarser, now - LATE)
    return sum(expire(model, now) for model in MODELS)


def kept_for() -> dict[int, timedelta]:
    """Return how long samples of each resolution stay."""
    chosen = {FINE: "samples_raw_days", HOURLY: "samples_hourly_days", DAILY: "samples_daily_days"}
    return {resolution: timedelta(days=settings.value(key)) for resolution, key in chosen.items()}


def add_means(model: type[Sample], finer: int, coarser: int, now: datetime) -> None:
    """Add the means of every hour, or day, that has ended since the last of them."""
    rows = model._default_manager
    last = newest(rows.filter(resolution=coarser, at__lte=now))
    since = last + timedelta(seconds=coarser) if last else EVER
    while first := rows.filter(resolution=finer, at__gte=since).order_by("at").values_list("at", flat=True).first():
        start = beginning(first, coarser)
        since = start + timedelta(seconds=coarser)
        if since > now:
            return
        store(model, means(model, finer, start, since), start, coarser)


def newest(rows: models.QuerySet[Any]) -> datetime | None:
    return rows.order_by("-at").values_list("at", flat=True).first()


def beginning(moment: datetime, seconds: int) -> datetime:
    """Return when the hour, or the day, of a moment began (UTC)."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


def means(model: type[Sample], resolution: int, start: datetime, end: datetime) -> dict[int, dict[str, Any]]:
    """Return the mean of each figure between two moments, by what was measured."""
    of = f"{model.owner}_id"
    rows = model._default_manager.filter(resolution=resolution, at__gte=start, at__lt=end).order_by()
    found = rows.values(of).annotate(**{f"mean_{name}": Avg(name) for name in model.figures})
    return {row[of]: {name: as_stored(model, name, row[f"mean_{name}"]) for name in model.figures} for row in found}


def as_stored(model: type[Sample], name: str, value: Any) -> float | int | None:
    """Return a mean as its column holds it: whole bytes."""
    if value is None:
        return None
    return float(value) if isinstance(model._meta.get_field(name), models.FloatField) else round(value)


def expire(model: type[Sample], now: datetime) -> int:
    """Delete what is older than its kind is kept, a few at a time."""
    gone = 0
    for resolution, kept in kept_for().items():
        old = model._default_manager.filter(resolution=resolution, at__lt=now - kept)
        while keys := list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE]):
            model._default_manager.filter(pk__in=keys).delete()
            gone += len(keys)
    return gone
