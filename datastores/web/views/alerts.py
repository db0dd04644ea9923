"""Alerts: what is wrong, what was, and who looks after it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from redis.exceptions import RedisError

from datastores.domain.alert_rules import RULES, WORKER_LOST, Severity
from datastores.domain.errors import Refused
from datastores.jobs.presence import forget_worker
from datastores.models import Alert
from datastores.models.audit import in_turn
from datastores.services.alerts import acknowledge, end_lost, lost_worker
from datastores.web.access import READERS, STAFF, Request, roles, visible
from datastores.web.acting import done, note
from datastores.web.alerts import next_step, standstill
from datastores.web.forms.alerts import AcknowledgeForm
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import LONG_AGO, Column, Filter
from datastores.web.lists.fields import Choice, Moment, Text
from datastores.web.lists.paging import Page
from datastores.web.lists.rows import Rows

STATES = tuple((state.value, state.value) for state in Alert.State if state != Alert.State.PENDING)
EARLIER = 10


def look_after(request: Request, alert: Alert, words: str = "") -> None:
    """Note that the person looks after an alert."""
    with in_turn():
        acknowledge(alert, request.user, words)
        note(request, "alert.acknowledge", alert, note=words)


@roles(read=READERS, write=STAFF)
class AlertList(Rows):
    model = Alert
    noun = "alert,alerts"
    acts = (Act("acknowledge", "Acknowledge", "check2", look_after, "are acknowledged", STAFF),)
    template_name = "datastores/alert_list.html"
    row_template = "datastores/_alert_row.html"
    related = ("acknowledged_by",)
    name = "alerts"
    search = Text(("label", "text", "rule", "note"), "gold")
    fields = {
        "about": Text(("label",), "about:gold"),
        "rule": Choice("rule", {name: name for name in RULES}, "rule:datastore_full"),
        "severity": Choice("severity", {each.value: each.value for each in Severity}, "severity:critical"),
        "state": Choice("state", dict(STATES), "state:firing"),
        "since": Moment("since", "since<1h"),
        "ended": Moment("resolved_at", "ended<1d"),
        "by": Text(("acknowledged_by__username",), "by:olga"),
        "note": Text(("note",), "note:cable"),
    }
    default_sort = "-since"
    filters = (Filter("state", "state", STATES), Filter("severity", "severity", tuple((s, s) for s in Severity)))
    columns = (
        Column("alert", "Alert", "rule", "summary"),
        Column("about", "About", "label", "label"),
        Column("state", "State", "state", "state"),
        Column("severity", "Severity", "severity", "severity"),
        Column("what", "What", value="text"),
        Column("since", "Since", "since", "since"),
        Column("ended", "Ended", "resolved_at", "resolved_at", absent=LONG_AGO),
        Column("by", "Acknowledged by", "acknowledged_by__username", "acknowledged_by", absent="", shown=False),
        Column("note", "Note", value="note", shown=False),
        Column("rule", "Rule", "rule", "rule", shown=False),
    )

    def rows(self) -> QuerySet[Any]:
        return super().rows().exclude(state=Alert.State.PENDING)

    def context(self, page: Page) -> dict[str, Any]:
        return super().context(page) | {"standstill": standstill()}


@roles(read=READERS)
def alert_page(request: Request, pk: int) -> HttpResponse:
    return show(request, visible(request, Alert, "acknowledged_by", pk=pk), AcknowledgeForm())


def show(request: Request, alert: Alert, form: AcknowledgeForm) -> HttpResponse:
    url, action = next_step(alert)
    before = Alert.objects.filter(rule=alert.rule, subject=alert.subject).exclude(pk=alert.pk).order_by("-pk")
    is_open = alert.state in (Alert.State.FIRING, Alert.State.ACKNOWLEDGED)
    page = {
        "object": alert,
        "next": (url, action) if is_open and url != request.path else None,
        "earlier": before.exclude(state=Alert.State.PENDING)[:EARLIER],
        "may_be_gone": is_open and alert.rule == WORKER_LOST.name and request.user.runs_the_cloud,
        "form": form if alert.state == Alert.State.FIRING and request.user.runs_the_cloud else None,
    }
    return render(request, "datastores/alert.html", page)


@roles(write=STAFF)
def alert_acknowledge(request: Request, pk: int) -> HttpResponse:
    alert = visible(request, Alert, "acknowledged_by", pk=pk)
    form = AcknowledgeForm(request.POST)
    if not form.is_valid():
        return show(request, alert, form)
    look_after(request, alert, form.cleaned_data["note"])
    return done(request, f"{alert} is acknowledged. It stays listed until it ends.", "alert-list")


@roles(write=STAFF)
def alert_gone(request: Request, pk: int) -> HttpResponse:
    """End the alert of a lost worker that will not come back."""
    alert = visible(request, Alert, "acknowledged_by", pk=pk)
    try:
        forget_worker(lost_worker(alert))  # first, and in nobody's way: a Redis that hangs takes its time
    except RedisError as error:
        raise Refused("Redis does not answer, so the worker cannot be forgotten. Try again later.") from error
    with in_turn():
        end_lost(alert)
        note(request, "alert.gone", alert)
    return done(request, f"{alert.label} is gone for good; the alert has ended.", "alert-list")
