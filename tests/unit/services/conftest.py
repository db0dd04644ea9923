"""A worker that is this test: what a use case makes of its rows when a job ends."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models

from datastores.domain.states import JobState, ObjectState
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Job, User
from datastores.services import leases
from datastores.services.usecase import Results
from tests.unit.conftest import a_datastore

pytestmark = pytest.mark.django_db


def ended(job: Job, how: str = "succeeded", result: Any = ()) -> Job:
    """End a job as the worker would: its rows, its leases, its state."""
    job = Job.objects.get(pk=job.pk)
    case = KINDS[job.kind]
    state = JobState.SUCCEEDED
    if how == "succeeded":
        results: Results = result
        case.succeeded(job, results)
    elif how == "failed":
        case.failed(job, "it broke")
        state = JobState.FAILED
    else:
        getattr(case, how)(job)
        state = JobState.CANCELLED
    Job.objects.filter(pk=job.pk).update(state=state, started_at=job.queued_at, ended_at=job.queued_at)
    leases.release([job])
    job.refresh_from_db()
    return job


def done(kind: str, user: User, params: dict[str, Any] | None = None, **targets: models.Model | None) -> Job:
    """Ask for something and see it succeed."""
    return ended(submit(kind, user=user, params=params, **targets))


@pytest.fixture
def qcow2(db: None) -> Datastore:
    """A datastore whose clones are overlays: they need their image."""
    return a_datastore(kind="qcow2", state=ObjectState.READY)


@pytest.fixture
def xfs(db: None) -> Datastore:
    """A datastore whose clones are independent of their image."""
    return a_datastore(kind="xfs", state=ObjectState.READY)
