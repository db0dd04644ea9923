"""Which jobs wait for a person, and for whom.

What an admin has set for a kind when a job is asked for counts for that job: it waits or does not, whatever is set
later. What is set when its plan is approved counts, too, where it is stricter: nobody gets around four eyes by having
asked before. What the schedule asks for never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from datastores.domain.approvals import Approval, stricter
from datastores.domain.errors import Refused
from datastores.jobs.kinds import KINDS
from datastores.models import Job, SettingsSection, User
from datastores.services import settings
from datastores.services.usecase import UseCase

logger = logging.getLogger(__name__)
SECTION = "approval"
NAMED = 5
"""So many people are named who may approve."""


def default_of(case: UseCase) -> Approval:
    return Approval.AFTER if case.needs_approval else Approval.AT_ONCE


def policy_now(case: UseCase, rows: Mapping[str, SettingsSection] | None = None) -> Approval:
    """Return what is in force for new jobs of a kind."""
    found = settings.raw(SECTION, rows).get(case.kind) if case.can_wait else None
    if found is None:
        return default_of(case)
    if found in tuple(Approval):  # it may be anything that JSON can hold
        return Approval(found)
    logger.warning("the stored approval of %s cannot be used, so its default is in force", case.kind)
    return default_of(case)


def policy_for(case: UseCase, user: User | None) -> Approval:
    """Return what a job demands that is asked for now (user None: by the schedule itself)."""
    return policy_now(case) if user else Approval.AT_ONCE


def policy_of(job: Job) -> Approval:
    """Return what was demanded when the job was asked for."""
    return Approval(job.approval) if job.approval else default_of(KINDS[job.kind])


def waits(job: Job) -> bool:
    """Tell whether the job's plan has to be approved before it is carried out."""
    return policy_of(job) is not Approval.AT_ONCE


def demanded(job: Job, rows: Mapping[str, SettingsSection] | None = None) -> Approval:
    """Return what counts when the job's plan is approved, or when it is tried again."""
    return stricter(policy_of(job), policy_now(KINDS[job.kind], rows))


def check_eyes(job: Job, user: User) -> None:
    """Raise Refused when somebody else has to approve the job's plan. Belongs into the turn of the approval."""
    if user.pk in askers(job) and demanded(job, settings.stored_now()) is Approval.FOUR_EYES:
        raise Refused("Four eyes: you asked for this job, so somebody else has to approve it. Nothing was approved.")


def askers(job: Job) -> set[int]:
    """Return who asked for the job, at first or again."""
    return {key for key in (job.user_id, job.retried_by_id) if key is not None}


@dataclass(frozen=True, slots=True)
class Eyes:
    """Whom a plan that waits needs."""

    four: bool
    is_asker: bool
    names: tuple[str, ...] = ()
    """Of the others who may approve it, the first of them."""
    more: int = 0


def eyes_on(job: Job, user: User) -> Eyes:
    """Return who has to approve the plan; two queries at most."""
    if demanded(job) is not Approval.FOUR_EYES:
        return Eyes(four=False, is_asker=user.pk in askers(job))
    names = list(approvers(job).values_list("username", flat=True))
    return Eyes(True, user.pk in askers(job), tuple(names[:NAMED]), max(0, len(names) - NAMED))


def approvers(job: Job) -> QuerySet[User]:
    """Return those who may approve what somebody else asked for: tenants see only their own jobs."""
    may = KINDS[job.kind].roles - {User.Role.TENANT}
    people = User.objects.filter(is_active=True, role__in=may)
    return people.exclude(pk__in=askers(job)).order_by("username")
