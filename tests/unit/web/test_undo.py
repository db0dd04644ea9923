"""Undo where two people have to want it, as a browser and a program meet it."""

from __future__ import annotations

import re

import pytest

from datastores.domain.approvals import Approval
from datastores.domain.states import JobState
from datastores.models import Disk, Job, User
from datastores.services import settings as kept
from datastores.web.figures import concerns
from tests.unit.conftest import a_disk, a_job, an_image, person, signed_in, text_of

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def disk(alice: User) -> Disk:
    kept.change("approval", 0, {"disk.delete": Approval.FOUR_EYES}, "anna")
    return a_disk(an_image(alice))


@pytest.fixture
def made(disk: Disk, alice: User) -> Job:
    """A job with which alice made a disk. Nobody set anything for making, but to delete one needs four eyes."""
    about = {"disk": disk, "image": disk.image, "datastore": disk.datastore}
    params = {"kind": "clone"}
    return a_job(alice, "disk.create", state=JobState.SUCCEEDED, title="Clone gold", params=params, **about)


def undo(user: User, job: Job, name: str = "") -> str:
    name = name or str(job.disk)
    return text_of(signed_in(user).post(f"/jobs/{job.uuid}/undo/", {"confirm_name": name}, follow=True))


def page_of(user: User, job: Job) -> str:
    return text_of(signed_in(user).get(f"/jobs/{job.uuid}/"))


def test_one_asks_and_another_agrees(made: Job, alice: User, operator: User) -> None:
    page = page_of(alice, made)
    assert "Ask to undo it" in page and "olga may agree" in page and "Nothing happens before somebody else" in page
    asked = undo(alice, made)
    assert "Somebody else has to agree before anything is taken back." in asked
    assert "You asked to take it back" in asked and "Do not undo it" in asked and "Ask to undo it" not in asked
    assert f"/jobs/{made.uuid}/undo/" not in asked
    others = page_of(operator, made)
    assert "<b>alice asked to take it back</b>" in others
    assert "Agree, and undo it" in others and "Keep it" in others
    assert "is being taken back" in undo(operator, made)
    made.refresh_from_db()
    assert (made.state, made.undo_requested) == (JobState.QUEUED, True)


def test_the_name_of_what_is_lost_is_asked_of_both(made: Job, alice: User, operator: User) -> None:
    for user in (alice, operator):
        assert "That is not what is asked for" in undo(user, made, "something")
        made.refresh_from_db()
        assert made.state == JobState.SUCCEEDED
        undo(user, made)
    made.refresh_from_db()
    assert made.state == JobState.QUEUED


def test_who_asked_cannot_go_around_it(made: Job, alice: User) -> None:
    client = signed_in(alice)
    undo(alice, made)
    assert "somebody else has to agree" in undo(alice, made)
    answer = client.post(f"/jobs/{made.uuid}/undo/", {"confirm_name": str(made.disk)}, headers=JSON)
    assert answer.status_code == 409 and "somebody else has to agree" in answer.json()["error"]
    for how in ("retry", "cancel", "approve", "plan-again"):
        client.post(f"/jobs/{made.uuid}/{how}/")
    for act in ("undo", "retry", "cancel"):
        client.post("/jobs/", {"act": act, "pk": [made.pk], "confirm_name": f"{act} 1 job"})
    made.refresh_from_db()
    assert (made.state, made.undo_requested, made.cancel_requested_at) == (JobState.SUCCEEDED, False, None)
    assert not made.leases.exists()


def test_a_tenant_neither_agrees_to_nor_keeps_what_another_asked_for(made: Job, alice: User, bob: User) -> None:
    undo(alice, made)
    for how in ("undo", "keep"):
        assert signed_in(bob).post(f"/jobs/{made.uuid}/{how}/", {"confirm_name": str(made.disk)}).status_code == 404
    made.refresh_from_db()
    assert (made.state, made.undo_asked_by) == (JobState.SUCCEEDED, alice)


def test_keeping_it_ends_the_waiting(made: Job, alice: User, operator: User) -> None:
    undo(alice, made)
    assert "left as it is" in text_of(signed_in(operator).post(f"/jobs/{made.uuid}/keep/", follow=True))
    assert "Ask to undo it" in page_of(alice, made)
    assert "decided not to take back" in text_of(signed_in(operator).get("/audit/"))


def test_who_agrees_to_what_nobody_asks_for_any_more_is_told_so(made: Job, alice: User, operator: User) -> None:
    """Otherwise the one who agrees would have become the one who asks."""
    undo(alice, made)
    shown = re.search(r'name="seen" value="([^"]+)"', page_of(operator, made))
    assert shown
    signed_in(alice).post(f"/jobs/{made.uuid}/keep/")
    fields = {"confirm_name": str(made.disk), "seen": shown[1]}
    page = text_of(signed_in(operator).post(f"/jobs/{made.uuid}/undo/", fields, follow=True))
    assert "does not want it any more, since you saw the page" in page
    made.refresh_from_db()
    assert made.undo_asked_by is None


def test_what_waits_for_somebody_needs_attention(made: Job, alice: User, operator: User, bob: User) -> None:
    assert concerns(operator) == []
    undo(alice, made)
    (concern,) = concerns(operator)
    assert (concern.name, concern.action) == ("Clone gold", "Agree or keep it")
    assert "alice asked to take it back" in text_of(signed_in(operator).get("/"))
    assert concerns(bob) == []


def test_names_are_shown_as_text(disk: Disk) -> None:
    evil = person("<img src=x onerror=alert(1)>", User.Role.OPERATOR)
    job = a_job(evil, "disk.create", state=JobState.SUCCEEDED, disk=disk, image=disk.image, params={"kind": "clone"})
    undo(evil, job)
    page = signed_in(person("otto", User.Role.OPERATOR)).get(f"/jobs/{job.uuid}/").content.decode()
    assert "&lt;img src=x" in page and "<img src=x" not in page


def test_when_nobody_else_may_the_page_says_so(disk: Disk, operator: User) -> None:
    job = a_job(
        operator, "disk.create", state=JobState.SUCCEEDED, disk=disk, image=disk.image, params={"kind": "clone"}
    )
    assert "nobody else may agree at present" in page_of(operator, job)
