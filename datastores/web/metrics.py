"""The figures of the cloud for Prometheus. Nothing is counted while jobs run: a scrape reads the database.

Names: https://prometheus.io/docs/practices/naming. Labels are names of hosts, datastores, queues and kinds of jobs;
none grows with jobs, images or people.
"""

from __future__ import annotations

import functools
import logging
import platform
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import django
from django.conf import settings
from django.db import Error
from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from datastores.domain.alert_facts import DatastoreFacts, JobFacts, QueueFacts, WorkerFacts
from datastores.domain.alert_rules import DAY, RULES
from datastores.domain.alerts import is_lost, missed
from datastores.domain.histograms import cumulative
from datastores.domain.states import ENDED, HostState, JobState
from datastores.jobs.schedule import DUTIES
from datastores.jobs.watching import machinery
from datastores.models import Alert, AuditEntry, Duty, Host, Job, Tally
from datastores.services.alert_facts import (
    Trends,
    datastore_facts,
    interrupted_jobs,
    trends,
    unseen_datastores,
    with_remembered,
)
from datastores.services.tallies import BOUNDS, CLONE, DURATION, ENDS, RUNNING

logger = logging.getLogger(__name__)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
FRESH_SECONDS = 5.0
"""Several who scrape share one read of the database."""
TREND_SECONDS = 300.0
"""As often as samples are taken; it takes all images, and weeks of samples, to tell."""
OPEN = [state.value for state in JobState if state not in ENDED]
Metrics = Iterator[Metric]


class CloudCollector(Collector):
    """All figures. A database or Redis that does not answer is a figure, too, and the others are there all the same."""

    def __init__(self) -> None:
        self._trends, self._trends_at = Trends({}, {}, {}), float("-inf")

    def collect(self) -> Metrics:
        version = {"version": product_version(), "python": platform.python_version(), "django": django.__version__}
        yield gauge("cloudstore_build_info", "Which version this is.", tuple(version), [(tuple(version.values()), 1)])
        workers, queues = machinery()
        stored = self._from_database(workers)
        up = [(("database",), stored is not None), (("redis",), workers is not None)]
        yield gauge("cloudstore_source_up", "Whether what the figures are read from answers.", ("source",), up)
        yield from of_queues(workers, queues)
        yield from stored or ()

    def _from_database(self, workers: list[WorkerFacts] | None) -> list[Metric] | None:
        """Return what the database knows; None: it does not answer."""
        try:
            parts = [of_hosts(), of_datastores(self._read_datastores()), of_jobs(), of_tallies(), of_watch()]
            parts += [of_lost(workers)] if workers is not None else []
            return [metric for part in parts for metric in part]
        except Error as error:
            logger.warning("a scrape without the database: %s", error)
            return None

    def _read_datastores(self) -> list[DatastoreFacts]:
        now = timezone.now()
        if time.monotonic() - self._trends_at > TREND_SECONDS:
            self._trends, self._trends_at = trends(now), time.monotonic()
        return datastore_facts(now, self._trends)


