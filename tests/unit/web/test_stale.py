"""A page that is not as things are any more: its buttons overwrite nothing, and tell what was done since."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datastores.domain.states import HostState, JobState, ObjectState
from datastores.jobs.control import cancel
from datastores.models import Credential, Disk, Drift, HostKey, Image, Job, SavedView, Snapshot, User
from datastores.models.audit import record
from datastores.services import since
from datastores.services.since import about, steered
from datastores.services.vms import delete_vm, set_vm_state
from tests.unit.conftest import (
    a_credential,
    a_datastore,
    a_disk,
    a_drift,
    a_host,
    a_job,
    a_vm,
    an_alert,
    an_image,
    person,
    signed_in,
    text_of,
)

WHEN = r"\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}"


def press(user: User, path: str, **fields: Any) -> str:
    return text_of(signed_in(user).post(path, fields, follow=True))


def deleted_by_a_job(user: User, image: Image) -> None:
    """Delete an image as its job would."""
    job = a_job(user, "image.delete", image=image, target_label=f"{image.datastore}/{image}")
    for result in ("asked", "succeeded"):
        record("image.delete", user=user, target=job.target_label, job=job, result=result)
    Image.objects.filter(pk=image.pk).delete()


# What is gone


def test_who_presses_a_button_of_what_was_deleted_is_told_by_whom_and_when(admin: User, operator: User) -> None:
    image = an_image(admin, "debian")
    path = f"/images/{image.pk}/clone/"
    deleted_by_a_job(operator, image)
    page = press(admin, path, name="copy")
    assert re.search(rf"olga asked to delete image \S+/debian, on {WHEN}\.", page)
    assert "Nothing was changed" in page
    assert 'href="/images/"' in page


def test_a_page_that_is_open_is_told_of_it_by_the_part_that_is_read_again(admin: User, operator: User) -> None:
    image = an_image(admin, "debian")
    deleted_by_a_job(operator, image)
    for path, told in ((f"/images/{image.pk}/", "olga asked to delete image"), ("/images/99999/", "or not yours.")):
        answer = signed_in(admin).get(path, headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Retarget"], answer["HX-Reselect"]) == (410, "#messages", ".note")
        assert "This is not there any more" in text_of(answer) and told in text_of(answer)
        assert "<html" not in text_of(answer)


def test_who_only_looks_is_not_told_and_the_trail_is_not_read(admin: User, operator: User) -> None:
    host = a_host("h1")
    path = f"/hosts/{host.pk}/"
    signed_in(admin).post(f"{path}delete/", {"confirm_name": "h1"})
    client = signed_in(operator)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    assert answer.status_code == 404
    assert "It may have been deleted meanwhile." in text_of(answer) and "anna" not in text_of(answer)
    assert not any("auditentry" in query["sql"] for query in queries)


def test_of_what_a_tenant_never_worked_on_one_question_is_asked(alice: User, operator: User) -> None:
    image, client = an_image(operator), signed_in(alice)
    path = f"/images/{image.pk}/checksum/"
    deleted_by_a_job(operator, image)
    with CaptureQueriesContext(connection) as queries:
        client.post(path)
    looks = [query["sql"] for query in queries if "auditentry" in query["sql"] and '"detail"' in query["sql"]]
    assert len(looks) == 1 and '"actor_id"' in looks[0]


@pytest.mark.parametrize(
    "way", ["clone", "persistent", "rename", "resize", "move", "checksum", "delete", "disks", "snapshots"]
)
def test_every_button_of_an_image_that_is_gone_tells_so(admin: User, way: str) -> None:
    image = an_image(admin)
    deleted_by_a_job(admin, image)
    assert "The last that was done to it: anna asked to delete" in press(admin, f"/images/{image.pk}/{way}/")


def test_a_machine_with_its_disk_gone(alice: User) -> None:
    vm = a_vm(alice, "web")
    path = f"/vms/{vm.pk}/"
    delete_vm(vm, alice)
    for way in ("state", "disks", "delete"):
        assert "alice deleted the virtual machine web" in press(alice, f"{path}{way}/", state="off")


def test_a_snapshot_that_is_gone(admin: User) -> None:
    image = an_image(admin)
    snapshot = Snapshot.objects.create(image=image, name="s", state=ObjectState.READY)
    job = a_job(admin, "snapshot.delete", image=image, snapshot=snapshot, target_label="s")
    record("snapshot.delete", user=admin, target="s", job=job)
    path = f"/images/{image.pk}/snapshots/{snapshot.pk}/revert/"
    snapshot.delete()
    assert "anna asked to delete snapshot s" in press(admin, path, confirm_name="s")


def test_a_key_that_is_not_offered_any_more(admin: User) -> None:
    host = a_host("h1", state=HostState.NEW)
    keys = [HostKey.objects.create(host=host, fingerprint=f"SHA256:{name}", line="x") for name in ("a", "b")]
    client = signed_in(admin)
    client.post(f"/hosts/{host.pk}/pin/{keys[0].pk}/")
    assert "anna pinned the key of h1" in text_of(client.post(f"/hosts/{host.pk}/pin/{keys[1].pk}/"))


@pytest.mark.parametrize("path", ["/credentials/999/delete/", "/settings/targets/999/delete/", "/views/999/delete/"])
def test_of_what_the_trail_does_not_tell_it_is_said_that_it_is_not_there(admin: User, path: str) -> None:
    page = press(admin, path)
    assert "may have been deleted meanwhile. Nothing was changed." in page
    assert "The last that was done" not in page


def test_a_view_and_a_key_are_gone_without_a_trace_of_a_defect(admin: User) -> None:
    saved = SavedView.objects.create(user=admin, list="images", name="mine", query="q=a")
    key = a_credential(name="spare")
    client = signed_in(admin)
    for path in (f"/views/{saved.pk}/delete/", f"/credentials/{key.pk}/delete/"):
        assert client.post(path, {"confirm_name": "spare"}).status_code == 302
        assert client.post(path, {"confirm_name": "spare"}).status_code == 404
    assert not Credential.objects.filter(pk=key.pk).exists()


def test_a_program_is_told_in_json(admin: User, operator: User) -> None:
    image = an_image(admin)
    deleted_by_a_job(operator, image)
    answer = signed_in(admin).post(f"/images/{image.pk}/checksum/", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert "olga asked to delete image" in answer.json()["error"]


def test_a_number_that_no_database_holds_is_not_there(admin: User) -> None:
    assert signed_in(admin).post(f"/images/{10**30}/checksum/").status_code == 404


# What a tenant may know of it


def test_a_tenant_learns_nothing_of_what_was_never_theirs(alice: User, bob: User) -> None:
    image = an_image(bob, "private")
    there = text_of(signed_in(alice).post(f"/images/{image.pk}/checksum/"))
    deleted_by_a_job(bob, image)
    gone = text_of(signed_in(alice).post(f"/images/{image.pk}/checksum/"))
    never = text_of(signed_in(alice).post("/images/999999/checksum/"))
    assert there == gone == never


def test_a_tenant_is_told_who_deleted_what_was_theirs_but_not_what_else_they_did(alice: User, admin: User) -> None:
    image = an_image(alice, "mine")
    record("image.register", user=alice, job=a_job(alice, "image.register", image=image))
    deleted_by_a_job(admin, image)
    page = press(alice, f"/images/{image.pk}/checksum/")
    assert re.search(rf"The last that was done to it was done by anna on {WHEN}\.", page)
    assert "asked to delete" not in page


def test_a_name_is_shown_as_text(admin: User) -> None:
    vm = a_vm(admin, "<img src=x onerror=alert(1)>")
    path = f"/vms/{vm.pk}/delete/"
    delete_vm(vm, admin)
    page = press(admin, path)
    assert "&lt;img src=x" in page and "<img src=x" not in page


def test_an_entry_of_a_job_names_what_it_is_about(admin: User) -> None:
    disk = a_disk(an_image(admin))
    entry = record("disk.delete", user=admin, job=a_job(admin, "disk.delete", disk=disk, vm=disk.vm))
    assert entry.detail["about"] == {"disk": disk.pk, "vm": disk.vm_id}
    assert list(about(f"disk:{disk.pk}")) == [entry]
    assert list(about(f"disk:{disk.pk + 1}")) == []


def test_only_the_newest_entries_are_looked_through(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = record("host.change", user=admin, target=a_host())
    assert list(about(entry.detail["row"])) == [entry]
    monkeypatch.setattr(since, "LATELY", 1)
    record("user.sign_in", user=admin)
    assert list(about(entry.detail["row"])) == []


# What is another one by now


def test_a_second_press_does_not_let_a_deactivated_person_in_again(admin: User, alice: User) -> None:
    other, path = person("bert", User.Role.ADMIN), f"/users/{alice.pk}/active/"
    press(admin, path, on="0", confirm_name="alice")
    page = press(other, path, on="0", confirm_name="alice")
    alice.refresh_from_db()
    assert not alice.is_active
    assert re.search(rf"alice was deactivated already by anna on {WHEN}\. Nothing was changed\.", page)
    press(other, path, on="1")
    assert "alice was activated already by bert" in press(admin, path, on="1")
    alice.refresh_from_db()
    assert alice.is_active


def test_the_list_of_users_says_what_each_button_is_for(admin: User) -> None:
    person("gone", User.Role.TENANT, is_active=False)
    page = text_of(signed_in(admin).get("/users/"))
    assert page.count('name="on" value="0"') == page.count('name="on" value="1"') == 1


def test_two_admins_do_not_overwrite_each_others_account(admin: User, alice: User) -> None:
    other, path = person("bert", User.Role.ADMIN), f"/users/{alice.pk}/"
    seen = re.search(r'name="seen" value="(\w+)"', text_of(signed_in(other).get(path)))
    assert seen
    press(admin, path, username="alice", role="operator", seen=seen[1])
    page = press(other, path, username="alice", role="tenant", email="a@example.org", seen=seen[1])
    alice.refresh_from_db()
    assert (alice.role, alice.email) == ("operator", "")
    assert re.search(rf"alice was changed by anna on {WHEN}\. Load the page again", page)
    assert 'value="a@example.org"' in page


def test_a_state_that_somebody_else_noted_is_not_overwritten(alice: User, operator: User) -> None:
    vm = a_vm(alice, "web")
    assert 'name="seen" value="off"' in text_of(signed_in(alice).get(f"/vms/{vm.pk}/"))
    set_vm_state(vm, "running", operator)
    page = press(alice, f"/vms/{vm.pk}/state/", state="stopped", seen="off")
    vm.refresh_from_db()
    assert vm.state == "running"
    assert re.search(rf"web is noted to be running by olga on {WHEN}, not off\. Nothing was changed\.", page)


def test_maintenance_that_was_begun_already_is_not_begun_again(admin: User, operator: User) -> None:
    host = a_host("h1")
    press(operator, f"/hosts/{host.pk}/maintenance/", on="1")
    page = press(admin, f"/hosts/{host.pk}/maintenance/", on="1")
    assert re.search(rf"h1 was taken into maintenance already by olga on {WHEN}\. Nothing was changed\.", page)
    press(admin, f"/hosts/{host.pk}/maintenance/")
    assert "h1 was taken out of maintenance already by anna" in press(operator, f"/hosts/{host.pk}/maintenance/")


@pytest.mark.parametrize(
    ("state", "way", "words"),
    [
        (JobState.QUEUED, "retry", "A job that is queued cannot be tried again. It was tried again by olga on "),
        (JobState.SUCCEEDED, "cancel", "This job has ended already: succeeded. It was tried again by olga on "),
        (JobState.RUNNING, "approve", "not waiting for approval any more. It was tried again by olga on "),
        (JobState.RUNNING, "plan-again", "not waiting for approval any more. It was tried again by olga on "),
    ],
)
def test_a_job_tells_what_was_done_to_it_last(
    admin: User, operator: User, state: JobState, way: str, words: str
) -> None:
    job = a_job(admin, image=an_image(admin), state=state)
    record(job.kind, user=admin, job=job)
    record(f"{job.kind}.retry", user=operator, job=job)
    assert words in press(admin, f"/jobs/{job.uuid}/{way}/")


def test_who_cancels_a_job_is_not_made_to_wait_for_its_trail(admin: User) -> None:
    job = a_job(admin, state=JobState.RUNNING)
    with CaptureQueriesContext(connection) as queries:
        cancel(job, admin)
    assert not [query for query in queries if 'FROM "datastores_auditentry" WHERE' in query["sql"]]
    with CaptureQueriesContext(connection) as queries:
        steered(job)
    assert [query for query in queries if 'FROM "datastores_auditentry" WHERE' in query["sql"]]


def test_a_job_that_has_ended_tells_when(admin: User) -> None:
    job = a_job(admin)
    record(job.kind, user=admin, job=job)
    assert re.search(rf"has ended already: succeeded\. It ended on {WHEN}\.", press(admin, f"/jobs/{job.uuid}/cancel/"))


def test_a_difference_that_somebody_else_decided_on(admin: User, operator: User) -> None:
    drift = a_drift()
    press(operator, f"/drift/{drift.pk}/accept/", fingerprint=drift.fingerprint)
    page = press(admin, f"/drift/{drift.pk}/accept/", fingerprint=drift.fingerprint)
    assert re.search(rf"not as you saw it any more: it was accepted by olga on {WHEN}\. Look at it again", page)
    press(admin, f"/drift/{drift.pk}/reopen/")
    page = press(operator, f"/drift/{drift.pk}/reopen/")
    assert re.search(rf"not accepted any more: it was opened again by anna on {WHEN}\.", page)
    Drift.objects.update(state=Drift.State.REPAIRED, closed_at="2026-01-02T03:04Z")
    for way in ("accept", "repair"):
        assert "repaired on 2 Jan 2026 03:04" in press(admin, f"/drift/{drift.pk}/{way}/", fingerprint="x")


def test_a_scan_that_somebody_else_asked_for(admin: User, operator: User) -> None:
    press(operator, "/drift/scan/")
    assert re.search(
        rf"under way already, or about to begin\. olga asked for it on {WHEN}\.", press(admin, "/drift/scan/")
    )


def test_hosts_of_a_datastore_that_somebody_else_changed(admin: User) -> None:
    other, store, host = person("bert", User.Role.ADMIN), a_datastore("gold"), a_host("h2")
    job = a_job(other, "datastore.hosts", datastore=store)
    record("datastore.hosts", user=other, job=job)
    store.members.create(host=host, position=1)
    page = press(admin, f"/datastores/{store.pk}/hosts/", hosts=[host.pk], shown=[])
    assert re.search(rf"The hosts of gold were changed meanwhile by bert on {WHEN}\.", page)


def test_an_alert_that_somebody_else_looks_after(admin: User, operator: User) -> None:
    alert = an_alert()
    press(operator, f"/alerts/{alert.pk}/acknowledge/")
    assert re.search(rf"acknowledged by olga already on {WHEN}\.", press(admin, f"/alerts/{alert.pk}/acknowledge/"))


def test_of_many_rows_those_that_are_gone_are_named(admin: User) -> None:
    kept, gone = an_image(admin), an_image(admin)
    deleted_by_a_job(admin, gone)
    page = press(admin, "/images/", act="check", pk=[kept.pk, gone.pk])
    assert "1 image is being read." in page
    assert f"image {gone.pk}" in page and "It is not there any more." in page
    assert Job.objects.filter(kind="image.checksum").count() == 1


def test_a_choice_that_is_gone_says_so(admin: User) -> None:
    disk, place = a_disk(an_image(admin)), a_datastore("silver", type="SYSTEM")
    chosen = place.pk
    place.delete()
    page = press(admin, f"/disks/{disk.pk}/move/", datastore=chosen)
    assert "what was chosen is not there any more, or cannot be used now" in page
    assert Disk.objects.filter(datastore=disk.datastore).exists()


@pytest.mark.parametrize(
    ("way", "fields"),
    [
        ("disks", {"vm_name": "web", "count": 1}),
        ("clone", {"name": "copy"}),
        ("resize", {"size": "50 GiB"}),
        ("snapshots", {"name": "s"}),
    ],
)
def test_a_refusal_is_seen_also_when_the_form_is_not_offered_any_more(
    admin: User, way: str, fields: dict[str, Any]
) -> None:
    image = an_image(admin, state=ObjectState.ERROR, error="")
    page = press(admin, f"/images/{image.pk}/{way}/", **fields)
    assert re.search(rf'role="alert">.*{image}.*error', page)
    assert not Job.objects.exists()
