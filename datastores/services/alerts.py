"""Alerts: what is known of the cloud is held against the rules, and what comes of it is remembered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from datastores.domain.alert_facts import Facts
from datastores.domain.alert_rules import RULES, WORKER_LOST, WORSE, Rule
from datastores.domain.alerts import Finding, findings, is_gone, known_subjects, not_known
from datastores.domain.errors import Refused
from datastores.models import Alert, Duty, User
from datastores.services.notifications import Said, tell_all
from datastores.services.since import on_day

logger = logging.getLogger(__name__)
KEPT = timedelta(days=90)
"""How long an alert that has ended is remembered."""
EVALUATE = "evaluate_alerts"
"""Name of the duty, whose row is locked meanwhile."""
SLACK = timedelta(seconds=10)
"""Evaluations are a minute apart, more or less: what must hold for one minute is not told after two."""
PAST = "It is not so any more, and ends when that stays so for a while. Before: "
WORDS = ("label", "severity", "text", "value", "detail")
Key = tuple[str, str]
"""Rule and subject."""


@dataclass(slots=True)
class Changes:
    """What an evaluation makes of the alerts."""

    now: datetime
    seen: list[Alert] = field(default_factory=list)
    reworded: list[Alert] = field(default_factory=list)
    new: list[Alert] = field(default_factory=list)
    dropped: list[Alert] = field(default_factory=list)
    began: list[Alert] = field(default_factory=list)
    ended: list[Alert] = field(default_factory=list)

    def begins(self, finding: Finding) -> None:
        """Note that it is so from now on."""
        alert = Alert(rule=finding.rule.name, subject=finding.subject, since=self.now, last_seen=self.now)
        reword(alert, finding)
        self.new.append(alert)
        self._fire_in_time(alert, finding.rule)

    def goes_on(self, alert: Alert, finding: Finding) -> None:
        """Note that it is still so, with what is to be said of it now."""
        self.seen.append(alert)
        if reword(alert, finding):
            self.reworded.append(alert)
        self._fire_in_time(alert, finding.rule)

    def _fire_in_time(self, alert: Alert, rule: Rule) -> None:
        if alert.state == Alert.State.PENDING and self.now - alert.since >= timedelta(seconds=rule.hold) - SLACK:
            alert.state, alert.fired_at = Alert.State.FIRING, self.now
            self.began.append(alert)

    def does_not_hold(self, alert: Alert, clear: float) -> None:
        """Note that it is not so; one that fires goes on for a while, so that it does not begin again and again."""
        if alert.state == Alert.State.PENDING:
            self.dropped.append(alert)
            return
        if alert.detail:  # its facts are to be had again, and what it remembers is not true any more
            alert.detail = {}
            self.reworded.append(alert)
        was = alert.text.removeprefix(PAST)
        if self.now - alert.last_seen >= timedelta(seconds=clear) - SLACK:
            alert.state, alert.resolved_at = Alert.State.RESOLVED, self.now
            self.ended.append(alert)
            self._say(alert, was)
        else:
            self._say(alert, f"{PAST}{was}")

    def _say(self, alert: Alert, text: str) -> None:
        if alert.text != text:
            alert.text = text
            self.reworded.append(alert)


def reword(alert: Alert, finding: Finding) -> bool:
    """Say of an alert what was found now; tell whether that is something else."""
    before = [getattr(alert, name) for name in WORDS]
    alert.label, alert.severity = finding.label[:300], finding.rule.severity
    alert.text, alert.value, alert.detail = finding.text, finding.value, finding.detail
    return before != [getattr(alert, name) for name in WORDS]


def evaluate(facts: Facts, now: datetime | None = None) -> int:
    """Hold the facts against the rules, and bring the alerts forward; return how many began or ended.

    Two schedules that do it at once do it one after the other: nothing begins twice. What was ended after the facts
    were read does not begin anew from them.
    """
    found = {(finding.rule.name, finding.subject): finding for finding in findings(facts)}
    unknown, known = not_known(facts), known_subjects(facts)
    with transaction.atomic():
        take_turn()
        changes = Changes(now or timezone.now())
        open_now: dict[Key, Alert] = {
            (one.rule, one.subject): one for one in Alert.objects.filter(state__in=Alert.OPEN)
        }
        for key, finding in found.items():
            if key in open_now:
                changes.goes_on(open_now[key], finding)
            elif key not in facts.told:
                changes.begins(finding)
        for key in open_now.keys() - found.keys():
            rule: Rule | None = RULES.get(key[0])
            if key[0] not in unknown:
                at_once = rule is None or is_gone(key[1], known)
                changes.does_not_hold(open_now[key], 0 if at_once else rule.clear)
        store(changes)
        announce(changes.began, [one for one in changes.ended if (WORSE.get(one.rule), one.subject) not in found])
    return len(changes.began) + len(changes.ended)


def take_turn() -> None:
    """Wait for whoever begins and ends alerts, and keep others waiting until the end of the transaction."""
    Duty.objects.select_for_update().get_or_create(name=EVALUATE)


def store(changes: Changes) -> None:
    """Write what has changed, in a few statements however many alerts there are.

    States change by comparing: a person may acknowledge an alert at the same moment.
    """
    alerts, now = Alert.objects, changes.now
    alerts.filter(pk__in=keys(changes.seen)).update(last_seen=now)
    alerts.bulk_update(changes.reworded, WORDS, batch_size=200)
    begun = alerts.filter(pk__in=keys(changes.began), state=Alert.State.PENDING)
    begun.update(state=Alert.State.FIRING, fired_at=now)
    alerts.filter(pk__in=keys(changes.ended)).update(state=Alert.State.RESOLVED, resolved_at=now)
    alerts.filter(pk__in=keys(changes.dropped)).delete()
    alerts.bulk_create(changes.new, batch_size=500)


def keys(alerts: Iterable[Alert]) -> list[int]:
    """Return the keys of those that are stored already."""
    return [alert.pk for alert in alerts if alert.pk]


def announce(began: Sequence[Alert], ended: Sequence[Alert]) -> None:
    """Tell of alerts that begin and end, in the transaction in which they do."""
    for alert in began:
        logger.warning("alert begins: %s: %s", alert, alert.text)
    for alert in ended:
        logger.info("alert ends: %s", alert)
    tell_all("alert.began", [said_of(alert, alert.text) for alert in began])
    tell_all("alert.ended", [said_of(alert, "It is not so any more.") for alert in ended])


def said_of(alert: Alert, text: str) -> Said:
    return Said(str(alert), text, alert.get_absolute_url(), f"{alert.rule} {alert.subject}")


def acknowledge(alert: Alert, user: User, note: str) -> None:
    """Note that somebody looks after it. Belongs into the transaction of its audit entry.

    :raises Refused: it has ended, or somebody was faster.
    """
    now = timezone.now()
    taken = {"state": Alert.State.ACKNOWLEDGED, "acknowledged_by": user, "acknowledged_at": now, "note": note}
    if not Alert.objects.filter(pk=alert.pk, state=Alert.State.FIRING).update(**taken):
        alert.refresh_from_db()
        if alert.state == Alert.State.ACKNOWLEDGED:
            when = f" on {on_day(alert.acknowledged_at)}" if alert.acknowledged_at else ""
            raise Refused(f"{alert} was acknowledged by {alert.acknowledged_by or 'somebody'} already{when}.")
        raise Refused(f"{alert} has ended already{f' on {on_day(alert.resolved_at)}' if alert.resolved_at else ''}.")


def lost_worker(alert: Alert) -> str:
    """Return the name of the worker that an alert tells of as lost.

    :raises Refused: it is about something else, or has ended already.
    """
    if alert.rule != WORKER_LOST.name:
        raise Refused("Only a worker can be gone for good; anything else ends by itself when it is not so any more.")
    if alert.state not in Alert.OPEN:
        raise Refused(f"{alert} has ended already.")
    return alert.subject.partition(":")[2]


def end_lost(alert: Alert) -> None:
    """Note that a lost worker is gone for good. Belongs into the transaction of its audit entry.

    :raises Refused: it is about something else, or has ended already.
    """
    lost_worker(alert)
    take_turn()
    ended = {"state": Alert.State.RESOLVED, "resolved_at": timezone.now()}
    if not Alert.objects.firing().filter(pk=alert.pk).update(**ended):
        raise Refused(f"{alert} has ended already.")
    alert.refresh_from_db()
    announce([], [alert])


def forget() -> int:
    """Delete alerts that ended long ago; return how many."""
    return Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=timezone.now() - KEPT).delete()[0]
