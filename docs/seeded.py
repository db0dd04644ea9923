"""Rows that an hour on a lab cannot bring about, for the screenshots: weeks of samples, alerts, a long copy, a view.

Everything else that they show was done on real hosts.
"""

from __future__ import annotations

import math
from datetime import timedelta

from django.utils import timezone

from datastores.domain.states import JobState, StepState
from datastores.domain.values import format_size
from datastores.jobs.submit import submit
from datastores.models import Alert, Datastore, DatastoreSample, Host, HostSample, Image, Job, SavedView, User
from datastores.models.audit import in_turn
from datastores.models.samples import DAILY, FINE, HOURLY
from datastores.services import settings

GIB = 1 << 30
DAYS = 30


def main() -> None:
    admin = User.objects.get(username="admin")
    hosts, store, image = list(Host.objects.order_by("pk")), Datastore.objects.get(), Image.objects.get()
    sample_host(hosts[0])
    sample_datastore(store)
    raise_alerts(hosts, store)
    copying(admin, hosts[0], store, image)
    SavedView.objects.create(user=admin, list="disks", name="Large clones", query="q=kind%3Aclone+size%3E10G&sort=vm")
    SavedView.objects.create(user=admin, list="disks", name="Made today", query="q=since%3Atoday")
    with in_turn():
        chosen = {"image.register": "after approval", "image.delete": "four eyes", "drift.repair": "four eyes"}
        settings.change("approval", 0, chosen, "admin")
    params = {"name": "archive", "kind": "shared", "type": "image", "base": "/srv/archive",
              "hosts": [host.pk for host in hosts], "options": {"mounted": "nowhere"}}  # fmt: skip
    submit("datastore.create", user=admin, params=params)  # its plan waits


def sample_host(host: Host) -> None:
    """A day of samples, with a gap in which it did not answer."""
    now = timezone.now()
    numbers = [number for number in range(1, 288) if not 150 <= number < 162]
    HostSample.objects.bulk_create(
        HostSample(
            host=host, at=now - timedelta(seconds=FINE * number), resolution=FINE,
            latency=2.1 + 0.6 * math.sin(number / 9) + number * 7 % 5 / 6,
            load=1.4 + math.sin(number / 24) + number * 13 % 7 / 10,
            memory_used=round((9 + 2 * math.sin(number / 40)) * GIB), memory_total=32 * GIB,
            root_used=round((21 - number / 120) * GIB), root_total=64 * GIB,
        )
        for number in numbers
    )  # fmt: skip


def sample_datastore(store: Datastore) -> None:
    """The means of the hours and days of a month in which it grew, with a copy that came and went."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    total, used = store.total or 0, store.used or 0
    samples = []
    for resolution in (HOURLY, DAILY):
        for number in range(DAILY // resolution, DAYS * DAILY // resolution):
            days = number * resolution / DAILY
            copy = total // 12 if 12 <= days < 14 else 0
            samples.append(
                DatastoreSample(
                    datastore=store, at=midnight - timedelta(days=days), resolution=resolution, total=total,
                    used=max(0, round(used - days * total / 70)) + copy, promised=round((274 - 8 * days) * GIB),
                )
            )  # fmt: skip
    DatastoreSample.objects.bulk_create(samples)


def raise_alerts(hosts: list[Host], store: Datastore) -> None:
    now = timezone.now()
    admin = User.objects.get(username="admin")
    place = {"label": store.name, "subject": f"datastore:{store.pk}"}
    there = {"label": hosts[1].name, "subject": f"host:{hosts[1].pk}"}
    for ago, fields in (
        (3, there | {"rule": "clock_skew", "severity": "warning", "state": "firing",
                     "text": "Its clock is 2.3 s ahead of ours."}),
        (14, place | {"rule": "datastore_overcommitted", "severity": "warning", "state": "firing",
                      "text": f"{format_size(store.used or 0)} used and 274 GiB more promised."}),
        (50, place | {"rule": "datastore_inodes", "severity": "warning", "state": "acknowledged",
                      "acknowledged_by": admin, "acknowledged_at": now - timedelta(minutes=41),
                      "note": "old snapshots go tonight", "text": "91 % of its inodes are in use."}),
        (300, there | {"rule": "host_unreachable", "severity": "critical", "state": "resolved",
                       "resolved_at": now - timedelta(minutes=286), "text": "No route to host."}),
    ):  # fmt: skip
        since = now - timedelta(minutes=ago)
        Alert.objects.create(since=since, fired_at=since, last_seen=now, **fields)


def copying(admin: User, host: Host, store: Datastore, image: Image) -> None:
    """A job in the middle of a long copy."""
    now = timezone.now()
    job = Job.objects.create(
        kind="image.move", user=admin, user_label="admin", title=f"Move {image.name} to archive", image=image,
        datastore=store, target_label=image.name, state=JobState.RUNNING, created_at=now - timedelta(minutes=2),
        started_at=now - timedelta(minutes=2), heartbeat_at=now + timedelta(days=1), worker="transfer",
    )  # fmt: skip
    job.steps.create(index=0, host=host.name, title="the directory is there", state=StepState.CHANGED)
    job.steps.create(index=1, host=host.name, title="the copy is there", state=StepState.RUNNING,
                     bytes_done=9 * GIB, bytes_total=25 * GIB, started_at=now - timedelta(seconds=90))  # fmt: skip
    job.steps.create(index=2, host=host.name, title="the original is gone")
