"""A kind of job whose plan is two flags on h1, and a worker that is this test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datastores.domain.plan import Plan, Stage
from datastores.jobs import attempt_ends, attempts, kinds, run
from datastores.jobs import submit as submit_module
from datastores.jobs.submit import submit
from datastores.models import Cluster, Host, Job, User
from datastores.services.usecase import Results, UseCase
from tests.fakes import FakeShell
from tests.unit.conftest import a_host
from tests.unit.flags import FlagSet, flag_host
from tests.unit.jobs.drifting import Site, a_site


class FlagsUp(UseCase):
    """Sets two flags. The row that it is about is a cluster; its description tells how it ended."""

    kind = "test.flags"
    label = "Set flags"
    can_undo = True

    def ask(self, job: Job) -> None:
        job.title, job.target_label = "Set flags", "h1"

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"cluster:{job.cluster_id}": job.params.get("exclusive", True)}

    def plan(self, job: Job) -> Plan:
        return (Stage("flags", (FlagSet("h1", "a"), FlagSet("h1", "b"))),)

    def note(self, job: Job, text: str) -> None:
        Cluster.objects.filter(pk=job.cluster_id).update(description=text)

    def succeeded(self, job: Job, results: Results) -> None:
        self.note(job, f"up: {[facts for _, facts in results]}")

    def failed(self, job: Job, error: str) -> None:
        self.note(job, f"failed: {error}")

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        self.note(job, "something was destroyed" if lossy else "nothing was destroyed")

    def cancelled(self, job: Job) -> None:
        self.note(job, "cancelled")

    def undone(self, job: Job) -> None:
        self.note(job, "undone")


class FlagsApproved(FlagsUp):
    kind = "test.approved"
    needs_approval = True


@pytest.fixture(autouse=True)
def _test_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in (FlagsUp(), FlagsApproved()):
        monkeypatch.setitem(kinds.KINDS, case.kind, case)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """No queue and no browsers: jobs wait in their rows, and doorbells are not heard."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    monkeypatch.setattr(submit_module, "hand_over", lambda jobs: None)
    monkeypatch.setattr(run.heartbeat, "start", lambda worker: None)


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="c1")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create(username="olga", role=User.Role.OPERATOR)


@pytest.fixture
def host(db: None) -> Host:
    """The host of the flags."""
    return a_host("h1")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeShell]:
    """The host on which jobs of this test work."""
    fake = flag_host(a="off", b="off")
    for module in (attempts, attempt_ends):
        monkeypatch.setattr(module, "connector", lambda machines: lambda name: fake)
    return fake


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> Site:
    """A datastore in a directory of this machine."""
    return a_site(tmp_path, monkeypatch)


Ask = Callable[..., Job]


@pytest.fixture
def ask(cluster: Cluster, operator: User, host: Host) -> Ask:
    """Submit a job about the cluster; give another ``kind`` or ``params`` where needed."""

    def submitted(kind: str = "test.flags", **params: object) -> Job:
        return submit(kind, user=operator, cluster=cluster, params=params)

    return submitted


def work(job: Job) -> Job:
    """Do what a worker does when the job's turn has come."""
    run.run_job(str(job.uuid))
    job.refresh_from_db()
    return job
