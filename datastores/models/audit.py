"""The audit trail: append-only, each entry sealed with the one before it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from datastores.domain.states import ENDED
from datastores.models.jobs import TARGETS, UNDONE, Job
from datastores.models.users import User
from datastores.models.visibility import VisibleQuerySet

GENESIS = "0" * 64
LOCK = 0x636C6F7564  # "cloud": the advisory lock of PostgreSQL under which entries are chained
SEALED = (
    "seq", "at", "actor_id", "actor_name", "address", "action", "target", "job_uuid", "result", "detail", "previous",
)  # fmt: skip


class AuditQuerySet(VisibleQuerySet):
    def visible_to(self, user):
        """Tenants see what they did themselves."""
        if isinstance(user, User) and user.is_active and not user.sees_everything:
            return self.filter(actor_id=user.pk)
        return super().visible_to(user)

    def about(self, row: str) -> AuditQuerySet:
        """Entries about one object, such as "host:3": its jobs', and what was done to it at once."""
        noun, _, pk = row.partition(":")
        jobs = Job.objects.filter(**{noun: int(pk)})
        return self.filter(models.Q(job_uuid__in=jobs.values("uuid")) | models.Q(detail__row=row))


class AuditEntry(models.Model):
    """Who did what, when, from where, to what, with which result.

    No foreign keys: entries are never updated, not even when an object goes. Database triggers refuse UPDATE
    and DELETE; ``seal`` is SHA-256 over the canonical JSON of all other fields.
    """

    seq = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150)
    address = models.CharField(max_length=45, blank=True)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=300, blank=True)
    job_uuid = models.UUIDField(null=True)
    result = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    seal = models.CharField(max_length=64)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-seq"]
        indexes = [
            models.Index(fields=["job_uuid"], name="audit_job"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.seq}: {self.actor_name} {self.action} {self.target}"

    def compute_seal(self) -> str:
        values = {name: getattr(self, name) for name in SEALED}
        values["at"] = self.at.astimezone(tz=None).timestamp()
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def in_turn() -> Iterator[None]:
    """A transaction that changes rows which others change too, and ends with an audit entry: one after the other.

    On SQLite every writing transaction is so. On PostgreSQL, who locked rows first and then came to the chain of
    entries would wait for somebody who is there already and wants the rows: a deadlock.
    """
    with transaction.atomic():
        _take_turn()
        yield


def _take_turn() -> None:
    """Wait for whoever is writing an entry; ours comes next, until this transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What an entry is to say."""

    action: str
    user: User | None
    address: str = ""
    target: object = ""
    job: Job | None = None
    result: str = "asked"
    detail: dict[str, Any] = field(default_factory=dict)


def row_of(target: object) -> str:
    """Return "host:3" for the host with that key, "" for what no job is about."""
    nouns: dict[Any, str] = {Job._meta.get_field(name).related_model: name for name in TARGETS}
    noun = nouns.get(type(target))
    return f"{noun}:{target.pk}" if noun and isinstance(target, models.Model) and target.pk else ""


def record(action: str, *, user: User | None, address: str = "", target: object = "", job: Job | None = None,
           result: str = "asked", **detail: Any) -> AuditEntry:  # fmt: skip
    """Append an entry, in the caller's transaction, so that it stands or falls with the change."""
    deed = Deed(action=action, user=user, address=address, target=target, job=job, result=result, detail=detail)
    return record_all([deed])[0]


def record_all(deeds: Iterable[Deed]) -> list[AuditEntry]:
    """Append entries in this order, in the caller's transaction."""
    with transaction.atomic(savepoint=False):
        _take_turn()
        last, seal = AuditEntry.objects.order_by("-seq").values_list("seq", "seal").first() or (0, GENESIS)
        entries = []
        for seq, deed in enumerate(deeds, last + 1):
            entry = _entry(deed, seq, seal)
            seal = entry.seal
            entries.append(entry)
        return AuditEntry.objects.bulk_create(entries)


def _entry(deed: Deed, seq: int, previous: str) -> AuditEntry:
    row = row_of(deed.target)
    detail = deed.detail | ({"row": row} if row else {})  # names change, and two things may have the same
    if about := _about(deed.job):
        detail |= {"about": about}
    entry = AuditEntry(
        seq=seq,
        at=timezone.now(),
        actor_id=deed.user.pk if deed.user else None,
        actor_name=deed.user.get_username() if deed.user else "cloudstore",
        address=deed.address,
        action=deed.action,
        target=str(deed.target)[:300],
        job_uuid=deed.job.uuid if deed.job else None,
        result=deed.result,
        detail=json.loads(json.dumps(detail, default=str)),
        previous=previous,
    )
    entry.seal = entry.compute_seal()
    return entry


def _about(job: Job | None) -> dict[str, int]:
    """Return {"image": 3} of what a job is about: the job forgets that when it goes."""
    keys = {name: getattr(job, f"{name}_id", None) for name in TARGETS}
    return {name: key for name, key in keys.items() if key}


def verify(entries: Iterator[AuditEntry] | None = None) -> tuple[int, list[str]]:
    """Check the whole chain; return how many entries are sound, and what is wrong with the others.

    A chain whose end was cut off is as sound as before: ``unrecorded_ends`` sees some of that, and who kept the
    last seal elsewhere all.
    """
    previous, expected, sound, wrong = GENESIS, 1, 0, []
    for entry in entries or AuditEntry.objects.order_by("seq").iterator(chunk_size=2000):
        problems = []
        if entry.seq != expected:
            problems.append(f"entries {expected} to {entry.seq - 1} are missing")
        if entry.previous != previous:
            problems.append(f"entry {entry.seq} does not follow the one before it")
        if entry.seal != entry.compute_seal():
            problems.append(f"entry {entry.seq} was altered")
        wrong += problems
        sound += not problems
        previous, expected = entry.seal, entry.seq + 1
    return sound, wrong


def unrecorded_ends() -> list[str]:
    """Return what is wrong with jobs that have ended without an entry that says how."""
    how = models.Q(result=models.OuterRef("state")) | models.Q(result=UNDONE)
    said = AuditEntry.objects.filter(how, job_uuid=models.OuterRef("uuid"))
    ended = Job.objects.filter(state__in=ENDED).exclude(models.Exists(said)).order_by("pk")
    return [f"no entry says that {job} {job.state}" for job in ended.only("title", "state").iterator()]


def has_seal(seal: str) -> bool:
    """Tell whether an entry has this seal; True for the seal of an empty trail."""
    return seal == GENESIS or AuditEntry.objects.filter(seal=seal).exists()


def last_seal() -> str:
    """Return the seal of the newest entry: whoever has it can tell later that nothing up to there was changed."""
    return AuditEntry.objects.order_by("-seq").values_list("seal", flat=True).first() or GENESIS
