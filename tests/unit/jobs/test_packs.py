"""Jobs that were asked for at once: two round trips for all of them, and each ends as if it had been alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError

from datastores.domain.approvals import Approval
from datastores.domain.errors import NotConnected, Refused, Unreachable
from datastores.domain.plan import Command, Output, Plan, Stage
from datastores.domain.states import EventKind, JobState, StepState
from datastores.hosts import together
from datastores.jobs import attempts, control, ends, heartbeat, kinds, packs, reconcile
from datastores.jobs import submit as submit_module
from datastores.jobs.journal import journal_of
from datastores.jobs.submit import submit_all
from datastores.models import AuditEntry, Cluster, Host, Job, JobEvent, JobStep, Lease, User
from datastores.models.audit import verify
from datastores.models.jobs import move_all
from datastores.services.usecase import Results, UseCase
from tests.fakes import FakeShell, said
from tests.unit.flags import FlagSet, flag_host, ran

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("a", "b", "c")


class FlagUp(UseCase):
    """Sets the flag that is called like the cluster."""

    kind = "test.flag"
    label = "Set flag"
    can_undo = True

    def pack(self, job: Job) -> str:
        return "flags"

    def ask(self, job: Job) -> None:
        if job.cluster.description == "forbidden":
            raise Refused(f"{job.cluster} is forbidden.")
        job.title = job.target_label = f"flag {job.cluster}"

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"cluster:{job.cluster_id}": True}

    def plan(self, job: Job) -> Plan:
        return (Stage("flag", (FlagSet("h1", job.cluster.name),)),)

    def note(self, job: Job, text: str) -> None:
        Cluster.objects.filter(pk=job.cluster_id).update(description=text)

    def succeeded(self, job: Job, results: Results) -> None:
        [(_, facts)] = results
        self.note(job, facts)

    def failed(self, job: Job, error: str) -> None:
        self.note(job, "failed")


@pytest.fixture(autouse=True)
def _test_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kinds.KINDS, FlagUp.kind, FlagUp())


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> FakeShell:
    fake = flag_host(**dict.fromkeys(NAMES, "off"))
    for module in (packs, attempts):
        monkeypatch.setattr(module, "connector", lambda machines: lambda name: fake)
    return fake


@pytest.fixture
def clusters(host: Host) -> list[Cluster]:
    return [Cluster.objects.create(name=name) for name in NAMES]


@pytest.fixture
def jobs(clusters: list[Cluster], operator: User) -> list[Job]:
    return submit_all(FlagUp.kind, [{"cluster": cluster} for cluster in clusters], user=operator)


def work(jobs: Sequence[Job]) -> list[str]:
    """Do what a worker does with a pack; return how each job ended."""
    packs.run_jobs(*(str(job.uuid) for job in jobs))
    return [Job.objects.get(pk=job.pk).state for job in jobs]


def notes() -> list[str]:
    return list(Cluster.objects.order_by("pk").values_list("description", flat=True))


def results(job: Job) -> list[str]:
    return list(AuditEntry.objects.filter(job_uuid=job.uuid).order_by("seq").values_list("result", flat=True))


def whole(job: Job) -> bool:
    """Tell whether the entries of a log are numbered without a gap."""
    return list(job.events.values_list("seq", flat=True)) == list(range(1, job.events.count() + 1))


def during(monkeypatch: pytest.MonkeyPatch, method: str, happens: Callable[[], object]) -> None:
    """Let something happen while the host is asked, the first time."""
    right = getattr(FakeShell, method)

    def slow(shell: FakeShell, *arguments: Any) -> Any:
        monkeypatch.setattr(FakeShell, method, right)
        happens()
        return right(shell, *arguments)

    monkeypatch.setattr(FakeShell, method, slow)


class TestWhenAllGoesWell:
    def test_it_takes_one_round_trip_to_read_and_one_to_do_and_verify(self, jobs: list[Job], shell: FakeShell) -> None:
        assert work(jobs) == [JobState.SUCCEEDED] * 3
        assert shell.round_trips == 2
        assert shell.ran == [
            *[("get", name) for name in NAMES], *[("set", name) for name in NAMES], *[("get", name) for name in NAMES]
        ]  # fmt: skip

    def test_rows_leases_and_audit_trail_agree(self, jobs: list[Job], shell: FakeShell) -> None:
        work(jobs)
        assert notes() == ["on"] * 3
        assert not Lease.objects.exists()
        assert [results(job) for job in jobs] == [["asked", "succeeded"]] * 3
        assert verify() == (6, [])
        assert not heartbeat.in_hand

    def test_each_has_the_log_of_a_job_that_was_alone(self, jobs: list[Job], shell: FakeShell, operator: User) -> None:
        work(jobs)
        alone = submit_all(FlagUp.kind, [{"cluster": Cluster.objects.create(name="d")}], user=operator)
        shell.answers["get", "d"] = said("off")
        shell.effects["set", "d"] = {("get", "d"): said("on")}
        assert work(alone) == [JobState.SUCCEEDED]
        kinds_of_entries = [[event.kind for event in job.events.all()] for job in [*jobs, *alone]]
        assert kinds_of_entries[0] == kinds_of_entries[1] == kinds_of_entries[2] == kinds_of_entries[3]
        assert all(whole(job) for job in jobs)
        assert [step.state for job in jobs for step in job.steps.all()] == [StepState.CHANGED] * 3

    def test_what_is_so_already_is_left_alone(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.answers["get", "b"] = said("on")
        assert work(jobs) == [JobState.SUCCEEDED] * 3
        assert ran(shell, "set") == [("set", "a"), ("set", "c")]
        assert [step.state for job in jobs for step in job.steps.all()] == [
            StepState.CHANGED, StepState.UNCHANGED, StepState.CHANGED
        ]  # fmt: skip

    def test_each_can_be_taken_back_by_itself(self, jobs: list[Job], shell: FakeShell, operator: User) -> None:
        work(jobs)
        jobs[1].refresh_from_db()
        control.undo(jobs[1], operator)
        assert work(jobs) == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]
        assert ran(shell, "clear") == [("clear", "b")]

    def test_commands_run_only_when_the_journal_of_all_is_stored(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored: list[int] = []
        right = FakeShell.run_in_order

        def looked(shell: FakeShell, commands: Sequence[Command], reads: Sequence[Command] = ()) -> Any:
            stored.append(JobEvent.objects.filter(kind=EventKind.ACTION_STARTED).count())
            return right(shell, commands, reads)

        monkeypatch.setattr(FakeShell, "run_in_order", looked)
        work(jobs)
        assert stored == [3]


def test_what_several_steps_read_is_read_once() -> None:
    shell = flag_host(a="off")
    steps = [FlagSet("h1", "a"), FlagSet("h1", "a")]
    found = together.look(shell, steps)
    assert shell.ran == [("get", "a")]
    assert [found[place].facts for place in (0, 1)] == ["off", "off"]


def test_to_move_no_job_moves_none(jobs: list[Job]) -> None:
    assert move_all([], JobState.QUEUED, to=JobState.CANCELLED)
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.QUEUED}


class TestWhenOneIsDifferent:
    def test_a_refused_one_fails_alone(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.answers["get", "b"] = said("broken")
        assert work(jobs) == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED]
        assert Job.objects.get(pk=jobs[1].pk).error.startswith("b is broken")

    def test_one_that_cannot_be_read_fails_alone(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.answers["get", "a"] = said(exit_status=1, stderr="input/output error")
        assert work(jobs) == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]

    def test_one_whose_command_fails_is_undone_alone(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.answers["set", "b"] = said(exit_status=1, stderr="no space left on device")
        assert work(jobs) == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED]
        assert "no space left on device" in Job.objects.get(pk=jobs[1].pk).error
        assert notes() == ["on", "failed", "on"]
        assert ran(shell, "set").count(("set", "a")) == 1, "what was done is seen, and not done again"
        assert not Lease.objects.exists()
        assert all(whole(job) for job in jobs)

    def test_one_that_does_not_hold_afterwards_fails_alone(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.effects["set", "c"] = {}
        assert work(jobs) == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED]
        assert ran(shell, "clear") == [("clear", "c")]

    def test_one_that_was_cancelled_meanwhile_is_not_done(
        self, jobs: list[Job], shell: FakeShell, operator: User
    ) -> None:
        control.cancel(jobs[0], operator)
        assert work(jobs) == [JobState.CANCELLED, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert ran(shell, "set") == [("set", "b"), ("set", "c")]

    def test_one_that_another_worker_took_first_is_left_to_it(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = packs.claim_all

        def late(*arguments: Any) -> bool:
            Job.objects.filter(pk=jobs[0].pk).update(state=JobState.RUNNING, worker="another:1:00")
            return right(*arguments)

        monkeypatch.setattr(packs, "claim_all", late)
        assert work(jobs) == [JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert ran(shell, "set") == [("set", "b"), ("set", "c")]

    def test_one_that_is_taken_over_before_the_journal_is_stored_is_not_touched(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = FakeShell.run_many

        def slow(shell: FakeShell, commands: Sequence[Command]) -> list[Output]:
            Job.objects.filter(pk=jobs[0].pk).update(worker="another:1:00")
            return right(shell, commands)

        monkeypatch.setattr(FakeShell, "run_many", slow)
        assert work(jobs) == [JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert ran(shell, "set") == [("set", "b"), ("set", "c")]
        assert not jobs[0].events.exists()

    def test_one_that_is_taken_over_at_the_end_is_ended_by_the_other(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = FakeShell.run_in_order

        def slow(shell: FakeShell, *arguments: Any) -> Any:
            Job.objects.filter(pk=jobs[0].pk).update(worker="another:1:00")
            return right(shell, *arguments)

        monkeypatch.setattr(FakeShell, "run_in_order", slow)
        assert work(jobs) == [JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert notes() == ["", "on", "on"]

    def test_one_that_a_person_stops_while_the_host_is_read_is_not_done(
        self, jobs: list[Job], shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        during(monkeypatch, "run_many", lambda: control.cancel(Job.objects.get(pk=jobs[0].pk), operator))
        assert work(jobs) == [JobState.CANCELLED, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert ran(shell, "set") == [("set", "b"), ("set", "c")]

    def test_one_that_a_person_stops_while_others_go_alone_is_taken_back(
        self, jobs: list[Job], shell: FakeShell, operator: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        during(monkeypatch, "run_in_order", lambda: control.cancel(Job.objects.get(pk=jobs[0].pk), operator))
        shell.answers["set", "c"] = said(exit_status=1, stderr="no space left on device")
        assert work(jobs) == [JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED]
        assert ("clear", "a") in shell.ran

    def test_the_steps_of_the_worker_that_has_it_now_are_left_alone(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def take_over() -> None:
            Job.objects.filter(pk=jobs[0].pk).update(worker="another:1:00")
            jobs[0].steps.all().delete()
            JobStep.objects.create(job=jobs[0], index=0, host="h1", title="of the other", state=StepState.RUNNING)

        during(monkeypatch, "run_many", take_over)
        work(jobs)
        assert jobs[0].steps.get().title == "of the other"

    def test_what_was_not_stored_is_not_told_twice(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = packs.journal

        def late(changes: Any) -> None:
            Job.objects.filter(pk=jobs[0].pk).update(worker="another:1:00")
            right(changes)

        monkeypatch.setattr(packs, "journal", late)
        assert work(jobs) == [JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED]
        assert jobs[1].events.filter(kind=EventKind.ACTION_STARTED).count() == 1
        assert ran(shell, "set") == [("set", "b"), ("set", "c")]

    def test_one_whose_end_fails_holds_up_no_other(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = FlagUp.failed

        def failed(case: FlagUp, job: Job, error: str) -> None:
            if job.pk == jobs[0].pk:
                raise ValueError("a defect")
            right(case, job, error)

        monkeypatch.setattr(FlagUp, "failed", failed)
        shell.answers |= {("get", "a"): said("broken"), ("get", "b"): said("broken")}
        assert work(jobs) == [JobState.RUNNING, JobState.FAILED, JobState.SUCCEEDED]
        assert not heartbeat.in_hand, "no beat comes for the first, so it is soon found silent"

    def test_one_on_another_host_is_done_there(self, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
        hosts = {"h1": flag_host("h1", a="off", b="off"), "h2": flag_host("h2", c="off")}
        hosts["h1"].answers["get", "a"] = NotConnected("h1 does not answer")
        monkeypatch.setattr(FlagUp, "plan", lambda case, job: (
            Stage("flag", (FlagSet("h2" if job.cluster.name == "c" else "h1", job.cluster.name),)),
        ))  # fmt: skip
        for module in (packs, attempts):
            monkeypatch.setattr(module, "connector", lambda machines: hosts.__getitem__)
        assert work(jobs) == [JobState.FAILED, JobState.FAILED, JobState.SUCCEEDED]


class TestWhenTheHostIsAway:
    def test_all_fail_and_it_is_asked_once(self, jobs: list[Job], shell: FakeShell) -> None:
        shell.answers["get", "a"] = NotConnected("h1 does not answer")
        assert work(jobs) == [JobState.FAILED] * 3
        assert shell.round_trips == 1
        assert {job.error for job in Job.objects.all()} == {"h1 does not answer"}
        assert not Lease.objects.exists()

    def test_those_that_were_begun_are_interrupted_when_nobody_knows_what_was_done(
        self, jobs: list[Job], shell: FakeShell
    ) -> None:
        shell.answers["set", "b"] = Unreachable("h1 does not answer")
        shell.answers["get", "c"] = said("on")
        assert work(jobs) == [JobState.INTERRUPTED, JobState.INTERRUPTED, JobState.SUCCEEDED]
        assert all(journal_of(job).unknown for job in jobs[:2])
        assert [job.steps.get().state for job in jobs[:2]] == [StepState.UNKNOWN] * 2
        assert Lease.objects.count() == 2

    def test_they_go_on_from_what_the_host_says(self, jobs: list[Job], shell: FakeShell, operator: User) -> None:
        shell.answers["set", "b"] = Unreachable("h1 does not answer")
        work(jobs)
        shell.answers["set", "b"] = said()
        shell.commands.clear()
        for job in jobs:
            job.refresh_from_db()
            control.retry(job, operator)
        assert work(jobs) == [JobState.SUCCEEDED] * 3
        assert ran(shell, "set") == [("set", "b"), ("set", "c")], "a was set before the connection was lost"


class TestWhenTheDatabaseIsAway:
    @pytest.mark.parametrize("place", ["claim_all", "flush_all"])
    def test_they_are_done_one_by_one(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        def locked(*_: object) -> bool:
            if place == "claim_all":
                return False
            raise OperationalError("database is locked")

        monkeypatch.setattr(packs, place, locked)
        assert work(jobs) == [JobState.SUCCEEDED] * 3
        assert sorted(ran(shell, "set")) == [("set", name) for name in NAMES], "nothing is done twice"
        assert all(whole(job) for job in jobs)
        assert [job.steps.count() for job in jobs] == [1] * 3

    def test_so_are_those_of_which_nothing_could_be_looked_up(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise OperationalError("server closed the connection")

        monkeypatch.setattr(FlagUp, "look_ahead", away)
        assert work(jobs) == [JobState.SUCCEEDED] * 3

    def test_an_end_that_could_not_be_stored_is_told_once(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = ends.record_all

        def once(deeds: Any) -> None:
            monkeypatch.setattr(ends, "record_all", right)
            raise OperationalError("database is locked")

        monkeypatch.setattr(ends, "record_all", once)
        assert work(jobs) == [JobState.SUCCEEDED] * 3
        for job in jobs:
            assert sum(event.text.startswith("succeeded after") for event in job.events.all()) == 1
            assert whole(job)
        assert sorted(ran(shell, "set")) == [("set", name) for name in NAMES]


class TestAsking:
    def test_for_all_or_for_none(self, clusters: list[Cluster], operator: User) -> None:
        Cluster.objects.filter(name="c").update(description="forbidden")
        clusters[2].refresh_from_db()
        with pytest.raises(Refused, match="c is forbidden"):
            submit_all(FlagUp.kind, [{"cluster": cluster} for cluster in clusters], user=operator)
        assert not Job.objects.exists()
        assert not Lease.objects.exists()
        assert not AuditEntry.objects.exists()

    def test_what_goes_together_is_one_entry_of_the_queue(
        self, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, hand_over: Callable[[Sequence[Job]], None]
    ) -> None:
        entries: list[tuple[str, ...]] = []

        class Queue:
            def __init__(self, name: str) -> None:
                pass

            def enqueue(self, function: str, *uuids: str, **options: object) -> None:
                entries.append(uuids)

        monkeypatch.setattr(submit_module, "queue", Queue)
        hand_over(jobs)
        assert entries == [tuple(str(job.uuid) for job in jobs)]
        monkeypatch.setattr(FlagUp, "pack", lambda self, job: "")
        hand_over(jobs)
        assert entries[1:] == [(str(job.uuid),) for job in jobs]

    def test_a_great_many_are_several_entries(
        self, operator: User, monkeypatch: pytest.MonkeyPatch, hand_over: Callable[[Sequence[Job]], None]
    ) -> None:
        sizes: list[int] = []

        class Queue:
            def __init__(self, name: str) -> None:
                pass

            def enqueue(self, function: str, *uuids: str, **options: object) -> None:
                sizes.append(len(uuids))

        monkeypatch.setattr(submit_module, "queue", Queue)
        hand_over([Job(kind=FlagUp.kind, user=operator) for _ in range(submit_module.PACK + 1)])
        assert sizes == [submit_module.PACK, 1]

    def test_what_needs_approval_is_not_done_before(self, jobs: list[Job], shell: FakeShell) -> None:
        Job.objects.update(approval=Approval.AFTER)
        assert work(jobs) == [JobState.AWAITING] * 3
        assert ran(shell, "set") == []

    def test_what_is_taken_from_the_queue_while_lost_ones_are_looked_for_is_not_lost(
        self, jobs: list[Job], shell: FakeShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Job.objects.update(queued_at=jobs[0].queued_at - 10 * reconcile.UNHEARD)

        def taken_then(name: str) -> set[str]:
            work(jobs)
            return set()

        monkeypatch.setattr(reconcile, "waiting_in", taken_then)
        assert reconcile.reconcile() == 0

    def test_what_waits_in_a_pack_is_not_lost(self, jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
        Job.objects.update(queued_at=jobs[0].queued_at - 10 * reconcile.UNHEARD)
        monkeypatch.setattr(reconcile, "waiting_in", lambda name: {str(job.uuid) for job in jobs[:2]})
        assert reconcile.reconcile() == 1
        assert [Job.objects.get(pk=job.pk).attempts for job in jobs] == [1, 1, 2]


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Job]], None]:
    return HAND_OVER


HAND_OVER = submit_module.hand_over
"""The real one: the tests of this directory replace it."""
