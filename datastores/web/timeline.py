"""What was done lately to one thing, for its page."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse

from datastores.models import AuditEntry, Job, User
from datastores.models.audit import row_of
from datastores.services.since import LATELY

SHOWN = 10


def timeline_of(user: User, thing: models.Model) -> dict[str, Any]:
    """Return the newest entries about the thing that the person may see, and where all of them are; four queries."""
    row = row_of(thing)
    rows: Any = AuditEntry.objects
    seen = rows.visible_to(user)
    jobs = Job.objects.filter(**{row.partition(":")[0]: thing}).order_by("-pk").values_list("uuid", flat=True)[:SHOWN]
    newest = rows.order_by("-seq").values_list("seq", flat=True).first() or 0
    # In SQL, the order would be a reason to go through all entries by their number, not through these jobs' alone.
    entries = [
        *seen.filter(job_uuid__in=list(jobs)).order_by(),
        *seen.filter(seq__gt=newest - LATELY, detail__row=row).order_by("-seq")[:SHOWN],
    ]
    return {
        "timeline": sorted(entries, key=lambda entry: -entry.seq)[:SHOWN],
        "timeline_url": f"{reverse('audit-list')}?about={row}",
    }