def gauge(name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    metric = GaugeMetricFamily(name, about, labels=labels)
    for values, value in rows:
        metric.add_metric(values, value)
    return metric


def of_queues(workers: list[WorkerFacts] | None, queues: list[QueueFacts] | None) -> Metrics:
    if workers is None or queues is None:
        return
    manned = Counter(name for worker in workers if not is_lost(worker) for name in worker.queues)
    label, names = ("queue",), [queue.name for queue in queues]
    yield gauge("cloudstore_queue_workers", "Workers heard of lately.", label, [((n,), manned[n]) for n in names])
    depth = [((queue.name,), queue.depth) for queue in queues]
    yield gauge("cloudstore_queue_depth", "Entries that wait.", label, depth)
    oldest = [((queue.name,), queue.oldest_seconds) for queue in queues]
    yield gauge("cloudstore_queue_oldest_seconds", "How long the first entry has waited.", label, oldest)


def of_lost(workers: list[WorkerFacts]) -> Metrics:
    lost = len(missed(with_remembered(workers, timezone.now())))
    yield gauge("cloudstore_workers_lost", "Workers that fell silent without a goodbye.", (), [((), lost)])


def of_hosts() -> Metrics:
    columns = ("name", "state", "maintenance", "facts_at", "clock_skew")
    hosts = list(Host.objects.order_by("pk").values_list(*columns))
    states = Counter(state for _, state, *_ in hosts)
    counted = [((state.value,), states[state]) for state in HostState]
    yield gauge("cloudstore_hosts", "Hosts by state.", ("state",), counted)
    yield gauge("cloudstore_hosts_in_maintenance", "Hosts in maintenance.", (), [((), sum(row[2] for row in hosts))])
    up = [((name,), state == HostState.READY) for name, state, away, *_ in hosts if state != HostState.NEW and not away]
    yield gauge("cloudstore_host_up", "Whether a host answers; none in maintenance.", ("host",), up)
    distrusted = [((name,), 1) for name, state, *_ in hosts if state == HostState.QUARANTINED]
    yield gauge("cloudstore_host_quarantined", "Hosts with another key than the pinned one.", ("host",), distrusted)
    read = [((name,), at.timestamp()) for name, _, _, at, _ in hosts if at]
    yield gauge("cloudstore_host_read_timestamp_seconds", "When a host was read last.", ("host",), read)
    skew = [((row[0],), row[4]) for row in hosts if row[4] is not None and row[1] == HostState.READY]
    yield gauge("cloudstore_host_clock_skew_seconds", "How far its clock is ahead of ours.", ("host",), skew)


def of_datastores(stores: list[DatastoreFacts]) -> Metrics:
    measured = [store for store in stores if store.total]
    figures: Mapping[str, tuple[str, Iterable[tuple[DatastoreFacts, float]]]] = {
        "size_bytes": ("Size of its file system.", [(each, each.total) for each in measured]),
        "used_bytes": ("Bytes in use.", [(each, each.used) for each in measured]),
        "free_bytes": ("Bytes free.", [(each, each.free) for each in measured]),
        "promised_bytes": ("What images and disks may still grow by.", [(each, each.promised) for each in stores]),
        "inodes": ("Inodes there are.", [(each, each.inodes) for each in stores if each.inodes]),
        "inodes_used": ("Inodes in use.", [(each, each.inodes_used) for each in stores if each.inodes]),
        "full_in_seconds": ("When it is full at the pace of late.",
                            [(each, each.days_to_full * DAY) for each in stores if each.days_to_full is not None]),
        "measured_timestamp_seconds": ("When it was measured last or, before that, made; only those that should be.",
                                       [(each, each.measured_at) for each in stores if each.expected]),
        "measure_failed": ("Whether it could not be measured.", [(each, bool(each.error)) for each in stores]),
        "problems": ("How much is wrong with what it is made of.", [(each, len(each.problems)) for each in stores]),
    }  # fmt: skip
    for name, (about, rows) in figures.items():
        yield gauge(
            f"cloudstore_datastore_{name}", about, ("datastore",), [((one.name,), value) for one, value in rows]
        )
    gone = [((one.datastore_name, one.host_name), 1) for one in unseen_datastores(timezone.now())]
    yield gauge("cloudstore_datastore_unseen", "Hosts that do not see a datastore.", ("datastore", "host"), gone)
    states = [((one.name, one.state), 1) for one in stores]
    yield gauge("cloudstore_datastore_state", "The state it is in.", ("datastore", "state"), states)


def of_jobs() -> Metrics:
    rows = Job.objects.filter(state__in=OPEN).order_by().values("state").annotate(count=Count("pk"))
    counted = dict(rows.values_list("state", "count"))
    jobs = [((state,), counted.get(state, 0)) for state in OPEN]
    yield gauge("cloudstore_jobs", "Jobs that have not ended, by state.", ("state",), jobs)
    waits: list[JobFacts] = interrupted_jobs(timezone.now())
    oldest = max((job.seconds for job in waits), default=0.0)
    yield gauge("cloudstore_job_interrupted_seconds", "For how long a job has been interrupted, the worst of all.",
                (), [((), oldest)])  # fmt: skip


def of_tallies() -> Metrics:
    rows = list(Tally.objects.order_by("kind", "state"))
    ends = CounterMetricFamily("cloudstore_jobs_ended", "Jobs that ended, by kind and state.", labels=("kind", "state"))
    for row in rows:
        if row.measure == ENDS:
            ends.add_metric((row.kind, row.state), row.count)
    yield ends
    times = ("cloudstore_job_duration_seconds", "From the queue to the end of a job.", DURATION, ("kind", "state"))
    running = ("cloudstore_job_running_seconds", "The part of it in which a worker had it.", RUNNING, ("kind", "state"))
    clones = ("cloudstore_clone_duration_seconds", "From the click to a disk that is ready.", CLONE, ())
    for name, about, measure, labels in (times, running, clones):
        metric = HistogramMetricFamily(name, about, labels=labels)
        for row in rows:
            if row.measure == measure:
                buckets = cumulative(row.buckets, BOUNDS[measure])
                metric.add_metric((row.kind, row.state)[: len(labels)], buckets, sum_value=row.seconds)
        yield metric


def of_watch() -> Metrics:
    last = AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    yield CounterMetricFamily("cloudstore_audit_entries", "Entries of the audit trail.", value=last)
    due = Duty.objects.filter(name__in=[duty.__name__ for duty, _ in DUTIES]).values_list("name", "due_at")
    at = [((name,), moment.timestamp()) for name, moment in due]
    yield gauge("cloudstore_duty_due_timestamp_seconds", "When the schedule does it next.", ("duty",), at)
    rows = Alert.objects.firing().order_by().values("rule", "state").annotate(count=Count("pk"))
    counted = {(rule, state): count for rule, state, count in rows.values_list("rule", "state", "count")}
    states = (Alert.State.FIRING.value, Alert.State.ACKNOWLEDGED.value)
    firing = [
        ((rule.name, rule.severity.value, state), counted.get((rule.name, state), 0))
        for rule in RULES.values()
        for state in states
    ]
    yield gauge("cloudstore_alerts", "Alerts that are so now.", ("rule", "severity", "state"), firing)


@functools.cache
def product_version() -> str:
    project: dict[str, Any] = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]
    return str(project["version"])


class Page:
    """The text of all figures, made anew when it is older than a moment."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(CloudCollector())
        self._lock = threading.Lock()
        self._at, self._text = float("-inf"), b""

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._at > FRESH_SECONDS:
                self._text, self._at = generate_latest(self._registry), time.monotonic()
            return self._text


page = Page()
