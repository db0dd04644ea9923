"""The list of alerts, and saying that one looks after one of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from redis.exceptions import RedisError

from datastores.models import Alert, AuditEntry, Duty, User
from datastores.services.alerts import EVALUATE
from datastores.web.sentences import sentence
from tests.unit.conftest import an_alert, before_the_turn, signed_in, text_of

HOSTILE = "<img src=x onerror=alert(1)>"


def labels(user: User, search: str = "") -> list[str]:
    """Return what the rows are about, as a file of the list has them."""
    answer: Any = signed_in(user).get(f"/alerts/?file=json&{search}")
    return [row["about"] for row in json.loads(answer.getvalue())]


def acknowledge(user: User, alert: Alert, note: str = "", **headers: str) -> str:
    """Acknowledge on the alert's page; return the text of the page that comes next."""
    path = f"/alerts/{alert.pk}/"
    sent = signed_in(user).post(f"{path}acknowledge/", {"note": note}, follow=True, headers={"Referer": path} | headers)
    return text_of(sent)


def test_before_anything_was_wrong_the_list_says_what_it_is_for(admin: User) -> None:
    assert "No alert yet" in text_of(signed_in(admin).get("/alerts/"))


def test_the_list_has_what_is_and_what_was_but_not_what_may_become(admin: User) -> None:
    now = timezone.now()
    an_alert("now")
    an_alert("seen", state="acknowledged", acknowledged_by=admin)
    an_alert("over", state="resolved", resolved_at=now, since=now - timedelta(days=3))
    an_alert("perhaps", state="pending")
    assert set(labels(admin)) == {"now", "seen", "over"}
    assert labels(admin, "state=firing") == ["now"]
    assert labels(admin, "q=by:anna") == ["seen"]
    assert labels(admin, "q=since>1d") == ["over"]
    assert labels(admin, "q=rule:datastore_full+-state:resolved+about:now") == ["now"]
    assert labels(admin, "severity=warning") == []


@pytest.mark.parametrize("search", ["q=state:pending", "q=rule:phase_of_the_moon", "q=%00", "q=since:x"])
def test_what_cannot_be_asked_is_no_defect(admin: User, search: str) -> None:
    an_alert()
    assert signed_in(admin).get(f"/alerts/?{search}").status_code == 200


def test_the_list_says_when_nobody_looks_any_more(admin: User) -> None:
    Duty.objects.create(name=EVALUATE, due_at=timezone.now() - timedelta(minutes=9))
    page = text_of(signed_in(admin).get("/alerts/"))
    assert "The schedule has stopped. Nobody has looked for 9 min" in page


def test_the_page_says_what_it_is_what_to_do_and_when_it_was_before(admin: User) -> None:
    before = an_alert("gold", subject="datastore:3", state="resolved", resolved_at=timezone.now(), note="Moved images.")
    page = text_of(signed_in(admin).get(f"/alerts/{an_alert('gold', subject='datastore:3').pk}/"))
    for words in ("93 % used", "Make room now", "Largest images", "Moved images.", f"/alerts/{before.pk}/"):
        assert words in page, words


def test_one_that_ended_offers_nothing_to_do(admin: User) -> None:
    page = text_of(signed_in(admin).get(f"/alerts/{an_alert(state='resolved', resolved_at=timezone.now()).pk}/"))
    assert "Largest images" not in page
    assert "acknowledge/" not in page


def test_acknowledging_is_noted_and_the_alert_stays_listed(operator: User) -> None:
    alert = an_alert("gold")
    page = acknowledge(operator, alert, "New disks are ordered.")
    assert "is acknowledged" in page and "gold" in page
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by, alert.note) == ("acknowledged", operator, "New disks are ordered.")
    entry = AuditEntry.objects.get(action="alert.acknowledge")
    assert sentence(entry) == "acknowledged the alert Datastore is nearly full: gold"
    assert (entry.actor_name, entry.detail) == ("olga", {"note": "New disks are ordered."})


def test_the_second_is_told_who_was_first(admin: User, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = an_alert("gold")
    taken = {"state": "acknowledged", "acknowledged_by": operator}
    before_the_turn(
        monkeypatch, "datastores.web.views.alerts", lambda: Alert.objects.filter(pk=alert.pk).update(**taken)
    )
    assert "was acknowledged by olga already" in acknowledge(admin, alert, "mine")
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.note) == (operator, "")
    assert not AuditEntry.objects.filter(action="alert.acknowledge").exists()


