"""The scan for drift: every statement that is kept is read again, on all hosts side by side. It changes no host.

Who asks for a scan makes a row; the schedule makes one each hour. It is a duty and no job: it holds no lease, so that
it keeps nobody waiting, and what jobs work on meanwhile is not judged.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.utils import timezone

from datastores.domain.errors import Busy, CloudstoreError
from datastores.domain.plan import AnyStep
from datastores.hosts.previews import never_comes
from datastores.hosts.rbd_stored import RbdImageStored
from datastores.hosts.stored import FileStored, stored
from datastores.hosts.surveys import Verdict, survey
from datastores.jobs.background import Background
from datastores.jobs.beating import beating
from datastores.jobs.codec import encode_change
from datastores.jobs.connections import pool
from datastores.jobs.quarantine import quarantine_after
from datastores.models import Drift, DriftScan, Host, User
from datastores.models.audit import in_turn, record
from datastores.services.drift import busy, forget_closed, kind_of, remember, remember_footprints, storable
from datastores.services.drift_found import NOT_EMPTY, Difference, Found, place_of
from datastores.services.drift_scope import Managed, Scope
from datastores.services.endpoints import endpoint_of
from datastores.services.managed import statements
from datastores.services.since import on_day
from datastores.services.space import remember_allocated

logger = logging.getLogger(__name__)
SCAN_SECONDS = 3600.0
LOOK_SECONDS = 5.0
"""How soon a scan begins that a person asked for."""
BEAT_SECONDS = 10.0
SILENT = timedelta(seconds=60)
"""Who makes a scan and is not heard of for so long is dead."""
HOSTS_AT_ONCE = 32
MOST_UNREAD = 100
KEPT_SCANS = 200

Lane = list[Managed]


def ask_for_scan(user: User, address: str = "") -> DriftScan:
    """Have a scan made soon.

    :raises Busy: one is asked for or under way already.
    """
    with in_turn():
        waiting = DriftScan.objects.filter(ended_at=None).exclude(started_at__isnull=False, heard_at__lt=quiet())
        if scan := waiting.first():
            who = f" {scan.asked_by} asked for it on {on_day(scan.asked_at)}." if scan.asked_by else ""
            raise Busy(f"A scan is under way already, or about to begin.{who}")
        record("drift.scan", user=user, address=address, target="all hosts", result="done")
        return DriftScan.objects.create(asked_by=user)


def quiet() -> datetime:
    """Return before when a scan must have been heard of to be given up."""
    return timezone.now() - SILENT


def look_for_drift() -> int:
    """Make the scan that somebody asked for, or that is due; return how many statements were judged."""
    scan = next_scan()
    return make_scan(scan) if scan else 0


def next_scan() -> DriftScan | None:
    """Take the scan to be made now. None: there is none, or another machine makes one."""
    now = timezone.now()
    under_way = DriftScan.objects.filter(started_at__isnull=False, ended_at=None)
    if under_way.exists():
        under_way.filter(heard_at__lt=quiet()).update(ended_at=now, broken=True)
        if under_way.exists():
            return None
    asked = DriftScan.objects.filter(started_at=None).order_by("pk").first()
    if asked is None:
        lately = now - timedelta(seconds=SCAN_SECONDS)
        if DriftScan.objects.filter(started_at__gt=lately).exists():
            return None
        asked = DriftScan.objects.create()
    asked.started_at = asked.heard_at = now
    taken = DriftScan.objects.filter(pk=asked.pk, started_at=None).update(started_at=now, heard_at=now)
    return asked if taken else None


class Reading:
    """A scan under way: what was found so far, and what could not be read."""

    def __init__(self, since: datetime) -> None:
        self.found = Found(since)
        self.unread: dict[tuple[str, str], None] = {}
        self.silent: set[str] = set()
        self.names: dict[int, str] = {}
        self.lanes: dict[int, Lane] = {}

    def begin(self) -> list[Host]:
        """Look up what is kept true, and return the hosts to read; what a job works on now is left out."""
        hosts = Host.objects.usable().select_related("credential", "jump__credential").defer("facts", "jump__facts")
        scope = Scope(Host.objects.usable())
        working, places = busy(), set()
        for managed in statements(scope):
            self.found.known.update((managed.key(step), managed) for step in managed.steps)
            if managed.is_file and place_of(managed) not in places:
                places.add(place_of(managed))
                whole = managed.of_datastore()
                self.found.known[whole.key_of(NOT_EMPTY)] = whole
            if not working.concerns(managed):
                self.lanes.setdefault(managed.host, []).append(managed)
        self.found.hosts, self.found.blind, self.names = set(scope.names), scope.blind, scope.names
        for each in scope.unsaid:
            self.found.unsaid.add(each.about)
            self.unread[self.names[each.host], each.why] = None
        return [host for host in hosts if host.pk in self.lanes.keys() & self.names.keys()]

    def take(self, host: int, answer: list[Verdict] | Exception) -> None:
        """Judge what was found on a host. One that could not be read tells nothing of what is true there."""
        name = self.names[host]
        if isinstance(answer, list):
            self._judge(name, self.lanes[host], answer)
            return
        self.silent.add(name)
        self.unread[name, str(answer)] = None
        if isinstance(answer, CloudstoreError):
            quarantine_after(answer)
        else:
            logger.error("a defect in looking for drift on %s", name, exc_info=answer)

    def _judge(self, name: str, lane: Lane, verdicts: Iterable[Verdict]) -> None:
        said = iter(verdicts)
        shut: set[int | None] = set()
        """Datastores that are not there, so that nothing can be told of what is in them."""
        for managed in lane:
            mine = [(step, next(said)) for step in managed.steps]
            if managed.inside and managed.datastore in shut:
                continue
            for _, verdict in mine:
                if verdict.unread:
                    self.unread[name, verdict.unread] = None
            self._judge_one(managed, mine)
            if not managed.inside and any(is_shut(verdict) for _, verdict in mine):
                shut.add(managed.datastore)

    def _judge_one(self, managed: Managed, mine: Sequence[tuple[AnyStep, Verdict]]) -> None:
        """Judge the statements about one thing; what comes true with the step before it is no difference by itself."""
        changes = False
        for step, verdict in mine:
            waits = verdict.change is not None and not verdict.change.actions
            if verdict.unread or (waits and changes):
                continue
            key = managed.key(step)
            self.found.judged.add(key)
            if managed.disk and is_stored(step) and verdict.facts:
                self.found.allocated[key] = verdict.facts.allocated
            if difference := difference_of(key, managed, step, verdict):
                self.found.differences[key] = difference
            if managed.watched and isinstance(step, FileStored) and not (verdict.refused or step.before):
                self.found.footprints[key] = verdict.facts.footprint
            changes = changes or bool(verdict.change and verdict.change.actions)


def is_stored(step: AnyStep) -> bool:
    """Tell whether the statement is about bytes of its own, of which the facts tell how many are taken."""
    return isinstance(step, RbdImageStored) or (isinstance(step, FileStored) and not step.link)


def is_shut(verdict: Verdict) -> bool:
    """Tell whether this statement about a datastore's directory leaves it unknown what is in there."""
    return bool(verdict.unread or verdict.refused or (verdict.change and not verdict.change.actions))


