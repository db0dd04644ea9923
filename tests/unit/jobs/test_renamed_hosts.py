"""A job is over, and then its host gets another name, or goes: what is taken back there, and where nothing is sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastores.domain.errors import Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import JobState
from datastores.hosts.runner import LEFT
from datastores.jobs import connections, control
from datastores.models import Host, Job, JobStep, User
from datastores.services.hosts import change_host
from datastores.transport.endpoint import Endpoint
from tests.fakes import FakeShell, said
from tests.unit.conftest import a_host
from tests.unit.flags import flag_host, ran
from tests.unit.jobs.conftest import Ask, FlagsUp, work

pytestmark = pytest.mark.django_db(transaction=True)


class Machines:
    """The machines behind the names, by address: a shell each."""

    def __init__(self) -> None:
        self.shells: dict[str, FakeShell] = {}

    def shell(self, endpoint: Endpoint, *, passing: bool = False) -> FakeShell:
        return self.shells.setdefault(endpoint.address, flag_host(a="off", b="off"))


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    found = Machines()
    monkeypatch.setattr(connections, "pool", lambda: found)
    return found


@pytest.fixture
def done(machines: Machines, host: Host, ask: Ask) -> Job:
    """A job that has set two flags on the host."""
    job = work(ask())
    assert job.state == JobState.SUCCEEDED
    machines.shells[host.address].commands.clear()
    return job


def rename(host: Host, name: str) -> None:
    host.name = name
    change_host(host, host.version, ["name"])


Meanwhile = Callable[[Host], object]


@pytest.mark.parametrize("namesake", [False, True])
def test_what_was_done_on_a_renamed_host_is_taken_back_there_and_nowhere_else(
    machines: Machines, host: Host, done: Job, operator: User, namesake: bool
) -> None:
    rename(host, "other")
    if namesake:
        a_host("h1", address="192.0.2.9")
    control.undo(done, operator)
    assert work(done).word == "undone"
    assert ran(machines.shells[host.address], "clear") == [("clear", "b"), ("clear", "a")]
    assert list(machines.shells) == [host.address]


def test_a_host_is_not_renamed_while_something_is_taken_back_there(host: Host, done: Job, operator: User) -> None:
    control.undo(done, operator)
    with pytest.raises(Refused, match="cannot be renamed now"):
        rename(host, "other")


@pytest.mark.parametrize("namesake", [False, True])
def test_what_was_done_on_a_host_that_is_gone_is_not_taken_back(
    machines: Machines, host: Host, done: Job, operator: User, namesake: bool
) -> None:
    host.delete()
    if namesake:
        a_host("h1", address="192.0.2.9")
    with pytest.raises(Refused, match="h1 is not known any more"):
        control.undo(done, operator)
    assert Job.objects.get().state == JobState.SUCCEEDED


class TestSomethingIsLeft:
    """A job failed and could not take everything back."""

    @pytest.fixture
    def failed(self, machines: Machines, host: Host, ask: Ask) -> Job:
        shell = machines.shells[host.address] = flag_host(a="off", b="off")
        shell.answers["set", "b"] = said(exit_status=1, stderr="no space left")
        shell.answers["clear", "a"] = said(exit_status=1, stderr="device is busy")
        job = work(ask())
        assert job.state == JobState.FAILED
        assert LEFT in job.error
        del shell.answers["clear", "a"], shell.answers["set", "b"]
        shell.commands.clear()
        return job

    @pytest.fixture
    def _plan_of_other(self, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
        """The plan names the host as it is called now."""
        plan = FlagsUp.plan

        def renamed(self: FlagsUp, job: Job) -> Plan:
            name = Host.objects.values_list("name", flat=True).get(pk=host.pk)
            return tuple(
                Stage(stage.title, tuple(type(step)(name, step.name) for step in stage.steps))
                for stage in plan(self, job)
            )

        monkeypatch.setattr(FlagsUp, "plan", renamed)

    @pytest.mark.usefixtures("_plan_of_other")
    def test_a_retry_takes_it_back_on_the_renamed_host_and_the_next_one_works_there(
        self, machines: Machines, host: Host, failed: Job, operator: User
    ) -> None:
        rename(host, "other")
        a_host("h1", address="192.0.2.9")
        control.retry(failed, operator)
        job = work(failed)
        assert "other steps now" in job.error
        assert ran(machines.shells[host.address], "clear") == [("clear", "a")]
        control.retry(job, operator)
        assert work(job).state == JobState.SUCCEEDED
        assert list(machines.shells) == [host.address]
        assert set(JobStep.objects.values_list("host", "machine")) == {("other", host.pk)}

    def test_a_retry_does_not_wait_for_a_host_that_is_gone(self, host: Host, failed: Job, operator: User) -> None:
        host.delete()
        control.retry(failed, operator)
        job = work(failed)
        assert job.state == JobState.FAILED
        assert "h1 is not known any more" in job.error
        assert LEFT in job.error
