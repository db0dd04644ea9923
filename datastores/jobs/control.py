"""What a person can do to a job: approve, cancel, retry, resume, undo, plan again."""

from __future__ import annotations

from django.utils import timezone

from datastores.domain.errors import Refused
from datastores.domain.states import EventKind, JobState, Level
from datastores.jobs import doorbell
from datastores.jobs.approval import check_eyes, demanded
from datastores.jobs.kinds import KINDS
from datastores.jobs.log import JobLog
from datastores.jobs.submit import check_role, enqueue, queue_again
from datastores.models import Job, User
from datastores.models.audit import in_turn, record
from datastores.services import leases
from datastores.services.viewers import listed

TRY_AGAIN = (JobState.FAILED, JobState.ERRORED, JobState.CANCELLED)


def approve(job: Job, user: User, address: str = "", *, plan: int | None = None) -> None:
    """Let the shown plan be carried out, exactly as it is.

    ``plan``: the plan that the person saw, by the ``Job.attempts`` with which it was shown; None: the one that the
    job had when it was read.

    :raises Refused: there is no plan to approve (any more), it is another one, it holds refused steps, or somebody
        else has to approve it.
    """
    if plan not in (None, job.attempts):
        raise another_plan(job)
    if job.steps.exclude(refused="").exists():
        raise Refused("A step of this plan is refused. Remove its cause, then plan again.")
    with in_turn():
        user.refresh_from_db(fields=["role", "is_active"])  # it may have been taken since the request came
        check_role(KINDS[job.kind], user)
        check_eyes(job, user)
        approved = {"approved_by": user, "approved_at": timezone.now()}
        as_seen = ("attempts", "approval", "user_id", "retried_by_id")
        if not queue_again(job, JobState.AWAITING, unchanged=as_seen, **approved):
            job.refresh_from_db()
            raise another_plan(job)
        record(f"{job.kind}.approve", user=user, address=address, target=job.target_label, job=job, result="approved")


def another_plan(job: Job) -> Refused:
    """Return why the plan that a person saw cannot be approved."""
    if job.state != JobState.AWAITING:
        return Refused("This plan is not waiting for approval any more.")
    return Refused("The plan was made anew since you looked; look at it again. Nothing was approved.")


def plan_again(job: Job, user: User, address: str = "") -> None:
    """Read the hosts anew and show the plan again."""
    check_role(KINDS[job.kind], user)
    with in_turn():
        if not queue_again(job, JobState.AWAITING, approved_by=None, approved_at=None):
            raise Refused("This job is not waiting for approval any more.")
        record(f"{job.kind}.plan", user=user, address=address, target=job.target_label, job=job)


def cancel(job: Job, user: User, address: str = "") -> None:
    """Ask the job to stop and to take back what it did.

    :raises Refused: it has ended already, or is being taken back already.
    """
    check_role(KINDS[job.kind], user)
    with in_turn():
        record(f"{job.kind}.cancel", user=user, address=address, target=job.target_label, job=job)
        if not Job.objects.filter(pk=job.pk, undo_requested=False).update(cancel_requested_at=timezone.now()):
            job.refresh_from_db()
            raise Refused(
                f"This job has ended already: {job.word}." if job.ended
                else "This job is being taken back already, and goes on with that until nothing of it is left."
            )  # fmt: skip
        started = job_was_started(job)
        if started:
            Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(undo_requested=True)
        if not started and job.move(JobState.QUEUED, JobState.AWAITING, to=JobState.CANCELLED):
            KINDS[job.kind].cancelled(job)
            tell_cancelled(job, user)
            record(job.kind, user=user, address=address, target=job.target_label, job=job, result=job.state)
            for freed in leases.release([job]):
                enqueue(freed)
        elif not queue_again(job, JobState.AWAITING, JobState.INTERRUPTED, undo_requested=True):
            job.refresh_from_db()
            if job.ended:
                raise Refused(f"This job has ended already: {job.state}.")
    doorbell.ring_state(job)


def tell_cancelled(job: Job, user: User) -> None:
    """Let the log of a job that no worker will take any more say why it ends here."""
    job.refresh_from_db(fields=["worker"])  # a worker may have planned it since it was read
    log = JobLog(job)
    log.go_on()
    log.add(EventKind.JOB, f"cancelled by {user.get_username()} while it waited; nothing was done", level=Level.WARNING)
    log.flush()


def job_was_started(job: Job) -> bool:
    """Tell whether an attempt may have changed something: then only a worker can take it back."""
    return job.events.filter(kind=EventKind.ACTION_STARTED).exists()


def retry(job: Job, user: User, address: str = "") -> None:
    """Try a failed job again, or resume an interrupted one: steps that are true already are left alone.

    One that was interrupted while it was taken back goes on with that.

    :raises Refused: it is not in a state for that. :raises Busy: something else changes its things now.
    """
    case = KINDS[job.kind]
    check_role(case, user)
    with in_turn():
        job.refresh_from_db()
        case.require_targets(job)
        if job.state in TRY_AGAIN:
            case.again(job)
            leases.acquire(job, case.resources(job))
            job.approval = demanded(job)
        taking_back = job.state == JobState.INTERRUPTED and job.undo_requested
        forward = {"cancel_requested_at": None, "undo_requested": False, "error": "", "approved_at": None,
                   "approval": job.approval, "retried_by": user}  # fmt: skip
        sources = (*TRY_AGAIN, JobState.INTERRUPTED)
        if not queue_again(job, *sources, unchanged=("state", "undo_requested"), **({} if taking_back else forward)):
            raise Refused(f"A job that is {job.state} cannot be tried again.")
        record(f"{job.kind}.retry", user=user, address=address, target=job.target_label, job=job)


def hosts_worked_on(job: Job) -> dict[str, bool]:
    """Return the hosts that a finished job has changed, as what is used to take it back.

    :raises Refused: one of them is gone.
    """
    machines = dict(job.steps.values_list("host", "machine"))
    if gone := sorted(name for name, machine in machines.items() if machine is None):
        raise Refused(f"{listed(gone)} is not known any more, so what was done there cannot be taken back.")
    return {f"host:{machine}": False for machine in machines.values()}


def undo(job: Job, user: User, address: str = "") -> None:
    """Take a finished job back.

    :raises Refused: this kind cannot be undone, or something has been built on it since.
    """
    case = KINDS[job.kind]
    check_role(case, user)
    if not case.can_undo:
        raise Refused(f"{case.label}: this cannot be undone.")
    with in_turn():
        job.refresh_from_db()
        case.require_targets(job)
        if job.state == JobState.SUCCEEDED:
            case.check_undo(job)
            leases.acquire(job, hosts_worked_on(job) | case.resources(job))
        if not queue_again(
            job, JobState.SUCCEEDED, JobState.INTERRUPTED, undo_requested=True, cancel_requested_at=None
        ):
            raise Refused(f"A job that is {job.state} cannot be undone.")
        record(f"{job.kind}.undo", user=user, address=address, target=job.target_label, job=job)
