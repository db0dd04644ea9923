"""Taking a finished job back destroys what it made: where four eyes are demanded, two people have to want it."""

from __future__ import annotations

import pytest

from datastores.domain.approvals import Approval
from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs import approval, control
from datastores.jobs.kinds import KINDS
from datastores.jobs.view import shown_for
from datastores.models import AuditEntry, Job, Notice, NotificationTarget, User
from datastores.services import settings as kept
from tests.fakes import FakeShell
from tests.unit.conftest import person
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db


def set_policy(kind: str, policy: str) -> None:
    row = kept.stored_now().get("approval")
    kept.change("approval", row.version if row else 0, {kind: policy}, "anna")


@pytest.fixture
def oscar(db: None) -> User:
    """Another operator."""
    return person("oscar", User.Role.OPERATOR)


@pytest.fixture
def finished(ask: Ask, shell: FakeShell) -> Job:
    """A job of olga that ended well, of a kind for which four eyes are demanded now."""
    job = work(ask())
    assert job.state == JobState.SUCCEEDED
    set_policy("test.flags", Approval.FOUR_EYES)
    return job


def unset(shell: FakeShell) -> int:
    """Return how many commands have taken something back."""
    return sum(argv[0] == "clear" for argv in shell.ran)


def test_the_first_who_wants_it_only_asks(finished: Job, operator: User, shell: FakeShell) -> None:
    NotificationTarget.objects.create(kind="webhook", address="http://h.example/", events=["job.waits"])
    ran = len(shell.ran)
    assert control.undo(finished, operator) is False
    job = work(finished)
    assert (job.state, job.undo_asked_by, job.undo_requested, len(shell.ran)) == (
        JobState.SUCCEEDED, operator, False, ran,
    )  # fmt: skip
    assert not job.leases.exists()
    entry = AuditEntry.objects.first()
    assert entry and (entry.action, entry.result, entry.actor_name) == ("test.flags.undo", "asked", "olga")
    assert "olga asked to take it back" in Notice.objects.get().text


def test_the_second_has_it_done(finished: Job, operator: User, oscar: User, shell: FakeShell) -> None:
    control.undo(finished, operator)
    assert control.undo(finished, oscar) is True
    entry = AuditEntry.objects.first()
    assert entry and (entry.result, entry.actor_name, entry.detail["asked_by"]) == ("approved", "oscar", "olga")
    job = work(finished)
    assert (job.word, job.undo_asked_by, job.undo_asked_at) == ("undone", None, None)


def test_who_asked_the_job_itself_may_be_the_second(finished: Job, operator: User, oscar: User) -> None:
    control.undo(finished, oscar)
    assert control.undo(finished, operator) is True


def test_nobody_is_two_people(finished: Job, operator: User, shell: FakeShell) -> None:
    control.undo(finished, operator)
    ran, entries = len(shell.ran), AuditEntry.objects.count()
    for stale in (finished, Job.objects.get(pk=finished.pk)):
        with pytest.raises(Refused, match="somebody else has to agree"):
            control.undo(stale, User.objects.get(pk=operator.pk))
    assert (work(finished).state, len(shell.ran), AuditEntry.objects.count()) == (JobState.SUCCEEDED, ran, entries)


def test_trying_again_or_cancelling_leads_to_no_undo(finished: Job, operator: User) -> None:
    control.undo(finished, operator)
    for way in (control.retry, control.cancel, control.plan_again, control.approve):
        with pytest.raises(Refused):
            way(Job.objects.get(pk=finished.pk), operator)
    job = work(finished)
    assert (job.state, job.undo_requested) == (JobState.SUCCEEDED, False)


def test_a_weaker_policy_set_meanwhile_does_not_help_where_four_eyes_approved_it(
    ask: Ask, operator: User, oscar: User, shell: FakeShell
) -> None:
    set_policy("test.flags", Approval.FOUR_EYES)
    job = work(ask())
    control.approve(job, oscar)
    job = work(job)
    assert job.state == JobState.SUCCEEDED
    set_policy("test.flags", Approval.AT_ONCE)
    assert control.undo(job, operator) is False
    assert control.undo(job, oscar) is True


def test_a_weaker_policy_ends_the_waiting_of_what_needed_none_when_it_was_done(finished: Job, operator: User) -> None:
    control.undo(finished, operator)
    set_policy("test.flags", Approval.AFTER)
    assert control.undo(finished, operator) is True


@pytest.mark.parametrize("policy", [Approval.AT_ONCE, Approval.AFTER])
def test_without_four_eyes_one_is_enough(ask: Ask, operator: User, shell: FakeShell, policy: Approval) -> None:
    job = work(ask())
    set_policy("test.flags", policy)
    assert control.undo(job, operator) is True
    assert work(job).word == "undone"


def test_what_is_demanded_for_deleting_counts_for_an_undo_that_deletes(
    ask: Ask, operator: User, shell: FakeShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(KINDS["test.flags"]), "undo_is", "disk.delete")
    job = work(ask())
    set_policy("disk.delete", Approval.FOUR_EYES)
    assert control.undo(job, operator) is False


