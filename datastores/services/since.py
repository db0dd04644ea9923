"""What was done since somebody looked: by whom and when, from the audit trail, for refusals that tell it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Model, Q
from django.utils import dateformat, timezone

from datastores.models import AuditEntry, Job
from datastores.models.audit import AuditQuerySet, row_of

LATELY = 10_000
"""Of so many entries, the newest of all, those about a row are looked through: no index finds them."""
LONGEST_VALUE = 60
CHANGES = ("cluster.change", "datastore.change", "host.change", "image.persistent", "image.rename")
"""What gives a row another version."""
STEERED = {
    "approve": "approved", "plan": "planned anew", "cancel": "cancelled", "retry": "tried again", "undo": "taken back",
}  # fmt: skip


def on_day(moment: datetime) -> str:
    """Return "22 Nov 2026 10:02"."""
    return dateformat.format(timezone.localtime(moment), "j M Y H:i")


def by_whom(entry: AuditEntry | None) -> str:
    """Return " by olga on 22 Nov 2026 10:02"; nothing when that is not known."""
    return f" by {entry.actor_name} on {on_day(entry.at)}" if entry else ""


def lately() -> AuditQuerySet:
    """Return the newest entries, the newest first."""
    rows: AuditQuerySet = AuditEntry.objects.order_by("-seq")
    newest = rows.values_list("seq", flat=True).first() or 0
    return rows.filter(seq__gt=newest - LATELY)


def about(row: str) -> AuditQuerySet:
    """Return the newest entries about a row ("image:3") that may be gone: its jobs', and what was done at once."""
    noun, _, key = row.partition(":")
    return lately().filter(Q(detail__row=row) | Q(**{f"detail__about__{noun}": int(key)}))


def last_change(row: Model) -> AuditEntry | None:
    """Return what gave a row the version that it has now, as far as that is known."""
    name = row_of(row)
    if not name:  # no job is about a target of notifications: entries have its words alone
        return last_done("target.change", str(row))
    return about(name).filter(action__in=CHANGES).first()


def last_done(action: str, target: str, **detail: Any) -> AuditEntry | None:
    """Return the newest entry that says that this was done to what has this name."""
    return lately().filter(action__startswith=action, target=target, result="done", **detail).first()


def changed_fields(entry: AuditEntry) -> list[str]:
    """Return what an entry says was changed, and from what to what: "name: gold → silver"."""
    before, after = entry.detail.get("before"), entry.detail.get("after")
    if isinstance(before, str) and isinstance(after, str):
        return [f"{shortened(before)} → {shortened(after)}"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    changed = [name for name in after if before.get(name) != after[name]]
    return [f"{name}: {shortened(before.get(name))} → {shortened(after[name])}" for name in changed]


def shortened(value: object) -> str:
    text = str(value or "none")
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def steered(job: Job, until: AuditEntry | None = None) -> str:
    """Return " It was approved by olga on 22 Nov 2026 10:02.": what a person did to the job last, or how it ended.

    ``until``: the entry of what is refused now, which is not told.
    """
    rows = AuditEntry.objects.filter(job_uuid=job.uuid, **({"seq__lt": until.seq} if until else {}))
    entries = sorted(rows.order_by(), key=lambda entry: -entry.seq)
    for entry in entries:
        how = entry.action.rpartition(".")[2]
        if how in STEERED:
            return f" It was {STEERED[how]}{by_whom(entry)}."
        if job.ended_at:
            return f" It ended on {on_day(job.ended_at)}."
    return ""
