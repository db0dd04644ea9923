"""Sign-in and accounts; what everybody did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from datastores.models import AuditEntry, User
from datastores.models.audit import record
from datastores.web.sentences import sentence
from tests.unit.conftest import (
    a_job,
    before_the_turn,
    signed_in,
    text_of,
)

# People


def test_signing_in_and_out(alice: User, client: Client) -> None:
    alice.set_password("a long password")
    alice.save()
    page = text_of(client.post("/login/", {"username": "alice", "password": "wrong"}))
    assert "not the name and password" in page
    sent = {"username": "alice", "password": "a long password", "next": "/vms/"}
    assert client.post("/login/", sent).url == "/vms/"
    noted = AuditEntry.objects.filter(action="user.sign_in").order_by("seq")
    assert [(entry.actor_name, entry.target, entry.result) for entry in noted] == [
        ("cloudstore", "alice", "refused"), ("alice", "alice", "done"),
    ]  # fmt: skip
    assert client.post("/logout/").url == "/login/"
    assert client.get("/vms/").status_code == 302


def test_after_ten_wrong_passwords_a_clear_text(alice: User, client: Client, settings: Any) -> None:
    settings.AXES_ENABLED = True
    settings.AXES_LOCKOUT_TEMPLATE = "datastores/locked_out.html"
    for _ in range(django_settings.AXES_FAILURE_LIMIT):
        response = client.post("/login/", {"username": "alice", "password": "wrong"})
    assert response.status_code == 429
    assert "Too many attempts" in text_of(response)
    assert "900 seconds" in text_of(response)


def test_wrong_passwords_before_a_right_one_do_not_count(alice: User, client: Client, settings: Any) -> None:
    settings.AXES_ENABLED = True
    alice.set_password("a long password")
    alice.save()
    wrong, right = ({"username": "alice", "password": password} for password in ("wrong", "a long password"))
    for _ in range(2):
        for _ in range(django_settings.AXES_FAILURE_LIMIT - 1):
            assert client.post("/login/", wrong).status_code == 200
        assert client.post("/login/", right).status_code == 302
        client.post("/logout/")


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://testserver/images/18/?tab=1", "/images/18/?tab=1"),
        ("https://elsewhere.example/images/18/", "/"),
        ("", "/"),
    ],
)
def test_who_sent_a_form_without_a_session_comes_back_to_its_page(client: Client, page: str, back: str) -> None:
    sent = client.post("/images/18/rename/", {"name": "new"}, headers={"Referer": page})
    assert sent.url == f"/login/?{urlencode({'next': back}, safe='/')}"


def test_changing_ones_own_password(alice: User) -> None:
    alice.set_password("old password 1")
    alice.save()
    client = signed_in(alice)
    new = {"old_password": "old password 1", "new_password1": "correct horse", "new_password2": "correct horse"}
    assert "match" in text_of(client.post("/account/password/", new | {"new_password2": "x"}))
    client.post("/account/password/", new)
    assert client.get("/").status_code == 200
    alice.refresh_from_db()
    assert alice.check_password("correct horse")
    assert AuditEntry.objects.get(action="user.password").actor_name == "alice"
    assert "correct horse" not in str(AuditEntry.objects.get(action="user.password").detail)


def test_making_and_changing_people(admin: User) -> None:
    client = signed_in(admin)
    sent = {"username": "carol", "role": "tenant", "password": "short"}
    assert "too short" in text_of(client.post("/users/new/", sent))
    client.post("/users/new/", sent | {"password": "long enough password"})
    carol = User.objects.get(username="carol")
    assert carol.check_password("long enough password")
    client.post(f"/users/{carol.pk}/", {"username": "carol", "role": "operator"})
    carol.refresh_from_db()
    assert carol.role == "operator"
    entry = AuditEntry.objects.get(action="user.change")
    assert (entry.detail["before"]["role"], entry.detail["after"]["role"]) == ("tenant", "operator")


def test_what_is_done_to_an_account_while_a_change_waits_for_its_turn_stays(
    admin: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_turn(
        monkeypatch, "datastores.web.views.users",
        lambda: User.objects.filter(pk=alice.pk).update(is_active=False, password="another", email="old@example.org"),
    )  # fmt: skip
    signed_in(admin).post(f"/users/{alice.pk}/", {"username": "alice", "role": "operator", "email": "new@example.org"})
    assert User.objects.filter(
        pk=alice.pk, is_active=False, password="another", role="operator", email="new@example.org"
    ).exists()
    assert AuditEntry.objects.get(action="user.change").detail["before"]["email"] == "old@example.org"


def test_who_is_not_an_admin_any_more_is_no_superuser_either(admin: User) -> None:
    other = User.objects.create_superuser("root")
    assert other.role == User.Role.ADMIN
    session = signed_in(other)
    assert session.get("/queues/").status_code == 200
    signed_in(admin).post(f"/users/{other.pk}/", {"username": "root", "role": "operator"})
    other.refresh_from_db()
    assert (other.role, other.is_superuser, other.is_staff) == ("operator", False, False)
    assert session.get("/queues/").status_code == 403


def test_deactivating_ends_the_session(admin: User, alice: User) -> None:
    session = signed_in(alice)
    client, url = signed_in(admin), f"/users/{alice.pk}/active/"
    assert "signed out everywhere" in text_of(client.post(url))
    client.post(url, {"confirm_name": "alice"})
    assert session.get("/").status_code == 302
    client.post(url)
    assert session.get("/").status_code == 200


def test_the_last_admin_stays(admin: User) -> None:
    client = signed_in(admin)
    page = text_of(client.post(f"/users/{admin.pk}/", {"username": "anna", "role": "tenant"}))
    assert "is the only admin" in page
    response = client.post(f"/users/{admin.pk}/active/", {"confirm_name": "anna"}, follow=True)
    assert "is the only admin" in text_of(response)
    admin.refresh_from_db()
    assert (admin.role, admin.is_active) == ("admin", True)


# Audit


def test_entries_are_sentences(admin: User) -> None:
    record("image.persistent", user=admin, target="Giunti-Data", result="done", before=False, after=True)
    record("image.rename", user=admin, target="x", result="done", before="old", after="new")
    record("image.clone", user=admin, target="default/copy")
    record("image.clone", user=admin, target="default/copy", result="succeeded")
    record("datastore.create.approve", user=admin, target="gold", result="approved")
    record("from.elsewhere", user=None, target="{before.__class__}")
    assert [sentence(entry) for entry in AuditEntry.objects.order_by("seq")] == [
        "made Giunti-Data persistent",
        "renamed the image old to new",
        "asked to clone image default/copy",
        "clone image default/copy: succeeded",
        "approved the plan of create datastore gold",
        "from.elsewhere {before.__class__}",
    ]


def test_the_trail_is_filtered(admin: User) -> None:
    job = a_job(admin)
    record("image.rename", user=admin, target="a", job=job, result="done", before="first-one", after="b")
    record("image.rename", user=admin, target="c", result="failed", before="second-one", after="d")
    client = signed_in(admin)
    today = timezone.localdate()
    for query, found, missing in (
        (f"job={job.uuid}", "first-one", "second-one"),
        ("result=failed", "second-one", "first-one"),
        (f"day={today}&q=rename a", "first-one", "second-oneX"),
    ):
        page = text_of(client.get(f"/audit/?{query}"))
        assert found in page, query
        assert missing not in page, query
    for query in ("day=2026-02-31", "day=x", "job=x", f"day={today - timedelta(days=1)}"):
        page = text_of(client.get(f"/audit/?{query}"))
        assert ("first-one" in page) == (query in {"day=2026-02-31", "day=x"}), query


def test_an_entry_shows_before_and_after(admin: User) -> None:
    entry = record("host.change", user=admin, target="kvm", result="done",
                   before={"name": "kvm", "cluster": ""}, after={"name": "kvm", "cluster": "Workers"})  # fmt: skip
    page = text_of(signed_in(admin).get(f"/audit/{entry.seq}/"))
    assert "<b>Workers</b>" in page
    assert "<b>kvm</b>" not in page.split("Before and after")[1]
    assert entry.seal in page


def test_an_entry_that_changed_nothing_shows_no_empty_table(admin: User) -> None:
    entry = record("host.scan", user=admin, target="kvm", result="done", before=[], after="")
    page = text_of(signed_in(admin).get(f"/audit/{entry.seq}/"))
    assert "changed no stored value" in page
    assert "[]" not in page.split("Before and after")[1].split("Seal")[0]


@pytest.mark.parametrize(
    ("words", "found"),
    [("pinned", ["host.pin"]), ("pinned h4", ["host.pin"]), ("PINNED h5", []),
     ("approved plan", ["datastore.create.approve"]), ("register", ["image.register"]),
     ("maintenance", ["host.maintenance"])],
)  # fmt: skip
def test_the_trail_is_searched_by_the_words_on_the_page(admin: User, words: str, found: list[str]) -> None:
    for action in ("host.pin", "host.maintenance", "datastore.create.approve", "image.register", "user.create"):
        record(action, user=admin, target="h4")
    page = signed_in(admin).get("/audit/", {"q": words})
    assert [entry.action for entry in page.context["rows"]] == found


def test_the_chain_is_verified_on_demand(auditor: User) -> None:
    record("a.b", user=auditor)
    client = signed_in(auditor)
    assert "verified to entry" not in text_of(client.get("/audit/"))
    assert "verified to entry 1," in text_of(client.post("/audit/verify/", follow=True))
    AuditEntry.objects.filter(seq=1).update(target="forged")
    page = text_of(client.post("/audit/verify/", follow=True))
    assert "The chain is broken" in page
    assert "entry 1 was altered" in page
