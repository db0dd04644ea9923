"""Samples: stored as taken, thinned as they grow old, whatever happens to the thinning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from datastores.models import DatastoreSample, Host, HostSample
from datastores.models.samples import DAILY, FINE, HOURLY
from datastores.services import samples
from datastores.services.samples import store, thin_samples
from tests.unit.conftest import GIB, a_datastore, a_host

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIGURES: dict[str, Any] = {
    "latency": 2.0, "load": 1.0, "memory_total": 8 * GIB, "memory_used": GIB, "root_total": 9, "root_used": 3,
}  # fmt: skip


def sample(host: Host, at: datetime, **figures: Any) -> None:
    store(HostSample, {host.pk: FIGURES | figures}, at)


def every_five_minutes(host: Host, start: datetime, end: datetime) -> None:
    rows = []
    while start < end:
        rows.append(HostSample(host=host, at=start, **FIGURES))
        start += 5 * MINUTE
    HostSample.objects.bulk_create(rows)


def stored() -> list[tuple[Any, ...]]:
    return list(HostSample.objects.order_by("resolution", "at").values_list("resolution", "at", *HostSample.figures))


@pytest.fixture
def host() -> Host:
    return a_host()


class TestThinning:
    @pytest.fixture(autouse=True)
    def _at_noon(self) -> Iterator[None]:
        with time_machine.travel(NOON):
            yield

    def test_an_hour_that_has_ended_gets_its_mean(self, host: Host) -> None:
        for minute, latency, used in ((0, 1.0, 10), (20, 2.0, 11), (40, 6.0, 13)):
            sample(host, NOON - 2 * HOUR + minute * MINUTE, latency=latency, root_used=used)
        thin_samples()
        mean = HostSample.objects.get(resolution=HOURLY)
        assert (mean.at, mean.latency, mean.root_used) == (NOON - 2 * HOUR, 3.0, 11)
        assert HostSample.objects.filter(resolution=FINE).count() == 3

    def test_an_hour_that_goes_on_has_none_yet(self, host: Host) -> None:
        sample(host, NOON - 10 * MINUTE)
        with time_machine.travel(NOON - MINUTE):
            thin_samples()
        with time_machine.travel(NOON + MINUTE):  # an answer to what was asked at 11:59 may still come
            thin_samples()
        assert not HostSample.objects.filter(resolution=HOURLY).exists()
        with time_machine.travel(NOON + 6 * MINUTE):
            thin_samples()
        assert HostSample.objects.filter(resolution=HOURLY).count() == 1

    def test_it_may_be_done_twice(self, host: Host) -> None:
        every_five_minutes(host, NOON - 3 * DAY, NOON)
        thin_samples()
        once = stored()
        assert thin_samples() == 0
        assert stored() == once

    def test_it_may_be_left_undone_for_days(self, host: Host) -> None:
        def four_days(*, thinned_each_hour: bool) -> list[tuple[Any, ...]]:
            HostSample.objects.all().delete()
            for number in range(4 * 24):
                moment = NOON - 4 * DAY + number * HOUR + 30 * MINUTE
                sample(host, moment, load=float(number))
                if thinned_each_hour:
                    with time_machine.travel(moment):
                        thin_samples()
            thin_samples()
            return stored()

        assert four_days(thinned_each_hour=True) == four_days(thinned_each_hour=False)
        days = HostSample.objects.filter(resolution=DAILY, at__gte=NOON - 4 * DAY).order_by("at")
        midnight = NOON - 12 * HOUR
        assert list(days.values_list("at", "load")) == [
            (midnight - 3 * DAY, 23.5), (midnight - 2 * DAY, 47.5), (midnight - DAY, 71.5),
        ]  # fmt: skip

    def test_a_month_without_samples_is_no_work(self, host: Host) -> None:
        sample(host, NOON - 29 * DAY)
        sample(host, NOON - 2 * HOUR)
        thin_samples()
        assert HostSample.objects.filter(resolution=HOURLY).count() == 2
        assert HostSample.objects.filter(resolution=DAILY).count() == 1

    def test_the_older_the_coarser(self, host: Host) -> None:
        for days, resolution in ((3, FINE), (1, FINE), (31, HOURLY), (29, HOURLY), (731, DAILY), (729, DAILY)):
            HostSample.objects.create(host=host, at=NOON - days * DAY, resolution=resolution, **FIGURES)
        thin_samples()
        kept = {(row.resolution, (NOON - row.at).days) for row in HostSample.objects.all()}
        assert kept >= {(FINE, 1), (HOURLY, 29), (DAILY, 729)}
        assert not kept & {(FINE, 3), (HOURLY, 31), (DAILY, 731)}

    def test_what_is_deleted_is_deleted_a_few_at_a_time(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(samples, "DELETED_AT_ONCE", 7)
        every_five_minutes(host, NOON - 2 * DAY - HOUR, NOON - 2 * DAY)
        assert thin_samples() == 12

    def test_a_latency_that_was_never_known_has_no_mean(self, host: Host) -> None:
        sample(host, NOON - 2 * HOUR, latency=None)
        thin_samples()
        assert HostSample.objects.get(resolution=HOURLY).latency is None

    def test_a_clock_that_was_wrong_once_stops_nothing(self, host: Host) -> None:
        HostSample.objects.create(host=host, at=NOON + 400 * DAY, resolution=HOURLY, **FIGURES)
        sample(host, NOON - 2 * HOUR)
        thin_samples()
        assert HostSample.objects.filter(resolution=HOURLY, at__lt=NOON).count() == 1

    def test_datastores_are_thinned_as_hosts_are(self) -> None:
        datastore = a_datastore()
        for used in (10, 20):
            store(DatastoreSample, {datastore.pk: {"total": 100, "used": used, "promised": 7}}, NOON - HOUR * used)
            moment = NOON - 2 * HOUR + used * MINUTE
            store(DatastoreSample, {datastore.pk: {"total": 100, "used": used, "promised": 7}}, moment)
        thin_samples()
        mean = DatastoreSample.objects.get(resolution=HOURLY, at=NOON - 2 * HOUR)
        assert (mean.used, mean.promised, mean.inodes_total) == (15, 7, None)


class TestStoring:
    def test_a_host_that_was_deleted_meanwhile_is_left_out(self, host: Host) -> None:
        gone = a_host()
        key = gone.pk
        gone.delete()
        assert store(HostSample, {host.pk: FIGURES, key: FIGURES}, NOON) == 1

    def test_the_same_moment_is_stored_once(self, host: Host) -> None:
        sample(host, NOON, load=1.0)
        sample(host, NOON, load=2.0)
        assert HostSample.objects.get().load == 1.0
        with pytest.raises(IntegrityError), transaction.atomic():
            HostSample.objects.create(host=host, at=NOON, **FIGURES)

    def test_samples_go_with_their_host(self, host: Host) -> None:
        sample(host, NOON)
        host.delete()
        assert not HostSample.objects.exists()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a small table as a whole")
@pytest.mark.parametrize("wanted", [{"host": 1, "resolution": FINE}, {"resolution": FINE}])
def test_an_index_finds_what_is_asked_for_from_a_moment_on(wanted: dict[str, int]) -> None:
    plan = HostSample.objects.filter(at__gte=NOON, **wanted).values_list("at").explain()
    assert "INDEX" in plan and "at>" in plan
