"""Drift in the rows: what a scan found is remembered, and people accept what may stay as it is."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Exists, Model, OuterRef, Q
from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.states import StepState
from datastores.hosts.stored import Altered, Footprint, Foreign, Missing
from datastores.models import CachedCopy, Datastore, Disk, Drift, Host, Image, ImageFootprint, Job, Lease, User
from datastores.models.audit import in_turn, record
from datastores.services.datastores import MOVES
from datastores.services.drift_found import Busy, Difference, Found
from datastores.services.since import by_whom, last_done, on_day

logger = logging.getLogger(__name__)
KEPT_CLOSED = timedelta(days=30)
"""How long it can be looked up what was repaired, or went by itself."""
PORTION = 5000
"""Keys in one statement."""
NOTED_AT_ONCE = 1000
"""Footprints in one transaction: on SQLite nobody else writes meanwhile."""
WRITTEN = (
    "owner", "host", "datastore", "image", "disk", "label", "title", "kind", "change", "text", "fingerprint", "state",
    "first_seen", "last_seen", "closed_at", "accepted_by", "accepted_at", "note",
)  # fmt: skip
WORKED = [StepState.CHANGED, StepState.UNDONE, StepState.KEPT, StepState.FAILED, StepState.UNKNOWN]
"""States of steps that may have changed something."""
SUBJECTS: dict[str, type[Model]] = {"host": Host, "datastore": Datastore, "image": Image, "disk": Disk}
Key = TypeVar("Key", int, str, tuple[int, int])
KINDS = {Missing: Drift.Kind.MISSING, Altered: Drift.Kind.ALTERED, Foreign: Drift.Kind.FOREIGN}


def busy(since: datetime | None = None) -> Busy:
    """Return what is held exclusively now, and what was changed by jobs that have ended since then."""
    held = Lease.objects.filter(exclusive=True)
    resources = set(held.values_list("resource", flat=True))
    if since:
        ended = Job.objects.filter(ended_at__gte=since, steps__state__in=WORKED).distinct().order_by()
        columns = ("kind", "host", "datastore", "image", "disk")
        for kind, host, datastore, image, disk in ended.values_list(*columns):
            resources |= set(touched(kind.partition(".")[0], host, datastore, image, disk))
        resources |= {f"images of datastore:{key}" for key in filled(since)}
    return Busy(frozenset(resources))


def filled(since: datetime) -> set[int | None]:
    """Return the datastores into which an image has come since then, or is to come since then."""
    made = Image.objects.filter(created_at__gte=since).order_by().values_list("datastore", flat=True)
    copied = CachedCopy.objects.filter(created_at__gte=since).order_by().values_list("member__datastore", flat=True)
    moved = Job.objects.filter(Q(created_at__gte=since) | Q(ended_at__gte=since), kind__in=MOVES)
    return {*made, *copied, *moved.order_by().values_list("datastore", flat=True)}


def touched(noun: str, host: int | None, datastore: int | None, image: int | None, disk: int | None) -> Iterator[str]:
    """Yield the resources that a job of this kind has changed: a clone of an image leaves the image as it was."""
    if noun in {"image", "snapshot"} and image:
        yield f"image:{image}"
    if noun == "disk" and disk:
        yield f"disk:{disk}"
    if noun not in {"image", "snapshot", "disk"}:
        yield from (f"{name}:{key}" for name, key in (("host", host), ("datastore", datastore)) if key)


def remember(found: Found) -> None:
    """Store what a scan has found: only what is another than before is written.

    Belongs into the caller's turn (``in_turn``), so that no job ends meanwhile, after ``found.prepare()``.
    """
    now = timezone.now()
    found.forget(busy(found.since))
    forget_deleted(found)
    found.fold()
    rows = rows_of(found)
    working = set(Lease.objects.filter(resource__startswith="drift:").values_list("resource", flat=True))
    same, other = [], []
    for key, difference in found.differences.items():
        row = rows.get(key)
        if row and f"drift:{row.pk}" in working:
            continue
        if row and row.is_live and row.fingerprint == difference.fingerprint:
            same.append(row.pk)
        else:
            other.append(drift_row(difference, row, now))
    Drift.objects.bulk_create(other, update_conflicts=True, unique_fields=["key"], update_fields=WRITTEN)
    for keys in portions(same):
        Drift.objects.filter(pk__in=keys).update(last_seen=now)
    gone = [row.pk for row in rows.values() if row.is_live and is_over(row, found)]
    for keys in portions(gone):
        Drift.objects.filter(pk__in=keys).live().update(state=Drift.State.GONE, closed_at=now)


def rows_of(found: Found) -> dict[str, Drift]:
    """Return the rows that may have to be written, by key: those that still differ, and those that do so again."""
    columns = Drift.objects.defer("change", "text").order_by()
    rows = {row.key: row for row in columns.live()}
    for keys in portions(found.differences.keys() - rows.keys()):
        rows |= {row.key: row for row in columns.filter(key__in=keys)}
    return rows


def forget_closed() -> None:
    """Delete what was repaired, or went, long ago."""
    Drift.objects.filter(closed_at__lt=timezone.now() - KEPT_CLOSED).delete()


def forget_deleted(found: Found) -> None:
    """Leave out what was deleted while hosts were read."""
    for name, model in SUBJECTS.items():
        wanted = {key: pk for key in found.differences if (pk := getattr(found.known[key], name)) is not None}
        there = existing(model, set(wanted.values()))
        found.leave_out(key for key, pk in wanted.items() if pk not in there)


def existing(model: type[Model], wanted: Iterable[int]) -> set[int]:
    rows = model._default_manager.order_by()
    return {pk for keys in portions(wanted) for pk in rows.filter(pk__in=keys).values_list("pk", flat=True)}


def drift_row(difference: Difference, before: Drift | None, now: datetime) -> Drift:
    """Return the row of a difference that is new, or another one than before: whatever was accepted, it is open."""
    managed = difference.managed
    since = before.first_seen if before and before.state == Drift.State.OPEN else now
    return Drift(
        key=difference.key, owner=managed.owner, host_id=managed.host, datastore_id=managed.datastore,
        image_id=managed.image, disk_id=managed.disk, label=managed.label[:300], title=difference.title[:1500],
        kind=difference.kind, change=difference.change, text=difference.text, fingerprint=difference.fingerprint,
        first_seen=since, last_seen=now,
    )  # fmt: skip


def is_over(row: Drift, found: Found) -> bool:
    """Tell whether the statement is true again, or kept by nobody any more. What was not judged stays as it is."""
    if row.key in found.known:
        return row.key in found.judged and row.key not in found.differences
    if not found.unsaid.isdisjoint(about(row)):
        return False
    return row.host_id is None or (row.host_id in found.hosts and row.datastore_id not in found.blind)


def about(row: Drift) -> tuple[str, ...]:
    """Return what ``Scope.unsaid`` may call the thing that the statement is about."""
    if row.image_id or row.disk_id:
        return (f"image:{row.image_id}", f"disk:{row.disk_id}")
    if row.datastore_id:
        return (f"datastore:{row.datastore_id}", f"images of datastore:{row.datastore_id}")
    return (f"host:{row.host_id}",)


def remember_footprints(found: Found) -> None:
    """Note what images are like of which that was not known, or which a job of ours has changed since.

    Needs no turn: they are of ``found.since``, so that a job on the image that ended later, or is to end, makes
    them void. Those that are not noted now are noted by the next scan.
    """
    for keys in portions(found.footprints, NOTED_AT_ONCE):
        fresh = {found.known[key].image: found.footprints[key] for key in keys}
        try:
            note(fresh, found.since)
        except IntegrityError:
            logger.info("an image was deleted just now: %s footprints are noted with the next scan", len(fresh))


def note(fresh: Mapping[int | None, Footprint], since: datetime) -> None:
    columns = ["size", "written", "seen_at"]
    with transaction.atomic():
        later = ImageFootprint.objects.filter(image=OuterRef("pk"), seen_at__gt=since)  # a job has noted it meanwhile
        wanted = Image.objects.filter(~Exists(later), pk__in=fresh, persistent=False)
        there = wanted.order_by().values_list("pk", flat=True)
        rows = [
            ImageFootprint(image_id=pk, size=fresh[pk].size, written=fresh[pk].written, seen_at=since) for pk in there
        ]
        ImageFootprint.objects.bulk_create(rows, update_conflicts=True, unique_fields=["image"], update_fields=columns)


def portions(keys: Iterable[Key], size: int = PORTION) -> Iterator[Collection[Key]]:
    waiting = iter(keys)
    while portion := list(islice(waiting, size)):
        yield portion


def kind_of(refused: Refused) -> Drift.Kind:
    """Return what sort of difference a refusal tells of."""
    return KINDS.get(type(refused), Drift.Kind.BLOCKED)


# What people decide


def accept(drift: Drift, user: User, address: str = "", *, fingerprint: str, note: str) -> None:
    """Let the difference be that the person saw.

    :raises Refused: it is another one by now, or there is none any more, or somebody else decided already.
    """
    with in_turn():
        seen = Drift.objects.filter(pk=drift.pk, fingerprint=fingerprint, state=Drift.State.OPEN)
        changes = {"accepted_by": user, "accepted_at": timezone.now(), "note": note[:500]}
        if not seen.update(state=Drift.State.ACCEPTED, **changes):
            raise Refused(f"It is not as you saw it any more{decided(drift)}. Look at it again, then decide.")
        record("drift.accept", user=user, address=address, target=target_of(drift), result="done", row=row_of(drift),
               statement=drift.title, note=note[:500], before=Drift.State.OPEN, after=Drift.State.ACCEPTED)  # fmt: skip


def reopen(drift: Drift, user: User, address: str = "") -> None:
    """Take an acceptance back.

    :raises Refused: it is not accepted any more.
    """
    with in_turn():
        accepted = Drift.objects.filter(pk=drift.pk, state=Drift.State.ACCEPTED)
        changes: dict[str, Any] = {"accepted_by": None, "accepted_at": None, "note": ""}
        if not accepted.update(state=Drift.State.OPEN, **changes):
            raise Refused(f"It is not accepted any more{decided(drift)}. Look at it again.")
        record("drift.reopen", user=user, address=address, target=target_of(drift), result="done", row=row_of(drift),
               statement=drift.title, before=Drift.State.ACCEPTED, after=Drift.State.OPEN)  # fmt: skip


def decided(drift: Drift) -> str:
    """Return what became of a difference since somebody looked: ": it was accepted by olga on 22 Nov 2026 10:02"."""
    drift.refresh_from_db()
    if drift.state == Drift.State.ACCEPTED and drift.accepted_at:
        return f": it was accepted by {drift.accepted_by or 'somebody'} on {on_day(drift.accepted_at)}"
    if drift.closed_at:
        return f": {drift.state} on {on_day(drift.closed_at)}"
    reopened = last_done("drift.reopen", target_of(drift), detail__statement=drift.title)
    return f": it was opened again{by_whom(reopened)}" if reopened else f": found anew on {on_day(drift.last_seen)}"


def row_of(drift: Drift) -> str:
    """Return the row that a difference is about: "disk:17"."""
    ids = {noun: getattr(drift, f"{noun}_id") for noun in ("disk", "image", "datastore", "host")}
    return next((f"{noun}:{pk}" for noun, pk in ids.items() if pk), "")


def target_of(drift: Drift) -> str:
    """Return what a difference is about, as an audit entry names it."""
    return f"{drift.label} on {drift.host}" if drift.host else drift.label


def storable(value: Any) -> Any:
    """Return JSON data without what a database cannot keep: a file may hold any byte, and is shown all the same."""
    if isinstance(value, str):
        return value.replace("\0", "?").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: storable(each) for name, each in value.items()}
    return [storable(each) for each in value] if isinstance(value, Sequence) else value
