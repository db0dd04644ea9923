"""Finding anything by its name, for the page and for the palette; and what the palette offers to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from datastores.domain.states import JobState
from datastores.models import Cluster, Image, User
from datastores.web import context, finding
from tests.unit.conftest import (
    a_datastore,
    a_drift,
    a_host,
    a_job,
    a_vm,
    an_alert,
    an_image,
    person,
    signed_in,
    text_of,
)

TEMPLATES = Path(django_settings.BASE_DIR) / "datastores" / "templates" / "datastores"
HOSTILE = "<img src=x onerror=alert(1)>"


def found(user: User, text: str) -> dict[str, list[str]]:
    """Return the names that the palette is answered, by the title of their group."""
    groups = signed_in(user).get("/find/palette/", {"q": text}).json()["groups"]
    return {group["title"]: [hit["name"] for hit in group["hits"]] for group in groups}


def test_everything_is_found_by_a_part_of_its_name(admin: User) -> None:
    host = a_host("golden-host")
    datastore = a_datastore("golden-store", hosts=[host])
    image = an_image(admin, "golden", datastore=datastore)
    machine = a_vm(admin, "golden-web")
    job = a_job(admin, title="Register golden")
    cluster = Cluster.objects.create(name="golden-cluster")
    friend = person("goldie", User.Role.TENANT)
    alert, drift = an_alert(label="golden-store"), a_drift(title="/srv/golden is stored")
    answer = signed_in(admin).get("/find/palette/?q=GOLD").json()["groups"]
    urls = {group["title"]: [hit["url"] for hit in group["hits"]] for group in answer}
    assert urls == {
        "Hosts": [f"/hosts/{host.pk}/"],
        "Datastores": [f"/datastores/{datastore.pk}/"],
        "Images": [f"/images/{image.pk}/"],
        "Virtual machines": [f"/vms/{machine.pk}/"],
        "Jobs": [f"/jobs/{job.uuid}/"],
        "Clusters": [f"/clusters/{cluster.pk}/edit/"],
        "Alerts": [f"/alerts/{alert.pk}/"],
        "Drift": [f"/drift/{drift.pk}/"],
        "Users": [f"/users/{friend.pk}/"],
    }


def test_what_is_found_says_its_state(admin: User) -> None:
    a_job(admin, title="Register x", state=JobState.CANCELLED, undo_requested=True)
    (group,) = signed_in(admin).get("/find/palette/?q=register").json()["groups"]
    assert group["hits"][0]["more"] == "undone"


def test_what_begins_with_the_text_comes_first_then_the_newest(admin: User) -> None:
    for name in ("web-1", "old-web", "web-2", "new-web"):
        an_image(admin, name)
    assert found(admin, "web")["Images"] == ["web-2", "web-1", "new-web", "old-web"]


def test_a_number_finds_the_row_that_has_it(admin: User) -> None:
    image = an_image(admin, "golden")
    for text in (str(image.pk), f"#{image.pk}", f" {image.pk} "):
        assert "golden" in found(admin, text).get("Images", []), text


@pytest.mark.parametrize(
    "text", ["", "  ", "\0", "9" * 18, "9" * 400, "%", "_", "\\", "' OR 1=1 --", HOSTILE, "\ud800"]
)
def test_any_text_is_only_a_text(admin: User, text: str) -> None:
    an_image(admin, "golden")
    assert found(admin, text.encode("utf-8", "replace").decode()) == {}


def test_names_are_sent_as_they_are(admin: User) -> None:
    """The browser writes them as text."""
    an_image(admin, HOSTILE)
    assert found(admin, "<img")["Images"] == [HOSTILE]
    assert HOSTILE not in text_of(signed_in(admin).get("/find/?q=<img"))


def test_nobody_finds_what_is_not_theirs(admin: User, operator: User, auditor: User, alice: User, bob: User) -> None:
    image = an_image(bob, "x-image", datastore=a_datastore("x-store", hosts=[a_host("x-host")]))
    a_vm(bob, "x-machine")
    a_job(bob, title="x-job")
    Cluster.objects.create(name="x-cluster")
    person("x-person", User.Role.TENANT)
    everything = {"Hosts", "Datastores", "Images", "Virtual machines", "Jobs", "Clusters", "Users"}
    assert set(found(admin, "x-")) == everything
    assert set(found(operator, "x-")) == everything - {"Users"}
    assert set(found(auditor, "x-")) == everything - {"Users", "Clusters"}
    assert set(found(bob, "x-")) == {"Images", "Virtual machines", "Jobs"}
    assert found(alice, "x-") == found(alice, str(image.pk)) == {}


def test_whoever_is_shown_a_thing_may_open_it(admin: User, operator: User, auditor: User, bob: User) -> None:
    an_image(bob, "x-image", datastore=a_datastore("x-store", hosts=[a_host("x-host")]))
    a_job(bob, title="x-job")
    Cluster.objects.create(name="x-cluster")
    for user in (admin, operator, auditor, bob):
        client = signed_in(user)
        for group in client.get("/find/palette/?q=x-").json()["groups"]:
            for hit in group["hits"]:
                assert client.get(hit["url"]).status_code == 200, (user, hit)


def test_no_row_costs_a_query(admin: User) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert list(finding.find(admin, "web", 6))
        return len(queries)

    an_image(admin, "a-web")
    a_job(admin, title="Clone web")
    few = asked()
    for number in range(30):
        an_image(admin, f"web-{number}")
        a_job(admin, title=f"Clone web-{number}")
    assert asked() == few <= 2 * len(finding.KINDS)
    assert {len(group.hits) for group in finding.find(admin, "web", 6)} == {6}


@pytest.fixture
def few_are_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "COMMON", 3)


def test_of_what_is_common_the_newest_are_found(admin: User, few_are_common: None) -> None:
    for number in range(9):
        an_image(admin, f"old-web-{number}")
    assert found(admin, "web")["Images"] == ["old-web-8", "old-web-7", "old-web-6"]
    an_image(admin, "web-9")
    assert found(admin, "web")["Images"] == ["web-9", "old-web-8", "old-web-7"]


def test_what_is_called_exactly_so_is_found_however_old_it_is(admin: User, few_are_common: None) -> None:
    an_image(admin, "web")
    for number in range(9):
        an_image(admin, f"web-{number}")
    assert "web" in found(admin, "web")["Images"]


def test_one_or_two_letters_are_looked_for_in_the_newest_rows(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "LATELY", 2)
    for name in ("a-db-1", "a-db-2", "a-db-3"):
        an_image(admin, name)
    assert found(admin, "db")["Images"] == ["a-db-3", "a-db-2"]
    assert found(admin, "db-")["Images"] == ["a-db-3", "a-db-2", "a-db-1"]


def test_the_row_with_the_number_comes_first_and_once(admin: User) -> None:
    image = an_image(admin, "golden")
    an_image(admin, f"{image.pk}-web")
    an_image(admin, f"golden-{image.pk}")
    assert found(admin, str(image.pk))["Images"] == ["golden", f"{image.pk}-web", f"golden-{image.pk}"]
    Image.objects.filter(pk=image.pk).update(name=f"golden-{image.pk}-1")
    assert found(admin, str(image.pk))["Images"][0] == f"golden-{image.pk}-1"
    assert len(found(admin, str(image.pk))["Images"]) == 3


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL asks its indexes of words, which tests do without"
)
def test_names_are_read_from_an_index(admin: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        list(finding.find(admin, "nowhere", 6))
    for kind in ("image", "virtualmachine", "job"):
        (asked,) = (query["sql"] for query in queries if f'FROM "datastores_{kind}"' in query["sql"])
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
            plan = str(cursor.fetchall())
        assert "COVERING INDEX" in plan, plan


def test_a_stranger_is_told_to_sign_in(client: Any, db: None) -> None:
    answer = client.get("/find/palette/?q=x", headers={"Accept": "application/json"}, follow=True)
    assert (answer.status_code, answer.json()) == (401, {"error": "Sign in first."})


# What can be done


def commands(user: User) -> set[str]:
    return set(re.findall(r'data-command="([^"]+)"', text_of(signed_in(user).get("/images/"))))


def test_the_palette_offers_what_the_person_may_begin(admin: User, operator: User, alice: User, auditor: User) -> None:
    everybody = {"Change the theme", "Notifications", "Guide", "Keys", "Change password", "Sign out"}
    owners = {"Register image", "New data block", "New context CD", "New virtual machine"}
    admins = {"New datastore", "Add host", "New user", "Store a key"}
    readers = everybody | {"Getting started"}
    assert commands(auditor) == readers
    assert commands(alice) == everybody | owners
    assert commands(operator) == readers | owners | {"New cluster"}
    assert commands(admin) == readers | owners | {"New cluster"} | admins


def test_every_offer_leads_somewhere(admin: User) -> None:
    client = signed_in(admin)
    assert [url for _, _, url in context.actions(admin) if client.get(url).status_code != 200] == []


def test_each_key_leads_to_one_page(admin: User, alice: User) -> None:
    assert len(set(context.KEYS.values())) == len(context.KEYS)
    shown = dict(re.findall(r'href="([^"]+)" title="[^"]*" data-key="(.)"', text_of(signed_in(admin).get("/vms/"))))
    assert shown == {reverse(name): key for name, key in context.KEYS.items()}
    assert 'data-key="h"' not in text_of(signed_in(alice).get("/vms/"))


# Breadcrumbs

TOP = {"overview", "first_run", "find", "confirm", "acted", "refused", "password", "list", "settings", "queues"}
"""Pages that are below no list."""


def test_every_page_below_a_list_says_where_it_is() -> None:
    pages = {path.stem: path.read_text() for path in TEMPLATES.glob("*.html") if path.stem[0] != "_"}
    below = {name for name, text in pages.items() if '{% extends "datastores/base.html" %}' in text} - TOP
    assert len(below) > 12
    assert {name for name in below if "{% crumbs " not in pages[name]} == set()


def test_a_breadcrumb_names_what_is_above_and_marks_the_page(admin: User) -> None:
    image = an_image(admin, HOSTILE)
    page = text_of(signed_in(admin).get(f"/images/{image.pk}/"))
    (crumb,) = re.findall(r'<nav class="crumb".*?</nav>', page, re.DOTALL)
    assert 'aria-label="Breadcrumb"' in crumb
    assert '<a href="/images/">Images</a>' in crumb
    assert '<li aria-current="page">&lt;img src=x onerror=alert(1)&gt;</li>' in crumb


def test_what_is_above_a_plan_is_its_job(admin: User) -> None:
    job = a_job(admin, title="Clone x")
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert f'<li><a href="/jobs/{job.uuid}/">Clone x</a></li><li aria-current="page">Plan</li>' in page


def test_only_the_page_of_a_thing_is_remembered(admin: User) -> None:
    image = an_image(admin)
    client = signed_in(admin)
    assert "data-recent" in text_of(client.get(f"/images/{image.pk}/"))
    assert "data-recent" not in text_of(client.get("/images/register/"))
    assert Image.objects.count() == 1 and get_resolver()


def test_a_tenant_finds_a_short_name_among_his_own_whatever_others_have(
    admin: User, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "LATELY", 3)
    a_vm(alice, name="db")
    a_vm(alice, name="old-db")
    for number in range(4):
        a_vm(admin, name=f"x{number}")
    assert [hit.name for group in finding.find(alice, "db", 6) for hit in group.hits] == ["db", "old-db"]


def test_a_short_name_is_found_however_old_it_is(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "LATELY", 3)
    a_vm(admin, name="db")
    for number in range(4):
        a_vm(admin, name=f"x{number}")
    assert [hit.name for group in finding.find(admin, "db", 6) for hit in group.hits] == ["db"]
