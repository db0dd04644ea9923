"""A large cloud in the database, and nothing behind it: what the pages are measured with.

``seed(Size())`` fills the empty database of the settings. Django has to be set up before this is imported.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.utils import timezone

from datastores.domain.alert_rules import RULES
from datastores.domain.states import HostState, JobState, ObjectState
from datastores.models import (
    Alert,
    AuditEntry,
    Cluster,
    Credential,
    Datastore,
    DatastoreHost,
    Disk,
    Drift,
    Host,
    Image,
    Job,
    User,
    VirtualMachine,
)
from datastores.models.audit import GENESIS

GIB = 1 << 30
BATCH = 2000
M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is."""

    hosts: int = 2_500
    datastores: int = 400
    vms: int = 20_000
    images: int = 100_000
    jobs: int = 100_000
    entries: int = 1_000_000
    alerts: int = 20_000
    differences: int = 20_000
    people: int = 200

    def part(self, of: int) -> Size:
        """Return a small cloud, to see that it works."""
        return Size(*(max(1, getattr(self, name) // of) for name in self.__slots__))


def seed(size: Size) -> None:
    """Fill the database. Names, sizes and states are the same every time."""
    chance = random.Random(20)
    now = timezone.now()
    people = make(User(username=f"user{n}", role=("tenant", "operator")[n % 10 == 0]) for n in range(size.people))
    clusters = make(Cluster(name=f"cluster{n}") for n in range(max(1, size.hosts // 50)))
    credential = Credential.objects.create(name="seed")
    hosts = make(
        Host(
            name=f"kvm{n:04}", address=f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", credential=credential,
            cluster=clusters[n % len(clusters)] if n % 20 else None, facts_at=now - timedelta(seconds=n),
            state=HostState.UNREACHABLE if n % 250 == 7 else HostState.READY, clock_skew=chance.gauss(0, 0.01),
            facts={"os_title": "Debian GNU/Linux 12 (bookworm)", "cpu_count": 32, "memory": 256 * GIB},
        )
        for n in range(size.hosts)
    )  # fmt: skip
    datastores = make(
        Datastore(
            name=f"ds{n:03}", kind=("qcow2", "xfs", "btrfs", "shared")[n % 4], base=f"/srv/ds{n}",
            type=("image", "image", "image", "system", "file")[n % 5], state=ObjectState.READY,
            cluster=clusters[n % len(clusters)], owner=people[0], total=40 << 40, used=(n % 40) << 40,
            free=(40 - n % 40) << 40, measured_at=now,
        )
        for n in range(size.datastores)
    )  # fmt: skip
    make(
        DatastoreHost(datastore=datastore, host=hosts[(n * 5 + place) % len(hosts)], position=place)
        for n, datastore in enumerate(datastores)
        for place in range(min(5, len(hosts)))
    )
    homes = [datastore for datastore in datastores if datastore.type == "image"] or datastores
    images = make(
        Image(
            name=f"{chance.choice(NAMES)}-{n}", datastore=homes[n % len(homes)], owner=people[n % len(people)],
            state=ObjectState.READY if n % 500 else ObjectState.ERROR, format=("raw", "qcow2")[n % 2],
            virtual_size=(n % 200 + 1) * GIB, real_size=(n % 50) * GIB, persistent=n % 9 == 0,
            created_at=now - timedelta(minutes=n), source=f"/srv/import/{n}.img",
        )
        for n in range(size.images)
    )  # fmt: skip
    vms = make(
        VirtualMachine(
            name=f"vm-{chance.choice(NAMES)}-{n}", owner=people[n % len(people)], state=("off", "running")[n % 3 > 0],
            created_at=now - timedelta(minutes=n),
        )
        for n in range(size.vms)
    )  # fmt: skip
    make(
        Disk(
            vm=vm, number=number, image=(image := images[(n * 7 + number) % len(images)]), datastore=image.datastore,
            kind=Disk.Kind.CLONE, format=image.format, virtual_size=image.virtual_size, state=ObjectState.READY,
        )
        for n, vm in enumerate(vms)
        for number in range(n % 3 + 1)
    )  # fmt: skip
    jobs = make(
        Job(
            kind="disk.create", title=f"Clone {image.name} to {vm.name} disk.0", state=ENDS[n % len(ENDS)],
            user=(user := people[n % len(people)]), user_label=user.username, image=image, vm=vm, attempts=1,
            target_label=f"{vm.name} disk.0", error="no space left" if ENDS[n % len(ENDS)] == "failed" else "",
            created_at=(at := now - timedelta(seconds=30 * (size.jobs - n))), queued_at=at, started_at=at,
            ended_at=at + timedelta(milliseconds=chance.randint(40, 4000)),
        )
        for n, (image, vm) in enumerate(zip(around(images, size.jobs), around(vms, size.jobs), strict=True))
    )  # fmt: skip
    make(alerts(size, datastores, now))
    make(differences(size, hosts, images, now))
    make(entries(size, people, jobs, now))
    settle()


def settle() -> None:
    """Leave the database as it is some minutes later, when its own upkeep has seen the rows."""
    upkeep = "VACUUM ANALYZE" if connection.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"
    with connection.cursor() as cursor:
        cursor.execute(upkeep)


ENDS = [JobState.SUCCEEDED] * 48 + [JobState.FAILED, JobState.CANCELLED]
NAMES = ("debian", "ubuntu", "alma", "web", "db", "cache", "build", "win", "mail", "gold")


def around(rows: list[Any], count: int) -> Iterator[Any]:
    """Yield so many, from the first again after the last."""
    return (rows[n % len(rows)] for n in range(count))


def alerts(size: Size, datastores: list[Datastore], now: datetime) -> Iterator[Alert]:
    """Yield what the rules said over some months; a few alerts still fire."""
    rules = [rule for rule in RULES.values() if rule.name.startswith("datastore_")]
    firing = min(size.alerts // 100, len(datastores))
    for n in range(size.alerts):
        about, rule = datastores[n % len(datastores)], rules[n % len(rules)]
        open_still = n >= size.alerts - firing
        since = now - timedelta(minutes=10 * (size.alerts - n))
        yield Alert(
            rule=rule.name, subject=f"datastore:{about.pk}", label=about.name, severity=rule.severity,
            state=Alert.State.FIRING if open_still else Alert.State.RESOLVED, value=0.9, since=since, fired_at=since,
            text="93 % of 40 TiB is used.", last_seen=now if open_still else since + timedelta(hours=1),
            resolved_at=None if open_still else since + timedelta(hours=1),
        )  # fmt: skip


def differences(size: Size, hosts: list[Host], images: list[Image], now: datetime) -> Iterator[Drift]:
    """Yield what scans found over some months; a tenth of it is open still."""
    for n in range(size.differences):
        host, image = hosts[n % len(hosts)], images[n % len(images)]
        seen = now - timedelta(minutes=10 * n)
        is_open = n % 10 == 0
        yield Drift(
            key=f"{n:064}", owner="image.register", host=host, datastore=image.datastore, image=image, label=image.name,
            title=f"file /srv/ds/{image.uuid} is as it was registered", text="There is no such file.",
            kind=(Drift.Kind.MISSING, Drift.Kind.ALTERED)[n % 2], fingerprint=f"{n:064}", first_seen=seen,
            last_seen=now if is_open else seen, closed_at=None if is_open else seen,
            state=Drift.State.OPEN if is_open else Drift.State.GONE,
        )  # fmt: skip


def entries(size: Size, people: list[User], jobs: list[Job], now: datetime) -> Iterator[AuditEntry]:
    """Yield a trail that verifies."""
    seal = GENESIS
    for seq in range(1, size.entries + 1):
        user, job = people[seq % len(people)], jobs[seq % len(jobs)]
        entry = AuditEntry(
            seq=seq, at=now - timedelta(seconds=3 * (size.entries - seq)), actor_id=user.pk, actor_name=user.username,
            address=f"10.9.{seq % 250}.{seq % 199}", action=("disk.create", "vm.create", "image.persistent")[seq % 3],
            target=job.target_label, job_uuid=job.uuid, result=("asked", "succeeded", "failed")[seq % 50 % 3],
            previous=seal,
        )  # fmt: skip
        seal = entry.seal = entry.compute_seal()
        yield entry


def make(rows: Iterable[M]) -> list[M]:
    """Store the rows, and return them unless they are too many to be of use."""
    made: list[M] = []
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic():
            type(batch[0])._default_manager.bulk_create(batch)
        if not isinstance(batch[0], AuditEntry):
            made += batch
    return made
