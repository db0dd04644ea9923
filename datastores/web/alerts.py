"""Alerts for people: how they look, where to go, and which of them need attention now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.urls import reverse

from datastores.domain.alert_rules import FILLING, FULL, FULL_SOON, FULL_VERY_SOON, INTERRUPTED, QUARANTINED, Severity
from datastores.domain.alerts import span
from datastores.models import Alert, Duty, User
from datastores.services.alerts import EVALUATE
from datastores.web.lists.query import quoted

SHOWN = 8
"""As many as a person can look after; the list has the others."""
OUT_OF_DATE = timedelta(minutes=3)
TONES = {Severity.CRITICAL: "bad", Severity.WARNING: "warn"}
ICONS = {
    "datastore": "hdd-stack", "mount": "hdd-stack", "host": "server", "queue": "stack", "worker": "cpu",
    "duty": "clock-history", "job": "plug", "redis": "database",
}  # fmt: skip
OF_SPACE = frozenset({FILLING.name, FULL.name, FULL_SOON.name, FULL_VERY_SOON.name})
WORST_FIRST = Case(When(severity=Severity.CRITICAL, then=Value(0)), default=Value(1), output_field=IntegerField())


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person: what, about what, why, and the next thing to do."""

    tone: str
    icon: str
    word: str
    name: str
    text: str
    url: str
    action: str


def kind_of(alert: Alert) -> str:
    """Return what the alert is about: "datastore", "host", "queue" ..."""
    return alert.subject.partition(":")[0]


def next_step(alert: Alert) -> tuple[str, str]:
    """Return (address, words) of where the next thing is done; the alert's own page where that is no page."""
    kind, _, key = alert.subject.partition(":")
    if alert.rule in OF_SPACE and kind != "mount":
        search = urlencode({"sort": "-real", "q": f"datastore={quoted(alert.label)}"})
        return f"{reverse('image-list')}?{search}", "Largest images"
    if kind in {"datastore", "host"}:
        return reverse(kind, args=[key]), "Compare the keys" if alert.rule == QUARANTINED.name else "Look at it"
    if kind == "mount":
        return reverse("datastore", args=[key.partition(":")[0]]), "Look at it"
    if kind == "job":
        return reverse("job", args=[key]), "Resume or undo"
    return reverse("alert", args=[alert.pk]), "What to do"


def concern_of(alert: Alert) -> Concern:
    url, action = next_step(alert)
    tone, icon = TONES[Severity(alert.severity)], ICONS.get(kind_of(alert), "bell")
    return Concern(tone, icon, alert.word, alert.label, alert.text, url, action)


def attention(user: User) -> list[Concern]:
    """Return what is wrong with the cloud and nobody has acknowledged, the worst first; nothing for a tenant.

    Interrupted jobs are left out: whoever may see them sees them as jobs.
    """
    alerts: QuerySet[Alert] = Alert.objects.visible_to(user)
    waiting = alerts.filter(state=Alert.State.FIRING).exclude(rule=INTERRUPTED.name)
    rows = list(waiting.order_by(WORST_FIRST, "-fired_at", "-pk")[: SHOWN + 1])
    found = [concern_of(alert) for alert in rows[:SHOWN]]
    if len(rows) > SHOWN:
        url = f"{reverse('alert-list')}?state=firing"
        found.append(Concern("bad", "bell", "more", "More alerts", f"The worst {SHOWN} are shown.", url, "All alerts"))
    return found + (standstill() if user.sees_everything else [])


def standstill() -> list[Concern]:
    """Return that alerts are out of date when the schedule, which finds them, has stopped."""
    late = Duty.late([EVALUATE]).get(EVALUATE, 0.0)
    if late < OUT_OF_DATE.total_seconds():
        return []
    text = f"Nobody has looked for {span(late)}: what is shown may be out of date. Start the workers."
    return [Concern("bad", "clock-history", "schedule stopped", "Alerts", text, reverse("job-list"), "See the jobs")]