def test_what_has_ended_meanwhile_needs_nobody(operator: User) -> None:
    assert "has ended already" in acknowledge(operator, an_alert(state="resolved"))


def test_a_note_that_is_too_long_is_told_at_its_field(operator: User) -> None:
    alert = an_alert()
    assert "at most 500" in acknowledge(operator, alert, "x" * 501)
    alert.refresh_from_db()
    assert alert.state == "firing"


def test_an_auditor_looks_and_does_not_act(auditor: User) -> None:
    alert = an_alert("gold")
    page = text_of(signed_in(auditor).get(f"/alerts/{alert.pk}/"))
    assert "93 % used" in page and "acknowledge/" not in page


def test_names_and_notes_are_text(admin: User) -> None:
    alert = an_alert(HOSTILE, text=HOSTILE, note=HOSTILE, state="acknowledged", acknowledged_at=timezone.now())
    an_alert(HOSTILE)
    for path in ("/alerts/?columns=about,what,note", f"/alerts/{alert.pk}/", "/"):
        page = text_of(signed_in(admin).get(path))
        assert HOSTILE not in page, path


def test_the_side_shows_how_many_fire_to_those_who_may_know(admin: User, alice: User) -> None:
    client = signed_in(admin)
    assert 'data-count="alert-list" hidden></span>' in text_of(client.get("/jobs/"))
    for _ in range(3):
        an_alert()
    an_alert(state="acknowledged")
    shown = '<span class="n bad" data-count="alert-list" title="need attention">3</span>'
    assert shown in text_of(client.get("/jobs/"))
    assert "/alerts/" not in text_of(signed_in(alice).get("/jobs/"))


class TestGoneForGood:
    """A lost worker whose machine was taken away will not come back, and only a person knows that."""

    @pytest.fixture
    def forgotten(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        names: list[str] = []
        monkeypatch.setattr("datastores.web.views.alerts.forget_worker", names.append)
        return names

    def test_its_alert_ends_and_the_audit_trail_says_by_whom(self, operator: User, forgotten: list[str]) -> None:
        alert = an_alert("w1 on m1", rule="worker_lost", subject="worker:w1")
        client = signed_in(operator)
        assert "It will not come back" in text_of(client.get(f"/alerts/{alert.pk}/"))
        assert "is gone for good" in text_of(client.post(f"/alerts/{alert.pk}/gone/", follow=True))
        alert.refresh_from_db()
        assert (alert.state, forgotten) == ("resolved", ["w1"])
        assert AuditEntry.objects.get(action="alert.gone").actor_name == operator.username

    def test_while_redis_is_away_nothing_is_changed(self, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(name: str) -> None:
            raise RedisError("no")

        monkeypatch.setattr("datastores.web.views.alerts.forget_worker", away)
        alert = an_alert("w1 on m1", rule="worker_lost", subject="worker:w1")
        assert "Redis does not answer" in text_of(signed_in(admin).post(f"/alerts/{alert.pk}/gone/", follow=True))
        alert.refresh_from_db()
        assert alert.state == "firing"
        assert not AuditEntry.objects.filter(action="alert.gone").exists()

    def test_nobody_has_to_wait_for_redis(self, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
        alert = an_alert("w1 on m1", rule="worker_lost", subject="worker:w1")
        depth = len(connection.savepoint_ids)
        seen: list[int] = []
        monkeypatch.setattr(
            "datastores.web.views.alerts.forget_worker", lambda name: seen.append(len(connection.savepoint_ids))
        )
        signed_in(operator).post(f"/alerts/{alert.pk}/gone/")
        assert seen == [depth], "no transaction is open meanwhile"

    def test_one_that_has_ended_already_forgets_nobody(self, operator: User, forgotten: list[str]) -> None:
        alert = an_alert("w1 on m1", rule="worker_lost", subject="worker:w1", state="resolved")
        assert "has ended already" in text_of(signed_in(operator).post(f"/alerts/{alert.pk}/gone/", follow=True))
        assert forgotten == []

    def test_an_alert_of_something_else_does_not_offer_it(self, admin: User, forgotten: list[str]) -> None:
        alert = an_alert("gold")
        client = signed_in(admin)
        assert "It will not come back" not in text_of(client.get(f"/alerts/{alert.pk}/"))
        assert "Only a worker" in text_of(client.post(f"/alerts/{alert.pk}/gone/", follow=True))
        alert.refresh_from_db()
        assert (alert.state, forgotten) == ("firing", [])