def difference_of(key: str, managed: Managed, step: AnyStep, verdict: Verdict) -> Difference | None:
    """Return what differs; None: the statement is true."""
    if verdict.refused:
        return Difference(key, managed, step.title, kind_of(verdict.refused), text=storable(str(verdict.refused)))
    if verdict.change is None:
        return None
    if not verdict.change.actions:
        return Difference(key, managed, step.title, Drift.Kind.BLOCKED, text=never_comes(step))
    change = storable(encode_change(verdict.change))
    return Difference(key, managed, step.title, Drift.Kind.DIFFERS, change)


def make_scan(scan: DriftScan) -> int:
    """Read all hosts and store what was found, at once: a scan that is broken off has changed no row."""
    with beating(partial(beat, scan), BEAT_SECONDS):
        reading = read_all(scan.started_at)
        found = reading.found
        found.prepare()
        with in_turn():
            if not DriftScan.objects.filter(pk=scan.pk, ended_at=None).exists():
                logger.warning("%s took too long, and was given up", scan)
                return 0
            remember(found)
            end(scan, reading)
    remember_footprints(found)
    remember_allocated(found)
    forget_closed()
    prune()
    return len(found.judged)


def beat(scan: DriftScan) -> None:
    """Say that somebody makes it."""
    DriftScan.objects.filter(pk=scan.pk, ended_at=None).update(heard_at=timezone.now())


def read_all(since: datetime) -> Reading:
    """Look up what is kept true, and read it on all hosts."""
    reading = Reading(since)
    hosts = reading.begin()

    def prepare(host: Host) -> Callable[[], list[Verdict]]:
        steps = [step for managed in reading.lanes[host.pk] for step in managed.steps]
        return partial(survey, pool().shell(endpoint_of(host)), steps)

    for host, answer in readers().each(hosts, prepare):
        reading.take(host.pk, answer)
    stored.cache_clear()
    return reading


@functools.cache
def readers() -> Background:
    return Background("drift", HOSTS_AT_ONCE)


def end(scan: DriftScan, reading: Reading) -> None:
    """Note how the scan has gone."""
    found = reading.found
    unread = [list(each) for each in reading.unread]
    DriftScan.objects.filter(pk=scan.pk).update(
        ended_at=timezone.now(), hosts=len(reading.lanes) - len(reading.silent), statements=len(found.judged),
        skipped=len(found.known) - len(found.judged) + len(found.unsaid), differing=len(found.differences),
        unread=storable(unread[:MOST_UNREAD]), unread_hosts=len({name for name, _ in unread}),
    )  # fmt: skip


def prune() -> None:
    """Forget old scans."""
    last = DriftScan.objects.order_by("-pk").values_list("pk", flat=True)[KEPT_SCANS : KEPT_SCANS + 1]
    if found := list(last):
        DriftScan.objects.filter(pk__lte=found[0], ended_at__isnull=False).delete()
