"""The pages of drift: what differs, where, since when, and what can be done about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.models import AuditEntry, Drift, DriftScan, User
from datastores.services import settings as kept
from datastores.web.figures import concerns
from tests.unit.conftest import a_datastore, a_disk, a_drift, a_host, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db
EVIL = "<img src=x onerror=alert(1)>"


def scan(**fields: Any) -> DriftScan:
    now = timezone.now()
    values = {"started_at": now, "heard_at": now, "ended_at": now, "hosts": 2, "statements": 7} | fields
    return DriftScan.objects.create(**values)


class TestTheList:
    def test_shows_what_still_differs_unless_it_is_asked_otherwise(self, admin: User) -> None:
        for number, state in enumerate(Drift.State):
            a_drift(title=f"statement {number} {state}", state=state)
        client = signed_in(admin)
        page = text_of(client.get("/drift/"))
        assert "statement 0 open" in page and "statement 1 accepted" in page
        assert "repaired" not in page.split("<tbody")[1] and "gone" not in page.split("<tbody")[1]
        assert text_of(client.get("/drift/?state=")).count("statement ") >= 4
        assert "statement 3 gone" in text_of(client.get("/drift/?state=gone"))

    @pytest.mark.parametrize(
        "query",
        ["host:kvm-9", "kind:in-the-way", "about:gold", "since<1d", "-state:gone", "by:anna", "datastore:fast", "gold",
         "seen<1h"],
    )  # fmt: skip
    def test_is_searched_by_what_an_operator_knows(self, admin: User, query: str) -> None:
        a_drift(title="the wanted one", host=a_host("kvm-9"), kind="in the way", label="gold", text="gold",
                accepted_by=admin, datastore=a_datastore("fast"))  # fmt: skip
        long_ago = timezone.now() - timedelta(days=3)
        a_drift(title="the other one", state="gone", first_seen=long_ago, last_seen=long_ago)
        page = text_of(signed_in(admin).get("/drift/", {"q": query}))
        assert "the wanted one" in page and "the other one" not in page

    def test_takes_no_query_for_each_row(self, admin: User) -> None:
        client = signed_in(admin)

        def queries() -> int:
            with CaptureQueriesContext(connection) as asked:
                client.get("/drift/")
            return len(asked)

        a_drift(accepted_by=admin)
        few = queries()
        for _ in range(20):
            a_drift(accepted_by=admin)
        assert queries() == few

    def test_shows_hostile_names_as_text(self, admin: User) -> None:
        row = a_drift(title=EVIL, label=EVIL, text=EVIL, note=EVIL, kind="foreign", host=a_host(EVIL), state="accepted")
        scan(unread=[[EVIL, EVIL]], unread_hosts=1)
        for path in ("/drift/?columns=statement,about,host,note", f"/drift/{row.pk}/", "/", f"/hosts/{row.host_id}/"):
            page = text_of(signed_in(admin).get(path))
            assert EVIL not in page
        assert "&lt;img src=x onerror" in text_of(signed_in(admin).get(f"/drift/{row.pk}/"))

    def test_gives_a_file(self, admin: User) -> None:
        a_drift(label="gold", accepted_by=admin)
        rows = signed_in(admin).get("/drift/?file=json&columns=about,host,state,by").getvalue()
        assert b'"about": "gold"' in rows.replace(b'":"', b'": "')

    def test_without_drift_says_what_it_is_for(self, admin: User) -> None:
        page = text_of(signed_in(admin).get("/drift/"))
        assert "Nothing differs" in page and "No scan yet" in page

    def test_says_what_the_last_scan_has_read_and_what_it_could_not(self, auditor: User) -> None:
        scan(unread=[["kvm-7", "kvm-7 does not answer."]], unread_hosts=1, differing=2, skipped=1)
        page = text_of(signed_in(auditor).get("/drift/"))
        assert "7 statements read on 2 hosts, 2 did not hold; 1 not judged (" in page
        assert "(a job works on them, or something else has to be read or put right first)." in page
        assert "1 host could not be read" in page and "kvm-7 does not answer." in page
        assert "Scan now" not in page

    def test_says_that_a_scan_is_under_way_or_was_broken_off(self, admin: User) -> None:
        scan(broken=True)
        assert "did not come to its end" in text_of(signed_in(admin).get("/drift/"))
        signed_in(admin).post("/drift/scan/")
        assert "A scan begins in a few seconds" in text_of(signed_in(admin).get("/drift/"))
        assert "under way already" in text_of(signed_in(admin).post("/drift/scan/", follow=True))
        assert DriftScan.objects.filter(asked_by=admin).count() == 1
        assert AuditEntry.objects.filter(action="drift.scan").count() == 1

    def test_is_shown_anew_when_the_scan_has_ended(self, admin: User) -> None:
        client = signed_in(admin)
        headers = {"HX-Request": "true", "HX-Trigger": "scan"}
        scan(ended_at=None)
        answer = client.get("/drift/", headers=headers)
        assert "HX-Refresh" not in answer and 'hx-trigger="every 5s"' in text_of(answer)
        DriftScan.objects.update(ended_at=timezone.now())
        assert client.get("/drift/", headers=headers)["HX-Refresh"] == "true"


class TestOneDifference:
    def test_is_shown_as_on_a_plan_page(self, admin: User) -> None:
        page = text_of(signed_in(admin).get(f"/drift/{a_drift().pk}/"))
        assert "chmod 0755 -- /srv/ds" in page and "can be undone" in page
        assert "Plan the repair" in page and "Accept as is" in page

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("missing", "Put the file back from a backup"), ("altered", "Find out who wrote to it"),
         ("foreign", "neither uses nor removes"), ("in the way", "No step of cloudstore")],
    )  # fmt: skip
    def test_that_no_step_puts_right_says_what_to_do(self, admin: User, kind: str, words: str) -> None:
        image = an_image(admin, "gold")
        row = a_drift(kind=kind, text="what was found", image=image)
        page = text_of(signed_in(admin).get(f"/drift/{row.pk}/"))
        assert words in page and "what was found" in page
        assert f'href="/images/{image.pk}/"' in page
        assert "Plan the repair" not in page

    @pytest.mark.parametrize("kind", ["missing", "altered", "foreign", "in the way", "differs"])
    def test_is_shown_when_all_that_it_was_about_is_gone(self, admin: User, kind: str) -> None:
        row = a_drift(kind=kind, host=None)
        page = text_of(signed_in(admin).get(f"/drift/{row.pk}/"))
        assert "gone" in page and "Plan the repair" not in page

    def test_that_was_not_judged_by_the_last_scan_says_so(self, admin: User) -> None:
        row = a_drift(last_seen=timezone.now() - timedelta(hours=3))
        scan()
        assert "Not judged since" in text_of(signed_in(admin).get(f"/drift/{row.pk}/"))

    def test_an_auditor_reads_and_decides_nothing(self, auditor: User) -> None:
        page = text_of(signed_in(auditor).get(f"/drift/{a_drift().pk}/"))
        assert "chmod" in page and "Plan the repair" not in page and "Accept as is" not in page

    def test_tenants_see_nothing_of_it(self, alice: User) -> None:
        image = an_image(alice)
        a_drift(image=image, title="her file")
        a_drift(disk=a_disk(image), title="her own disk")
        client = signed_in(alice)
        assert client.get("/drift/").status_code == 403
        for path in ("/", f"/images/{image.pk}/", f"/disks/{image.disks.get().pk}/"):
            page = text_of(client.get(path))
            assert not any(
                words in page for words in ("Drift", "her file", "her own disk", "Not as cloudstore left it")
            )
        assert not Drift.objects.visible_to(alice).exists()


class TestDeciding:
    def test_repair_leads_to_the_plan(self, operator: User) -> None:
        host = a_host()
        store = a_datastore(hosts=[host], kind="shared", base="/srv/x")
        from datastores.services.drift_scope import Scope
        from datastores.services.managed import statements

        managed = next(each for each in statements(Scope(type(host).objects.all())) if each.datastore == store.pk)
        row = a_drift(host=host, datastore=store, key=managed.key(managed.steps[0]))
        answer = signed_in(operator).post(f"/drift/{row.pk}/repair/")
        job = host.jobs.get()
        assert answer.url == f"/jobs/{job.uuid}/plan/"
        assert (job.kind, job.datastore) == ("drift.repair", store)
        assert job.title in text_of(signed_in(operator).get(f"/drift/{row.pk}/"))

    def test_acceptance_keeps_who_and_why(self, operator: User) -> None:
        row = a_drift(label="fast")
        client = signed_in(operator)
        client.post(f"/drift/{row.pk}/accept/", {"fingerprint": row.fingerprint, "note": f"on purpose {EVIL}"})
        row.refresh_from_db()
        assert (row.state, row.accepted_by, row.note) == ("accepted", operator, f"on purpose {EVIL}")
        entry = AuditEntry.objects.get(action="drift.accept")
        assert entry.detail["note"] == row.note and entry.target == f"fast on {row.host}"
        assert "accepted as it is" in text_of(client.get("/audit/"))
        client.post(f"/drift/{row.pk}/reopen/")
        row.refresh_from_db()
        assert (row.state, row.note) == ("open", "")

    @pytest.mark.parametrize("sent", [{}, {"fingerprint": "another"}])
    def test_acceptance_of_what_was_not_seen_is_refused(self, operator: User, sent: dict[str, str]) -> None:
        row = a_drift()
        page = text_of(signed_in(operator).post(f"/drift/{row.pk}/accept/", sent, follow=True))
        assert "not as you saw it any more" in page
        row.refresh_from_db()
        assert row.state == "open"

    def test_a_second_person_is_told_that_it_was_decided(self, operator: User, admin: User) -> None:
        row = a_drift()
        for person, words in ((operator, "It is accepted as it is"), (admin, "not as you saw it any more")):
            sent = {"fingerprint": row.fingerprint, "note": person.username}
            assert words in text_of(signed_in(person).post(f"/drift/{row.pk}/accept/", sent, follow=True))
        row.refresh_from_db()
        assert row.note == "olga"


class TestElsewhere:
    def test_the_pages_of_things_tell_their_open_drift(self, admin: User) -> None:
        image = an_image(admin)
        disk = a_disk(image)
        host = a_host()
        row = a_drift(title="what differs here", host=host, datastore=image.datastore, image=image, disk=disk)
        paths = (f"/hosts/{host.pk}/", f"/datastores/{image.datastore_id}/", f"/images/{image.pk}/",
                 f"/disks/{disk.pk}/")  # fmt: skip
        for path in paths:
            page = text_of(signed_in(admin).get(path))
            assert "what differs here" in page and f'href="/drift/{row.pk}/"' in page, path
        Drift.objects.update(state="accepted")
        for path in paths:
            assert "what differs here" not in text_of(signed_in(admin).get(path))

    def test_the_page_of_a_host_names_a_few_of_many(self, admin: User) -> None:
        host = a_host()
        for _ in range(9):
            a_drift(host=host)
        page = text_of(signed_in(admin).get(f"/hosts/{host.pk}/"))
        assert page.count("Not as cloudstore left it") == 5 and "There is more." in page

    def test_the_overview_has_one_entry_with_the_count(self, admin: User, alice: User) -> None:
        assert not [each for each in concerns(admin) if each.word == "drift"]
        a_drift()
        [concern] = [each for each in concerns(admin) if each.word == "drift"]
        assert (concern.tone, concern.text) == ("warn", "1 statement is not as cloudstore left it.")
        a_drift(kind="missing")
        a_drift(state="accepted")
        [concern] = [each for each in concerns(admin) if each.word == "drift"]
        assert concern.tone == "bad"
        assert concern.text == "2 statements are not as cloudstore left them. Files are missing or were altered: 1."
        assert concerns(alice) == []

    def test_the_navigation_counts_what_is_open(self, admin: User) -> None:
        a_drift(), a_drift(), a_drift(state="accepted")
        page = text_of(signed_in(admin).get("/"))
        assert 'data-count="drift-list" title="need attention">2<' in page


def test_who_repairs_is_told_who_has_to_approve_it(operator: User) -> None:
    found = a_drift(state="open", kind="differs")
    page = text_of(signed_in(operator).get(f"/drift/{found.pk}/"))
    kept.change("approval", 0, {"drift.repair": "at once"}, "anna")
    assert ("Nothing changes before it is approved." in page) == found.can_be_repaired
    assert found.can_be_repaired
    assert "begins at once" not in text_of(signed_in(operator).get(f"/drift/{found.pk}/"))
    kept.change("approval", 1, {"drift.repair": "four eyes"}, "anna")
    assert "before somebody else has approved it." in text_of(signed_in(operator).get(f"/drift/{found.pk}/"))
