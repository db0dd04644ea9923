"""Alerts: they begin after a while, end after a while, and never twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.alert_facts import DatastoreFacts, Facts, HostFacts, WorkerFacts
from datastores.domain.alert_rules import FULL, UNREACHABLE, WORKER_LOST
from datastores.domain.alerts import findings
from datastores.domain.errors import Refused
from datastores.domain.states import HostState, JobState, ObjectState
from datastores.models import Alert, Datastore, DatastoreSample, Duty, Notice, NotificationTarget, User
from datastores.models.samples import DAILY
from datastores.services import alerts
from datastores.services.alert_facts import datastore_facts, gather, trends
from datastores.services.alerts import PAST, acknowledge, end_lost, evaluate, forget
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_job, an_alert, an_image

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 1, 12, tzinfo=timezone.get_default_timezone())
LOST, WELL = HostFacts(1, "kvm-1", HostState.UNREACHABLE, "No route."), HostFacts(1, "kvm-1", HostState.READY)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def look(minutes: float, *hosts: HostFacts, **more: Any) -> int:
    """Evaluate at a minute of the story."""
    return evaluate(Facts(hosts=hosts, **more), at(minutes))


def states() -> list[str]:
    return list(Alert.objects.order_by("pk").values_list("state", flat=True))


def test_an_alert_fires_when_it_has_been_so_for_a_while() -> None:
    assert look(0, LOST) == 0
    assert states() == ["pending"]
    assert look(UNREACHABLE.hold / 60, LOST) == 1
    [alert] = Alert.objects.all()
    assert (alert.state, alert.since, alert.fired_at) == ("firing", at(0), at(1))
    assert (alert.rule, alert.subject, alert.label, alert.text) == (UNREACHABLE.name, "host:1", "kvm-1", "No route.")


def test_an_evaluation_that_comes_a_moment_early_does_not_cost_a_minute() -> None:
    look(0, LOST)
    assert look(0.99, LOST) == 1


def test_what_was_so_for_a_moment_only_leaves_nothing_behind() -> None:
    look(0, LOST)
    look(0.5, WELL)
    assert states() == []


def test_what_must_be_told_at_once_is() -> None:
    assert look(0, HostFacts(1, "kvm-1", HostState.QUARANTINED)) == 1
    assert states() == ["firing"]


def test_an_alert_ends_when_it_has_not_been_so_for_a_while_and_begins_anew_after_that() -> None:
    look(0, LOST)
    look(1, LOST)
    assert look(1.5, WELL) == 0
    assert states() == ["firing"]
    assert look(2.5, WELL) == 1
    assert states() == ["resolved"]
    assert Alert.objects.get().resolved_at == at(2.5)
    look(3, LOST)
    assert states() == ["resolved", "pending"]


def test_one_that_has_ceased_but_not_ended_says_so() -> None:
    def text() -> str:
        return Alert.objects.get().text

    for minute in (0, 1, 2):
        look(minute, LOST)
    found = text()
    for minute in (2.1, 2.3):
        look(minute, WELL)
        assert text() == f"{PAST}{found}", "once, however often it is looked at"
    look(2.4, LOST)
    assert (text(), states()) == (found, ["firing"])
    look(2.6, WELL)
    look(5, WELL)
    assert (text(), states()) == (found, ["resolved"])


def test_what_becomes_worse_is_not_told_to_have_ended() -> None:
    NotificationTarget.objects.create(address="https://h.example/x", events=["alert.began", "alert.ended"])
    for minute in range(14):
        used = 85 if minute < 5 else 95
        look(minute, datastores=(DatastoreFacts(1, "gold", 100, used, 100 - used),))
    assert list(Notice.objects.values_list("event", "subject")) == [
        ("alert.began", "Datastore is filling up: gold"), ("alert.began", "Datastore is nearly full: gold"),
    ]  # fmt: skip
    for minute in range(14, 24):
        look(minute, datastores=(DatastoreFacts(1, "gold", 100, 10, 90),))
    assert Notice.objects.filter(event="alert.ended").count() == 1


def test_a_rule_that_flaps_is_one_alert() -> None:
    for minute in range(60):
        used = 91 if minute < 5 or minute % 3 else 70
        evaluate(Facts(datastores=(DatastoreFacts(1, "gold", total=100, used=used, free=100 - used),)), at(minute))
    assert [(alert.rule, alert.state) for alert in Alert.objects.all()] == [(FULL.name, "firing")]


def test_a_rule_that_flaps_before_it_has_held_for_long_enough_never_fires() -> None:
    for minute in range(60):
        used = 91 if minute % 2 else 70
        evaluate(Facts(datastores=(DatastoreFacts(1, "gold", total=100, used=used, free=1),)), at(minute))
    assert not Alert.objects.exclude(state="pending").exists()


def test_the_words_and_the_moment_go_along() -> None:
    look(0, LOST)
    look(5, HostFacts(1, "kvm-renamed", HostState.UNREACHABLE, "Refused."))
    alert = Alert.objects.get()
    assert (alert.label, alert.text, alert.last_seen) == ("kvm-renamed", "Refused.", at(5))


def test_what_was_deleted_has_no_alert_at_once() -> None:
    look(0, LOST)
    look(1, LOST)
    assert look(1.1) == 1
    assert states() == ["resolved"]


def test_a_deleted_datastore_takes_its_alerts_along() -> None:
    datastore = a_datastore(total=100, used=95, free=5, measured_at=timezone.now())
    for minute in (0, 2, 4):
        evaluate(gather([], [], []), at(minute))
    assert Alert.objects.get(rule=FULL.name).state == "firing"
    datastore.members.all().delete()
    datastore.delete()
    evaluate(gather([], [], []), at(4.1))
    assert states() == ["resolved"]


def test_what_is_not_known_has_neither_begun_nor_ended() -> None:
    lost = (WorkerFacts("w1", "m1", ("interactive",), 100.0),)
    evaluate(Facts(workers=lost), at(0))
    for minute in (5, 10):
        evaluate(Facts(workers=None, queues=None), at(minute))
    assert Alert.objects.get(rule=WORKER_LOST.name).state == "firing"
    evaluate(Facts(), at(11))
    assert Alert.objects.get(rule=WORKER_LOST.name).state == "resolved"


class TestALostWorker:
    """Its alert remembers it when Redis has forgotten it."""

    LOST = WorkerFacts("w1", "m1", ("interactive",), 100.0)

    def look(self, minute: float, *workers: WorkerFacts) -> list[str]:
        with time_machine.travel(at(minute), tick=False):
            evaluate(gather(workers, [], []))
        return list(Alert.objects.filter(rule=WORKER_LOST.name).order_by("pk").values_list("state", flat=True))

    def test_that_never_comes_back_stays_lost(self) -> None:
        assert self.look(0, self.LOST) == ["firing"]
        assert [self.look(minute) for minute in (11, 12, 60 * 24)] == [["firing"]] * 3
        assert "was last heard of 24 h ago" in Alert.objects.get(rule=WORKER_LOST.name).text

    def test_that_is_heard_of_again_is_not_lost(self) -> None:
        self.look(0, self.LOST)
        well = replace(self.LOST, silent_seconds=3.0)
        assert [self.look(minute, well) for minute in (20, 22)][-1] == ["resolved"]

    def test_whose_place_was_taken_is_not_missed(self) -> None:
        self.look(0, self.LOST)
        new = WorkerFacts("w2", "m1", ("interactive",), 3.0, age_seconds=60.0)
        assert self.look(5, new) == ["firing"], "for some minutes in any case"
        assert [self.look(minute, new) for minute in (20, 22)][-1] == ["resolved"]

    def test_of_a_former_version_is_not_remembered(self) -> None:
        self.look(0, self.LOST)
        Alert.objects.update(detail={})
        assert self.look(20) == ["resolved"]

    def test_that_is_said_to_be_gone_for_good_has_ended_once(self) -> None:
        self.look(0, self.LOST)
        alert = Alert.objects.get(rule=WORKER_LOST.name)
        end_lost(alert)
        assert self.look(1) == ["resolved"]
        with pytest.raises(Refused, match="ended already"):
            end_lost(alert)

    def test_that_is_gone_for_good_since_the_facts_were_read_stays_so(self) -> None:
        self.look(0, self.LOST)
        facts = gather([self.LOST], [], [])
        end_lost(Alert.objects.get(rule=WORKER_LOST.name))
        evaluate(facts)
        assert [self.look(minute) for minute in (1, 2, 3)] == [["resolved"]] * 3

    def test_that_was_gone_for_good_and_is_lost_again_is_told_of_again(self) -> None:
        self.look(0, self.LOST)
        end_lost(Alert.objects.get(rule=WORKER_LOST.name))
        assert self.look(1, self.LOST) == ["resolved", "firing"]

    def test_that_is_heard_of_again_and_says_goodbye_before_its_alert_ends_is_not_missed(self) -> None:
        self.look(0, self.LOST)
        assert self.look(0.5, replace(self.LOST, silent_seconds=1.0)) == ["firing"], "it goes on for a minute"
        assert [self.look(minute) for minute in (1, 2, 60)][1:] == [["resolved"]] * 2

    def test_that_is_heard_of_again_and_lost_again_before_its_alert_ends_stays_lost(self) -> None:
        self.look(0, self.LOST)
        self.look(0.5, replace(self.LOST, silent_seconds=1.0))
        self.look(1, self.LOST)
        assert [self.look(minute) for minute in (20, 60)] == [["firing"]] * 2

    def test_and_nothing_else_can_be_gone_for_good(self) -> None:
        alert = an_alert("gold")
        with pytest.raises(Refused, match="Only a worker"):
            end_lost(alert)


def test_a_rule_that_there_is_no_more_ends() -> None:
    now = at(0)
    Alert.objects.create(
        rule="phase_of_the_moon", subject="moon", label="Moon", state="firing", since=now, last_seen=now
    )
    look(0.1)
    assert states() == ["resolved"]
    assert Alert.objects.get().summary == "phase_of_the_moon"


def test_a_name_may_be_anything_and_longer_than_a_label() -> None:
    name = "<img src=x onerror=alert(1)>\n" * 20
    look(0, HostFacts(1, name, HostState.QUARANTINED))
    assert Alert.objects.get().label == name[:300]


def test_those_who_are_told_hear_of_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(
        alerts, "announce", lambda began, ended: heard.append(([str(a) for a in began], [str(a) for a in ended]))
    )
    for minute, host in ((0, LOST), (1, LOST), (2, LOST), (3, WELL), (4, WELL)):
        look(minute, host)
    name = "Host does not answer: kvm-1"
    assert heard == [([], []), ([name], []), ([], []), ([], [name]), ([], [])]


@pytest.mark.django_db(transaction=True)
def test_two_schedules_at_once_begin_an_alert_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Duty.objects.create(name=alerts.EVALUATE)
    began: list[str] = []
    failed: list[BaseException] = []
    monkeypatch.setattr(alerts, "announce", lambda new, ended: began.extend(alert.subject for alert in new))
    hosts = tuple(HostFacts(pk, f"h{pk}", HostState.QUARANTINED) for pk in range(30))
    together = threading.Barrier(3)

    def schedule() -> None:
        together.wait()
        try:
            evaluate(Facts(hosts=hosts))
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=schedule) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(began) == sorted(f"host:{pk}" for pk in range(30))
    assert Alert.objects.count() == 30


class TestAcknowledging:
    @pytest.fixture
    def alert(self) -> Alert:
        look(0, LOST)
        look(1, LOST)
        return Alert.objects.get()

    def test_it_says_who_looks_after_it_and_goes_on(self, alert: Alert, operator: User) -> None:
        acknowledge(alert, operator, "New cable is ordered.")
        look(2, LOST)
        alert.refresh_from_db()
        assert (alert.state, alert.acknowledged_by, alert.note) == ("acknowledged", operator, "New cable is ordered.")
        assert alert.last_seen == at(2)

    def test_an_evaluation_that_began_before_does_not_take_it_back(
        self, alert: Alert, operator: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = alerts.store

        def meanwhile(changes: Any) -> None:
            acknowledge(alert, operator, "")
            store(changes)

        monkeypatch.setattr(alerts, "store", meanwhile)
        look(2, HostFacts(1, "other words", HostState.UNREACHABLE, "Other words."))
        alert.refresh_from_db()
        assert (alert.state, alert.label) == ("acknowledged", "other words")

    def test_it_ends_like_any_other(self, alert: Alert, operator: User) -> None:
        acknowledge(alert, operator, "")
        assert look(5, WELL) == 1
        assert states() == ["resolved"]

    def test_the_second_is_told_who_was_first(self, alert: Alert, operator: User, admin: User) -> None:
        acknowledge(alert, operator, "")
        with pytest.raises(Refused, match="acknowledged by olga"):
            acknowledge(alert, admin, "mine")

    def test_what_has_ended_needs_nobody(self, alert: Alert, operator: User) -> None:
        look(9, WELL)
        with pytest.raises(Refused, match="has ended already"):
            acknowledge(alert, operator, "")


def test_what_ended_long_ago_is_forgotten() -> None:
    old, now = timezone.now() - timedelta(days=91), timezone.now()
    for number, (state, ended) in enumerate([("resolved", old), ("resolved", now), ("firing", None)]):
        Alert.objects.create(rule="r", subject=str(number), state=state, since=old, last_seen=old, resolved_at=ended)
    assert forget() == 1
    assert set(Alert.objects.values_list("subject", flat=True)) == {"1", "2"}


class TestFacts:
    def test_datastores(self, admin: User) -> None:
        mended = a_host(maintenance=True)
        sick = a_datastore("sick", error="It could not be measured: x", hosts=[mended])
        refused = a_datastore("refused", error="The deletion failed.")
        new = a_datastore("new", state=ObjectState.PENDING)
        image = an_image(admin, datastore=sick, virtual_size=10 * GIB, real_size=4 * GIB)
        a_disk(image)
        Datastore.objects.filter(pk=refused.pk).update(created_at=timezone.now() - timedelta(hours=1))
        found = {one.name: one for one in gather([], [], []).datastores}
        assert (found["sick"].promised, found["sick"].error, found["sick"].expected) == (16 * GIB, sick.error, False)
        assert (found["refused"].error, found["refused"].expected, found["refused"].promised) == ("", True, 0)
        assert 3590 < found["refused"].age < 3700
        assert (found["new"].expected, new.total, found["new"].total) == (False, None, 0)

    def test_how_fast_a_datastore_fills_and_its_inodes(self) -> None:
        now = timezone.now()
        gold = a_datastore("gold", total=100 * GIB, used=80 * GIB, free=20 * GIB, measured_at=now)
        for days in range(1, 11):
            figures = {"total": 100 * GIB, "used": (80 - 10 * days // 2) * GIB, "promised": 0}
            at = now - timedelta(days=days)
            DatastoreSample.objects.create(datastore=gold, resolution=DAILY, at=at, **figures)
        for hours, used in ((3, 999), (0.5, 10), (0.1, 95)):
            figures = {"total": 1, "used": 1, "promised": 0, "inodes_total": 100, "inodes_used": used}
            DatastoreSample.objects.create(datastore=gold, at=now - timedelta(hours=hours), **figures)
        [found] = datastore_facts(now, trends(now))
        assert (found.inodes, found.inodes_used) == (100, 95)
        assert found.days_to_full is not None and 3 < found.days_to_full < 5
        assert {"datastore_full_soon", "datastore_inodes"} <= {each.rule.name for each in findings(Facts((found,)))}

    def test_jobs_and_duties(self, admin: User) -> None:
        hour_ago = timezone.now() - timedelta(hours=1)
        a_job(admin, title="Half a copy", state=JobState.INTERRUPTED, heartbeat_at=hour_ago)
        a_job(admin, state=JobState.RUNNING, heartbeat_at=hour_ago)
        for name, due in (
            ("reconcile", hour_ago),
            ("not ours", hour_ago),
            ("read_hosts", timezone.now() + timedelta(1)),
        ):
            Duty.objects.create(name=name, due_at=due)
        facts = gather(None, None, ["reconcile", "read_hosts"])
        assert [(job.title, round(job.seconds / 60)) for job in facts.jobs] == [("Half a copy", 60)]
        assert [(name, round(late / 60)) for name, late in facts.late] == [("reconcile", 60)]
        assert facts.workers is None

    def test_more_rows_need_no_more_queries(self, admin: User) -> None:
        counts = []
        for more in (2, 2, 20):
            for _ in range(more):
                a_disk(an_image(admin, datastore=a_datastore(total=100, used=95, free=5)))
                a_host(state=HostState.QUARANTINED)
            with CaptureQueriesContext(connection) as asked:
                evaluate(gather([], [], []))
            counts.append(len(asked))
        assert counts[1] == counts[2], counts
        assert Alert.objects.count() > 40
