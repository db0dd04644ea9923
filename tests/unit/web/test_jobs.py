"""The page of a job, what can be done to it, and its plan."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.plan import Action, Change, Command, Detached, WriteFile
from datastores.domain.states import EventKind, JobState, StepState
from datastores.hosts.lines import edited
from datastores.jobs import run
from datastores.jobs.codec import encode_action, encode_change
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import job_frame
from datastores.models import AuditEntry, Datastore, Job, Lease, User
from datastores.web.plans import as_shell, plan_view
from tests.unit.conftest import a_datastore, a_job, a_step, an_image, signed_in, text_of, write_log

EXPORT = WriteFile("/etc/exports.d/a b.exports", "/srv 10.0.0.0/24(rw)\n", "/srv 10.0.0.0/24 (rw)\n", mode="0640")
RELOAD = Command(("exportfs", "-r"))
MOUNT = Command(("mount", "--", "nfs:/srv", "/mnt/it's"))


@pytest.fixture
def planned(admin: User) -> Job:
    """A plan for two hosts that waits for approval."""
    job = a_job(admin, "datastore.create", state=JobState.AWAITING, datastore=a_datastore(state="pending"))
    actions = (Action(EXPORT, EXPORT.undo), Action(RELOAD))
    change = Change("export it", actions, "The blank gave it to everybody.")
    a_step(job, "/srv is exported", "nfs", change=encode_change(change))
    a_step(job, "nfs-common is installed", "kvm")
    a_step(job, "group cloud has gid 1001", "kvm")
    a_step(job, "it is mounted", "kvm", change=encode_change(Change("mount", (Action(Detached(MOUNT), MOUNT),))))
    return job


def test_the_plan_is_told_host_by_host(admin: User, planned: Job) -> None:
    view = plan_view(planned)
    assert [(host.host, len(host.changes), host.already) for host in view.hosts] == [
        ("nfs", 1, []),
        ("kvm", 1, ["nfs-common is installed", "group cloud has gid 1001"]),
    ]
    assert (view.changes, view.already, view.refused, view.recorded) == (2, 2, 0, False)
    export = view.hosts[0].changes[0]
    assert export.undo == "can be undone in part"
    assert view.hosts[1].changes[0].undo == "can be undone"
    assert [line.tone for line in export.operations[0].diff] == ["c", "c", "c", "r", "a"]


def test_the_plan_page_shows_the_exact_commands(admin: User, planned: Job) -> None:
    page = text_of(signed_in(admin).get(f"/jobs/{planned.uuid}/plan/"))
    for words in ("Apply 2 changes", "exportfs -r", "mount -- nfs:/srv", "nfs-common is installed; group cloud",
                  "The blank gave it to everybody.", '<span class="a">+/srv 10.0.0.0/24(rw)</span>'):  # fmt: skip
        assert words in page, words


def test_what_is_only_looked_at_is_no_change(admin: User, planned: Job) -> None:
    a_step(planned, "/srv is writable", "kvm", change=encode_change(Change("look at /srv when it is there", ())))
    view = plan_view(planned)
    assert (view.changes, view.already, view.hosts[1].checks) == (2, 2, ["/srv is writable"])
    page = text_of(signed_in(admin).get(f"/jobs/{planned.uuid}/plan/"))
    assert "Apply 2 changes" in page
    assert "checked on the way" in page


def test_the_plan_as_shell_can_be_run(admin: User, planned: Job) -> None:
    shell = as_shell(plan_view(planned))
    assert "# nfs: /srv is exported\npatch -- '/etc/exports.d/a b.exports' <<'END'\n---" in shell
    assert "chmod 0640 -- '/etc/exports.d/a b.exports'\nexportfs -r\n" in shell
    assert """mount -- nfs:/srv '/mnt/it'"'"'s'\n""" in shell


def test_lines_of_a_file_of_others_are_shown_alone_and_changed_alone(admin: User) -> None:
    job = a_job(admin, "datastore.create", state=JobState.AWAITING)
    line = edited("/etc/fstab", "", "nas:/srv /srv nfs4 rw 0 0")
    a_step(job, "fstab", change=encode_change(Change("add it", (line,))))
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert '<span class="a">+nas:/srv /srv nfs4 rw 0 0</span>' in page
    assert as_shell(plan_view(job)).endswith(" sh /etc/fstab '' 'nas:/srv /srv nfs4 rw 0 0' ''\n")


def test_a_secret_is_not_in_the_plan(admin: User) -> None:
    job = a_job(admin, "datastore.create", state=JobState.AWAITING)
    secret = Command(("chpasswd",), stdin="root:hunter2", secret=True)
    a_step(job, "password", change=encode_change(Change("set", (Action(secret),))))
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert "hunter2" not in page
    assert "reads a secret" in page
    assert "cannot be undone" in page


def test_a_refused_step_stops_the_plan(admin: User, planned: Job) -> None:
    a_step(planned, "uid 1001 is free", "kvm", refused="1001 belongs to games.")
    page = text_of(signed_in(admin).get(f"/jobs/{planned.uuid}/plan/"))
    assert "1001 belongs to games." in page
    assert "Apply" not in page
    response = signed_in(admin).post(f"/jobs/{planned.uuid}/approve/", follow=True)
    assert "A step of this plan is refused" in text_of(response)
    planned.refresh_from_db()
    assert planned.state == JobState.AWAITING


def test_approving_hands_the_job_over(admin: User, planned: Job, enqueued: list[str],
                                      django_capture_on_commit_callbacks: Any) -> None:  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        response = signed_in(admin).post(f"/jobs/{planned.uuid}/approve/")
    assert response.url == f"/jobs/{planned.uuid}/"
    planned.refresh_from_db()
    assert (planned.state, planned.approved_by) == (JobState.QUEUED, admin)
    assert enqueued == [str(planned.uuid)]
    again = signed_in(admin).post(f"/jobs/{planned.uuid}/approve/", headers={"Accept": "application/json"})
    assert again.status_code == 409


@pytest.mark.parametrize("kind", [kind for kind, case in KINDS.items() if case.needs_approval])
@pytest.mark.parametrize("with_steps", [False, True])
def test_whatever_waits_for_approval_can_be_approved_and_discarded(admin: User, kind: str, with_steps: bool) -> None:
    job = a_job(admin, kind, state=JobState.AWAITING, datastore=a_datastore())
    if with_steps:
        a_step(job)
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert f'action="/jobs/{job.uuid}/approve/"' in page and f'action="/jobs/{job.uuid}/cancel/"' in page
    assert "Nothing has to be changed on a host" in page
    assert "No plan yet" not in page


def test_a_plan_that_is_not_there_yet_is_not_offered(admin: User) -> None:
    job = a_job(admin, "datastore.delete", state=JobState.PLANNING, datastore=a_datastore())
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert "No plan yet" in page and "/approve/" not in page


def test_the_page_of_a_plan_becomes_the_plan_by_itself(admin: User, planned: Job) -> None:
    client = signed_in(admin)
    job = a_job(admin, "datastore.delete", state=JobState.PLANNING, datastore=a_datastore())
    page = text_of(client.get(f"/jobs/{job.uuid}/plan/"))
    assert f'data-live="job:{job.uuid}" hx-get="/jobs/{job.uuid}/plan/"' in page
    assert 'hx-trigger="live, every 2s"' in page, "the plan may be there before the page hears of jobs"
    assert 'hx-trigger="live"' in text_of(client.get(f"/jobs/{planned.uuid}/plan/")), "somebody else may approve it"


def test_a_job_that_ended_before_its_plan_says_why(admin: User) -> None:
    job = a_job(admin, "datastore.delete", state=JobState.FAILED, datastore=a_datastore(), error="h1 is away.")
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/plan/"))
    assert "The job ended before there was one: h1 is away." in page
    assert "data-live=" not in page.split('id="plan"')[1].split(">")[0]


def test_who_asks_for_what_waits_is_led_to_its_plan(admin: User) -> None:
    datastore, client = a_datastore("gone"), signed_in(admin)
    answer = client.post(f"/datastores/{datastore.pk}/delete/", {"confirm_name": "gone"})
    job = Job.objects.get(kind="datastore.delete")
    assert answer.url == f"/jobs/{job.uuid}/plan/"
    Job.objects.update(state=JobState.AWAITING)
    assert client.post(f"/jobs/{job.uuid}/plan-again/").url == answer.url
    other = an_image(admin, datastore=a_datastore("other"))
    assert client.post(f"/images/{other.pk}/checksum/").url == f"/jobs/{Job.objects.first().uuid}/"


def test_a_datastore_is_deleted_in_the_browser(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.heartbeat, "start", lambda worker: None)
    datastore, client = a_datastore("gone"), signed_in(admin)
    client.post(f"/datastores/{datastore.pk}/delete/", {"confirm_name": "gone"})
    job = Job.objects.get(kind="datastore.delete")
    run.run_job(str(job.uuid))
    page = text_of(client.get(f"/jobs/{job.uuid}/plan/"))
    client.post(f"/jobs/{job.uuid}/approve/", {"plan": page.split('name="plan" value="')[1].split('"')[0]})
    run.run_job(str(job.uuid))
    assert not Datastore.objects.exists()
    assert "Nothing has to be changed on a host" in text_of(client.get(f"/jobs/{job.uuid}/plan/"))


def test_a_plan_that_was_made_anew_is_not_approved_by_a_page_that_shows_the_old_one(admin: User, planned: Job) -> None:
    client = signed_in(admin)
    Job.objects.filter(pk=planned.pk).update(attempts=3)
    assert 'name="plan" value="3"' in text_of(client.get(f"/jobs/{planned.uuid}/plan/"))
    for stale in ("2", "²", ""):
        client.post(f"/jobs/{planned.uuid}/approve/", {"plan": stale})
        planned.refresh_from_db()
        assert planned.state == JobState.AWAITING
    client.post(f"/jobs/{planned.uuid}/approve/", {"plan": "3"})
    planned.refresh_from_db()
    assert planned.state == JobState.QUEUED


def test_an_operator_does_not_approve_a_datastore(operator: User, planned: Job) -> None:
    response = signed_in(operator).post(f"/jobs/{planned.uuid}/approve/", follow=True)
    assert "the role operator may not do that" in text_of(response)
    assert "Apply" not in text_of(signed_in(operator).get(f"/jobs/{planned.uuid}/plan/"))


def test_planning_again_and_discarding(admin: User, planned: Job) -> None:
    signed_in(admin).post(f"/jobs/{planned.uuid}/plan-again/")
    planned.refresh_from_db()
    assert planned.state == JobState.QUEUED
    Job.objects.filter(pk=planned.pk).update(state=JobState.AWAITING)
    signed_in(admin).post(f"/jobs/{planned.uuid}/cancel/")
    planned.refresh_from_db()
    assert planned.state == JobState.CANCELLED


def test_a_job_without_approval_shows_what_it_did(admin: User) -> None:
    job = a_job(admin)
    a_step(job, "it is there", state=StepState.UNCHANGED)
    a_step(job, "it is mounted", state=StepState.CHANGED)
    data = {"action": 0, **encode_action(Action(MOUNT, RELOAD))}
    write_log(job, "$ mount", kind=EventKind.ACTION_STARTED, step=1, data=data)
    view = plan_view(job)
    assert view.recorded
    assert (view.changes, view.already) == (1, 1)
    assert view.hosts[0].changes[0].operations[0].line.startswith("mount -- nfs:/srv")


@pytest.mark.parametrize(
    ("state", "kind", "there", "absent"),
    [
        (JobState.QUEUED, "image.clone", ["Cancel"], ["Undo what", "Resume", "Retry", "Try again"]),
        (JobState.RUNNING, "image.clone", ["Cancel and undo"], ["Undo what", "Resume", "Try again"]),
        (JobState.AWAITING, "datastore.create", ["Look at the plan", "Cancel"], ["Resume", "Try again"]),
        (JobState.SUCCEEDED, "image.clone", ["Undo what it did"], ["Cancel", "Resume", "Try again"]),
        (JobState.SUCCEEDED, "image.checksum", [], ["Undo what", "Cancel", "Resume", "Try again"]),
        (JobState.FAILED, "image.clone", ["Try again"], ["Undo what", "Cancel", "Resume"]),
        (JobState.INTERRUPTED, "image.clone", ["Resume", "Undo what it did", "Cancel"], ["Try again"]),
    ],
)
def test_only_what_is_possible_is_offered(
    admin: User, state: str, kind: str, there: list[str], absent: list[str]
) -> None:
    job = a_job(admin, kind, state=state, title="J", image=an_image(admin))
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/")).split("<main")[1]
    buttons = [part.split("</button")[0] for part in page.split("<button")[1:]]
    buttons += [part.split("</a")[0] for part in page.split('<a class="btn')[1:]]
    assert all(any(words in button for button in buttons) for words in there)
    assert not any(words in button for button in buttons for words in absent)


def test_what_is_being_taken_back_can_only_be_resumed(admin: User) -> None:
    image = an_image(admin)
    job = a_job(admin, "image.clone", state=JobState.INTERRUPTED, undo_requested=True, image=image)
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    assert "What it did is being taken back" in page and f"/jobs/{job.uuid}/retry/" in page
    assert f"/jobs/{job.uuid}/undo/" not in page and f"/jobs/{job.uuid}/cancel/" not in page


def test_taking_back_what_was_made_asks_for_its_name(admin: User) -> None:
    image = an_image(admin, "golden")
    job = a_job(admin, "image.create", image=image)
    client = signed_in(admin)
    assert "golden is deleted, with everything that was written to it since" in text_of(
        client.get(f"/jobs/{job.uuid}/")
    )
    asked = text_of(client.post(f"/jobs/{job.uuid}/undo/", {"confirm_name": "silver"}))
    assert "Are you sure?" in asked and "That is not what is asked for" in asked
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED
    client.post(f"/jobs/{job.uuid}/undo/", {"confirm_name": "golden"})
    job.refresh_from_db()
    assert job.undo_requested


def test_an_auditor_is_offered_nothing(auditor: User, admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.FAILED)
    assert "Try again" not in text_of(signed_in(auditor).get(f"/jobs/{job.uuid}/"))


def test_a_failed_job_says_what_happened_what_was_left_and_what_to_do(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.FAILED, error="No space left on h1.", image=an_image(admin))
    a_step(job, "the copy is there", state=StepState.KEPT)
    write_log(job, "$ cp", kind=EventKind.ACTION_STARTED, step=0, data=None)
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    for words in (
        "No space left on h1.",
        "1 kept",
        "the copy is there",
        "then try again",
        "Retry from the failed step",
    ):
        assert words in page, words


def test_a_failed_job_that_did_nothing_says_so(admin: User) -> None:
    job = a_job(admin, state=JobState.FAILED, error="unreachable")
    assert "Nothing was changed on any host" in text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))


def test_retrying_needs_what_the_job_is_about(admin: User) -> None:
    image = an_image(admin)
    job = a_job(admin, "image.checksum", state=JobState.FAILED, image=image)
    signed_in(admin).post(f"/jobs/{job.uuid}/retry/")
    job.refresh_from_db()
    assert job.state == JobState.QUEUED
    gone = a_job(admin, "image.checksum", state=JobState.FAILED)
    response = signed_in(admin).post(f"/jobs/{gone.uuid}/retry/", follow=True)
    assert "is gone" in text_of(response)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.INTERRUPTED])
def test_what_is_gone_is_told_instead_of_offering_to_try_again(admin: User, state: JobState) -> None:
    image = an_image(admin)
    job = a_job(admin, "image.checksum", state=state, image=image)
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    assert "is gone" not in page and f"/jobs/{job.uuid}/retry/" in page
    image.delete()
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    assert "The image of this job is gone" in page and f"/jobs/{job.uuid}/retry/" not in page


def test_cancelling_is_a_request_while_a_worker_has_the_job(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.RUNNING)
    signed_in(admin).post(f"/jobs/{job.uuid}/cancel/")
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
    assert job.cancel_requested_at
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    assert "Asked to stop" in page
    assert AuditEntry.objects.filter(action="image.clone.cancel").exists()


def test_a_job_that_waits_says_for_which(admin: User) -> None:
    holder = a_job(admin, state=JobState.RUNNING, title="Copy gold")
    waiting = a_job(admin, state=JobState.QUEUED)
    Lease.objects.create(job=holder, resource="image:1", exclusive=False)
    Lease.objects.create(job=waiting, resource="image:1", exclusive=True, granted=False)
    page = text_of(signed_in(admin).get(f"/jobs/{waiting.uuid}/"))
    assert "waits until" in page
    assert "Copy gold" in page


def test_a_job_that_waits_for_somebody_elses_does_not_tell_what_that_does(alice: User, operator: User) -> None:
    holder = a_job(operator, state=JobState.RUNNING, title="Clone gold to secret")
    waiting = a_job(alice, state=JobState.QUEUED)
    Lease.objects.create(job=holder, resource="image:1", exclusive=False)
    Lease.objects.create(job=waiting, resource="image:1", exclusive=True, granted=False)
    page = text_of(signed_in(alice).get(f"/jobs/{waiting.uuid}/"))
    assert f"waits until job {holder.pk}, asked by olga, (running) has ended" in page
    assert "secret" not in page


def test_parts_of_the_page_for_htmx(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.RUNNING)
    a_step(job, "a clone is there")
    client = signed_in(admin)
    for part, words in (("lanes", "a clone is there"), ("acts", "Cancel and undo"), ("state", "data-job-refresh")):
        text = text_of(client.get(f"/jobs/{job.uuid}/?part={part}", headers={"HX-Request": "true"}))
        assert words in text
        assert "<html" not in text


def test_a_part_says_for_which_state_it_was_made_as_the_socket_does(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.QUEUED)
    client = signed_in(admin)
    seen = set()
    for change in (
        {},
        {"state": JobState.RUNNING},
        {"cancel_requested_at": timezone.now()},
        {"step": "a clone is there"},
    ):
        if title := change.get("step"):
            a_step(job, str(title))
        else:
            Job.objects.filter(pk=job.pk).update(**change)
        job.refresh_from_db()
        shown = job_frame(job, list(job.steps.all()))["shown"]
        seen.add(shown)
        assert text_of(client.get(f"/jobs/{job.uuid}/")).count(f'data-job-refresh data-job-shown="{shown}"') == 3
    assert len(seen) == 4


def test_a_running_job_does_not_say_that_nothing_was_changed(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.RUNNING)
    assert "Nothing has been changed" not in text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))


def test_only_what_is_true_counts_as_done(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.FAILED)
    for state in (StepState.CHANGED, StepState.FAILED, StepState.UNDONE, StepState.WAITING):
        a_step(job, state=state, ended_at=timezone.now())
    assert "1 of 4 steps" in text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))


def test_what_a_person_had_taken_back_reads_undone(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.CANCELLED, undo_requested=True, error="taken back")
    client = signed_in(admin)
    page = text_of(client.get(f"/jobs/{job.uuid}/"))
    assert "<span>undone</span>" in page
    assert "Somebody had it taken back." in page
    assert "Retry from the failed step" not in page
    assert "<span>undone</span>" in text_of(client.get("/jobs/"))
    Job.objects.update(cancel_requested_at=timezone.now())
    assert "<span>cancelled</span>" in text_of(client.get(f"/jobs/{job.uuid}/"))


def test_a_cancelled_job_has_no_failed_step_to_retry_from(admin: User) -> None:
    job = a_job(admin, "image.clone", state=JobState.CANCELLED, image=an_image(admin))
    write_log(job, "$ cp", kind=EventKind.ACTION_STARTED, step=0, data=None)
    page = text_of(signed_in(admin).get(f"/jobs/{job.uuid}/"))
    assert "Try again" in page
    assert "Retry from the failed step" not in page


def test_a_tenant_filters_by_kinds_that_tenants_may_ask_for(admin: User, alice: User) -> None:
    assert "Create datastore" in text_of(signed_in(admin).get("/jobs/?q=x"))
    page = text_of(signed_in(alice).get("/jobs/?q=x"))
    assert "Move disk" in page
    assert "Create datastore" not in page


def test_an_ended_job_opens_no_socket(admin: User) -> None:
    running, ended = a_job(admin, state=JobState.RUNNING), a_job(admin)
    client = signed_in(admin)
    assert f'data-socket-url="/ws/jobs/{running.uuid}/"' in text_of(client.get(f"/jobs/{running.uuid}/"))
    assert "data-socket-url" not in text_of(client.get(f"/jobs/{ended.uuid}/"))


def test_a_job_of_a_kind_that_is_no_more_can_be_read(admin: User) -> None:
    job = a_job(admin, "vm.evaporate", state=JobState.FAILED)
    assert signed_in(admin).get(f"/jobs/{job.uuid}/").status_code == 200
    assert signed_in(admin).get("/jobs/").status_code == 200


def test_the_list_is_filtered_by_its_address(admin: User) -> None:
    a_job(admin, "image.clone", title="Clone gold", state=JobState.FAILED)
    a_job(admin, "disk.create", title="Clone silver")
    client = signed_in(admin)
    for query, found, missing in (
        ("state=failed", "Clone gold", "Clone silver"),
        ("kind=disk.create", "Clone silver", "Clone gold"),
        ("q=SILVER clone", "Clone silver", "Clone gold"),
        ("state=nonsense&q=gold", "Clone gold", "Clone silver"),
    ):
        page = text_of(client.get(f"/jobs/?{query}"))
        assert found in page, query
        assert missing not in page, query


def test_a_row_of_the_list_is_read_anew_and_goes_with_its_job(admin: User) -> None:
    job = a_job(admin, title="Clone gold")
    client = signed_in(admin)
    row = text_of(client.get(f"/jobs/?row={job.pk}", headers={"HX-Request": "true"}))
    assert row.strip().startswith("<tr")
    assert "Clone gold" in row
    Job.objects.all().delete()
    assert text_of(client.get(f"/jobs/?row={job.pk}", headers={"HX-Request": "true"})).strip() == ""
