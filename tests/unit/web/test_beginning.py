"""The guide from an empty installation to the first clone: it says what is really there."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import HostState, JobState
from datastores.models import Disk, HostKey, User
from datastores.web.beginning import beginning
from tests.unit.conftest import a_datastore, a_disk, a_host, a_job, an_image, signed_in, text_of

HOSTILE = "<img src=x onerror=alert(1)>"


def state() -> tuple[int, str]:
    """Return how many steps are done, and what comes next."""
    way = beginning()
    return way.done, way.next.title if way.next else ""


def link(user: User) -> str:
    """Return where the one button of the guide leads."""
    page = text_of(signed_in(user).get("/begin/")).split('class="stages"')[1].split("</ol>")[0]
    assert page.count("btn-primary") == 1
    return page.split('btn-primary" href="')[1].split('"')[0]


def test_every_step_follows_from_what_there_is(admin: User) -> None:
    assert (state(), link(admin)) == ((0, "Add a host"), "/hosts/new/")
    host = a_host("kvm-1", state=HostState.NEW, facts_at=None)
    assert (state(), link(admin)) == ((1, "Pin its key"), f"/hosts/{host.pk}/")
    key = HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x")
    assert state() == (1, "Pin its key")
    HostKey.objects.filter(pk=key.pk).update(pinned_at=timezone.now())
    assert (state(), link(admin)) == ((2, "Onboard it"), f"/hosts/{host.pk}/")
    host.facts_at = timezone.now()
    host.save()
    assert (state(), link(admin)) == ((3, "Make a datastore"), "/datastores/new/")
    store = a_datastore("gold", hosts=[host], state="pending")
    assert (state(), link(admin)) == ((3, "Make a datastore"), f"/datastores/{store.pk}/")
    store.state = "ready"
    store.save()
    assert (state(), link(admin)) == ((4, "Register an image"), "/images/register/")
    image = an_image(admin, "debian", datastore=store, state="error")
    assert (state(), link(admin)) == ((4, "Register an image"), f"/images/{image.pk}/")
    image.state = "ready"
    image.save()
    assert (state(), link(admin)) == ((5, "Make the first disk of it"), f"/images/{image.pk}/")
    a_disk(image, state="ready")
    assert state() == (6, "")
    page = text_of(signed_in(admin).get("/begin/"))
    assert "Your first disk is made." in page and "btn-primary" not in page.split('class="stages"')[1].split("</ol>")[0]


def test_the_overview_shows_the_next_step_until_the_first_disk_is_made(admin: User) -> None:
    host = a_host("kvm-1")
    store = a_datastore(hosts=[host])
    page = text_of(signed_in(admin).get("/"))
    assert "Next on the way to your first clone: Register an image" in page
    a_disk(an_image(admin, datastore=store), state="ready")
    assert "on the way to your first clone" not in text_of(signed_in(admin).get("/"))


def test_whoever_had_a_disk_once_is_not_a_beginner_again(admin: User) -> None:
    disk = a_disk(an_image(admin), state="ready")
    a_job(admin, "disk.create", disk=disk, state=JobState.SUCCEEDED, ended_at=timezone.now())
    Disk.objects.all().delete()
    assert "on the way to your first clone" not in text_of(signed_in(admin).get("/"))


def test_it_can_be_hidden_and_is_still_found(admin: User, operator: User) -> None:
    a_host()
    client, other = signed_in(admin), signed_in(operator)
    assert "on the way" in text_of(client.get("/"))
    page = text_of(client.post("/begin/hide/", follow=True))
    assert "hidden until you sign in again" in page
    assert "on the way" not in text_of(client.get("/"))
    assert "on the way" in text_of(other.get("/"))
    assert "From nothing to a disk" in text_of(client.get("/begin/"))
    assert 'href="/begin/"' in text_of(client.get("/"))


@pytest.mark.parametrize("path", ["/", "/begin/"])
def test_who_may_not_do_the_next_thing_is_told_who_does(operator: User, auditor: User, path: str) -> None:
    a_host(facts_at=None)
    for user in (operator, auditor):
        page = text_of(signed_in(user).get(path))
        assert "An admin does this." in page
        assert "Compare its key" not in page


def test_tenants_are_not_guided_to_what_they_may_not_see(alice: User) -> None:
    a_host()
    assert "first clone" not in text_of(signed_in(alice).get("/"))
    assert signed_in(alice).get("/begin/").status_code == 403


def test_demonstrations_are_kept_apart(admin: User) -> None:
    page = text_of(signed_in(admin).get("/begin/"))
    assert "<code>make run</code>" in page
    assert "every row is real" in page


def test_hostile_names_stay_text(admin: User) -> None:
    store = a_datastore(HOSTILE, state="pending")
    store.hosts.update(facts_at=timezone.now())
    for path in ("/", "/begin/"):
        page = text_of(signed_in(admin).get(path))
        assert "Look at &lt;img" in page and HOSTILE not in page


def test_many_rows_take_as_many_queries_as_few(admin: User) -> None:
    counts = []
    for state in ("", "error", "ready"):
        for _ in range(5 if state else 0):
            a_disk(an_image(admin, state=state), state=state)
        with CaptureQueriesContext(connection) as asked:
            beginning()
        counts.append(len(asked))
    assert counts == [12, 12, 12]
