"""The panel of jobs under way."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import EventKind, JobState, StepState
from datastores.models import Job, User
from tests.unit.conftest import GIB, a_job, a_step, signed_in, text_of, write_log


def tray(user: User) -> str:
    return " ".join(text_of(signed_in(user).get("/jobs/tray/", headers={"HX-Request": "true"})).split())


def a_copy(user: User, **fields: object) -> Job:
    """A job that runs: one of two steps done, a quarter of its bytes copied."""
    job = a_job(user, **({"title": "Copy gold", "state": JobState.RUNNING} | fields))
    a_step(job, state=StepState.CHANGED)
    a_step(job, state=StepState.RUNNING, bytes_done=GIB, bytes_total=4 * GIB)
    return job


def test_it_says_how_far_a_job_has_come(admin: User) -> None:
    job = a_copy(admin)
    panel = tray(admin)
    assert f'href="/jobs/{job.uuid}/"' in panel
    assert "running, 1 of 2 steps, 1 GiB of 4 GiB." in panel
    assert f'value="{GIB}" max="{4 * GIB}"' in panel


def test_nothing_under_way_is_said(admin: User) -> None:
    a_job(admin)
    a_job(admin, state=JobState.AWAITING)
    assert "No job is under way." in tray(admin)


def test_it_is_about_what_the_person_may_see(alice: User, bob: User, admin: User) -> None:
    a_copy(bob, title="secret <b>")
    assert "secret" not in tray(alice)
    assert "secret &lt;b&gt;" in tray(bob) and "by bob" not in tray(bob)
    assert "by bob" in tray(admin)


def test_a_job_is_cancelled_from_it_by_those_who_may(alice: User, auditor: User) -> None:
    job = a_copy(alice)
    form = f'action="/jobs/{job.uuid}/cancel/"'
    assert form in tray(alice) and 'data-confirm-title="Cancel Copy gold?"' in tray(alice)
    assert form not in tray(auditor)
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=timezone.now())
    assert form not in tray(alice) and "asked to stop" in tray(alice)


def test_its_button_says_whether_something_is_taken_back(alice: User) -> None:
    job = a_job(alice, state=JobState.QUEUED, title="Copy gold")
    assert "Cancel Copy gold" in tray(alice)
    write_log(job, "zfs create", kind=EventKind.ACTION_STARTED)
    assert "Cancel and undo Copy gold" in tray(alice)


def test_a_few_are_shown_those_that_run_first_and_the_others_counted(admin: User) -> None:
    runs = a_copy(admin)
    for number in range(20):
        a_job(admin, state=JobState.QUEUED, title=f"Wait {number}")
    panel = tray(admin)
    assert panel.count("data-tray-job") == 8
    assert panel.index(str(runs.uuid)) < panel.index("Wait 19")
    assert "and 13 more" in panel


def test_no_job_costs_a_query(admin: User) -> None:
    client = signed_in(admin)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get("/jobs/tray/")
        return len(queries)

    a_copy(admin)
    one = asked()
    for _ in range(6):
        a_copy(admin)
    assert asked() == one
