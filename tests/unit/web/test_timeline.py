"""What was done to a thing, on its page and in the list of all entries about it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from datastores.models import AuditEntry, User
from datastores.models.audit import record
from datastores.services import hosts
from datastores.services.drift import accept
from datastores.web import timeline
from datastores.web.timeline import timeline_of
from tests.unit.conftest import a_datastore, a_disk, a_drift, a_host, a_job, a_vm, an_image, signed_in, text_of

HOSTILE = "<img src=x onerror=alert(1)>"


def things(owner: User) -> dict[str, models.Model]:
    """Return one of each kind that has a timeline, by the beginning of its address."""
    image, vm = an_image(owner), a_vm(owner)
    return {"hosts": a_host(), "datastores": a_datastore(), "images": image, "vms": vm, "disks": a_disk(image, vm)}


def said(user: User, thing: models.Model) -> list[str]:
    return [entry.action for entry in timeline_of(user, thing)["timeline"]]


@pytest.mark.parametrize("kind", ["hosts", "datastores", "images", "vms", "disks"])
def test_the_page_of_a_thing_tells_what_was_done_to_it(admin: User, operator: User, kind: str) -> None:
    thing = things(admin)[kind]
    noun = {"vms": "vm"}.get(kind, kind.removesuffix("s"))
    job = a_job(operator, "host.read", target_label=str(thing), **{noun: thing})
    record("host.read", user=operator, target=str(thing), job=job)
    record("test.touch", user=admin, target=thing, result="done")
    record("test.other", user=admin, target=a_host(), result="done")
    record("test.name", user=admin, target=str(thing), result="done")
    page = text_of(signed_in(admin).get(f"/{kind}/{thing.pk}/"))
    part = page.split('id="timeline"')[1].split("</section>")[0]
    assert part.index(f"test.touch {thing}") < part.index("asked to ")
    assert "<b>olga</b>" in part or f"<b>{operator.username}</b>" in part
    assert "test.other" not in part and "test.name" not in part
    assert f'href="/audit/?about={noun}:{thing.pk}"' in part
    everything = text_of(signed_in(admin).get(f"/audit/?about={noun}:{thing.pk}"))
    assert "2 rows" in everything
    assert f'name="about" value="{noun}:{thing.pk}"' in everything


def test_it_takes_as_many_queries_for_many_entries_as_for_one(admin: User) -> None:
    host = a_host()
    counts = []
    for _ in range(2):
        for number in range(15):
            job = a_job(admin, "host.read", host=host)
            record("host.read", user=admin, target=host.name, job=job)
            record("host.change", user=admin, target=host, result="done", number=number)
        with CaptureQueriesContext(connection) as asked:
            assert len(timeline_of(admin, host)["timeline"]) == timeline.SHOWN
        counts.append(len(asked))
    assert counts == [4, 4]


def test_the_newest_are_shown_first(admin: User) -> None:
    host = a_host()
    for number in range(7):
        record(f"test.{number}", user=admin, target=host)
        record(f"job.{number}", user=admin, target="x", job=a_job(admin, "host.read", host=host))
    numbers = [6, 6, 5, 5, 4, 4, 3, 3, 2, 2]
    assert [int(action[-1]) for action in said(admin, host)] == numbers


def test_nothing_lies_behind_a_new_thing(admin: User, alice: User) -> None:
    image = an_image(alice)
    assert said(admin, image) == []
    assert "Nothing lately." in text_of(signed_in(admin).get(f"/images/{image.pk}/"))
    assert "Nothing lately by you." in text_of(signed_in(alice).get(f"/images/{image.pk}/"))


def test_a_tenant_sees_what_they_did_themselves(admin: User, alice: User, bob: User) -> None:
    image = an_image(alice)
    record("image.rename", user=admin, target=image, before="a", after="b", result="done")
    record("image.persistent", user=alice, target=image, after=True, result="done")
    assert said(alice, image) == ["image.persistent"]
    assert said(bob, image) == []
    assert "1 row" in text_of(signed_in(alice).get(f"/audit/?about=image:{image.pk}"))
    assert "Nothing matches" in text_of(signed_in(bob).get(f"/audit/?about=image:{image.pk}"))


def test_a_thing_of_the_same_name_is_another_one(admin: User, alice: User, bob: User) -> None:
    hers, his = a_vm(alice, "web"), a_vm(bob, "web")
    record("vm.state", user=admin, target=hers, before="off", after="running", result="done")
    assert said(admin, hers) == ["vm.state"]
    assert said(admin, his) == []


def test_a_new_name_loses_nothing(admin: User) -> None:
    image = an_image(admin, "first")
    signed_in(admin).post(f"/images/{image.pk}/rename/", {"name": "second", "version": image.version})
    image.refresh_from_db()
    assert image.name == "second"
    assert said(admin, image) == ["image.rename"]


def test_services_say_what_row_they_changed(admin: User) -> None:
    host = a_host()
    hosts.set_maintenance(host, admin, on=True)
    drift = a_drift(host=host)
    accept(drift, admin, fingerprint=drift.fingerprint, note="on purpose")
    assert said(admin, host) == ["drift.accept", "host.maintenance"]


def test_only_the_newest_entries_are_looked_through(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "LATELY", 3)
    host = a_host()
    old = a_job(admin, "host.read", host=host)
    record("host.read", user=admin, target=host.name, job=old)
    record("host.change", user=admin, target=host, result="done")
    for _ in range(3):
        record("user.sign_in", user=admin, target=admin, result="done")
    assert said(admin, host) == ["host.read"]
    assert "2 rows" in text_of(signed_in(admin).get(f"/audit/?about=host:{host.pk}"))


@pytest.mark.parametrize(
    "text", ["host", "host:", "host:x", "user:1", "host:1'--", "password:1", "host:" + "9" * 40, ":1"]
)
def test_what_names_no_row_narrows_nothing(admin: User, text: str) -> None:
    record("test", user=admin, target=a_host())
    assert "1 row" in text_of(signed_in(admin).get("/audit/", {"about": text}))


def test_hostile_names_stay_text(admin: User) -> None:
    host = a_host(HOSTILE)
    record("host.change", user=admin, target=host, result="done")
    page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
    assert HOSTILE not in page
    assert "changed the host &lt;img" in page.split('id="timeline"')[1]


def test_an_entry_tells_its_row_and_is_sealed_with_it(admin: User) -> None:
    from datastores.models.audit import verify

    host = a_host()
    entry: Any = record("host.change", user=admin, target=host, result="done")
    assert AuditEntry.objects.get(seq=entry.seq).detail == {"row": f"host:{host.pk}"}
    assert verify() == (1, [])
