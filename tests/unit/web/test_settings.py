"""The settings page: who may see and change what, two admins at once, and what is refused."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.approvals import Approval
from datastores.domain.states import JobState
from datastores.jobs.kinds import KINDS
from datastores.models import AuditEntry, Delivery, Job, NotificationTarget, SettingsSection, User
from datastores.services import settings as kept
from datastores.services.notifications import EVENTS
from datastores.web.views.settings import kinds
from tests.unit.conftest import a_job, a_step, before_the_turn, person, signed_in, text_of
from tests.unit.jobs.servers import web_server

pytestmark = pytest.mark.django_db
NASTY = "<img src=x onerror=alert(1)>"
RETENTION = {"keep_reads_days": "9", "samples_raw_days": "2", "samples_hourly_days": "30", "samples_daily_days": "730"}


def last_entry() -> AuditEntry:
    entry = AuditEntry.objects.first()
    assert entry is not None
    return entry


def change(user: User, section: str, **data: Any) -> Any:
    return signed_in(user).post(f"/settings/{section}/", {"version": kept.version_of(section)} | data)


class TestSections:
    def test_a_change_is_in_force_at_once_and_says_who_made_it(self, admin: User) -> None:
        assert change(admin, "retention", **RETENTION).status_code == 302
        assert kept.value("keep_reads_days") == 9
        entry = last_entry()
        assert (entry.action, entry.actor_name, entry.target) == ("settings.change", "anna", "Retention")
        assert (entry.detail["before"], entry.detail["after"]) == ({"keep_reads_days": 7}, {"keep_reads_days": 9})
        page = text_of(signed_in(admin).get("/settings/"))
        assert "9 days" in page and "(set here)" in page and "changed by anna" in page
        assert "changed the settings of Retention" in text_of(signed_in(admin).get("/audit/"))

    def test_only_what_differs_from_what_is_in_force_is_stored(self, admin: User, settings: Any) -> None:
        change(admin, "retention", **RETENTION)
        assert SettingsSection.objects.get().values == {"keep_reads_days": 9}

    def test_who_changes_nothing_leaves_no_trace(self, admin: User) -> None:
        change(admin, "retention", **RETENTION | {"keep_reads_days": "7"})
        form = {each.kind: str(each.policy) for each in kinds({})} | {"version": 0}
        signed_in(admin).post("/settings/approval/", form)
        assert not SettingsSection.objects.exists()
        assert not AuditEntry.objects.filter(action="settings.change").exists()

    def test_a_value_goes_back_to_its_default(self, admin: User, settings: Any) -> None:
        change(admin, "monitoring", monitor_seconds="300")
        settings.MONITOR_SECONDS = 45
        client = signed_in(admin)
        assert "Interval: back to the default" in text_of(client.get("/settings/monitoring/"))
        data = {"key": "monitor_seconds", "version": kept.version_of("monitoring")}
        page = text_of(client.post("/settings/monitoring/default/", data, follow=True))
        assert "Interval is 45 seconds again." in page
        assert kept.value("monitor_seconds") == 45
        assert last_entry().detail["before"] == {"monitor_seconds": 300}
        assert "back to the default" not in text_of(client.get("/settings/monitoring/"))

    def test_a_default_that_does_not_go_with_the_others_is_refused(self, admin: User) -> None:
        change(admin, "retention", **RETENTION | {"samples_raw_days": "1", "samples_hourly_days": "1"})
        data = {"key": "samples_raw_days", "version": kept.version_of("retention")}
        page = text_of(signed_in(admin).post("/settings/retention/default/", data, follow=True))
        assert "cannot go back to its default" in page
        assert kept.value("samples_raw_days") == 1

    @pytest.mark.parametrize(
        ("section", "data", "words"),
        [
            ("monitoring", {"monitor_seconds": "4"}, "from 5 to 3600"),
            ("monitoring", {"monitor_seconds": ""}, "This field is required."),
            ("monitoring", {"monitor_seconds": "\u0661\u0662"}, "from 5 to 3600"),
            ("monitoring", {"monitor_seconds": "9" * 400}, "from 5 to 3600"),
            ("retention", RETENTION | {"samples_raw_days": "80"}, "The coarser the values"),
            ("sources", {"source_directories": "/srv/import\n/etc/ssl"}, "belongs to the system"),
            ("sources", {"source_directories": "srv"}, "must be absolute"),
            ("sources", {"source_directories": "/srv/../etc"}, "must not contain"),
            ("sources", {"source_directories": "\n".join(f"/srv/{n}" for n in range(101))}, "at most 100"),
            ("branding", {"brand_name": "", "brand_tone": "ok"}, "This field is required."),
            ("branding", {"brand_name": "x" * 41, "brand_tone": "ok"}, "from 1 to 40"),
            ("branding", {"brand_name": "a\u202eb", "brand_tone": "ok"}, "invisible or control"),
            ("branding", {"brand_name": "a", "brand_tone": "red;}"}, "Choose one of"),
            ("notifications", {"base_url": "javascript:alert(1)"}, "begins with https"),
            ("notifications", {"base_url": "https://u:p@store.example"}, "user name or password"),
        ],
    )
    def test_what_cannot_be_is_refused_at_its_field_and_kept_in_the_form(
        self, admin: User, section: str, data: dict[str, str], words: str
    ) -> None:
        response = change(admin, section, **data)
        assert (response.status_code, SettingsSection.objects.count()) == (200, 0)
        assert words in text_of(response)
        assert not AuditEntry.objects.filter(action="settings.change").exists()

    def test_source_directories_are_one_a_line_each_once(self, admin: User) -> None:
        change(admin, "sources", source_directories="/srv/import/ \r\n\r\n/srv/import\n/mnt/a b")
        assert kept.value("source_directories") == ["/srv/import", "/mnt/a b"]
        change(admin, "sources", source_directories="")
        assert kept.value("source_directories") == []

    @pytest.mark.parametrize("path", ["/settings/nonsense/", "/settings/approvals/"])
    def test_a_section_that_is_not_there(self, admin: User, path: str) -> None:
        assert signed_in(admin).get(path).status_code == 404

    @pytest.mark.parametrize("data", [{}, {"key": "x", "version": "0"}, {"key": "monitor_seconds", "version": "-1"}])
    def test_back_to_the_default_of_nothing(self, admin: User, data: dict[str, str]) -> None:
        response = signed_in(admin).post("/settings/monitoring/default/", data, headers={"Accept": "application/json"})
        assert response.status_code == 400

    def test_a_program_is_answered_in_json(self, admin: User) -> None:
        client, headers = signed_in(admin), {"Accept": "application/json"}
        response = client.post("/settings/monitoring/", {"version": 0, "monitor_seconds": "1"}, headers=headers)
        assert (response.status_code, response.json()) == (400, {"error": "Enter a whole number from 5 to 3600."})
        kept.change("monitoring", 0, {"monitor_seconds": 30}, "bert")
        response = client.post("/settings/monitoring/", {"version": 0, "monitor_seconds": "9"}, headers=headers)
        assert response.status_code == 409
        assert "changed by bert meanwhile" in response.json()["error"]


class TestTwoAdmins:
    def test_the_second_is_told_and_nothing_is_overwritten(self, admin: User) -> None:
        bert = person("bert", User.Role.ADMIN)
        version = kept.version_of("branding")
        form = {"version": version, "brand_name": "north", "brand_tone": "none"}
        assert signed_in(admin).post("/settings/branding/", form).status_code == 302
        page = text_of(signed_in(bert).post("/settings/branding/", form | {"brand_name": "south"}))
        assert "were changed by anna meanwhile" in page and 'value="south"' in page
        assert kept.value("brand_name") == "north"
        assert AuditEntry.objects.filter(action="settings.change").count() == 1

    def test_while_one_waits_for_the_turn_of_the_other(self, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
        before_the_turn(
            monkeypatch,
            "datastores.web.views.settings",
            lambda: kept.change("branding", 0, {"brand_name": "first"}, "bert"),
        )
        page = text_of(change(admin, "branding", brand_name="second", brand_tone="none"))
        assert "changed by bert meanwhile" in page
        assert kept.value("brand_name") == "first"

    def test_different_sections_do_not_disturb_each_other(self, admin: User) -> None:
        version = kept.version_of("monitoring")
        change(admin, "branding", brand_name="north", brand_tone="none")
        form = {"version": version, "monitor_seconds": "30"}
        assert signed_in(admin).post("/settings/monitoring/", form).status_code == 302

    def test_policies_too(self, admin: User) -> None:
        form = {kind: "four eyes" if case.never_at_once else "at once" for kind, case in KINDS.items()} | {"version": 0}
        assert signed_in(admin).post("/settings/approval/", form | {"disk.create": "four eyes"}).status_code == 302
        page = text_of(signed_in(admin).post("/settings/approval/", form))
        assert "changed by anna meanwhile" in page
        assert kept.raw("approval")["disk.create"] == "four eyes"

    def test_targets_too(self, admin: User) -> None:
        target = NotificationTarget.objects.create(kind="email", address="a@store.example", events=["job.failed"])
        form = {"version": 0, "address": "b@store.example", "events": ["job.waits"]}
        assert signed_in(admin).post(f"/settings/targets/{target.pk}/", form).status_code == 302
        page = text_of(signed_in(admin).post(f"/settings/targets/{target.pk}/", form | {"address": "c@store.example"}))
        assert "was changed by anna on " in page
        target.refresh_from_db()
        assert (target.address, target.version, target.enabled) == ("b@store.example", 1, False)


class TestNonsenseInTheDatabase:
    def test_every_page_works_and_the_settings_say_what_is_wrong(
        self, admin: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        for section in kept.SECTIONS.values():
            values = {setting.key: {"x": [NASTY]} for setting in section.settings} | {"disk.create": NASTY}
            SettingsSection.objects.create(name=section.name, values=values)
        SettingsSection.objects.create(name="of another version", values=["x"])
        kept.forget()
        client = signed_in(admin)
        with caplog.at_level(logging.WARNING):
            for path in ("/", "/images/register/", "/settings/", "/settings/approval/",
                         *(f"/settings/{each.name}/" for each in kept.SECTIONS.values() if each.settings)):  # fmt: skip
                assert client.get(path).status_code == 200, path
        assert "brand_name cannot be used" in caplog.text
        page = text_of(client.get("/settings/"))
        assert page.count("What is stored cannot be used") == sum(len(each.settings) for each in kept.SECTIONS.values())
        assert NASTY not in page and "default; what is stored cannot be used" in page

    def test_a_section_that_is_no_table(self, admin: User) -> None:
        SettingsSection.objects.create(name="branding", values="x")
        kept.forget()
        assert signed_in(admin).get("/settings/").status_code == 200
        assert change(admin, "branding", brand_name="north", brand_tone="none").status_code == 302


class TestWhoSeesIt:
    def test_an_auditor_reads_everything_but_secrets_and_has_no_buttons(self, auditor: User) -> None:
        NotificationTarget.objects.create(address="https://h.example/t0k3n", secret="sesame", events=list(EVENTS))
        page = text_of(signed_in(auditor).get("/settings/"))
        assert "https://h.example/... (" in page and "t0k3n" not in page
        assert "secret set" in page and "Create disk" in page
        assert "sesame" not in page
        assert "/settings/targets/" not in page and "Change</a>" not in page

    def test_the_navigation_leads_admins_there_only(self, admin: User, operator: User, alice: User) -> None:
        assert 'href="/settings/"' in text_of(signed_in(admin).get("/"))
        for user in (operator, alice):
            assert 'href="/settings/"' not in text_of(signed_in(user).get("/"))
            assert signed_in(user).get("/settings/").status_code == 403

    def test_the_name_and_the_label_are_on_every_page_as_text(self, admin: User, client: Any) -> None:
        change(admin, "branding", brand_name="store <north>", brand_label=NASTY[:30], brand_tone="bad")
        for page in (text_of(signed_in(admin).get("/")), text_of(client.get("/login/"))):
            assert "store &lt;north&gt;" in page and 'class="strip bad"' in page
            assert "<img" not in page
        assert text_of(client.get("/login/")).count("store &lt;north&gt;") == 2

    def test_more_targets_need_no_more_queries(self, admin: User) -> None:
        def some(count: int) -> None:
            for number in range(count):
                target = NotificationTarget.objects.create(address=f"https://h{number}-{count}.example/", secret="x")
                Delivery.objects.create(target=target, event="job.failed", error="away")

        client = signed_in(admin)
        some(2)
        with CaptureQueriesContext(connection) as few:
            client.get("/settings/")
        some(20)
        with CaptureQueriesContext(connection) as many:
            client.get("/settings/")
        assert len(many) == len(few)


class TestApproval:
    def test_every_kind_says_what_it_does(self) -> None:
        shown = kinds({})
        assert {each.kind for each in shown} == set(KINDS) - {"host.read", "volume.read", "nas.find", "nas.try"}
        assert [each.kind for each in shown if not each.about or not each.label] == []

    def test_only_what_differs_from_the_use_case_is_stored(self, admin: User) -> None:
        page = text_of(signed_in(admin).get("/settings/approval/"))
        assert "at once (default)" in page and "after approval (default)" in page
        form = {each.kind: str(each.policy) for each in kinds({})} | {"version": 0, "disk.create": "four eyes"}
        assert signed_in(admin).post("/settings/approval/", form).status_code == 302
        assert kept.raw("approval") == {"disk.create": "four eyes"}
        entry = last_entry()
        assert (entry.detail["before"], entry.detail["after"]) == (
            {"disk.create": "at once"}, {"disk.create": "four eyes"},
        )  # fmt: skip
        form |= {"version": 1, "disk.create": "at once"}
        signed_in(admin).post("/settings/approval/", form)
        assert kept.raw("approval") == {}

    @pytest.mark.parametrize("policy", ["", "never", "FOUR_EYES"])
    def test_what_is_no_policy_is_refused(self, admin: User, policy: str) -> None:
        form = {each.kind: str(each.policy) for each in kinds({})} | {"version": 0, "disk.create": policy}
        assert signed_in(admin).post("/settings/approval/", form).status_code == 200
        assert not SettingsSection.objects.exists()

    def test_a_repair_is_never_offered_to_begin_at_once_and_refused_when_it_is_asked_for(self, admin: User) -> None:
        page = text_of(signed_in(admin).get("/settings/approval/"))
        field = page.split('name="drift.repair"')[1].split("</select>")[0]
        assert "at once" not in field and "after approval (default)" in field
        form = {each.kind: str(each.policy) for each in kinds({})} | {"version": 0, "drift.repair": "at once"}
        answer = signed_in(admin).post("/settings/approval/", form)
        assert answer.status_code == 200 and "not one of the available choices" in text_of(answer)
        assert not SettingsSection.objects.exists()

    def test_a_repair_that_was_set_to_begin_at_once_before_says_that_it_does_not(self, admin: User) -> None:
        kept.change("approval", 0, {"drift.repair": "at once"}, "anna")
        (shown,) = (each for each in kinds(kept.stored_now()) if each.kind == "drift.repair")
        assert (shown.policy, shown.wrong) == (Approval.AFTER, True)
        form = {each.kind: str(each.policy) for each in kinds(kept.stored_now())} | {"version": 1}
        assert signed_in(admin).post("/settings/approval/", form).status_code == 302
        assert kept.raw("approval") == {}

    @pytest.fixture
    def waiting(self, operator: User) -> Job:
        job = a_job(operator, "disk.delete", state=JobState.AWAITING, approval=Approval.FOUR_EYES, attempts=1)
        a_step(job)
        return job

    def test_who_asked_is_told_who_may_approve_and_has_no_button(
        self, waiting: Job, operator: User, admin: User
    ) -> None:
        page = text_of(signed_in(operator).get(f"/jobs/{waiting.uuid}/plan/"))
        assert "Four eyes: somebody else has to approve it." in page and "anna may." in page
        assert f"/jobs/{waiting.uuid}/approve/" not in page and f"/jobs/{waiting.uuid}/cancel/" in page
        assert f"/jobs/{waiting.uuid}/approve/" in text_of(signed_in(admin).get(f"/jobs/{waiting.uuid}/plan/"))

    def test_when_nobody_else_may_the_plan_says_so(self, waiting: Job, operator: User) -> None:
        assert "Nobody else may at present" in text_of(signed_in(operator).get(f"/jobs/{waiting.uuid}/plan/"))

    @pytest.mark.parametrize("accept", ["text/html", "application/json"])
    def test_who_asked_does_not_approve_in_another_browser_or_by_a_program(
        self, waiting: Job, operator: User, admin: User, accept: str
    ) -> None:
        for _ in range(2):
            signed_in(operator).post(f"/jobs/{waiting.uuid}/approve/", {"plan": 1}, headers={"Accept": accept})
        waiting.refresh_from_db()
        assert (waiting.state, waiting.approved_by) == (JobState.AWAITING, None)
        answer = signed_in(admin).post(f"/jobs/{waiting.uuid}/approve/", headers={"Accept": "application/json"})
        assert answer.status_code == 202
        waiting.refresh_from_db()
        assert (waiting.state, waiting.approved_by) == (JobState.QUEUED, admin)

    def test_a_tenant_does_not_find_what_another_tenant_asked_for(self, alice: User, bob: User) -> None:
        job = a_job(alice, "disk.delete", state=JobState.AWAITING, approval=Approval.FOUR_EYES)
        assert signed_in(bob).post(f"/jobs/{job.uuid}/approve/").status_code == 404

    def test_what_is_asked_for_in_a_page_waits_for_somebody_else(self, alice: User, admin: User) -> None:
        from tests.unit.conftest import an_image

        kept.change("approval", 0, {"image.delete": "four eyes"}, "anna")
        image = an_image(alice)
        signed_in(alice).post(f"/images/{image.pk}/delete/", {"confirm_name": image.name})
        assert Job.objects.get().approval == Approval.FOUR_EYES


class TestTargets:
    FORM = {"kind": "webhook", "address": "https://h.example/x", "secret": "sesame", "events": ["job.failed"],
            "enabled": "on"}  # fmt: skip

    def test_a_target_is_added_and_its_secret_is_nowhere(self, admin: User) -> None:
        client = signed_in(admin)
        assert client.post("/settings/targets/new/", self.FORM).status_code == 302
        target = NotificationTarget.objects.get()
        assert (target.secret, target.events) == ("sesame", ["job.failed"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM datastores_notificationtarget")
            assert "sesame" not in cursor.fetchone()[0]
        assert last_entry().detail["after"]["secret"] == "set"
        for path in ("/settings/", f"/settings/targets/{target.pk}/", "/audit/", f"/audit/{last_entry().seq}/"):
            assert "sesame" not in text_of(client.get(path)), path

    def test_the_path_of_a_webhook_is_shown_to_admins_only(self, admin: User, operator: User) -> None:
        client = signed_in(admin)
        client.post("/settings/targets/new/", self.FORM | {"address": "https://h.example/t0k3n"})
        assert "t0k3n" in text_of(client.get("/settings/"))
        target = NotificationTarget.objects.get()
        client.post(f"/settings/targets/{target.pk}/", self.FORM | {"version": 0, "address": "https://h.example/0th3r"})
        target.refresh_from_db()
        client.post(f"/settings/targets/{target.pk}/delete/", {"confirm_name": target.address})
        for entry in AuditEntry.objects.filter(action__startswith="target."):
            page = text_of(signed_in(operator).get(f"/audit/{entry.seq}/"))
            assert "https://h.example/... (" in page and "t0k3n" not in page and "0th3r" not in page
        assert AuditEntry.objects.filter(action__startswith="target.").count() == 3

    def test_an_empty_secret_keeps_the_one_that_is_there(self, admin: User) -> None:
        signed_in(admin).post("/settings/targets/new/", self.FORM)
        target = NotificationTarget.objects.get()
        assert "One is set." in text_of(signed_in(admin).get(f"/settings/targets/{target.pk}/"))
        form = self.FORM | {"version": 0, "secret": "", "events": ["job.waits"]}
        signed_in(admin).post(f"/settings/targets/{target.pk}/", form)
        target.refresh_from_db()
        assert (target.secret, target.events) == ("sesame", ["job.waits"])

    @pytest.mark.parametrize(
        "address",
        ["file:///etc/passwd", "ftp://h.example/", "https://", "http:///x", "h.example", "//h.example/x",
         "https://user:pw@h.example/", "https://user@h.example/", "https://h.example/\r\nX: y", "https://h.example/a b",
         "https://h.example:99999/", "https://h.example:0/", "https://h.example/#x", "https://[::1", "http://2130706433/",
         "http://0x7f000001/", "javascript:alert(1)", "https://h.example/" + "x" * 500, "https://h_/", "gopher://h/"],
    )  # fmt: skip
    def test_an_address_to_which_nothing_should_go_is_refused(self, admin: User, address: str) -> None:
        response = signed_in(admin).post("/settings/targets/new/", self.FORM | {"address": address})
        assert (response.status_code, NotificationTarget.objects.count()) == (200, 0)
        assert 'class="error"' in text_of(response)

    @pytest.mark.parametrize("address", ["http://10.0.0.7:8080/a?b=c", "https://[fd00::1]:8443/x", "http://h/"])
    def test_addresses_of_a_private_network_are_fine(self, admin: User, address: str) -> None:
        assert signed_in(admin).post("/settings/targets/new/", self.FORM | {"address": address}).status_code == 302

    @pytest.mark.parametrize("address", ["ops", "a@b@c", "ops@store.example\nBcc: x@y.example", "a@b.c, d@e.f"])
    def test_what_is_no_mail_address_is_refused(self, admin: User, address: str) -> None:
        form = self.FORM | {"kind": "email", "address": address}
        assert signed_in(admin).post("/settings/targets/new/", form).status_code == 200
        assert not NotificationTarget.objects.exists()

    def test_the_same_address_twice_is_refused(self, admin: User) -> None:
        signed_in(admin).post("/settings/targets/new/", self.FORM)
        page = text_of(signed_in(admin).post("/settings/targets/new/", self.FORM))
        assert "It is told already." in page

    @pytest.mark.parametrize("events", [[], ["job.flew"]])
    def test_a_target_is_told_of_something_that_there_is(self, admin: User, events: list[str]) -> None:
        assert signed_in(admin).post("/settings/targets/new/", self.FORM | {"events": events}).status_code == 200

    def test_a_test_to_this_machine_says_that_nothing_is_sent_there(self, admin: User) -> None:
        with web_server() as web:
            target = NotificationTarget.objects.create(address=web.url)
            page = text_of(signed_in(admin).post(f"/settings/targets/{target.pk}/test/", follow=True))
            assert "messages go neither to this machine nor to link-local addresses" in page
            assert web.posted == []

    def test_a_test_shows_the_real_answer(self, admin: User, settings: Any) -> None:
        settings.WEBHOOK_LOOPBACK = True
        with web_server() as web:
            target = NotificationTarget.objects.create(address=web.url, secret="x")
            client = signed_in(admin)
            page = text_of(client.post(f"/settings/targets/{target.pk}/test/", follow=True))
            assert "took the test: 200 OK: thank you" in page
            web.answers = [(418, {}, NASTY.encode())]
            page = text_of(client.post(f"/settings/targets/{target.pk}/test/", follow=True))
            assert "It answered 418" in page and "&lt;img" in page and NASTY not in page
        assert AuditEntry.objects.filter(action="target.test").count() == 2

    def test_deleting_asks_for_its_address(self, admin: User) -> None:
        target = NotificationTarget.objects.create(address="https://h.example/x", secret="sesame")
        client = signed_in(admin)
        client.post(f"/settings/targets/{target.pk}/delete/")
        assert NotificationTarget.objects.exists()
        client.post(f"/settings/targets/{target.pk}/delete/", {"confirm_name": target.address})
        assert not NotificationTarget.objects.exists()
        assert "sesame" not in str(last_entry().detail)

    def test_what_could_not_be_delivered_is_on_the_page(self, admin: User) -> None:
        target = NotificationTarget.objects.create(address="https://h.example/x", events=["job.failed"])
        Delivery.objects.create(target=target, event="job.failed", error=NASTY, outcome="given up")
        Delivery.objects.create(target=target, event="job.failed", error="It answered 503.")
        page = text_of(signed_in(admin).get("/settings/"))
        assert "1 message was given up after a day." in page and "1 message waits." in page
        assert "It answered 503." in page and NASTY not in page
        assert "not delivered" in page

    def test_a_target_that_takes_messages_again_is_in_no_trouble(self, admin: User) -> None:
        target = NotificationTarget.objects.create(address="https://h.example/x", events=["job.failed"])
        now = timezone.now()
        lost = {"error": "It answered 503.", "outcome": "given up", "done_at": now - timedelta(days=2)}
        Delivery.objects.create(target=target, event="job.failed", **lost)
        assert "not delivered" in text_of(signed_in(admin).get("/settings/"))
        Delivery.objects.create(target=target, event="job.failed", outcome="sent", done_at=now)
        page = text_of(signed_in(admin).get("/settings/"))
        assert "not delivered" not in page and "Earlier: 1 message was given up" in page
