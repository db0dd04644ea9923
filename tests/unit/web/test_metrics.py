"""The metrics: what a scrape says, of a cloud that is empty, large, broken or named by an enemy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from datastores.domain.alert_facts import QueueFacts, WorkerFacts
from datastores.domain.states import HostState, JobState
from datastores.models import Alert, Duty, User
from datastores.models.audit import record
from datastores.services.tallies import count_ends
from datastores.web import metrics
from tests.unit.conftest import GIB, a_datastore, a_host, a_job, an_image

pytestmark = pytest.mark.django_db
WORKERS = [WorkerFacts("a", "m1", ("interactive", "transfer"), 3.0), WorkerFacts("b", "m1", ("interactive",), 300.0)]
QUEUES = [QueueFacts("interactive", 4, 2.5), QueueFacts("monitor", 0, 0.0)]
Sample = dict[str, Any]


@pytest.fixture(autouse=True)
def _machinery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "machinery", lambda: (WORKERS, QUEUES))


def scrape() -> list[Metric]:
    """Return what a Prometheus would read."""
    return list(text_string_to_metric_families(metrics.Page().text().decode()))


def value(name: str, **labels: str) -> float:
    """Return the one value with this name and these labels among a scrape."""
    [found] = [
        sample.value
        for family in scrape()
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    return found


def samples(name: str) -> Iterator[dict[str, str]]:
    return (sample.labels for family in scrape() for sample in family.samples if sample.name == name)


def test_an_empty_cloud() -> None:
    assert value("cloudstore_hosts", state="ready") == 0
    assert value("cloudstore_audit_entries_total") == 0
    assert value("cloudstore_jobs", state="running") == 0
    assert value("cloudstore_source_up", source="database") == 1
    assert value("cloudstore_alerts", rule="host_unreachable", severity="critical", state="firing") == 0
    [build] = samples("cloudstore_build_info")
    assert build["version"] == "0.1.0"


def test_queues_and_workers() -> None:
    assert value("cloudstore_queue_workers", queue="interactive") == 1
    assert value("cloudstore_queue_workers", queue="monitor") == 0
    assert value("cloudstore_queue_depth", queue="interactive") == 4
    assert value("cloudstore_queue_oldest_seconds", queue="interactive") == 2.5
    assert value("cloudstore_workers_lost") == 1


def test_hosts() -> None:
    read = timezone.now() - timedelta(minutes=3)
    a_host("kvm-1", facts_at=read, clock_skew=-0.25)
    a_host("kvm-2", state=HostState.UNREACHABLE)
    a_host("kvm-3", state=HostState.UNREACHABLE, maintenance=True)
    a_host("kvm-4", state=HostState.QUARANTINED)
    a_host("kvm-5", state=HostState.NEW)
    assert value("cloudstore_hosts", state="unreachable") == 2
    assert value("cloudstore_hosts_in_maintenance") == 1
    assert value("cloudstore_host_up", host="kvm-1") == 1
    assert value("cloudstore_host_up", host="kvm-2") == 0
    assert [labels["host"] for labels in samples("cloudstore_host_up")] == ["kvm-1", "kvm-2", "kvm-4"]
    assert [labels["host"] for labels in samples("cloudstore_host_quarantined")] == ["kvm-4"]
    assert value("cloudstore_host_read_timestamp_seconds", host="kvm-1") == pytest.approx(read.timestamp(), abs=1)
    assert value("cloudstore_host_clock_skew_seconds", host="kvm-1") == -0.25


def test_datastores(admin: User) -> None:
    measured = timezone.now() - timedelta(minutes=2)
    gold = a_datastore("gold", total=100 * GIB, used=30 * GIB, free=70 * GIB, measured_at=measured)
    an_image(admin, datastore=gold, virtual_size=25 * GIB, real_size=5 * GIB)
    a_datastore("stale", error="It could not be measured: gone.")
    for name, expected in (("size", 100), ("used", 30), ("free", 70), ("promised", 20)):
        assert value(f"cloudstore_datastore_{name}_bytes", datastore="gold") == expected * GIB
    when = value("cloudstore_datastore_measured_timestamp_seconds", datastore="gold")
    assert when == pytest.approx(measured.timestamp(), abs=2)
    assert value("cloudstore_datastore_measure_failed", datastore="stale") == 1
    assert value("cloudstore_datastore_state", datastore="gold", state="ready") == 1
    assert [labels["datastore"] for labels in samples("cloudstore_datastore_size_bytes")] == ["gold"]


def test_jobs_and_how_long_they_took(admin: User) -> None:
    now = timezone.now()
    asked = now - timedelta(seconds=0.2)
    job = a_job(admin, "disk.create", created_at=asked, queued_at=asked, started_at=asked, ended_at=now)
    record("disk.create", user=admin, job=job, result="succeeded")
    a_job(admin, state=JobState.INTERRUPTED, heartbeat_at=now - timedelta(hours=1))
    count_ends(["disk.create"])
    labels = {"kind": "disk.create", "state": "succeeded"}
    assert value("cloudstore_jobs_ended_total", **labels) == 1
    assert value("cloudstore_job_duration_seconds_bucket", le="0.1", **labels) == 0
    assert value("cloudstore_job_duration_seconds_bucket", le="0.25", **labels) == 1
    assert value("cloudstore_job_running_seconds_count", **labels) == 1
    assert value("cloudstore_clone_duration_seconds_bucket", le="0.2") == 1
    assert value("cloudstore_clone_duration_seconds_bucket", le="+Inf") == 1
    assert value("cloudstore_clone_duration_seconds_sum") == pytest.approx(0.2)
    assert value("cloudstore_jobs", state="interrupted") == 1
    assert value("cloudstore_job_interrupted_seconds") == pytest.approx(3600, abs=5)
    assert value("cloudstore_audit_entries_total") == 1


def test_alerts_and_duties() -> None:
    now = timezone.now()
    for number, state in enumerate(("pending", "firing", "firing", "acknowledged", "resolved")):
        Alert.objects.create(
            rule="datastore_full", subject=f"datastore:{number}", state=state, since=now, last_seen=now
        )
    Duty.objects.create(name="reconcile", due_at=now)
    Duty.objects.create(name="of a former version", due_at=now)
    assert value("cloudstore_alerts", rule="datastore_full", severity="critical", state="firing") == 2
    assert value("cloudstore_alerts", rule="datastore_full", severity="critical", state="acknowledged") == 1
    assert list(samples("cloudstore_duty_due_timestamp_seconds")) == [{"duty": "reconcile"}]


HOSTILE = ('a"b', "back\\slash", "two\nlines", 'x"} 1\ncloudstore_up 0 #', "<img src=x onerror=alert(1)>", "\u202e{}")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_a_label_whatever_it_is(name: str) -> None:
    a_host(name)
    a_datastore(name, total=1, used=1)
    assert name in [labels["host"] for labels in samples("cloudstore_host_up")]
    assert [labels["datastore"] for labels in samples("cloudstore_datastore_used_bytes")] == [name]
    assert not any(family.name == "cloudstore_up" for family in scrape())


def test_a_scrape_while_the_database_is_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(metrics, "datastore_facts", away)
    assert value("cloudstore_source_up", source="database") == 0
    assert value("cloudstore_source_up", source="redis") == 1
    assert value("cloudstore_queue_depth", queue="interactive") == 4
    assert list(samples("cloudstore_hosts")) == []


def test_a_scrape_while_redis_is_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "machinery", lambda: (None, None))
    assert value("cloudstore_source_up", source="redis") == 0
    assert value("cloudstore_hosts", state="ready") == 0
    assert list(samples("cloudstore_queue_depth")) == []


def test_more_rows_need_no_more_queries(admin: User) -> None:
    counts = []
    for more in (2, 20):
        for _ in range(more):
            an_image(admin, datastore=a_datastore(total=100, used=1))
            a_job(admin, state=JobState.RUNNING)
        with CaptureQueriesContext(connection) as asked:
            metrics.Page().text()
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 18


def test_labels_do_not_grow_with_jobs_and_images(admin: User) -> None:
    def series() -> int:
        return sum(len(family.samples) for family in scrape())

    a_datastore()
    before = series()
    for number in range(20):
        a_job(admin, title=f"job {number}", state=JobState.RUNNING)
        an_image(admin)
    assert series() == before


def test_several_who_scrape_share_one_read() -> None:
    page = metrics.Page()
    with CaptureQueriesContext(connection) as first:
        page.text()
    with CaptureQueriesContext(connection) as later:
        for _ in range(5):
            page.text()
    assert len(first) > 0 and len(later) == 0


def test_names_follow_the_conventions() -> None:
    for family in scrape():
        assert family.name.startswith("cloudstore_") and family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_minutes", "_gib", "_percent")), family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
