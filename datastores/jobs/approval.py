"""Which jobs wait for a person, and for whom.

What an admin has set for a kind when a job is asked for counts for that job: it waits or does not, whatever is set
later. What is set when its plan is approved counts, too, where it is stricter: nobody gets around four eyes by having
asked before. What the schedule asks for never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from datastores.domain.approvals import Approval, stricter
from datastores.domain.errors import Refused
from datastores.domain.states import JobState
from datastores.jobs.kinds import KINDS
from datastores.models import Job, SettingsSection, User
from datastores.services import settings
from datastores.services.usecase import UseCase

logger = logging.getLogger(__name__)
SECTION = "approval"
NAMED = 5
"""So many people are named who may approve."""


def default_of(case: UseCase) -> Approval:
    return Approval.AFTER if case.needs_approval else least_of(case)


def least_of(case: UseCase) -> Approval:
    return Approval.AFTER if case.never_at_once else Approval.AT_ONCE


def choices_of(case: UseCase) -> tuple[Approval, ...]:
    """Return what an admin may set for a kind."""
    return tuple(each for each in Approval if stricter(each, least_of(case)) is each)


def policy_now(case: UseCase, rows: Mapping[str, SettingsSection] | None = None) -> Approval:
    """Return what is in force for new jobs of a kind."""
    found = settings.raw(SECTION, rows).get(case.kind) if case.can_wait else None
    if found is None:
        return default_of(case)
    if found in choices_of(case):  # it may be anything that JSON can hold
        return Approval(found)
    logger.warning("the stored approval of %s cannot be used, so its default is in force", case.kind)
    return default_of(case)


def policy_for(case: UseCase, user: User | None) -> Approval:
    """Return what a job demands that is asked for now (user None: by the schedule itself)."""
    return policy_now(case) if user else Approval.AT_ONCE


def policy_of(job: Job) -> Approval:
    """Return what was demanded when the job was asked for, and what its kind demands whatever was set then."""
    case = KINDS[job.kind]
    return stricter(Approval(job.approval), least_of(case)) if job.approval else default_of(case)


def waits(job: Job) -> bool:
    """Tell whether the job's plan has to be approved before it is carried out."""
    return policy_of(job) is not Approval.AT_ONCE


def will_wait(job: Job) -> bool:
    """Tell whether the job is on its way to a plan that somebody has to approve."""
    planned = job.state in (JobState.QUEUED, JobState.PLANNING) and not job.approved_at and not job.undo_requested
    return planned and waits(job)


def demanded(job: Job, rows: Mapping[str, SettingsSection] | None = None) -> Approval:
    """Return what counts when the job's plan is approved, or when it is tried again."""
    return stricter(policy_of(job), policy_now(KINDS[job.kind], rows))


def demanded_of_undo(job: Job, rows: Mapping[str, SettingsSection] | None = None) -> Approval:
    """Return what counts when the finished job is taken back: also what is set for deleting what it made."""
    other = KINDS[job.kind].undo_is
    return stricter(demanded(job, rows), policy_now(KINDS[other], rows)) if other else demanded(job, rows)


def check_eyes(job: Job, user: User) -> None:
    """Raise Refused when somebody else has to approve the job's plan. Belongs into the turn of the approval."""
    if user.pk in askers(job) and demanded(job, settings.stored_now()) is Approval.FOUR_EYES:
        raise Refused("Four eyes: you asked for this job, so somebody else has to approve it. Nothing was approved.")


def enough_eyes(job: Job, user: User) -> bool:
    """Tell whether the finished job may be taken back now. False: the person is the first of two who have to want it.

    :raises Refused: it is the person who asked before. Belongs into the turn of the undo.
    """
    if demanded_of_undo(job, settings.stored_now()) is not Approval.FOUR_EYES:
        return True
    asker = asker_of_undo(job)
    if asker and asker.pk == user.pk:
        raise Refused("Four eyes: you asked to take this back, so somebody else has to agree. Nothing was changed.")
    return asker is not None


def agrees_with(job: Job, user: User) -> User | None:
    """Return the first of the two who want the finished job taken back; None: one is enough now."""
    asker = asker_of_undo(job)
    if asker is None or asker.pk == user.pk or demanded_of_undo(job, settings.stored_now()) is not Approval.FOUR_EYES:
        return None
    return asker


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
    asked: bool = True
    """Somebody asked, so one more is enough."""


UNWATCHED = Eyes(four=False, is_asker=False)


def eyes_on(job: Job, user: User) -> Eyes:
    """Return who has to approve the plan; two queries at most."""
    if demanded(job) is not Approval.FOUR_EYES:
        return Eyes(four=False, is_asker=user.pk in askers(job))
    return four_eyes(job, askers(job), user)


def eyes_on_undo(job: Job, user: User) -> Eyes:
    """Return who has to agree that the finished job is taken back; two queries at most."""
    if demanded_of_undo(job) is not Approval.FOUR_EYES:
        return UNWATCHED
    asker = asker_of_undo(job)
    asked = {asker.pk} if asker else set()
    return four_eyes(job, asked, user)


def asker_of_undo(job: Job) -> User | None:
    """Return who asked to take the job back and may still do that."""
    user = job.undo_asked_by
    return user if user and user.is_active and user.role in KINDS[job.kind].roles else None


def four_eyes(job: Job, asked: Collection[int], user: User) -> Eyes:
    """Return whom it needs besides those who asked; as long as nobody did, besides the person."""
    others = approvers(job).exclude(pk__in=asked or {user.pk})
    names = list(others.values_list("username", flat=True))
    return Eyes(True, user.pk in asked, tuple(names[:NAMED]), max(0, len(names) - NAMED), bool(asked))


def approvers(job: Job) -> QuerySet[User]:
    """Return those who may approve what somebody else asked for: tenants see only their own jobs."""
    may = KINDS[job.kind].roles - {User.Role.TENANT}
    return User.objects.filter(is_active=True, role__in=may).order_by("username")
