"""What load balancers, supervisors and Prometheus ask: no sign-in, and no secrets for strangers."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from cloudstore import __main__ as up
from cloudstore import readiness
from datastores.domain.alert_facts import WorkerFacts
from datastores.models import Duty
from datastores.web import metrics as metrics_module

STRANGER = {"REMOTE_ADDR": "10.1.2.3"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from one test to the next."""
    monkeypatch.setattr(readiness, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(metrics_module, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(metrics_module, "machinery", lambda: ([], []))


@pytest.fixture
def ready(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Everything is there."""
    workers = [WorkerFacts("w", "m1", tuple(settings.QUEUES), 1.0)]
    monkeypatch.setattr(readiness, "seen_workers", lambda: workers)
    Duty.objects.create(name=readiness.PULSE, due_at=timezone.now() + timedelta(seconds=10))


def asked(path: str, **environment: str) -> Any:
    return Client().get(path, **environment)  # type: ignore[arg-type]


def failed_checks() -> dict[str, str]:
    answer = asked("/readyz")
    found = {name: check["words"] for name, check in answer.json()["checks"].items() if not check["ok"]}
    assert answer.status_code == (503 if found else 200)
    return found


def test_healthz_asks_nobody(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        answer = asked("/healthz", **STRANGER)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_only_reading(path: str, db: None) -> None:
    assert Client().post(path).status_code == 405


def test_ready(ready: None) -> None:
    answer = asked("/readyz")
    assert answer.status_code == 200
    assert set(answer.json()["checks"]) == {"database", "migrations", "redis", "workers", "schedule", "disk"}
    assert failed_checks() == {}


def test_strangers_learn_names_of_checks_and_no_more(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "seen_workers", lambda: [])
    answer = asked("/readyz", **STRANGER)
    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"] == {"ok": False}
    assert "interactive" not in answer.content.decode()
    assert "interactive" in asked("/readyz").content.decode()


def test_a_schedule_that_stopped(ready: None) -> None:
    Duty.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    assert failed_checks() == {"schedule": "It was due 5 min ago."}
    Duty.objects.update(heard_at=timezone.now() - timedelta(seconds=30))
    assert failed_checks() == {}, "it is being done, and takes long"
    Duty.objects.update(heard_at=timezone.now() - timedelta(minutes=3))
    assert failed_checks() == {"schedule": "It was due 5 min ago."}
    Duty.objects.all().delete()
    assert failed_checks() == {"schedule": "It has never run."}


def test_a_queue_whose_worker_is_not_heard_of(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [WorkerFacts("a", "m1", ("interactive", "provision", "monitor"), 1.0),
             WorkerFacts("b", "m1", ("transfer",), 500.0)]  # fmt: skip
    monkeypatch.setattr(readiness, "seen_workers", lambda: known)
    assert failed_checks() == {"workers": "No worker was heard of lately for transfer."}


def test_a_redis_that_does_not_answer(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def away() -> list[WorkerFacts]:
        asked.append(1)
        raise RedisAway("refused")

    monkeypatch.setattr(readiness, "seen_workers", away)
    assert set(failed_checks()) == {"redis", "workers"}
    assert len(asked) == 1, "each try may take seconds"


def test_a_database_that_does_not_answer(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        assert set(failed_checks()) == {"database", "migrations", "schedule"}


def test_a_schema_that_is_older_than_the_code(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = readiness.expected_migrations() | {("datastores", "9999_later")}
    monkeypatch.setattr(readiness, "expected_migrations", lambda: newer)
    assert failed_checks() == {"migrations": "Not applied: datastores.9999_later."}


Room = namedtuple("Room", "f_bavail f_frsize f_files f_favail")


@pytest.mark.parametrize(
    ("room", "words"),
    [(Room(1, 4096, 0, 0), "4 KiB are free where the data are."),
     (Room(1 << 20, 4096, 10_000, 10), "10 inodes are free where the data are."),
     (Room(1 << 20, 4096, 0, 0), "")],
)  # fmt: skip
def test_a_disk_that_is_full(ready: None, monkeypatch: pytest.MonkeyPatch, room: Room, words: str) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    assert failed_checks().get("disk", "") == words


def test_many_who_ask_at_once_are_one_look(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 60.0)
    monkeypatch.setattr(readiness, "look", lambda: looks.append(1) or [])
    shared = readiness.Shared()
    for _ in range(5):
        shared.checks()
    assert looks == [1]


class TestWhoMayReadTheMetrics:
    @pytest.fixture(autouse=True)
    def _rows(self, db: None) -> None: ...

    def test_this_machine_while_there_is_no_token(self) -> None:
        for address in ("127.0.0.1", "127.9.9.9", "::1"):
            assert asked("/metrics", REMOTE_ADDR=address).status_code == 200

    @pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "", "x", "127.0.0.1.evil.example"])
    def test_no_other(self, address: str) -> None:
        answer = asked("/metrics", REMOTE_ADDR=address)
        assert answer.status_code == 401
        assert b"cloudstore_" not in answer.content

    @pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_VIA"])
    def test_who_comes_through_a_proxy_on_this_machine_is_not_on_it(self, header: str) -> None:
        assert asked("/metrics", **{header: "127.0.0.1"}).status_code == 401

    @pytest.mark.parametrize(("name", "value"), [("HTTPS", True), ("CSRF_TRUSTED_ORIGINS", ["https://a.example"])])
    def test_behind_a_proxy_a_token_is_needed(self, settings: Any, name: str, value: object) -> None:
        setattr(settings, name, value)
        assert asked("/metrics").status_code == 401

    def test_who_has_the_token(self, settings: Any) -> None:
        settings.METRICS_TOKEN = "s3cret"
        for given in ("Bearer s3cret", "bearer  s3cret "):
            assert asked("/metrics", HTTP_AUTHORIZATION=given, **STRANGER).status_code == 200

    @pytest.mark.parametrize(
        "given", ["", "Bearer", "Bearer ", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer \xe9"]
    )
    def test_with_a_token_nobody_without_it(self, settings: Any, given: str) -> None:
        settings.METRICS_TOKEN = "s3cret"
        answer = asked("/metrics", HTTP_AUTHORIZATION=given)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')

    def test_who_watches_is_not_sent_to_the_proxy(self, settings: Any) -> None:
        settings.SECURE_SSL_REDIRECT = True
        assert asked("/healthz").status_code == 200
        assert asked("/hosts/").status_code == 301


class TestStarting:
    """``cloudstore up`` waits for pages that are answered and have what they need."""

    @pytest.fixture
    def url(self, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setattr(readiness, "seen_workers", lambda: [])
        yield f"{live_server.url}/"

    @pytest.mark.django_db(transaction=True)
    def test_workers_may_come_later(self, url: str) -> None:
        assert up.what_is_missing(url) == ""

    @pytest.mark.django_db(transaction=True)
    def test_redis_may_not(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def away() -> list[WorkerFacts]:
            raise RedisAway("refused")

        monkeypatch.setattr(readiness, "seen_workers", away)
        assert up.what_is_missing(url) == "redis"

    def test_nobody_there(self) -> None:
        assert "refused" in up.what_is_missing("http://127.0.0.1:9/")
