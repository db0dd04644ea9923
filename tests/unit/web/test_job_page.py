"""What the page of a job tells: how far it is, how long it takes, and what its buttons will do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datastores.domain.states import EventKind, JobState, StepState
from datastores.jobs.view import job_frame
from datastores.models import Job, User
from datastores.web.views.jobs import SAMPLE, usual_seconds
from tests.unit.conftest import GIB, a_job, a_step, an_image, signed_in, text_of, write_log

HOSTILE = "<img src=x onerror=alert(1)>"


def page_of(user: User, job: Job) -> str:
    return text_of(signed_in(user).get(f"/jobs/{job.uuid}/"))


def part(page: str, start: str, end: str) -> str:
    return page.split(start)[1].split(end, maxsplit=1)[0]


def took(user: User, seconds: float, kind: str = "image.checksum", state: str = JobState.SUCCEEDED) -> Job:
    now = timezone.now()
    return a_job(user, kind, state=state, started_at=now - timedelta(seconds=seconds), ended_at=now)


class TestHowFarItIs:
    def test_it_is_told_in_bytes_while_bytes_move(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        begun = timezone.now() - timedelta(seconds=30)
        a_step(job, state=StepState.CHANGED)
        a_step(job, state=StepState.RUNNING, bytes_done=GIB, bytes_total=4 * GIB, started_at=begun)
        page = page_of(admin, job)
        assert "1 of 2 steps, 1 GiB of 4 GiB" in page
        assert f'value="{GIB}" max="{4 * GIB}"' in page
        assert "about 90" in part(page, "data-job-eta", "</span>") or "about 2 min left" in page

    def test_it_is_told_in_steps_otherwise(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        a_step(job, state=StepState.CHANGED, bytes_done=GIB, bytes_total=GIB)
        a_step(job)
        page = page_of(admin, job)
        assert '<b class="num" data-job-count>1 of 2 steps</b>' in page
        assert 'value="1" max="2"' in page

    def test_the_socket_tells_the_same(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        step = a_step(job, state=StepState.RUNNING, bytes_done=GIB, bytes_total=4 * GIB)
        assert job_frame(job, [step])["bytes_left"] == 3 * GIB


class TestHowLongItTakes:
    def test_the_usual_time_is_told_until_something_better_is_known(self, admin: User) -> None:
        for seconds in (10, 12, 300):
            took(admin, seconds)
        took(admin, 999, "disk.create")
        took(admin, 999, state=JobState.FAILED)
        page = page_of(admin, a_job(admin, state=JobState.RUNNING))
        assert 'data-usual="usually 12.0 s">usually 12.0 s</span>' in page

    def test_what_has_ended_tells_how_long_it_took(self, admin: User) -> None:
        took(admin, 10)
        assert "usually" not in page_of(admin, took(admin, 5))

    def test_nothing_is_made_up_for_the_first_of_its_kind(self, admin: User) -> None:
        assert usual_seconds(a_job(admin, state=JobState.RUNNING), admin) is None

    def test_only_jobs_that_one_may_know_of_count(self, alice: User, bob: User, admin: User) -> None:
        took(bob, 100)
        job = a_job(alice, state=JobState.RUNNING)
        assert usual_seconds(job, alice) is None
        assert usual_seconds(job, admin) == 100

    def test_the_last_ones_count(self, admin: User) -> None:
        now = timezone.now()
        for number in range(SAMPLE + 5):
            seconds = 5 if number < SAMPLE else 500
            ended = now - timedelta(minutes=number)
            a_job(admin, state=JobState.SUCCEEDED, started_at=ended - timedelta(seconds=seconds), ended_at=ended)
        assert usual_seconds(a_job(admin), admin) == 5


class TestWhatTheButtonsDo:
    @pytest.mark.parametrize(
        ("state", "touched", "words"),
        [
            (JobState.QUEUED, False, "<b>Cancel</b> stops it before anything is changed."),
            (JobState.AWAITING, False, "<b>Cancel</b> drops the plan: nothing has been changed."),
            (JobState.RUNNING, True, "<b>Cancel</b> stops it, then takes back what it did"),
            (JobState.FAILED, True, "<b>Retry</b> goes on at the step that failed; what is true already"),
            (JobState.FAILED, False, "<b>Try again</b> begins anew; what is true already"),
            (JobState.CANCELLED, False, "<b>Try again</b> begins anew"),
            (JobState.INTERRUPTED, True, "<b>Resume</b> reads the hosts first, then goes on from what is there."),
        ],
    )
    def test_each_is_explained(self, admin: User, state: JobState, touched: bool, words: str) -> None:
        job = a_job(admin, image=an_image(admin), state=state)
        if touched:
            write_log(job, "true", kind=EventKind.ACTION_STARTED)
        says = part(page_of(admin, job), 'class="sub says"', "</div>\n</div>")
        assert words in says

    def test_who_may_press_nothing_is_told_nothing(self, admin: User, auditor: User) -> None:
        job = a_job(admin, image=an_image(admin), state=JobState.FAILED)
        assert "<b>" not in part(page_of(auditor, job), 'class="sub says"', "</div>\n</div>")


class TestTheFilter:
    def test_hosts_steps_and_levels_are_offered(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        a_step(job, "a file is there", "kvm-1")
        a_step(job, HOSTILE, "kvm-2")
        page = page_of(admin, job)
        steps = part(page, 'data-log-filter="step"', "</select>")
        assert '<option value="0">kvm-1: a file is there</option>' in steps
        assert '<option value="1">kvm-2: &lt;img' in steps
        assert HOSTILE not in page
        assert "data-log-clear" in page and "data-log-wrap" in page
