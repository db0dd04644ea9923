"""The schedule: each duty is done when it is due, by one machine, and what it leaves does not grow for ever."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from datastores.domain.errors import Unreachable
from datastores.domain.plan import Command, Output
from datastores.domain.states import HostState, JobState, StepState
from datastores.domain.volumes import Capacity
from datastores.drivers.base import StorageDriver
from datastores.jobs import connections, periodic, schedule, watching
from datastores.models import Alert, AuditEntry, Datastore, Duty, Host, HostKey, Job, JobEvent, User
from datastores.models.audit import record, unrecorded_ends
from datastores.services import settings
from datastores.services.alert_facts import gather
from datastores.services.datastores import Measure
from datastores.transport.endpoint import Endpoint
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_datastore, a_host, a_step, write_log

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def hangs() -> int:
    time.sleep(0.5)
    return 0


class TestADuty:
    def test_is_done_once_however_many_machines_have_the_schedule(self) -> None:
        done: list[int] = []
        together = threading.Barrier(4)

        def duty() -> int:
            done.append(1)
            return 1

        def machine() -> None:
            together.wait()
            schedule.take_turn(duty, 60.0)
            connection.close()

        machines = [threading.Thread(target=machine) for _ in range(4)]
        for thread in machines:
            thread.start()
        for thread in machines:
            thread.join()
        assert done == [1]

    def test_is_done_again_when_it_is_due_again(self) -> None:
        assert Duty.take("reconcile", MINUTE)
        assert not Duty.take("reconcile", MINUTE)
        assert 50 < Duty.seconds_left("reconcile") <= 60
        Duty.objects.update(due_at=timezone.now())
        assert Duty.take("reconcile", MINUTE)

    def test_holds_up_no_other(self) -> None:
        assert Duty.take("reconcile", MINUTE)
        assert Duty.take("read_hosts", MINUTE)

    def test_does_not_wait_for_a_clock_that_went_wrong(self) -> None:
        Duty.objects.create(name="reconcile", due_at=timezone.now() + timedelta(days=400))
        assert Duty.take("reconcile", MINUTE)

    def test_that_fails_is_looked_at_again(self) -> None:
        def locked() -> int:
            raise OperationalError("database is locked")

        assert schedule.take_turn(locked, 60.0) == 60.0

    def test_that_is_not_due_is_looked_at_when_it_is(self) -> None:
        assert 50 < schedule.take_turn(lambda: 1, 60.0) <= 60
        Duty.objects.update(due_at=timezone.now() + timedelta(seconds=5))
        assert schedule.take_turn(lambda: 1, 60.0) < 6

    def test_follows_an_interval_that_is_set_anew(self) -> None:
        done: list[int] = []

        def duty() -> int:
            done.append(1)
            return 1

        settings.change("monitoring", 0, {"monitor_seconds": 3600}, "anna")
        assert schedule.take_turn(duty, schedule.monitoring) == schedule.LOOK_SECONDS
        assert schedule.take_turn(duty, schedule.monitoring) == schedule.LOOK_SECONDS
        assert done == [1]
        settings.change("monitoring", 1, {"monitor_seconds": 5}, "anna")
        assert schedule.take_turn(duty, schedule.monitoring) <= 5
        assert done == [1, 1]

    def test_that_takes_long_is_not_late_while_it_is_being_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schedule, "HEARD_SECONDS", 0.02)
        long_ago = timezone.now() - timedelta(hours=1)
        late: list[Any] = []

        def slow() -> int:
            Duty.objects.update(due_at=long_ago, heard_at=long_ago)
            deadline = time.monotonic() + 10
            while Duty.objects.get().heard_at == long_ago and time.monotonic() < deadline:
                time.sleep(0.01)
            late.append(gather([], [], ["slow"]).late)
            return 1

        schedule.take_turn(slow, 60.0)
        assert late == [()]

    def test_that_is_due_and_of_which_nobody_heard_for_two_minutes_is_late(self) -> None:
        now = timezone.now()
        for name, heard in (("killed", 121), ("being_done", 60)):
            Duty.objects.create(name=name, due_at=now - 11 * MINUTE, heard_at=now - timedelta(seconds=heard))
        assert [name for name, _ in gather([], [], ["killed", "being_done"]).late] == ["killed"]

    def test_that_hangs_is_late_in_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(schedule, "HEARD_SECONDS", 0.01)
        monkeypatch.setattr(schedule, "LONGEST_SECONDS", 0.03)
        beats: list[str] = []
        monkeypatch.setattr(Duty, "beat", beats.append)
        schedule.take_turn(hangs, 60.0)
        assert beats == ["hangs"] * 3

    def test_that_ends_soon_beats_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def beating() -> list[str]:
            return [thread.name for thread in threading.enumerate() if thread.name == "beat"]

        schedule.take_turn(lambda: len(beating()), 60.0)
        assert beating() == []

    def test_has_the_interval_of_the_settings(self) -> None:
        settings.change("monitoring", 0, {"monitor_seconds": 7}, "anna")
        every = {duty.__name__: seconds() for duty, seconds in schedule.DUTIES if callable(seconds)}
        assert every == {
            "measure_datastores": 7,
            "read_volumes": 7,
            "measure_rooms": 7,
            "find_again": 7,
            "read_hosts": 105,
        }


class TestWatching:
    @pytest.fixture(autouse=True)
    def _no_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watching, "machinery", lambda: ([], []))

    def test_what_is_wrong_with_the_cloud_becomes_an_alert(self) -> None:
        a_host("kvm-1", state=HostState.QUARANTINED)
        assert schedule.evaluate_alerts() == 1
        assert schedule.evaluate_alerts() == 0
        assert Alert.objects.get().label == "kvm-1"

    def test_a_duty_that_nobody_does_any_more_becomes_one_and_one_of_a_former_version_does_not(self) -> None:
        long_ago = timezone.now() - timedelta(hours=1)
        for name in ("measure_datastores", "phase_of_the_moon"):
            Duty.objects.create(name=name, due_at=long_ago)
        schedule.evaluate_alerts()
        assert list(Alert.objects.values_list("subject", flat=True)) == ["duty:measure_datastores"]

    def test_ends_of_jobs_of_all_kinds_are_counted(self, admin: User) -> None:
        record("host.read", user=None, result="succeeded")
        assert (watching.count_ends(), watching.count_ends()) == (1, 0)


class TestForgetting:
    def read(self, user: User | None = None, *, days: int = 30, **fields: Any) -> Job:
        """A reading of a host, with its step and its log; of the schedule unless somebody asked for it."""
        ended_at = timezone.now() - timedelta(days=days)
        values = {"user": user, "user_label": user.username if user else "cloudstore", "title": "Read h1",
                  "kind": "host.read", "state": JobState.SUCCEEDED, "ended_at": ended_at} | fields  # fmt: skip
        job = Job.objects.create(**values)
        a_step(job, state=StepState.UNCHANGED)
        write_log(job, "already so")
        return job

    def test_the_unremarkable_readings_of_the_schedule_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(periodic, "FORGOTTEN_AT_ONCE", 2)
        for _ in range(5):
            record("host.read", user=None, job=self.read(), result=JobState.SUCCEEDED)
        assert periodic.forget_reads() == 5
        assert not Job.objects.exists()
        assert not JobEvent.objects.exists()
        assert AuditEntry.objects.count() == 5
        assert unrecorded_ends() == []

    @pytest.mark.parametrize(
        "fields",
        [{"days": 1}, {"state": JobState.FAILED}, {"kind": "host.onboard"}, {"user_label": "somebody deleted"}],
    )
    def test_what_is_new_or_failed_or_anybody_else_s_stays(self, fields: dict[str, Any]) -> None:
        self.read(**fields)
        assert periodic.forget_reads() == 0

    def test_they_are_kept_for_as_long_as_is_set(self) -> None:
        self.read(days=3)
        assert periodic.forget_reads() == 0
        settings.change("retention", 0, {"keep_reads_days": 2}, "anna")
        assert periodic.forget_reads() == 1

    def test_what_a_person_asked_for_stays(self, operator: User) -> None:
        self.read(operator)
        assert periodic.forget_reads() == 0

    def test_what_changed_something_stays(self) -> None:
        a_step(self.read(), state=StepState.CHANGED)
        assert periodic.forget_reads() == 0


class Storage:
    """Storage hosts: ``gone`` ones do not answer before a datastore of each other one was measured."""

    def __init__(self, *gone: str) -> None:
        self.gone = set(gone)
        self.asked: list[str] = []
        self.others_done = threading.Event()

    def connect(self, name: str) -> FakeShell:
        return FakeShell(name, {})

    def measure(self, driver: StorageDriver, shell: FakeShell) -> Measure:
        self.asked.append(shell.host)
        if shell.host in self.gone:
            assert self.others_done.wait(10)
            raise Unreachable(f"{shell.host} does not answer")
        return Measure(Capacity(100, 30, 70), ())


class TestMeasuring:
    @pytest.fixture
    def storage(self, monkeypatch: pytest.MonkeyPatch) -> Storage:
        """The hosts h1, which does not answer, and h2."""
        storage = Storage("h1")
        remember = periodic.remember

        def remembered(datastore: Datastore, found: Measure | Exception) -> bool:
            if isinstance(found, Measure):
                storage.others_done.set()
            return remember(datastore, found)

        monkeypatch.setattr(periodic, "measure", storage.measure)
        monkeypatch.setattr(periodic, "remember", remembered)
        monkeypatch.setattr(periodic, "connector", lambda: storage.connect)
        return storage

    def test_a_host_that_does_not_answer_holds_up_no_other(self, storage: Storage) -> None:
        h1, h2 = a_host("h1"), a_host("h2")
        lost = [a_datastore(hosts=[h1]) for _ in range(3)]
        measured = a_datastore(hosts=[h2])
        assert periodic.measure_datastores() == 1
        measured.refresh_from_db()
        assert (measured.total, measured.used, measured.free) == (100, 30, 70)
        assert set(Datastore.objects.filter(error__endswith="h1 does not answer")) == set(lost)
        assert storage.asked.count("h1") == 1

    @pytest.mark.parametrize("fields", [{"maintenance": True}, {"state": HostState.UNREACHABLE}])
    def test_one_that_may_not_be_spoken_to_is_not_asked(self, storage: Storage, fields: dict[str, Any]) -> None:
        a_datastore(hosts=[a_host("h1", **fields), a_host("h2")])
        assert periodic.measure_datastores() == 0
        assert storage.asked == []

    def test_a_defect_is_told_and_holds_up_no_other(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(periodic, "measure", lambda driver, shell: 1 // (driver.base != "/srv/odd"))
        a_datastore(base="/srv/odd")
        assert periodic.measure_datastores() == 0
        assert "ZeroDivisionError" in caplog.text


def test_a_storage_host_that_does_not_answer_keeps_no_other_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []
    all_warm = threading.Event()

    class Shell(FakeShell):
        def run(self, command: Command) -> Output:
            if self.host == "a-dead":
                all_warm.wait(10)
                raise Unreachable("a-dead does not answer")
            warmed.append(self.host)
            if len(warmed) == 2:
                all_warm.set()
            return said()

    class Pool:
        def shell(self, endpoint: Endpoint, *, passing: bool = False) -> Shell:
            return Shell(endpoint.name, {})

    monkeypatch.setattr(connections, "pool", Pool)
    for name in ("a-dead", "h1", "h2"):
        a_datastore(hosts=[a_host(name)])
    a_datastore(hosts=[a_host("h3", state=HostState.UNREACHABLE)])
    used: dict[str, float] = {}
    connections.look(used, connections.Background("warm", 2))
    assert all_warm.wait(10)
    assert sorted(warmed) == ["h1", "h2"] and set(used) == {"a-dead", "h1", "h2"}


def a_known_host(name: str = "h1", **fields: Any) -> Host:
    """A host that was onboarded."""
    host = a_host(name, facts_at=timezone.now(), **fields)
    HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=timezone.now())
    return host


class TestReadingHosts:
    @pytest.fixture
    def host(self, admin: User) -> Host:
        return a_known_host()

    def test_one_that_did_not_answer_is_read_as_soon_as_it_does(
        self, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost = {name: a_known_host(name, state=HostState.UNREACHABLE) for name in ("back", "away")}
        a_known_host("well")
        a_known_host("mended", state=HostState.UNREACHABLE, maintenance=True)

        def connect(name: str) -> FakeShell:
            return FakeShell(name, {("true",): Unreachable(f"{name} does not answer")} if name == "away" else {})

        monkeypatch.setattr(periodic, "connector", lambda: connect)
        assert periodic.find_again() == 1
        assert [job.host for job in Job.objects.all()] == [lost["back"]]

    def test_one_that_is_being_read_is_not_asked_again(self, host: Host) -> None:
        assert periodic.read_hosts() == 1
        assert periodic.read_hosts() == 0
        assert host.jobs.count() == 1

    def test_one_that_cannot_be_read_holds_up_nobody_else(self, host: Host) -> None:
        a_host("a-first", facts_at=timezone.now())
        assert periodic.read_hosts() == 1
