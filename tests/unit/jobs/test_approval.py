"""Who has to agree before a job changes anything."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.approvals import Approval, stricter
from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs import approval, control, packs
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import goes_with, submit
from datastores.models import AuditEntry, Cluster, Host, Job, User
from datastores.services import settings as kept
from tests.fakes import FakeShell
from tests.unit.conftest import a_host, person
from tests.unit.jobs.conftest import Ask, work

pytestmark = pytest.mark.django_db


def set_policy(kind: str, policy: str) -> None:
    kept.change("approval", kept.version_of("approval"), {kind: policy}, "anna")


@pytest.fixture
def oscar(db: None) -> User:
    """Another operator."""
    return person("oscar", User.Role.OPERATOR)


@pytest.fixture
def four_eyes(ask: Ask, shell: FakeShell) -> Job:
    """A job of olga that waits for somebody else."""
    set_policy("test.flags", Approval.FOUR_EYES)
    return work(ask())


def sets(shell: FakeShell) -> int:
    return sum(argv[0] == "set" for argv in shell.ran)


class TestPolicy:
    def test_the_use_case_gives_the_default(self, ask: Ask) -> None:
        assert ask(exclusive=False).approval == Approval.AT_ONCE
        assert ask("test.approved", exclusive=False).approval == Approval.AFTER

    def test_a_kind_waits_when_an_admin_wants_it(self, ask: Ask, shell: FakeShell) -> None:
        set_policy("test.flags", Approval.AFTER)
        job = work(ask())
        assert (job.state, sets(shell)) == (JobState.AWAITING, 0)
        assert [step.change["summary"] for step in job.steps.all()] != []
        control.approve(job, job.user)
        assert work(job).state == JobState.SUCCEEDED
        assert sets(shell) == 2

    def test_a_kind_that_waits_by_itself_may_begin_at_once(self, ask: Ask, shell: FakeShell) -> None:
        set_policy("test.approved", Approval.AT_ONCE)
        assert work(ask("test.approved")).state == JobState.SUCCEEDED

    def test_what_was_in_force_when_a_job_was_asked_for_says_whether_it_waits(self, ask: Ask, shell: FakeShell) -> None:
        begun = ask()
        set_policy("test.flags", Approval.FOUR_EYES)
        assert work(begun).state == JobState.SUCCEEDED

    def test_jobs_from_before_wait_as_their_kind_does(self, ask: Ask, shell: FakeShell) -> None:
        job = ask("test.approved")
        Job.objects.update(approval="")
        assert work(job).state == JobState.AWAITING

    def test_nonsense_in_the_database_counts_as_not_there(self) -> None:
        set_policy("disk.create", "maybe")
        set_policy("datastore.delete", ["x"])
        assert approval.policy_now(KINDS["disk.create"]) is Approval.AT_ONCE
        assert approval.policy_now(KINDS["datastore.delete"]) is Approval.AFTER

    def test_a_repair_never_begins_at_once_whatever_is_stored(self) -> None:
        case = KINDS["drift.repair"]
        assert approval.choices_of(case) == (Approval.AFTER, Approval.FOUR_EYES)
        set_policy("drift.repair", Approval.AT_ONCE)
        assert approval.policy_now(case) is Approval.AFTER
        assert approval.waits(Job(kind="drift.repair", approval=Approval.AT_ONCE))
        assert approval.waits(Job(kind="drift.repair", approval=""))
        set_policy("drift.repair", Approval.FOUR_EYES)
        assert approval.policy_now(case) is Approval.FOUR_EYES

    @pytest.mark.parametrize("kind", sorted(set(KINDS) - {"drift.repair", "export.change", "host.read"}))
    def test_any_other_kind_may_begin_at_once(self, kind: str) -> None:
        assert approval.choices_of(KINDS[kind]) == tuple(Approval)

    def test_the_schedule_never_waits(self, cluster: Cluster, host: Host, shell: FakeShell) -> None:
        set_policy("test.flags", Approval.FOUR_EYES)
        assert work(submit("test.flags", user=None, cluster=cluster)).state == JobState.SUCCEEDED

    def test_a_kind_that_only_reads_has_nothing_to_approve(self, operator: User) -> None:
        set_policy("host.read", Approval.FOUR_EYES)
        host = a_host("h1")
        host.keys.create(line="ssh-ed25519 AAAA", fingerprint="SHA256:x", pinned_at=host.facts_at)
        assert submit("host.read", user=operator, host=host).approval == Approval.AT_ONCE
        reading = [kind for kind, case in KINDS.items() if not case.can_wait]
        assert reading == ["host.read", "volume.read", "nas.find", "nas.try"]

    @pytest.mark.parametrize("one", Approval)
    @pytest.mark.parametrize("other", Approval)
    def test_of_two_the_stricter_counts(self, one: Approval, other: Approval) -> None:
        order = list(Approval)
        assert stricter(one, other) is order[max(order.index(one), order.index(other))]


class TestPacks:
    def test_clones_that_wait_go_alone_each_with_its_plan(self, operator: User) -> None:
        job = Job(kind="disk.create", user=operator, params={"kind": "clone"}, datastore_id=1)
        together = goes_with(job)
        job.approval = Approval.AFTER
        assert goes_with(job) != together
        assert goes_with(job)[-1] == str(job.uuid)

    def test_a_pack_in_which_something_waits_is_not_done_together(self, ask: Ask, shell: FakeShell) -> None:
        jobs = [ask(exclusive=False), ask(exclusive=False)]
        Job.objects.filter(pk=jobs[0].pk).update(approval=Approval.AFTER)
        packs.run_jobs(*(str(job.uuid) for job in jobs))
        for job in jobs:
            job.refresh_from_db()
        assert [job.state for job in jobs] == [JobState.AWAITING, JobState.SUCCEEDED]


class TestFourEyes:
    def test_somebody_else_approves(self, four_eyes: Job, oscar: User, shell: FakeShell) -> None:
        control.approve(four_eyes, oscar)
        job = work(four_eyes)
        assert (job.state, job.approved_by, sets(shell)) == (JobState.SUCCEEDED, oscar, 2)

    def test_who_asked_does_not_approve(self, four_eyes: Job, operator: User, shell: FakeShell) -> None:
        entries = AuditEntry.objects.count()
        with pytest.raises(Refused, match="somebody else has to approve"):
            control.approve(four_eyes, operator)
        assert work(four_eyes).state == JobState.AWAITING
        assert (sets(shell), AuditEntry.objects.count()) == (0, entries)

    def test_who_tries_it_again_has_asked_for_it_too(
        self, ask: Ask, operator: User, oscar: User, shell: FakeShell
    ) -> None:
        set_policy("test.flags", Approval.FOUR_EYES)
        job = ask()
        Job.objects.filter(pk=job.pk).update(state=JobState.FAILED)
        job.leases.all().delete()
        control.retry(Job.objects.get(pk=job.pk), oscar)
        job = work(Job.objects.get(pk=job.pk))
        assert job.state == JobState.AWAITING
        for asker in (operator, oscar):
            with pytest.raises(Refused, match="you asked for this job"):
                control.approve(job, asker)
        control.approve(job, person("otto", User.Role.OPERATOR))

    def test_a_weaker_policy_set_meanwhile_does_not_help(self, four_eyes: Job, operator: User) -> None:
        set_policy("test.flags", Approval.AT_ONCE)
        with pytest.raises(Refused, match="Four eyes"):
            control.approve(four_eyes, operator)

    def test_a_stricter_policy_set_meanwhile_holds_for_what_waits(
        self, ask: Ask, operator: User, oscar: User, shell: FakeShell
    ) -> None:
        job = work(ask("test.approved"))
        set_policy("test.approved", Approval.FOUR_EYES)
        with pytest.raises(Refused, match="Four eyes"):
            control.approve(job, operator)
        control.approve(job, oscar)

    def test_planning_again_or_trying_again_does_not_help(
        self, four_eyes: Job, operator: User, shell: FakeShell
    ) -> None:
        control.plan_again(four_eyes, operator)
        job = work(four_eyes)
        with pytest.raises(Refused, match="Four eyes"):
            control.approve(job, operator)
        control.cancel(job, operator)
        job.refresh_from_db()
        control.retry(job, operator)
        job = work(job)
        assert (job.state, sets(shell)) == (JobState.AWAITING, 0)
        with pytest.raises(Refused, match="Four eyes"):
            control.approve(job, operator)

    def test_what_is_tried_again_waits_for_what_is_demanded_by_now(
        self, ask: Ask, operator: User, shell: FakeShell
    ) -> None:
        job = ask()
        control.cancel(job, operator)
        set_policy("test.flags", Approval.FOUR_EYES)
        job.refresh_from_db()
        control.retry(job, operator)
        assert work(job).state == JobState.AWAITING
        with pytest.raises(Refused, match="Four eyes"):
            control.approve(job, operator)

    def test_who_lost_the_role_since_the_page_was_shown_does_not_approve(self, four_eyes: Job, oscar: User) -> None:
        User.objects.filter(pk=oscar.pk).update(role=User.Role.TENANT)
        with pytest.raises(Refused, match="the role tenant may not do that"):
            control.approve(four_eyes, oscar)

    def test_who_asked_and_lost_the_role_has_nothing_done(
        self, four_eyes: Job, operator: User, oscar: User, shell: FakeShell
    ) -> None:
        User.objects.filter(pk=operator.pk).update(role=User.Role.AUDITOR)
        with pytest.raises(Refused):
            control.approve(four_eyes, operator)
        control.approve(four_eyes, oscar)
        job = work(four_eyes)
        assert (job.state, sets(shell)) == (JobState.FAILED, 0)

    def test_a_demand_that_changed_since_the_job_was_read_is_seen(
        self, ask: Ask, oscar: User, shell: FakeShell
    ) -> None:
        job = work(ask("test.approved"))
        Job.objects.filter(pk=job.pk).update(approval=Approval.FOUR_EYES)
        with pytest.raises(Refused):
            control.approve(job, oscar)

    def test_the_plan_says_who_may_approve(self, four_eyes: Job, operator: User, oscar: User, admin: User,
                                           alice: User, django_assert_max_num_queries: Any) -> None:  # fmt: skip
        person("gone", User.Role.OPERATOR, is_active=False)
        with django_assert_max_num_queries(2):
            eyes = approval.eyes_on(four_eyes, operator)
        assert (eyes.four, eyes.is_asker, eyes.names, eyes.more) == (True, True, ("anna", "oscar"), 0)
        for number in range(9):
            person(f"p{number}", User.Role.OPERATOR)
        assert approval.eyes_on(four_eyes, operator).more == 6
        assert not approval.eyes_on(four_eyes, oscar).is_asker
