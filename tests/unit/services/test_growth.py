"""How fast datastores fill, from what was measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.growth import Growth
from datastores.models import Datastore, DatastoreSample
from datastores.models.samples import DAILY, HOURLY
from datastores.services.growth import growth_of
from tests.unit.conftest import GIB, a_datastore

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def measured(datastore: Datastore, *used: int, resolution: int = DAILY) -> None:
    """One mean a day, the last of them of yesterday."""
    DatastoreSample.objects.bulk_create(
        DatastoreSample(
            datastore=datastore, at=TODAY - timedelta(days=len(used) - number), resolution=resolution,
            total=1000 * GIB, used=each, promised=0,
        )
        for number, each in enumerate(used)
    )  # fmt: skip


def test_it_is_the_pace_of_the_daily_means() -> None:
    datastore = a_datastore(total=1000 * GIB, used=150 * GIB, free=850 * GIB)
    measured(datastore, *(number * 10 * GIB for number in range(8)))
    assert growth_of([datastore]) == {datastore.pk: Growth(10 * GIB, 85)}


def test_what_was_measured_last_counts() -> None:
    noon = TODAY + timedelta(hours=12)
    datastore = a_datastore(total=100 * GIB, used=30 * GIB, free=70 * GIB, measured_at=noon)
    measured(datastore, 0, 10 * GIB, 20 * GIB)
    assert growth_of([datastore])[datastore.pk].bytes_per_day == 10 * GIB


def test_other_resolutions_and_what_is_long_ago_do_not_count() -> None:
    datastore = a_datastore(total=GIB, used=0, free=GIB)
    measured(datastore, *range(0, 60 * GIB, 10 * GIB), resolution=HOURLY)
    long_ago = timezone.now() - timedelta(days=300)
    for day in range(5):
        DatastoreSample.objects.create(datastore=datastore, at=long_ago + timedelta(days=day), resolution=DAILY,
                                       total=1, used=day * GIB, promised=0)  # fmt: skip
    assert growth_of([datastore]) == {datastore.pk: Growth()}


@pytest.mark.parametrize("datastores", [0, 1, 30])
def test_it_is_one_query_however_many_are_asked_for(datastores: int, django_assert_num_queries: Any) -> None:
    rows = [a_datastore(total=GIB, used=0, free=GIB) for _ in range(datastores)]
    for row in rows:
        measured(row, 1, 2, 3, 4, 5)
    with django_assert_num_queries(1 if rows else 0):
        assert set(growth_of(rows)) == {row.pk for row in rows}