@pytest.mark.parametrize("kind", [kind for kind, case in KINDS.items() if case.can_undo])
def test_every_undo_that_deletes_something_names_the_kind_that_does(kind: str) -> None:
    undo_is = KINDS[kind].undo_is
    made = "image" if kind == "disk.save" else kind.partition(".")[0]
    kinds = (
        "drift.repair",
        "export.change",
        "volume.option",
        "volume.quota",
        "volume.unlimit",
        "volume.take",
        "volume.stop",
        "directory.move",
        "datastore.limit",
    )
    others = dict.fromkeys((*kinds, "disk.reserve"), "")
    others |= {"volume.add": "volume.remove", "volume.give": "volume.take"}
    assert undo_is == others.get(kind, f"{made}.delete")
    assert undo_is in ("", *KINDS)


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": User.Role.AUDITOR}])
def test_who_may_not_any_more_does_not_count_as_one_of_two(
    finished: Job, operator: User, oscar: User, change: dict[str, object]
) -> None:
    control.undo(finished, operator)
    User.objects.filter(pk=operator.pk).update(**change)
    assert control.undo(finished, oscar) is False
    finished.refresh_from_db()
    assert finished.undo_asked_by == oscar


@pytest.mark.parametrize("same", [True, False])
def test_where_four_eyes_are_not_demanded_any_more_the_trail_claims_none(
    finished: Job, operator: User, oscar: User, same: bool
) -> None:
    control.undo(finished, operator)
    set_policy("test.flags", Approval.AT_ONCE)
    Job.objects.update(approval="")
    assert control.undo(finished, operator if same else oscar) is True
    entry = AuditEntry.objects.first()
    assert entry and (entry.action, entry.result) == ("test.flags.undo", "asked")
    assert "asked_by" not in entry.detail


def test_the_trail_does_not_name_who_did_not_count(finished: Job, operator: User, oscar: User) -> None:
    control.undo(finished, operator)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    control.undo(finished, oscar)
    assert control.undo(finished, person("otto", User.Role.OPERATOR)) is True
    entry = AuditEntry.objects.first()
    assert entry and (entry.result, entry.detail["asked_by"]) == ("approved", "oscar")


def test_who_is_gone_does_not_count_either(finished: Job, oscar: User) -> None:
    otto = person("otto", User.Role.OPERATOR)
    control.undo(finished, otto)
    otto.delete()
    assert control.undo(finished, oscar) is False


def test_who_lost_the_role_since_the_page_was_shown_does_not_agree(finished: Job, operator: User, oscar: User) -> None:
    control.undo(finished, operator)
    User.objects.filter(pk=oscar.pk).update(role=User.Role.AUDITOR)
    with pytest.raises(Refused, match="the role auditor may not"):
        control.undo(finished, oscar)


def test_what_was_built_on_it_meanwhile_is_not_taken_away(
    finished: Job, operator: User, oscar: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.undo(finished, operator)

    def refuse(case: object, job: Job) -> None:
        raise Refused("a disk needs it")

    monkeypatch.setattr(type(KINDS["test.flags"]), "check_undo", refuse)
    with pytest.raises(Refused, match="a disk needs it"):
        control.undo(finished, oscar)
    assert work(finished).state == JobState.SUCCEEDED


def test_it_may_be_kept_and_then_two_have_to_want_it_anew(finished: Job, operator: User, oscar: User) -> None:
    with pytest.raises(Refused, match="Nobody waits"):
        control.keep(finished, oscar)
    control.undo(finished, operator)
    control.keep(finished, oscar)
    finished.refresh_from_db()
    assert (finished.undo_asked_by, finished.undo_asked_at) == (None, None)
    assert control.undo(finished, oscar) is False


def test_open_pages_hear_of_it(finished: Job, operator: User) -> None:
    before = shown_for(finished, ())
    control.undo(finished, operator)
    finished.refresh_from_db()
    assert shown_for(finished, ()) != before


def test_to_stop_what_has_not_ended_needs_nobody_else(ask: Ask, operator: User, shell: FakeShell) -> None:
    set_policy("test.flags", Approval.FOUR_EYES)
    job = work(ask())
    control.approve(job, person("otto", User.Role.OPERATOR))
    job.refresh_from_db()
    control.cancel(job, operator)
    assert work(job).state == JobState.CANCELLED
    interrupted = work(ask())
    Job.objects.filter(pk=interrupted.pk).update(state=JobState.INTERRUPTED)
    interrupted.refresh_from_db()
    assert control.undo(interrupted, operator) is True  # the same as to cancel it


def test_the_page_names_whom_it_needs(finished: Job, operator: User, oscar: User, admin: User, alice: User) -> None:
    first = approval.eyes_on_undo(finished, operator)
    assert (first.four, first.asked, first.is_asker, first.names) == (True, False, False, ("anna", "oscar"))
    control.undo(finished, operator)
    finished.refresh_from_db()
    mine, others = approval.eyes_on_undo(finished, operator), approval.eyes_on_undo(finished, oscar)
    assert (mine.asked, mine.is_asker, mine.names) == (True, True, ("anna", "oscar"))
    assert (others.asked, others.is_asker) == (True, False)
