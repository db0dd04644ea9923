"""The audit trail: a sentence a row, and whether the chain of entries is whole."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date

from datastores.models import AuditEntry, words
from datastores.models.audit import verify
from datastores.models.jobs import TARGETS
from datastores.web.access import EVERYBODY, INSPECTORS, Request, roles, visible
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Choice, Moment, Text, Worded
from datastores.web.lists.paging import Page
from datastores.web.lists.rows import Rows
from datastores.web.look import RESULT_LOOK
from datastores.web.sentences import actions_saying, sentence

VERIFIED = "audit.verified"


class Said(Text):
    """A text, also one of the page's sentences: they are not in the database, but their beginnings tell actions."""

    def q(self, operator: str, value: str) -> Q:
        return super().q(operator, value) | Q(action__in=actions_saying(value))


class Anything(Said):
    """A text that an entry says anywhere, found by the index of its words where that is quicker."""

    def q(self, operator: str, value: str) -> Q:
        said = Said.q(self, operator, value)
        known = words.AUDIT.holding([value, *actions_saying(value)])
        return known & said if known else said


@roles(read=EVERYBODY)
class AuditList(Rows):
    model = AuditEntry
    template_name = "datastores/audit_list.html"
    row_template = "datastores/_audit_row.html"
    name = "audit"
    search = Anything(words.AUDIT.parts, "persistent")
    fields = {
        "who": Worded(("actor_name",), "who:alice", words.AUDIT),
        "did": Said(("action",), "did:delete"),
        "target": Worded(("target",), "target:gold", words.AUDIT),
        "result": Choice("result", {result: result for result in RESULT_LOOK}, "result:failed"),
        "from": Worded(("address",), "from:10.0.", words.AUDIT),
        "when": Moment("at", "when:today"),
    }
    default_sort = "-entry"
    filters = (Filter("result", "result", tuple((result, result) for result in RESULT_LOOK)),)
    columns = (
        Column("entry", "Entry", "seq", "seq", number=True),
        Column("when", "When", value="at"),
        Column("who", "Who", value="actor_name"),
        Column("did", "Did", value=sentence),
        Column("result", "Result", value="result"),
        Column("from", "From", value="address"),
        Column("job", "Job", value="job_uuid"),
        Column("action", "Action", value="action", shown=False),
        Column("target", "Target", value="target", shown=False),
        Column("seal", "Seal", value="seal", shown=False),
    )

    def found(self) -> QuerySet[Any]:
        rows: Any = super().found()
        asked = self.request.GET
        if job := asked.get("job"):
            rows = rows.filter(job_uuid__in=uuids(job))
        if about := about_of(asked.get("about", "")):
            rows = rows.about(about)
        if day := day_of(asked.get("day", "")):
            rows = rows.filter(at__gte=day[0], at__lt=day[1])
        return rows

    def context(self, page: Page) -> dict[str, Any]:
        asked = self.request.GET
        context = super().context(page)
        context["narrowed"] = context["narrowed"] or any(asked.get(name) for name in ("job", "about", "day"))
        return context | {
            "verified": cache.get(VERIFIED),
            "may_verify": self.request.user.role in INSPECTORS,
            "day": asked.get("day", ""),
        }


def uuids(text: str) -> list[UUID]:
    """Return the UUID that the text is, if it is one."""
    try:
        return [UUID(text)]
    except ValueError:
        return []


def about_of(text: str) -> str:
    """Return the row that the text names, such as "host:3", or nothing."""
    noun, _, pk = text.partition(":")
    return text if noun in TARGETS and pk.isdecimal() and pk.isascii() and len(pk) < 19 else ""


def day_of(text: str) -> tuple[datetime, datetime] | None:
    """Return when a day such as 2026-11-21 begins here, and the next one; None when the text is no such day."""
    try:
        day = parse_date(text)
        if day is None:
            return None
        begin, end = (timezone.make_aware(datetime.combine(each, time.min)) for each in (day, day + timedelta(days=1)))
        return begin.astimezone(UTC), end.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last day of the calendar have no neighbours
        return None


@roles(read=EVERYBODY)
def audit_entry(request: Request, seq: int) -> HttpResponse:
    return render(request, "datastores/audit_entry.html", {"object": visible(request, AuditEntry, seq=seq)})


@roles(write=INSPECTORS)
def audit_verify(request: Request) -> HttpResponse:
    """Go through the whole chain now, and remember what was found."""
    sound, wrong = verify()
    last = AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    cache.set(VERIFIED, {"at": timezone.now(), "last": last, "sound": sound, "wrong": wrong[:20]}, timeout=None)
    if wrong:
        messages.error(request, f"The chain is broken: {'; '.join(wrong[:5])}.")
    else:
        messages.success(request, f"All {sound} entries follow one another and none was altered.")
    return redirect("audit-list")
