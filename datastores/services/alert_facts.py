"""What the rules of alerts, and the metrics, look at: gathered with a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from datastores.domain.alert_facts import (
    DatastoreFacts,
    Facts,
    HostFacts,
    JobFacts,
    QueueFacts,
    RoomFacts,
    SightFacts,
    WorkerFacts,
)
from datastores.domain.alert_rules import WORKER_LOST
from datastores.domain.states import HostState, JobState, ObjectState
from datastores.models import Alert, Datastore, DatastoreHost, DatastoreSample, Duty, Host, Job, VolumeReading
from datastores.models.samples import FINE
from datastores.services.datastores import NOT_MEASURED
from datastores.services.growth import growth_of
from datastores.services.promises import promised

LATELY = timedelta(hours=1)


def gather(
    workers: Iterable[WorkerFacts] | None,
    queues: Iterable[QueueFacts] | None,
    duties: Iterable[str],
    told: frozenset[tuple[str, str]] | None = None,
) -> Facts:
    """Return what is known now, with a constant number of queries.

    ``workers`` and ``queues``: as Redis knows them, None when it does not answer. ``duties``: names of what the
    schedule does. ``told``: ``open_alerts()`` from before Redis was asked; None: it is read first of all here.
    """
    told = open_alerts() if told is None else told
    now = timezone.now()
    return Facts(
        datastores=tuple(datastore_facts(now, trends(now))),
        hosts=tuple(host_facts()),
        workers=None if workers is None else tuple(with_remembered(workers, now)),
        queues=None if queues is None else tuple(queues),
        late=tuple(Duty.late(duties).items()),
        jobs=tuple(interrupted_jobs(now)),
        unseen=tuple(unseen_datastores(now)),
        rooms=tuple(rooms_of_late(now)),
        told=told,
    )


def open_alerts() -> frozenset[tuple[str, str]]:
    """Return rules and subjects of the alerts that are open: what ends later is not begun anew from facts of now."""
    return frozenset(Alert.objects.filter(state__in=Alert.OPEN).order_by().values_list("rule", "subject"))


@dataclass(frozen=True, slots=True)
class Trends:
    """What takes all images and the samples of weeks to tell, by the keys of datastores, and changes slowly."""

    promised: Mapping[int, int]
    days_to_full: Mapping[int, float | None]
    inodes: Mapping[int, tuple[int, int]]


def trends(now: datetime) -> Trends:
    pace = growth_of(Datastore.objects.all())
    days = {datastore: growth.days_to_full for datastore, growth in pace.items()}
    return Trends(promised(), days, inodes_of_late(now))


def datastore_facts(now: datetime, slow: Trends) -> list[DatastoreFacts]:
    """Return every datastore: how full, how much is promised, how long ago that was seen."""
    unused = Q(host__state=HostState.QUARANTINED) | Q(host__maintenance=True)
    unwell = problems_of_volumes(now)
    out_of_use = set(DatastoreHost.objects.filter(unused, position=0).values_list("datastore_id", flat=True))
    return [
        DatastoreFacts(
            pk=one.pk,
            name=one.name,
            total=one.total or 0,
            used=one.used or 0,
            free=one.free or 0,
            promised=slow.promised.get(one.pk, 0),
            inodes=slow.inodes.get(one.pk, (0, 0))[0],
            inodes_used=slow.inodes.get(one.pk, (0, 0))[1],
            days_to_full=slow.days_to_full.get(one.pk),
            age=(now - (one.measured_at or one.created_at)).total_seconds(),
            measured_at=(one.measured_at or one.created_at).timestamp(),
            expected=one.state == ObjectState.READY and one.pk not in out_of_use,
            error=one.error if one.state == ObjectState.READY and one.error.startswith(NOT_MEASURED) else "",
            state=one.state,
            problems=unwell.get(one.pk, ()) if one.state == ObjectState.READY else (),
        )
        for one in Datastore.objects.order_by("pk")
    ]


def problems_of_volumes(now: datetime) -> dict[int, tuple[str, ...]]:
    """Return by datastore what was wrong with its volume when that was read of late."""
    rows = VolumeReading.objects.filter(at__gte=now - LATELY, error="").values_list("datastore_id", "seen__problems")
    return {datastore: tuple(problems) for datastore, problems in rows if problems}


def inodes_of_late(now: datetime) -> dict[int, tuple[int, int]]:
    """Return by datastore (inodes, those in use) as sampled last, where its file system has a number of them."""
    rows = DatastoreSample.objects.filter(resolution=FINE, at__gte=now - LATELY, at__lte=now, inodes_total__gt=0)
    lately = rows.order_by("at").values_list("datastore_id", "inodes_total", "inodes_used")
    return {datastore: (total, used or 0) for datastore, total, used in lately}


def host_facts() -> list[HostFacts]:
    columns = ("pk", "name", "state", "error", "maintenance", "clock_skew")
    return [HostFacts(*row) for row in Host.objects.order_by("pk").values_list(*columns)]


def with_remembered(workers: Iterable[WorkerFacts], now: datetime) -> list[WorkerFacts]:
    """Return the workers, and those that were told of as lost and are forgotten by Redis since.

    One that was heard of again is not remembered: when Redis does not know it then, it has said goodbye.
    """
    known = list(workers)
    names = {f"worker:{each.name}" for each in known}
    alerts = Alert.objects.filter(rule=WORKER_LOST.name, state__in=Alert.OPEN).exclude(subject__in=names)
    return known + [
        WorkerFacts(
            one.subject.partition(":")[2], one.detail["host"], tuple(one.detail["queues"]),
            silent_seconds=(now - one.since).total_seconds() + WORKER_LOST.limit,
        )
        for one in alerts.order_by("pk")
        if one.detail
    ]  # fmt: skip


def unseen_datastores(now: datetime) -> list[SightFacts]:
    """Return which host did not see which datastore when that was looked at of late; none of what is out of use."""
    columns = ("datastore_id", "host_id", "datastore__name", "host__name", "unseen")
    looked_at = DatastoreHost.objects.exclude(unseen="").filter(position__gt=0, looked_at__gte=now - LATELY)
    rows = looked_at.filter(datastore__state=ObjectState.READY, host__in=Host.objects.usable())
    return [SightFacts(*row) for row in rows.order_by("pk").values_list(*columns)]


def interrupted_jobs(now: datetime) -> list[JobFacts]:
    rows = Job.objects.filter(state=JobState.INTERRUPTED).order_by("pk")
    heard = rows.values_list("uuid", "title", "heartbeat_at", "queued_at")
    return [JobFacts(str(uuid), title, (now - (beat or queued)).total_seconds()) for uuid, title, beat, queued in heard]


def rooms_of_late(now: datetime) -> list[RoomFacts]:
    """Return what datastores have on hosts beside their storage host, as measured of late."""
    columns = ("datastore_id", "host_id", "datastore__name", "host__name", "total", "used", "free")
    rows = DatastoreHost.objects.filter(measured_at__gte=now - LATELY, host__in=Host.objects.usable())
    return [RoomFacts(*row) for row in rows.order_by("pk").values_list(*columns)]
