"""The first page, and finding things."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import HostState, JobState, ObjectState
from datastores.live.feed import ended_lately
from datastores.models import Datastore, Duty, User
from datastores.services.alert_facts import gather
from datastores.services.alerts import EVALUATE, evaluate
from datastores.services.counts import counts
from datastores.services.promises import add_space
from datastores.web import figures
from datastores.web.alerts import next_step
from datastores.web.figures import clone_seconds, concerns, job_counts, percentile, space
from tests.unit.conftest import (
    GIB,
    a_datastore,
    a_disk,
    a_host,
    a_job,
    a_step,
    a_vm,
    an_alert,
    an_image,
    signed_in,
    text_of,
)
from tests.unit.web.test_hosts import facts


def test_without_a_host_the_first_page_says_how_to_begin(admin: User, operator: User) -> None:
    page = text_of(signed_in(admin).get("/"))
    assert "Add your first host" in page
    assert "ssh-keygen -lf" in page
    assert "An admin adds the hosts" in text_of(signed_in(operator).get("/"))


def test_the_overview_says_what_is_wrong(admin: User) -> None:
    a_host("kvm-63", state=HostState.QUARANTINED)
    a_host("kvm-62", state=HostState.UNREACHABLE, error="no answer")
    measured = timezone.now()
    a_datastore("files", total=100 * GIB, used=85 * GIB, free=15 * GIB, measured_at=measured)
    a_datastore("roomy", total=100 * GIB, used=79 * GIB, free=21 * GIB, measured_at=measured)
    for minutes in (0, 3):
        evaluate(gather([], [], []), measured + timedelta(minutes=minutes))
    image = an_image(admin)
    a_job(admin, title="Broken copy", image=image, state=JobState.FAILED, error="No space")
    a_job(admin, title="Of an image that was deleted since", state=JobState.FAILED, error="No space")
    a_job(admin, title="Half a move", state=JobState.INTERRUPTED)
    a_job(admin, title="New store", state=JobState.AWAITING)
    old = timezone.now() - timedelta(days=2)
    a_job(admin, title="Long ago", image=image, state=JobState.FAILED, created_at=old, ended_at=old)
    page = text_of(signed_in(admin).get("/")).split("Needs attention")[1].split("Running")[0]
    for words in ("kvm-63", "Compare the keys", "no answer", "files", "85 % used, 15 GiB free", "Broken copy",
                  "No space", "Half a move", "Resume or undo", "New store", "Look at the plan"):  # fmt: skip
        assert words in page, words
    assert "Long ago" not in page
    assert "deleted since" not in page
    assert "roomy" not in page


def test_the_overview_counts(admin: User) -> None:
    a_datastore(total=1000 * GIB, used=250 * GIB)
    now = timezone.now()
    for milliseconds in range(10, 210, 10):
        a_job(admin, "disk.create", created_at=now - timedelta(milliseconds=milliseconds), ended_at=now)
    a_job(admin, "disk.create", state=JobState.FAILED)
    running = a_job(admin, title="Under way", state=JobState.RUNNING)
    a_step(running, state="changed", ended_at=now)
    a_step(running)
    page = text_of(signed_in(admin).get("/"))
    for words in ("250 GiB", "Used of 1000 GiB", "20 succeeded", "1 failed", "20 disks made", "190 ms", "100 ms",
                  "Under way", "1 of 2 steps"):  # fmt: skip
        assert words in page, words


def test_a_file_system_of_several_datastores_counts_once(admin: User) -> None:
    host = a_host()
    same = {"hosts": [host], "total": 100 * GIB, "free": 70 * GIB, "used": 30 * GIB}
    a_datastore("images", **same)
    a_datastore("files", **same)
    a_datastore("elsewhere", total=100 * GIB, free=70 * GIB, used=30 * GIB)
    page = text_of(signed_in(admin).get("/"))
    assert "Used of 200 GiB" in page
    assert "60 GiB" in page


def test_what_was_measured_at_two_moments_is_one_file_system_where_the_mount_point_is_known(admin: User) -> None:
    root = facts()["file_systems"][0] | {"target": "/"}
    host = a_host(facts=facts(file_systems=[root, root | {"target": "/srv/xfs"}]))
    now = timezone.now()
    earlier = {"used": 30 * GIB, "free": 70 * GIB, "measured_at": now - timedelta(hours=1)}
    later = {"used": 40 * GIB, "free": 60 * GIB, "measured_at": now}
    a_datastore("images", base="/srv/xfs/images", hosts=[host], total=100 * GIB, **later)
    a_datastore("files", base="/srv/xfs/files", hosts=[host], total=100 * GIB, **earlier)
    a_datastore("root", base="/srv/xfsroot", hosts=[host], total=100 * GIB, **earlier)
    datastores = list(Datastore.objects.all())
    add_space(datastores)
    figures = space(datastores)
    assert (figures["total"], figures["used"]) == (200 * GIB, 70 * GIB)


def test_space_that_was_never_measured_is_not_nothing(admin: User) -> None:
    a_datastore()
    page = text_of(signed_in(admin).get("/"))
    assert "not measured yet" in page
    assert "Used of" not in page


def test_a_failure_needs_no_attention_once_the_same_was_brought_about(admin: User) -> None:
    for target in ("h1", "h2"):
        a_job(admin, kind="host.read", title=f"Read {target}", target_label=target, state=JobState.FAILED,
              host=a_host(target))  # fmt: skip
    a_job(admin, kind="host.read", title="Read h1 again", target_label="h1")
    assert [concern.name for concern in concerns(admin)] == ["Read h2"]


def test_what_waits_for_a_person_is_not_pushed_out_by_what_failed_since(admin: User) -> None:
    waits = a_job(admin, state=JobState.INTERRUPTED)
    for number in range(20):
        a_job(admin, state=JobState.FAILED, target_label=f"t{number}", image=an_image(admin))
    first, *others = figures.troubled_jobs(admin)
    assert first == waits
    assert [job.pk for job in others] == sorted((job.pk for job in others), reverse=True)
    assert len(others) == figures.ATTENTION - 1


def test_what_somebody_looks_after_needs_no_attention_and_what_ended_neither(admin: User) -> None:
    for label, state in (("new", "firing"), ("known", "acknowledged"), ("over", "resolved"), ("perhaps", "pending")):
        an_alert(label, state=state)
    assert [concern.name for concern in concerns(admin)] == ["new"]


def test_a_job_that_is_interrupted_is_not_shown_twice(admin: User) -> None:
    job = a_job(admin, title="Half a move", state=JobState.INTERRUPTED)
    an_alert("Half a move", rule="job_interrupted", subject=f"job:{job.uuid}")
    assert [concern.action for concern in concerns(admin)] == ["Resume or undo"]


def test_the_worst_alerts_come_first_and_the_others_are_a_link_away(admin: User) -> None:
    for number in range(12):
        an_alert(f"filling-{number}", rule="datastore_filling", severity="warning")
    an_alert("burning")
    found = concerns(admin)
    assert (found[0].name, found[1].action, len(found)) == ("burning", "All alerts", 9)
    assert found[1].url == "/alerts/?state=firing"


def test_alerts_lead_to_where_the_next_thing_is_done(admin: User) -> None:
    host, job = a_host("h"), a_job(admin)
    for rule, subject, url in (
        ("datastore_full", "datastore:3", "/images/?sort=-real&q=datastore%3D%22gold%22"),
        ("datastore_not_measured", "datastore:3", "/datastores/3/"),
        ("host_unreachable", f"host:{host.pk}", f"/hosts/{host.pk}/"),
        ("job_interrupted", f"job:{job.uuid}", f"/jobs/{job.uuid}/"),
    ):
        assert next_step(an_alert(rule=rule, subject=subject))[0] == url
    alert = an_alert(rule="queue_without_worker", subject="queue:transfer")
    assert next_step(alert) == (f"/alerts/{alert.pk}/", "What to do")


def test_a_schedule_that_stopped_is_seen_although_it_is_what_looks(admin: User, alice: User) -> None:
    duty = Duty.objects.create(name=EVALUATE, due_at=timezone.now() - timedelta(minutes=2))
    assert concerns(admin) == []
    Duty.objects.filter(pk=duty.pk).update(due_at=timezone.now() - timedelta(minutes=10))
    [concern] = concerns(admin)
    assert (concern.word, "10 min" in concern.text) == ("schedule stopped", True)
    assert concerns(alice) == []


def test_tenants_are_not_told_what_the_cloud_is_made_of(alice: User) -> None:
    an_alert("secret-gold")
    assert concerns(alice) == []
    page = text_of(signed_in(alice).get("/"))
    assert "secret-gold" not in page and "/alerts/" not in page


def test_jobs_that_were_taken_back_are_not_counted_as_cancelled(admin: User) -> None:
    a_host()
    a_job(admin, state=JobState.CANCELLED, undo_requested=True)
    a_job(admin, state=JobState.CANCELLED, undo_requested=True, cancel_requested_at=timezone.now())
    page = text_of(signed_in(admin).get("/"))
    assert "1 cancelled" in page
    assert "1 undone" in page


def test_jobs_count_for_a_day_after_their_end_and_until_then(alice: User, bob: User) -> None:
    long_ago, lately = timezone.now() - timedelta(days=3), timezone.now() - timedelta(hours=23)
    a_job(alice, created_at=long_ago, ended_at=long_ago)
    a_job(alice, created_at=long_ago, ended_at=lately)
    a_job(alice, created_at=long_ago, state=JobState.INTERRUPTED)
    a_job(alice, created_at=long_ago, state=JobState.FAILED)
    a_job(bob)
    counts = job_counts(alice)
    assert (counts["total"], counts["succeeded"], counts["failed"]) == (3, 1, 1)


def test_the_times_of_clones_are_those_of_the_last_ones(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_CLONES", 2)
    now = timezone.now()
    for minutes, took in ((3, 30), (2, 2), (1, 1)):
        ended = now - timedelta(minutes=minutes)
        a_job(alice, "disk.create", created_at=ended - timedelta(seconds=took), ended_at=ended)
    assert clone_seconds(alice) == {"p50": 1.0, "p95": 2.0, "count": 2, "bounded": True}
    a_host()
    assert "the last 2 disks made" in text_of(signed_in(alice).get("/"))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a small table as a whole")
def test_what_every_viewer_asks_about_the_last_day_reads_no_more_than_that(admin: User, alice: User) -> None:
    for user in (admin, alice):
        with CaptureQueriesContext(connection) as asked:
            ended_lately(user)
            clone_seconds(user)
            job_counts(user)
        of_the_day = [query["sql"] for query in asked if "ended_at" in query["sql"]]
        assert len(of_the_day) == 3
        for sql in of_the_day:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = [detail for *_, detail in cursor.fetchall()]
            assert any("ended_at>" in line for line in plan), (sql, plan)


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (1, 1.0), (100, 4.0)])
def test_percentiles(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


def test_a_tenant_sees_only_what_is_theirs(alice: User, bob: User, admin: User) -> None:
    image = an_image(bob, "secret-image")
    a_disk(image, a_vm(bob, "secret-vm"))
    a_job(bob, title="secret-job", state=JobState.RUNNING)
    a_job(admin, title="secret-failure", state=JobState.FAILED)
    client = signed_in(alice)
    for path in ("/", "/images/", "/vms/", "/jobs/", "/audit/", "/find/?q=secret", "/find/?q=h", "/images/register/"):
        page = text_of(client.get(path))
        assert "secret-" not in page, path
        assert str(image.datastore.hosts.get()) not in page or path == "/images/register/", path
    assert "<b>no</b> <span>jobs under way" in text_of(client.get("/"))


def test_who_has_nothing_yet_is_told_how_to_begin(alice: User, bob: User) -> None:
    client = signed_in(alice)
    assert "There is no datastore to keep one in yet" in text_of(client.get("/"))
    a_datastore("gold", source_directories=["/srv/incoming"])
    page = text_of(client.get("/"))
    assert "Begin with an image" in page and "It has to lie below /srv/incoming." in page
    assert page.count('href="/images/register/"') >= 2
    an_image(bob)
    assert "Begin with an image" in text_of(client.get("/"))
    an_image(alice)
    assert "Begin with an image" not in text_of(client.get("/"))


def test_finding(admin: User) -> None:
    image = an_image(admin, "golden")
    a_vm(admin, "golden-web")
    a_job(admin, title="Register golden")
    page = text_of(signed_in(admin).get("/find/?q=GOLD"))
    for words in (f"/images/{image.pk}/", "golden-web", "Register golden"):
        assert words in page
    assert "Nothing has that in its name" in text_of(signed_in(admin).get("/find/?q=zzz"))


def test_many_plans_that_wait_are_one_entry(admin: User) -> None:
    for number in range(3):
        a_job(admin, title=f"Make {number}", state=JobState.AWAITING)
    assert [concern.name for concern in concerns(admin)] == ["Make 2", "Make 1", "Make 0"]
    a_job(admin, title="Make 3", state=JobState.AWAITING)
    a_job(admin, title="Half", state=JobState.INTERRUPTED)
    found = concerns(admin)
    assert [concern.name for concern in found] == ["4 plans wait for approval", "Half"]
    page = text_of(signed_in(admin).get(found[0].url))
    assert "Make 0" in page and "Half" not in page


def test_a_datastore_that_nobody_has_made_yet_is_not_counted(admin: User) -> None:
    for number in range(14):
        a_datastore(f"planned-{number}", base=f"/srv/p{number}", state=ObjectState.PENDING)
    a_datastore("there", base="/srv/there")
    assert counts(admin)["datastore-list"].number == 1
    page = text_of(signed_in(admin).get("/"))
    assert "1 datastore," in page and "there" in page and "planned-10" in page and "planned-13" not in page
