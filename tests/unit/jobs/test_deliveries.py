"""What people are told, to servers that really listen."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.errors import HostKeyChanged, NotConnected
from datastores.domain.states import HostState, JobState
from datastores.jobs import attempts, deliveries, ends, messengers, reconcile
from datastores.jobs.deliveries import deliver, try_out
from datastores.jobs.messengers import NotDelivered
from datastores.jobs.quarantine import quarantine_after
from datastores.models import Delivery, Host, Job, Notice, NotificationTarget
from datastores.models.jobs import AUTOMATIC_ATTEMPTS
from datastores.services import settings as kept
from datastores.services.hosts import HostRead
from datastores.services.notifications import EVENTS, tell
from tests.fakes import FakeShell
from tests.unit.conftest import a_host, a_job
from tests.unit.jobs.conftest import Ask, work
from tests.unit.jobs.servers import Post, Web, mail_server, web_server

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    """The servers of these tests are on this machine."""
    settings.WEBHOOK_LOOPBACK = True


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def a_target(address: str, kind: str = "webhook", **fields: Any) -> NotificationTarget:
    return NotificationTarget.objects.create(kind=kind, address=address, **({"events": list(EVENTS)} | fields))


@pytest.fixture
def hook(web: Web) -> NotificationTarget:
    return a_target(web.url, secret="sesame")


def later(seconds: float = 60) -> None:
    """Let time go by for what waits."""
    back = timedelta(seconds=seconds)
    for notice in Notice.objects.all():
        Notice.objects.filter(pk=notice.pk).update(at=notice.at - back)
    for delivery in Delivery.objects.all():
        moments = {"due_at": delivery.due_at - back, "created_at": delivery.created_at - back}
        Delivery.objects.filter(pk=delivery.pk).update(**moments)


class TestWebhook:
    def test_gets_signed_json(self, hook: NotificationTarget, web: Web) -> None:
        kept.change("notifications", 0, {"base_url": "https://store.example"}, "anna")
        tell("alert.began", "gold is full", "97 % used", "/datastores/1/", "alert:1")
        later()
        assert deliver() == 1
        posted = web.posted[0]
        signature = hmac.new(b"sesame", posted.body, hashlib.sha256).hexdigest()
        assert posted.headers["X-Cloudstore-Signature"] == f"sha256={signature}"
        said = json.loads(posted.body)
        assert said["id"] == posted.headers["X-Cloudstore-Delivery"] == str(Delivery.objects.get().uuid)
        assert (said["event"], said["subject"], said["text"], said["count"], said["key"], said["url"]) == (
            "alert.began", "gold is full", "97 % used", 1, "alert:1", "https://store.example/datastores/1/",
        )  # fmt: skip
        assert (Notice.objects.count(), Delivery.objects.get().outcome) == (0, "sent")
        later()
        assert (deliver(), len(web.posted)) == (0, 1)

    def test_without_a_secret_is_not_signed(self, web: Web) -> None:
        try_out(a_target(web.url))
        assert "X-Cloudstore-Signature" not in web.posted[0].headers

    def test_follows_no_redirect(self, hook: NotificationTarget, web: Web) -> None:
        web.answers = [(302, {"Location": f"http://127.0.0.1:{web.port}/elsewhere"}, b"")]
        with pytest.raises(NotDelivered, match=r"It answered 302. Redirects are not followed"):
            try_out(hook)
        assert [posted.path for posted in web.posted] == ["/hook"]

    def test_says_what_was_answered(self, hook: NotificationTarget, web: Web) -> None:
        assert try_out(hook) == "200 OK: thank you"
        web.answers = [(403, {}, b"<b>no\r\nway</b>\x00" + b"x" * 9999)]
        with pytest.raises(NotDelivered, match="It answered 403 Forbidden: <b>no way</b> xxx") as refused:
            try_out(hook)
        assert len(str(refused.value)) < 300

    def test_what_is_kept_of_an_answer_does_not_tell_the_path(self, web: Web) -> None:
        web.answers = [(404, {}, b"no such hook: /services/T0KEN?key=s3cret-key")]
        with pytest.raises(NotDelivered) as refused:
            try_out(a_target(web.url.replace("/hook", "/services/T0KEN?key=s3cret-key")))
        assert "404" in str(refused.value) and "no such hook" in str(refused.value)
        assert "T0KEN" not in str(refused.value) and "s3cret" not in str(refused.value)

    def test_that_is_not_there_is_told(self) -> None:
        with pytest.raises(NotDelivered, match=r"127.0.0.1 could not be reached: Connection refused\.$"):
            try_out(a_target("http://127.0.0.1:1/"))

    def test_that_dribbles_for_ever_is_cut_off(
        self, hook: NotificationTarget, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(messengers, "DEADLINE", 0.3)
        web.dribbles = True
        started = time.monotonic()
        with pytest.raises(NotDelivered):
            try_out(hook)
        assert time.monotonic() - started < 5

    @pytest.mark.parametrize("address", ["file:///etc/passwd", "http://u:p@h/", "gopher://h/", "http:///x"])
    def test_that_was_written_into_the_database_by_hand_is_judged_again(self, address: str) -> None:
        with pytest.raises(NotDelivered):
            try_out(a_target(address))


class TestMail:
    def test_arrives(self, post: Post) -> None:
        a_target("ops@store.example", "email")
        tell("job.failed", "Clone gold failed", "No space.", "/jobs/1/")
        later()
        assert deliver() == 1
        ((to, letter),) = post.letters
        assert to == ["ops@store.example"]
        assert letter["Subject"] == "[cloudstore] Clone gold failed"
        assert letter["Message-ID"] == f"<{Delivery.objects.get().uuid}@cloudstore>"
        assert "No space." in letter.get_content()

    def test_holds_no_header_that_somebody_put_into_a_name(self, post: Post) -> None:
        a_target("ops@store.example", "email")
        tell("job.failed", "Clone x\r\nBcc: all@store.example\u2028\x00\r\n\r\nbody failed")
        later()
        assert deliver() == 1
        letter = post.letters[0][1]
        assert letter["Bcc"] is None
        assert letter["Subject"] == "[cloudstore] Clone x Bcc: all@store.example body failed"
        assert post.letters[0][0] == ["ops@store.example"]

    def test_that_the_server_refuses_says_why(self, post: Post) -> None:
        post.refuses = "550 no such user here"
        with pytest.raises(NotDelivered, match="550"):
            try_out(a_target("nobody@store.example", "email"))

    @pytest.mark.parametrize("word", [b"HELO", b"EHLO", b"MAIL", b"DATA"])
    def test_to_a_server_that_dribbles_for_ever_is_cut_off(
        self, post: Post, word: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(messengers, "DEADLINE", 0.3)
        post.dribbles = word
        started = time.monotonic()
        with pytest.raises(NotDelivered, match="did not take it: it did not answer in time"):
            try_out(a_target("ops@store.example", "email"))
        assert time.monotonic() - started < 5

    def test_that_was_taken_is_sent_though_the_server_does_not_say_goodbye(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(messengers, "GOODBYE", 0.2)
        post.dribbles = b"QUIT"
        assert "took it" in try_out(a_target("ops@store.example", "email"))
        assert len(post.letters) == 1

    def test_without_a_server_says_what_to_set(self, settings: Any) -> None:
        settings.EMAIL_HOST = ""
        with pytest.raises(NotDelivered, match="CLOUDSTORE_SMTP_HOST"):
            try_out(a_target("ops@store.example", "email"))


class TestDelivery:
    def test_a_flood_is_one_message_with_a_count(self, hook: NotificationTarget, web: Web) -> None:
        for number in range(1000):
            tell("job.failed", f"Clone {number} failed")
        tell("host.unreachable", "h1 does not answer")
        later()
        assert deliver() == 2
        flood, host = (json.loads(posted.body) for posted in web.posted)
        assert (flood["count"], flood["subject"]) == (1000, "1,000 times: a job failed")
        assert [item["subject"] for item in flood["items"]] == [f"Clone {number} failed" for number in range(20)]
        assert (host["count"], host["subject"]) == (1, "h1 does not answer")

    def test_the_first_waits_a_moment_for_the_others(self, hook: NotificationTarget, web: Web) -> None:
        tell("job.failed", "one")
        assert (deliver(), Notice.objects.count()) == (0, 1)

    def test_only_who_wants_to_hear_of_it_does(self, web: Web) -> None:
        a_target(web.url, events=["job.waits"])
        a_target(f"{web.url}/off", enabled=False)
        assert (tell("job.failed", "x"), tell("job.waits", "y")) == (0, 1)

    def test_an_unknown_event_is_a_defect(self) -> None:
        with pytest.raises(ValueError, match=r"no event job\.flew"):
            tell("job.flew", "x")

    def test_it_is_tried_again_with_growing_pauses_and_the_same_id(self, hook: NotificationTarget, web: Web) -> None:
        web.answers = [(503, {}, b"later")] * 2
        tell("job.failed", "x")
        later()
        assert deliver() == 0
        row = Delivery.objects.get()
        assert (row.attempts, row.error, row.outcome) == (1, "It answered 503 Service Unavailable: later.", "")
        assert 25 < (row.due_at - timezone.now()).total_seconds() <= 30
        assert (deliver(), len(web.posted)) == (0, 1)
        later(31)
        assert deliver() == 0
        assert 55 < (Delivery.objects.get().due_at - timezone.now()).total_seconds() <= 60
        later(61)
        assert deliver() == 1
        assert len({posted.headers["X-Cloudstore-Delivery"] for posted in web.posted}) == 1

    def test_it_is_given_up_after_a_day(self, hook: NotificationTarget, web: Web) -> None:
        web.answers = [(500, {}, b"")] * 2
        tell("job.failed", "x")
        later()
        deliver()
        later(24 * 3600)
        assert deliver() == 0
        row = Delivery.objects.get()
        assert (row.outcome, row.error, len(web.posted)) == ("given up", "It answered 500 Internal Server Error.", 1)

    def test_what_a_dead_process_had_claimed_is_sent_later_with_the_same_id(
        self, hook: NotificationTarget, web: Web
    ) -> None:
        tell("job.failed", "x")
        later()
        deliveries.gather()
        (lane,) = deliveries.claimed()
        deliveries.send_lane(lane, SimpleQueue())
        assert deliver() == 0  # it died before it stored that it was sent
        later(deliveries.CLAIM.total_seconds() + 1)
        assert deliver() == 1
        assert len({posted.headers["X-Cloudstore-Delivery"] for posted in web.posted}) == 1

    def test_what_another_machine_claims_is_not_sent_twice(self, hook: NotificationTarget, web: Web) -> None:
        tell("job.failed", "x")
        later()
        deliveries.gather()
        as_read = Delivery.objects.get()
        assert deliveries.claim(Delivery.objects.get())
        assert not deliveries.claim(as_read)
        assert (deliver(), web.posted) == (0, [])

    def test_notices_that_another_machine_put_together_are_not_told_twice(self, hook: NotificationTarget) -> None:
        tell("job.failed", "x")
        last = Notice.objects.get().pk
        deliveries.put_together(hook.pk, "job.failed", last)
        deliveries.put_together(hook.pk, "job.failed", last)
        assert Delivery.objects.count() == 1

    def test_a_target_that_is_away_holds_up_no_other(self, hook: NotificationTarget, web: Web) -> None:
        a_target("http://127.0.0.1:1/")
        tell("job.failed", "x")
        later()
        assert deliver() == 1
        assert sorted(Delivery.objects.values_list("outcome", flat=True)) == ["", "sent"]

    def test_after_one_that_is_not_taken_the_others_wait(self, hook: NotificationTarget, web: Web) -> None:
        web.answers = [(500, {}, b"")]
        tell("job.failed", "x")
        tell("job.waits", "y")
        later()
        assert (deliver(), len(web.posted)) == (0, 1)
        later()
        assert deliver() == 2

    def test_a_target_that_is_deleted_takes_its_messages_along(self, hook: NotificationTarget, web: Web) -> None:
        tell("job.failed", "x")
        hook.delete()
        later()
        assert (deliver(), Notice.objects.count(), web.posted) == (0, 0, [])

    def test_what_was_sent_long_ago_is_forgotten(self, hook: NotificationTarget) -> None:
        tell("job.failed", "x")
        later()
        deliver()
        assert deliveries.forget_deliveries() == 0
        Delivery.objects.update(done_at=timezone.now() - timedelta(days=31))
        assert deliveries.forget_deliveries() == 1

    def test_it_stands_or_falls_with_what_it_tells(self, hook: NotificationTarget) -> None:
        from django.db import transaction

        with transaction.atomic():
            tell("job.failed", "x")
            transaction.set_rollback(True)
        assert not Notice.objects.exists()


def wait_for(true: Callable[[], Any]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)


@pytest.mark.django_db(transaction=True)
class TestWhoIsSlow:
    """What is still on its way when a round ends is remembered beside the next ones."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(deliveries, "ROUND", 0.2)
        monkeypatch.setattr(messengers, "DEADLINE", 1.5)
        yield
        wait_for(lambda: not deliveries.under_way)

    @pytest.fixture
    def slow(self) -> Iterator[Web]:
        with web_server() as server:
            server.dribbles = True
            yield server

    def test_holds_up_no_other_and_is_sent_nothing_twice(self, hook: NotificationTarget, web: Web, slow: Web) -> None:
        other = a_target(slow.url)
        tell("job.failed", "x")
        later()
        assert deliver() == 1
        tell("job.waits", "y")
        later()
        assert deliver() == 1
        assert (len(web.posted), len(slow.posted), deliveries.under_way) == (2, 1, {other.pk: "webhook"})
        attempts = Delivery.objects.filter(target=other).order_by("pk").values_list("attempts", flat=True)
        assert list(attempts) == [1, 0]
        wait_for(lambda: Delivery.objects.filter(target=other).exclude(error="").exists())
        told = Delivery.objects.filter(target=other).first()
        assert told and "did not answer in time" in told.error
        assert 20 < (told.due_at - timezone.now()).total_seconds() <= 30
        assert len(slow.posted) == 1

    def test_is_remembered_without_another_round(self, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting = threading.Event()
        send = messengers.send
        monkeypatch.setattr(deliveries, "send", lambda *args: (waiting.wait(5), send(*args))[1])
        a_target(web.url)
        tell("job.failed", "x")
        later()
        assert deliver() == 0
        waiting.set()
        wait_for(lambda: Delivery.objects.get().outcome == "sent")
        assert (deliver(), len(web.posted)) == (0, 1)

    def test_mail_takes_no_turn_of_a_webhook(
        self, hook: NotificationTarget, web: Web, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post.dribbles = b"HELO"
        for number in range(deliveries.LANES["email"] + 3):
            a_target(f"ops{number}@store.example", "email")
        tell("job.failed", "x")
        later()
        assert deliver() == 1
        assert (post.connected, len(web.posted)) == (deliveries.LANES["email"], 1)
        assert deliver() == 0
        claims = Delivery.objects.filter(target__kind="email", attempts=1).count()
        assert (post.connected, claims) == (deliveries.LANES["email"],) * 2

    def test_what_claims_do_not_last_for_is_not_begun(self, hook: NotificationTarget, web: Web) -> None:
        tell("job.failed", "x")
        later()
        deliveries.gather()
        (lane,) = deliveries.claimed()
        found: SimpleQueue[Any] = SimpleQueue()
        deliveries.send_lane(replace(lane, until=time.monotonic() + 1), found)
        assert (found.get_nowait(), found.empty(), web.posted) == (None, True, [])


class TestEvents:
    @pytest.fixture(autouse=True)
    def _target(self, db: None) -> None:
        a_target("http://127.0.0.1:1/")

    def told(self) -> list[tuple[str, str]]:
        return list(Notice.objects.order_by("pk").values_list("event", "subject"))

    def test_a_job_that_waits(self, ask: Ask, shell: FakeShell) -> None:
        job = work(ask("test.approved"))
        assert self.told() == [("job.waits", "Set flags waits for approval")]
        assert Notice.objects.get().url == f"/jobs/{job.uuid}/plan/"

    def test_a_job_that_succeeds_tells_nothing(self, ask: Ask, shell: FakeShell) -> None:
        work(ask())
        assert self.told() == []

    def test_a_job_that_fails(self, ask: Ask, shell: FakeShell) -> None:
        shell.answers["get", "a"] = NotConnected("h1 is away.")
        job = work(ask())
        assert self.told() == [("job.failed", "Set flags failed")]
        assert Notice.objects.get().text == job.error

    def test_a_defect(self, ask: Ask, shell: FakeShell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attempts, "steps_of", lambda plan: 1 / 0)
        work(ask())
        assert self.told() == [("job.failed", "Set flags errored")]

    def test_a_job_that_is_given_up_is_told_once(self, ask: Ask) -> None:
        job = ask()
        long_ago = timezone.now() - 2 * reconcile.PATIENCE
        Job.objects.update(state=JobState.RUNNING, worker="w", heartbeat_at=long_ago, resumed=AUTOMATIC_ATTEMPTS)
        reconcile.reconcile()
        reconcile.reconcile()
        assert self.told() == [("job.given_up", "Set flags was given up")]
        assert "The worker w died." in Notice.objects.get().text
        job.refresh_from_db()
        assert job.is_given_up

    def test_a_host_that_does_not_answer_is_told_once(self) -> None:
        host = a_host("h1")
        job = Job(kind="host.read", host=host)
        HostRead().unreachable(job, "no route")
        HostRead().unreachable(job, "no route")
        assert self.told() == [("host.unreachable", "h1 does not answer")]
        assert Host.objects.get().state == HostState.UNREACHABLE

    def test_a_host_with_another_key(self) -> None:
        a_host("h1")
        line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
        for _ in range(2):
            quarantine_after(HostKeyChanged("h1", "SHA256:a", "SHA256:b", line))
        assert self.told() == [("host.quarantined", "h1 is in quarantine")]

    def test_what_the_schedule_could_not_read_is_told_of_the_host_only(self, admin: Any) -> None:
        job = a_job(admin, "host.read")
        job.user = None
        ends.tell_failed([job], JobState.FAILED, "x")
        assert self.told() == []
        ends.tell_failed([job], JobState.ERRORED, "x")
        assert len(self.told()) == 1
