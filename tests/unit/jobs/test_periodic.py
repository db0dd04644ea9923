"""The schedule: each duty is done when it is due, by one machine, and what it leaves does not grow for ever."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from datastores.domain.states import JobState, StepState
from datastores.jobs import periodic
from datastores.models import AuditEntry, Duty, Host, HostKey, Job, JobEvent, User
from datastores.models.audit import record, unrecorded_ends
from tests.unit.conftest import a_host, a_step, write_log

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


class TestADuty:
    def test_is_done_once_however_many_machines_have_the_schedule(self) -> None:
        done: list[int] = []
        together = threading.Barrier(4)

        def duty() -> int:
            done.append(1)
            return 1

        def machine() -> None:
            together.wait()
            periodic.take_turn(duty, 60.0)
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

        assert periodic.take_turn(locked, 60.0) == 60.0

    def test_that_is_not_due_is_looked_at_when_it_is(self) -> None:
        assert 50 < periodic.take_turn(lambda: 1, 60.0) <= 60
        Duty.objects.update(due_at=timezone.now() + timedelta(seconds=5))
        assert periodic.take_turn(lambda: 1, 60.0) < 6


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

    def test_what_a_person_asked_for_stays(self, operator: User) -> None:
        self.read(operator)
        assert periodic.forget_reads() == 0

    def test_what_changed_something_stays(self) -> None:
        a_step(self.read(), state=StepState.CHANGED)
        assert periodic.forget_reads() == 0


class TestReadingHosts:
    @pytest.fixture
    def host(self, admin: User) -> Host:
        """A host that may be spoken to."""
        host = a_host(facts_at=timezone.now())
        HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=timezone.now())
        return host

    def test_one_that_is_being_read_is_not_asked_again(self, host: Host) -> None:
        assert periodic.read_hosts() == 1
        assert periodic.read_hosts() == 0
        assert host.jobs.count() == 1

    def test_one_that_cannot_be_read_holds_up_nobody_else(self, host: Host) -> None:
        a_host("a-first", facts_at=timezone.now())
        assert periodic.read_hosts() == 1
