"""Tallies: each end is counted once, whoever counts, and stays counted."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from datastores.domain.histograms import CLONES, DURATIONS, bucket_of, cumulative, empty
from datastores.domain.states import JobState
from datastores.models import Job, Tally, User
from datastores.models.audit import record
from datastores.services import tallies
from datastores.services.tallies import CLONE, DURATION, ENDS, RUNNING, count_ends
from tests.unit.conftest import a_job

pytestmark = pytest.mark.django_db
KINDS = ("disk.create", "image.checksum")


def an_end(user: User, kind: str = "disk.create", seconds: float = 0.06, waited: float = 0.0, **fields: object) -> Job:
    """A job that ended just now, and the entry that says so."""
    now = timezone.now()
    asked = now - timedelta(seconds=seconds)
    times = {"created_at": asked, "queued_at": asked, "started_at": asked + timedelta(seconds=waited), "ended_at": now}
    job = a_job(user, kind, **(times | fields))
    record(kind, user=user, job=job, result=job.word)
    return job


def counts(measure: str) -> dict[tuple[str, str], int]:
    rows = Tally.objects.filter(measure=measure).values_list("kind", "state", "count")
    return {(kind, state): count for kind, state, count in rows}


def test_ends_are_counted_by_kind_and_state(admin: User) -> None:
    for _ in range(3):
        an_end(admin)
    an_end(admin, state=JobState.FAILED)
    an_end(admin, "image.checksum", state=JobState.CANCELLED, undo_requested=True)
    assert count_ends(KINDS) == 5
    assert counts(ENDS) == {
        ("disk.create", "succeeded"): 3, ("disk.create", "failed"): 1, ("image.checksum", "undone"): 1,
    }  # fmt: skip


def test_counting_again_counts_nothing_twice(admin: User) -> None:
    an_end(admin)
    assert (count_ends(KINDS), count_ends(KINDS)) == (1, 0)
    an_end(admin)
    assert count_ends(KINDS) == 1
    assert counts(ENDS) == {("disk.create", "succeeded"): 2}


def test_what_is_no_end_is_not_counted(admin: User) -> None:
    job = a_job(admin, "disk.create", state=JobState.RUNNING)
    record("disk.create", user=admin, job=job)
    record("disk.create.retry", user=admin, job=job)
    record("user.sign_in", user=None, result="failed")
    assert count_ends(KINDS) == 0
    assert not Tally.objects.exclude(measure=tallies.READ).exists()


def test_a_trail_that_is_longer_than_one_turn_is_read_to_its_end(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "AT_ONCE", 4)
    for _ in range(5):
        an_end(admin)
        record("vm.create", user=admin)
    assert count_ends(KINDS) == 5


def test_counters_stay_when_jobs_are_deleted(admin: User) -> None:
    an_end(admin)
    count_ends(KINDS)
    Job.objects.all().delete()
    count_ends(KINDS)
    assert counts(ENDS) == {("disk.create", "succeeded"): 1}


def test_an_end_whose_job_is_gone_is_counted_without_its_time(admin: User) -> None:
    an_end(admin)
    Job.objects.all().delete()
    count_ends(KINDS)
    assert counts(ENDS) == {("disk.create", "succeeded"): 1}
    assert counts(DURATION) == {}


def test_times_from_the_queue_and_of_the_running_part(admin: User) -> None:
    an_end(admin, "image.checksum", seconds=40.0, waited=35.0)
    count_ends(KINDS)
    whole, running = (Tally.objects.get(measure=measure) for measure in (DURATION, RUNNING))
    assert (round(whole.seconds), round(running.seconds)) == (40, 5)
    assert whole.buckets[bucket_of(40.0, DURATIONS)] == 1
    assert (sum(whole.buckets), len(whole.buckets)) == (1, len(DURATIONS) + 1)


def test_clones_are_timed_from_the_click_on(admin: User) -> None:
    now = timezone.now()
    an_end(admin, seconds=0.06, created_at=now - timedelta(seconds=0.31))
    an_end(admin, state=JobState.FAILED)
    an_end(admin, "image.checksum")
    count_ends(KINDS)
    clones = Tally.objects.get(measure=CLONE)
    assert (clones.count, clones.buckets[bucket_of(0.31, CLONES)]) == (1, 1)


def test_a_job_that_was_tried_again_is_two_ends_and_has_the_time_of_the_last(admin: User) -> None:
    job = an_end(admin, state=JobState.FAILED)
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED, ended_at=timezone.now())
    record("disk.create", user=admin, job=job, result="succeeded")
    count_ends(KINDS)
    assert counts(ENDS) == {("disk.create", "failed"): 1, ("disk.create", "succeeded"): 1}
    assert counts(DURATION) == {("disk.create", "succeeded"): 1}


def test_a_job_that_is_under_way_again_has_no_time_yet(admin: User) -> None:
    job = an_end(admin, state=JobState.FAILED)
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, ended_at=None)
    count_ends(KINDS)
    assert counts(ENDS) == {("disk.create", "failed"): 1}
    assert counts(DURATION) == {}


def test_a_clock_that_was_set_back_takes_nothing_away(admin: User) -> None:
    an_end(admin, seconds=-30.0)
    count_ends(KINDS)
    assert Tally.objects.get(measure=DURATION).seconds == 0.0


@pytest.mark.django_db(transaction=True)
def test_two_schedules_at_once_count_nothing_twice() -> None:
    user = User.objects.create(username="anna", role=User.Role.ADMIN)
    for _ in range(20):
        an_end(user)
    Tally.objects.create(measure=tallies.READ)
    failed: list[BaseException] = []
    together = threading.Barrier(3)

    def schedule() -> None:
        together.wait()
        try:
            count_ends(KINDS)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=schedule) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert counts(ENDS) == {("disk.create", "succeeded"): 20}
    assert Tally.objects.get(measure=DURATION).count == 20


def test_buckets() -> None:
    bounds = (1.0, 2.0)
    assert [bucket_of(seconds, bounds) for seconds in (0.0, 1.0, 1.1, 2.0, 99.0)] == [0, 0, 1, 1, 2]
    assert cumulative([3, 0, 1], bounds) == [("1.0", 3), ("2.0", 3), ("+Inf", 4)]
    assert empty(bounds) == [0, 0, 0]
