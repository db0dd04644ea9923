"""Doing something to many rows at once: each by itself, nothing that was not seen, nothing of others."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.states import JobState, ObjectState
from datastores.models import AuditEntry, Disk, Host, Image, Job, User, VirtualMachine
from datastores.services import settings as kept
from datastores.web.lists.acts import MOST_AT_ONCE
from tests.unit.conftest import a_disk, a_host, a_job, a_vm, an_image, signed_in, text_of


def post(user: User, path: str, **fields: Any) -> Any:
    return signed_in(user).post(path, fields, follow=True)


def test_each_row_becomes_a_job_of_its_own(admin: User) -> None:
    images = [an_image(admin) for _ in range(3)]
    answer = post(admin, "/images/", act="check", pk=[image.pk for image in images])
    assert set(Job.objects.values_list("image", flat=True)) == {image.pk for image in images}
    assert "3 images are being read." in text_of(answer)


def test_one_is_told_of_as_one(admin: User) -> None:
    assert "1 image is being read." in text_of(post(admin, "/images/", act="check", pk=[an_image(admin).pk]))


def test_what_waits_for_approval_is_not_said_to_be_done(admin: User) -> None:
    kept.change("approval", 0, {"image.delete": "four eyes"}, "anna")
    images = [an_image(admin).pk for _ in range(2)]
    page = text_of(post(admin, "/images/", act="delete", pk=images, confirm_name="delete 2 images"))
    assert "Delete: 2 images will wait for approval. Nothing changes before that." in page
    assert "are being deleted" not in page


def test_of_jobs_that_are_tried_again_those_that_wait_are_told_apart(admin: User) -> None:
    kept.change("approval", 0, {"image.delete": "after approval"}, "anna")
    kinds = ("image.delete", "image.checksum")
    jobs = [a_job(admin, kind, state=JobState.FAILED, image=an_image(admin)) for kind in kinds]
    page = text_of(post(admin, "/jobs/", act="retry", pk=[job.pk for job in jobs]))
    assert "1 job is tried again." in page and "Try again: 1 job will wait for approval." in page


def test_jobs_that_are_stopped_are_not_said_to_wait(admin: User) -> None:
    job = a_job(admin, "image.delete", state=JobState.AWAITING, approval="four eyes", image=an_image(admin),
                params={"state": "ready"})  # fmt: skip
    page = text_of(post(admin, "/jobs/", act="cancel", pk=[job.pk], confirm_name="cancel 1 job"))
    assert "1 job is asked to stop." in page and "will wait" not in page


def test_a_refused_row_is_named_with_its_reason_and_holds_up_no_other(admin: User) -> None:
    busy, free = an_image(admin, "busy", state=ObjectState.PENDING), an_image(admin, "free")
    page = text_of(post(admin, "/images/", act="check", pk=[busy.pk, free.pk]))
    assert list(Job.objects.values_list("image", flat=True)) == [free.pk]
    assert "1 refused" in page and "1 image is being read." in page
    assert page.index("busy") < page.index("free")


def test_a_program_is_told_of_each(admin: User) -> None:
    busy, free = an_image(admin, state=ObjectState.PENDING), an_image(admin)
    answer = signed_in(admin).post(
        "/images/", {"act": "check", "pk": [busy.pk, free.pk]}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 202
    assert [each["id"] for each in answer.json()["refused"]] == [busy.pk]
    assert len(answer.json()["jobs"]) == 1


def test_what_is_lost_is_named_and_the_number_has_to_be_typed(admin: User) -> None:
    images = [an_image(admin, f"i{number}") for number in range(22)]
    keys = [image.pk for image in images]
    asked = text_of(post(admin, "/images/", act="delete", pk=keys))
    assert not Job.objects.exists()
    assert "delete 22 images" in asked and "i19" in asked and "and 2 more" in asked and "i20<" not in asked
    wrong = text_of(post(admin, "/images/", act="delete", pk=keys, confirm_name="delete 21 images"))
    assert "That is not what is asked for" in wrong and not Job.objects.exists()
    post(admin, "/images/", act="delete", pk=keys, confirm_name="delete 22 images")
    assert Job.objects.filter(kind="image.delete").count() == 22


def test_a_second_click_does_nothing_twice(admin: User) -> None:
    image = an_image(admin)
    for _ in range(2):
        page = text_of(post(admin, "/images/", act="delete", pk=[image.pk], confirm_name="delete 1 image"))
    assert Job.objects.count() == 1
    assert "1 refused" in page


def test_all_that_match_are_those_that_were_seen(admin: User) -> None:
    for number in range(3):
        an_image(admin, f"debian-{number}")
    an_image(admin, "alma")
    stale = text_of(post(admin, "/images/?q=debian", act="check", all="2"))
    assert not Job.objects.exists()
    assert "3 images match now, which is not what you saw" in stale
    post(admin, "/images/?q=debian", act="check", all="3")
    assert set(Job.objects.values_list("image__name", flat=True)) == {"debian-0", "debian-1", "debian-2"}


def test_between_the_question_and_the_answer_the_rows_stay_the_same(admin: User) -> None:
    first = an_image(admin, "debian-1")
    asked = text_of(post(admin, "/images/?q=debian", act="delete", all="1"))
    assert f'name="pk" value="{first.pk}"' in asked
    assert 'name="all"' not in asked


def test_what_is_not_mine_is_left_alone(alice: User, bob: User) -> None:
    foreign, own = an_image(alice), an_image(bob)
    post(bob, "/images/", act="check", pk=[foreign.pk, own.pk])
    assert list(Job.objects.values_list("image", flat=True)) == [own.pk]
    assert "None of these rows is there any more" in text_of(post(bob, "/images/", act="check", pk=[foreign.pk]))


def test_an_auditor_is_offered_nothing(auditor: User, admin: User) -> None:
    an_image(admin)
    page = text_of(signed_in(auditor).get("/images/"))
    assert 'name="pk"' not in page and 'name="act"' not in page


def test_a_tenant_is_not_offered_what_staff_does(alice: User, operator: User) -> None:
    a_host()
    assert signed_in(alice).post("/hosts/", {"act": "maintain"}).status_code == 403
    assert 'value="maintain"' in text_of(signed_in(operator).get("/hosts/"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act": "explode", "pk": ["1"]}, "That cannot be done to these rows."),
        ({"act": "check"}, "Choose rows first."),
        ({"act": "check", "pk": ["x", "-1", "1" + "0" * 40]}, "None of these rows is there any more."),
        ({"act": "check", "all": "x"}, "which is not what you saw"),
    ],
)
def test_what_makes_no_sense_is_refused(admin: User, fields: dict[str, Any], words: str) -> None:
    an_image(admin)
    assert words in text_of(post(admin, "/images/", **fields))
    assert not Job.objects.exists()


def test_a_filter_that_cannot_be_read_chooses_nothing(admin: User) -> None:
    an_image(admin)
    assert "There is no field colour" in text_of(post(admin, "/images/?q=colour:red", act="check", all="1"))
    assert not Job.objects.exists()


def test_there_is_a_most_at_once(admin: User) -> None:
    image = an_image(admin)
    count = MOST_AT_ONCE + 1
    Image.objects.bulk_create(
        Image(name=f"many{number}", owner=admin, datastore=image.datastore, state="ready") for number in range(count)
    )
    page = text_of(post(admin, "/images/?q=many", act="check", all=str(count)))
    assert f"At most {MOST_AT_ONCE} images at once" in page
    assert not Job.objects.exists()


def test_many_disks_are_deleted(admin: User) -> None:
    disks = [a_disk(an_image(admin)) for _ in range(2)]
    post(admin, "/disks/", act="delete", pk=[disk.pk for disk in disks], confirm_name="delete 2 disks")
    assert Job.objects.filter(kind="disk.delete").count() == Disk.objects.count() == 2


def test_machines_with_disks_are_left_alone(admin: User) -> None:
    empty, full = a_vm(admin, "empty"), a_disk(an_image(admin)).vm
    page = text_of(post(admin, "/vms/", act="delete", pk=[empty.pk, full.pk], confirm_name="delete 2 virtual machines"))
    assert list(VirtualMachine.objects.all()) == [full]
    assert "still has 1 disk" in page


def test_hosts_go_into_maintenance_together_each_with_its_entry(operator: User) -> None:
    keys = [a_host().pk for _ in range(3)]
    page = text_of(post(operator, "/hosts/", act="maintain", pk=keys))
    assert Host.objects.filter(maintenance=True).count() == 3
    assert AuditEntry.objects.filter(action="host.maintenance").count() == 3
    assert "3 hosts are in maintenance." in page


def test_failed_jobs_are_tried_again_together(admin: User) -> None:
    images = [an_image(admin) for _ in range(2)]
    jobs = [a_job(admin, image=image, state=JobState.FAILED) for image in images]
    done = a_job(admin, image=an_image(admin))
    page = text_of(post(admin, "/jobs/", act="retry", pk=[*(job.pk for job in jobs), done.pk]))
    assert set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", flat=True)) == {"queued"}
    assert "A job that is succeeded cannot be tried again" in page


def test_a_job_of_a_kind_that_is_gone_is_refused(admin: User) -> None:
    job = a_job(admin, "tape.rewind", state=JobState.FAILED)
    assert "not known any more" in text_of(post(admin, "/jobs/", act="retry", pk=[job.pk]))


def test_a_hostile_name_is_text_in_every_answer(admin: User) -> None:
    evil = an_image(admin, "<img src=x onerror=alert(1)>", state=ObjectState.PENDING)
    for answer in (
        signed_in(admin).get("/images/"),
        post(admin, "/images/", act="delete", pk=[evil.pk]),
        post(admin, "/images/", act="check", pk=[evil.pk]),
    ):
        assert "<img src=x" not in text_of(answer)
