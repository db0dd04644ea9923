"""Is all there that this installation needs? Each check says yes or no, and why, in a sentence."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from redis.exceptions import RedisError

from datastores.domain.alert_facts import WorkerFacts
from datastores.domain.alerts import is_lost, span
from datastores.domain.values import format_size
from datastores.jobs.presence import seen_workers
from datastores.models import Duty

FRESH_SECONDS = 2.0
"""However many ask, it is looked at so often."""
LATE_SECONDS = 60.0
PULSE = "reconcile"
"""A duty of the schedule that is due every few seconds."""
LEAST_BYTES, LEAST_INODES = 256 << 20, 1000


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    words: str


def database() -> str:
    """Each check returns what is wrong, or "" when nothing is; what it cannot find out, it raises."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def migrations() -> str:
    missing = sorted(expected_migrations() - MigrationRecorder(connection).applied_migrations().keys())
    return f"Not applied: {', '.join('.'.join(each) for each in missing[:5])}." if missing else ""


@functools.cache
def expected_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this version; what lies on the disk does not change while a process runs."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or ())


def schedule() -> str:
    if not Duty.objects.filter(name=PULSE).exists():
        return "It has never run."
    late = Duty.late([PULSE]).get(PULSE, 0.0)
    return f"It was due {span(late)} ago." if late > LATE_SECONDS else ""


def unmanned(workers: Iterable[WorkerFacts]) -> str:
    manned = {queue for worker in workers if not is_lost(worker) for queue in worker.queues}
    missing = [name for name in settings.QUEUES if name not in manned]
    return f"No worker was heard of lately for {', '.join(missing)}." if missing else ""


def disk() -> str:
    found = os.statvfs(settings.DATA_DIR)
    free = found.f_bavail * found.f_frsize
    if free < LEAST_BYTES:
        return f"{format_size(free)} are free where the data are."
    if found.f_files and found.f_favail < LEAST_INODES:
        return f"{found.f_favail} inodes are free where the data are."
    return ""


def look() -> Iterator[Check]:
    """Yield what each check says now."""
    yield from map(checked, (database, migrations))
    yield from of_redis()
    yield from map(checked, (schedule, disk))


def checked(check: Callable[[], str]) -> Check:
    try:
        return said(check.__name__, check())
    except (Error, OSError) as error:
        return said(check.__name__, f"{type(error).__name__}: {error}")


def of_redis() -> tuple[Check, Check]:
    """Return whether it answers, and whether every queue has a worker; asked once, for it may take its time to fail."""
    try:
        workers = seen_workers()
    except RedisError as error:
        wrong = f"{type(error).__name__}: {error}"
        return said("redis", wrong), said("workers", "Nothing is known of them while Redis does not answer.")
    return said("redis", ""), said("workers", unmanned(workers))


def said(name: str, wrong: str) -> Check:
    return Check(name, not wrong, wrong or "As it should be.")


class Shared:
    """One look for all who ask within a moment: anybody may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at, self._found = float("-inf"), list[Check]()

    def checks(self) -> list[Check]:
        with self._lock:
            if time.monotonic() - self._at > FRESH_SECONDS:
                self._found, self._at = list(look()), time.monotonic()
            return self._found


shared = Shared()
