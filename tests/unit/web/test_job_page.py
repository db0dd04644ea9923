"""What the page of a job tells: how far it is, how long it takes, and what its buttons will do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.html import escape

from datastores.domain.states import EventKind, JobState, StepState
from datastores.jobs.log import JobLog
from datastores.jobs.view import job_frame
from datastores.models import Job, User
from datastores.web.views.jobs import SAMPLE, usual_seconds
from tests.unit.conftest import GIB, a_host, a_job, a_step, an_image, signed_in, text_of, write_log

HOSTILE = "<img src=x onerror=alert(1)>"


def page_of(user: User, job: Job) -> str:
    return text_of(signed_in(user).get(f"/jobs/{job.uuid}/"))


def part(page: str, start: str, end: str) -> str:
    return page.split(start)[1].split(end, maxsplit=1)[0]


def took(user: User, seconds: float, kind: str = "image.checksum", state: str = JobState.SUCCEEDED) -> Job:
    now = timezone.now()
    began = now - timedelta(seconds=seconds)
    return a_job(user, kind, state=state, queued_at=began, started_at=began, ended_at=now)


class TestHowFarItIs:
    def test_what_is_written_and_not_on_the_disk_yet_is_told(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        begun = timezone.now() - timedelta(seconds=30)
        step = a_step(job, state=StepState.RUNNING, bytes_done=800 << 20, bytes_total=803 << 20, started_at=begun)
        frame = job_frame(job, [step])
        assert (frame["flushing"], frame["eta"]) == (True, None)
        assert "flushing to disk" in page_of(admin, job)
        step.bytes_done = 700 << 20
        frame = job_frame(job, [step])
        assert not frame["flushing"] and frame["eta"] > 1

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

    def test_a_host_that_does_not_answer_meanwhile_is_told_of_and_no_time_is_promised(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING)
        begun = timezone.now() - timedelta(seconds=30)
        moving = {"state": StepState.RUNNING, "bytes_done": GIB, "bytes_total": 4 * GIB, "started_at": begun}
        step = a_step(job, host="h1", **moving)
        log = JobLog(job, hosts=["h1"])
        log.stop_ticker()  # it would wait for this test's transaction
        log.news(step.index, "h1 does not answer. We try again.", answers=False)
        log.flush()
        page = page_of(admin, job)
        assert "h1: no answer" in part(page, "data-job-eta", "</span>")
        assert "<span>does not answer</span>" in part(page, "data-lane-state", "</div>")
        log.news(step.index, "h1 answers again after 3 s.", answers=True)
        log.flush()
        page = page_of(admin, job)
        assert "left" in part(page, "data-job-eta", "</span>")
        assert "<span>running</span>" in part(page, "data-lane-state", "</div>")


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

    def test_what_it_waited_for_a_person_is_told_apart(self, admin: User) -> None:
        job = took(admin, 3)
        Job.objects.filter(pk=job.pk).update(
            created_at=job.queued_at - timedelta(seconds=44), approved_at=job.queued_at
        )
        assert "3.0 s of work, approved after 44.0 s</span>" in page_of(admin, job)
        assert ">3.0 s<" in text_of(signed_in(admin).get("/jobs/"))

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
            began = ended - timedelta(seconds=seconds)
            a_job(admin, state=JobState.SUCCEEDED, queued_at=began, started_at=began, ended_at=ended)
        assert usual_seconds(a_job(admin), admin) == 5


class TestWhatItIsAbout:
    def test_it_leads_to_what_it_made(self, admin: User) -> None:
        image = an_image(admin, HOSTILE)
        page = page_of(admin, a_job(admin, "image.register", image=image, datastore=image.datastore))
        assert f'About image <a href="/images/{image.pk}/">{escape(HOSTILE)}</a>, datastore <a href="' in page

    def test_of_what_a_person_may_not_see_nothing_is_told(self, alice: User, bob: User) -> None:
        image = an_image(bob, "secret-image")
        page = page_of(alice, a_job(alice, state=JobState.RUNNING, image=image, datastore=image.datastore))
        assert "secret-image" not in page and "/datastores/" not in page and "About" not in page


class TestWhatHappened:
    def test_a_long_error_does_not_fill_the_page(self, admin: User) -> None:
        error = f"cp failed: {'A' * 16_000} Remove the cause, then try again."
        page = page_of(admin, a_job(admin, image=an_image(admin), state=JobState.FAILED, error=error))
        assert "A" * 500 in page and "A" * 601 not in page
        assert "The log</a> has all of it." in page
        assert page.count("Remove the cause, then try again") == 1

    def test_a_host_on_which_nothing_was_begun_does_not_wait(self, admin: User) -> None:
        for state, word in ((JobState.FAILED, "not begun"), (JobState.RUNNING, "waiting")):
            job = a_job(admin, state=state)
            a_step(job)
            assert f"<span>{word}</span>" in part(page_of(admin, job), "data-lane-state", "</div>")

    def test_the_worker_is_told_anew_when_another_one_takes_over(self, admin: User) -> None:
        job = a_job(admin, state=JobState.RUNNING, worker="vm:1")
        assert "<span data-job-worker>, worker vm:1</span>" in page_of(admin, job)
        assert job_frame(job, [])["worker"] == "vm:1"


class TestWhatTheButtonsDo:
    @pytest.mark.parametrize("touched", [True, False])
    def test_undo_is_offered_where_something_was_done(self, admin: User, touched: bool) -> None:
        job = a_job(admin, "drift.repair", host=a_host())
        if touched:
            write_log(job, "chmod 0755 /srv/gold", kind=EventKind.ACTION_STARTED)
        assert ("Undo what it did" in page_of(admin, job)) is touched

    def test_undo_is_offered_where_a_row_was_made(self, admin: User) -> None:
        job = a_job(admin, "image.register", image=an_image(admin))
        assert "Undo what it did" in page_of(admin, job)

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
