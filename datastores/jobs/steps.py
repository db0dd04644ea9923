"""The rows of a job's steps: what was shown to a person, and is compared with what shall be carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from datastores.domain.errors import StalePlan
from datastores.domain.plan import AnyStep, Change, Plan
from datastores.domain.states import StepState
from datastores.hosts.previews import Preview
from datastores.jobs import codec
from datastores.models import Host, Job, JobStep
from datastores.services.shared import TITLE_KEPT

Machines: TypeAlias = Mapping[str, int | None]
"""Which hosts are meant by the names in plans and journals, by primary key; None: one that is gone."""


def machines_now(*plans: Plan) -> Machines:
    """Return the hosts that have the names in these plans."""
    names = {step.host for plan in plans for stage in plan for step in stage.steps}
    return dict(Host.objects.filter(name__in=names).values_list("name", "pk"))


def machines_of(job: Job) -> Machines:
    """Return the hosts on which the job began to work, by the names that they had then."""
    return dict(job.steps.values_list("host", "machine"))


def step_rows(job: Job, plan: Plan, machines: Machines, previews: list[Preview] | None = None) -> list[JobStep]:
    """Return unsaved rows for the steps of a plan."""
    steps = [(number, stage.title, step) for number, stage in enumerate(plan) for step in stage.steps]
    found = previews or [Preview()] * len(steps)
    return [
        JobStep(
            job=job, index=index, stage=number, stage_title=title, host=step.host, machine_id=machines.get(step.host),
            title=shown_title(step), change=codec.encode_change(found[index].change), refused=found[index].refused,
            state=StepState.WAITING,
        )
        for index, (number, title, step) in enumerate(steps)
    ]  # fmt: skip


def check_same_steps(job: Job, steps: Sequence[AnyStep]) -> None:
    """Check that these are the steps of the job's rows: approvals and the journal go by their numbers.

    :raises StalePlan: the plan has other steps now.
    """
    rows = list(job.steps.order_by("index").values_list("host", "title"))
    if [(step.host, shown_title(step)) for step in steps] != rows:
        raise StalePlan(
            "The plan has other steps now than when it was approved or begun, so it was not carried on. "
            "Try again to have it planned anew; if that is refused too, ask for it in a new job."
        )


def shown_title(step: AnyStep) -> str:
    """Return the title of a step as its row holds it."""
    return step.title[:TITLE_KEPT]


def approval_of(job: Job) -> Callable[[int, Change], bool]:
    """Return a function that tells whether a change is the one that was approved for the step with that number.

    Cleaning up what the job itself made on the way needs no approval, and could not be shown before; nor could what
    only follows from the other changes.
    """
    return approving(list(job.steps.order_by("index").values_list("change", flat=True)))


def approving(approved: Sequence[dict[str, Any] | None]) -> Callable[[int, Change], bool]:
    """Return the same for changes as ``jobs.codec`` wrote them."""

    def approves(index: int, change: Change) -> bool:
        cleaning = all(action.scratch and action.harmless for action in change.actions)
        return cleaning or change.follows or codec.encode_change(change) == approved[index]

    return approves
