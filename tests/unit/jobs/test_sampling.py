"""Samples are taken of every host that answers; of one that does not, it is known at once."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from datastores.domain.errors import HostKeyChanged, TimedOut, Unreachable
from datastores.domain.plan import Command, Output
from datastores.domain.states import HostState
from datastores.domain.volumes import Capacity
from datastores.hosts.sights import Sight, look_at
from datastores.hosts.vitals import Vitals
from datastores.jobs import periodic, sampling, schedule
from datastores.models import DatastoreSample, Host, HostKey, HostSample, Job, User
from datastores.services.datastores import Measure
from tests.fakes import FakeShell, said
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, an_image
from tests.unit.hosts.test_vitals import outputs

pytestmark = pytest.mark.django_db(transaction=True)
ANSWERS = {command.argv: output for command, output in zip(Vitals.reads(), outputs(), strict=True)}
LOAD = Vitals.reads()[0].argv
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
"""RFC 8709-shaped, of no host."""


def a_known_host(name: str, **fields: Any) -> Host:
    host = a_host(name, **fields)
    HostKey.objects.create(host=host, line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=timezone.now())
    return host


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeShell]:
    """What each host answers, by its name; one that is not listed is well."""
    shells: dict[str, FakeShell] = {}

    def connect(name: str) -> FakeShell:
        return shells.setdefault(name, FakeShell(name, ANSWERS))

    monkeypatch.setattr(sampling, "connector", lambda passing=False: connect)
    return shells


class TestHosts:
    def test_each_is_asked_in_one_round_trip(self, hosts: dict[str, FakeShell]) -> None:
        for name in ("h1", "h2"):
            a_host(name)
        assert periodic.sample_hosts() == 2
        assert {shell.round_trips for shell in hosts.values()} == {1}
        sample = Host.objects.get(name="h1").samples.get()
        assert (sample.load, sample.root_used, sample.root_total) == (0.52, 3000 * 4096, 5000 * 4096)
        assert 0 < sample.latency < 1000
        assert HostSample.objects.values("at").distinct().count() == 1

    def test_the_time_for_a_connection_is_no_latency(self, hosts: dict[str, FakeShell]) -> None:
        a_host("h1")
        hosts["h1"] = FakeShell("h1", ANSWERS)
        hosts["h1"].warm = False
        assert periodic.sample_hosts() == 1
        assert HostSample.objects.get().latency is None

    @pytest.mark.parametrize(
        "fields", [{"maintenance": True}, *({"state": state} for state in HostState if state != HostState.READY)]
    )
    def test_one_that_may_not_be_spoken_to_is_not_asked(
        self, hosts: dict[str, FakeShell], fields: dict[str, Any]
    ) -> None:
        a_host("h1", **fields)
        assert periodic.sample_hosts() == 0
        assert hosts == {}

    def test_one_that_is_silent_is_read_at_once(self, hosts: dict[str, FakeShell], admin: User) -> None:
        silent = a_known_host("silent")
        a_known_host("well")
        hosts["silent"] = FakeShell("silent", ANSWERS | {LOAD: Unreachable("silent does not answer")})
        assert periodic.sample_hosts() == 1
        assert [(job.kind, job.host) for job in Job.objects.all()] == [("host.read", silent)]
        assert periodic.sample_hosts() == 1
        assert Job.objects.count() == 1

    def test_one_that_hangs_holds_up_no_other(
        self, hosts: dict[str, FakeShell], monkeypatch: pytest.MonkeyPatch, admin: User
    ) -> None:
        others_stored = threading.Event()

        class Hangs(FakeShell):
            def run_many(self, commands: Any) -> list[Output]:
                assert others_stored.wait(10)
                raise Unreachable("a-hangs does not answer")

        def stored(*args: Any) -> int:
            done = store(*args)
            others_stored.set()
            return done

        store = sampling.store
        monkeypatch.setattr(sampling, "store", stored)
        monkeypatch.setattr(sampling, "STORED_AT_ONCE", 3)
        hosts["a-hangs"] = Hangs("a-hangs")
        a_known_host("a-hangs")
        for number in range(3):
            a_host(f"h{number}")
        assert periodic.sample_hosts() == 3

    def test_one_that_cannot_be_understood_is_told_and_not_called_silent(
        self, hosts: dict[str, FakeShell], caplog: pytest.LogCaptureFixture
    ) -> None:
        a_known_host("odd")
        hosts["odd"] = FakeShell("odd", ANSWERS | {LOAD: said("busy")})
        assert periodic.sample_hosts() == 0
        assert "no sample of host odd: cat on odd failed: unreadable output" in caplog.text
        assert not Job.objects.exists()

    def test_another_host_key_puts_it_in_quarantine(self, hosts: dict[str, FakeShell], admin: User) -> None:
        host = a_known_host("h1")
        error = HostKeyChanged("h1", "SHA256:x", "SHA256:y", OTHER_KEY)
        hosts["h1"] = FakeShell("h1", ANSWERS | {LOAD: error})
        assert periodic.sample_hosts() == 0
        host.refresh_from_db()
        assert host.state == HostState.QUARANTINED
        assert not Job.objects.exists()

    def test_a_defect_is_told_and_holds_up_no_other(
        self, hosts: dict[str, FakeShell], caplog: pytest.LogCaptureFixture
    ) -> None:
        a_host("h1"), a_host("h2")
        hosts["h1"] = FakeShell("h1", ANSWERS | {LOAD: ZeroDivisionError("a defect")})
        assert periodic.sample_hosts() == 1
        assert "ZeroDivisionError" in caplog.text

    def test_no_more_stay_connected_to_than_are_kept_warm(
        self, hosts: dict[str, FakeShell], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            a_host(f"h{number}")
        connected: dict[str, bool] = {}

        def connector(*, passing: bool = False) -> Any:
            return lambda name: connected.update({name: not passing}) or FakeShell(name, ANSWERS)

        monkeypatch.setattr(sampling, "connector", connector)
        monkeypatch.setattr(sampling, "MOST_WARM", 2)
        for _ in range(2):
            assert periodic.sample_hosts() == 5
            assert connected == {"h0": True, "h1": True, "h2": False, "h3": False, "h4": False}

    def test_without_hosts_nothing_happens(self, hosts: dict[str, FakeShell]) -> None:
        assert periodic.sample_hosts() == 0

    def test_how_many_are_looked_up_in_how_many_queries(
        self, hosts: dict[str, FakeShell], django_assert_num_queries: Any
    ) -> None:
        """Those of the connections apart, which the fixture makes."""
        for number in range(30):
            a_host(f"h{number}")
        with django_assert_num_queries(
            6
        ):  # the hosts; what they have to see; the samples: a transaction, which hosts are there, the rows
            assert periodic.sample_hosts() == 30


class TestWhatHostsSee:
    """One that uses a datastore of another looks at its directory, after its sample."""

    @pytest.fixture
    def kvm(self) -> Host:
        kvm = a_host("kvm1")
        a_datastore("gold", kind="shared", base="/srv/gold", hosts=[a_host("nas"), kvm])
        return kvm

    def look(self, answer: Output | Exception) -> dict[tuple[str, ...], Output | Exception]:
        return ANSWERS | {look_at([Sight("/srv/gold", "/srv/gold")]).argv: answer}

    def seen(self, kvm: Host) -> tuple[str, bool]:
        found = kvm.memberships.get()
        return found.unseen, found.looked_at is not None

    def test_one_that_does_not_see_it_says_so_and_has_its_sample(self, hosts: dict[str, FakeShell], kvm: Host) -> None:
        hosts["kvm1"] = FakeShell("kvm1", self.look(said("1 124 \0")))
        assert periodic.sample_hosts() == 2
        assert "did not answer within" in self.seen(kvm)[0]
        hosts["kvm1"] = FakeShell("kvm1", self.look(said("1 0 41ed\n/srv/gold\0")))
        periodic.sample_hosts()
        assert self.seen(kvm) == ("", True)
        assert (hosts["kvm1"].round_trips, hosts["nas"].round_trips) == (2, 2)

    @pytest.mark.parametrize("answer", [said("what"), Unreachable("kvm1 does not answer"), TimedOut(("sh",), 124, "")])
    def test_one_that_cannot_be_asked_has_its_sample_all_the_same(
        self, hosts: dict[str, FakeShell], kvm: Host, caplog: pytest.LogCaptureFixture, answer: Output | Exception
    ) -> None:
        hosts["kvm1"] = FakeShell("kvm1", self.look(answer))
        assert periodic.sample_hosts() == 2
        assert self.seen(kvm) == ("", False)
        assert "whether kvm1 sees its datastores is not known" in caplog.text

    def test_the_latency_is_that_of_the_sample_alone(self, hosts: dict[str, FakeShell], kvm: Host) -> None:
        class Slow(FakeShell):
            def run(self, command: Command, **rest: Any) -> Output:
                time.sleep(0.2)
                return super().run(command, **rest)

        hosts["kvm1"] = Slow("kvm1", self.look(said("1 0 41ed\n/srv/gold\0")))
        periodic.sample_hosts()
        assert kvm.samples.get().latency < 200


class TestDatastores:
    def test_what_is_measured_is_kept_every_five_minutes(self) -> None:
        datastore = a_datastore()
        start = timezone.now().replace(microsecond=0)
        for minute in range(20):
            with time_machine.travel(start + timedelta(minutes=minute, seconds=minute % 3), tick=False):
                periodic.remember(datastore, Measure(Capacity(100, minute, 100 - minute, 900, 80), ()))
        kept = list(datastore.samples.order_by("at").values_list("used", "inodes_total", "inodes_used"))
        assert kept == [(used, 900, 80) for used in (0, 5, 10, 15)]

    def test_what_is_promised_is_what_images_and_disks_may_still_take(self, alice: User) -> None:
        datastore = a_datastore()
        image = an_image(alice, datastore=datastore, virtual_size=25 * GIB, real_size=5 * GIB)
        a_disk(image)
        periodic.remember(datastore, Measure(Capacity(100, 50, 50), ()))
        sample = DatastoreSample.objects.get()
        assert sample.promised == 45 * GIB
        assert (sample.inodes_total, sample.inodes_used) == (None, None)


def test_the_duties_are_in_the_schedule() -> None:
    duties = {duty.__name__: seconds for duty, seconds in schedule.DUTIES}
    assert duties["sample_hosts"] == 300
    assert duties["thin_samples"] == 900


def test_a_command_that_only_reads_is_sent(hosts: dict[str, FakeShell]) -> None:
    a_host("h1")
    periodic.sample_hosts()
    assert all(isinstance(command, Command) and not command.root for command in hosts["h1"].commands)
