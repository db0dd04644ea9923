"""What a person can do to a job: approve, begin now, cancel, retry, resume, undo, keep, plan again."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from datastores.domain.errors import ChangedSince, Refused
from datastores.domain.states import EventKind, JobState, Level
from datastores.jobs import doorbell
from datastores.jobs.approval import agrees_with, check_eyes, demanded, enough_eyes
from datastores.jobs.kinds import KINDS
from datastores.jobs.log import JobLog
from datastores.jobs.submit import check_role, enqueue, queue_again
from datastores.models import Job, User
from datastores.models.audit import in_turn, record
from datastores.services import leases
from datastores.services.notifications import tell
from datastores.services.since import steered
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
        return Refused(f"This plan is not waiting for approval any more.{steered(job)}")
    return Refused(f"The plan was made anew since you looked; look at it again. Nothing was approved.{steered(job)}")


def plan_again(job: Job, user: User, address: str = "") -> None:
    """Read the hosts anew and show the plan again."""
    check_role(KINDS[job.kind], user)
    with in_turn():
        if not queue_again(job, JobState.AWAITING, approved_by=None, approved_at=None):
            job.refresh_from_db()
            raise Refused(f"This job is not waiting for approval any more.{steered(job)}")
        record(f"{job.kind}.plan", user=user, address=address, target=job.target_label, job=job)


def cancel(job: Job, user: User, address: str = "") -> None:
    """Ask the job to stop and to take back what it did.

    :raises Refused: it has ended already, or is being taken back already.
    """
    check_role(KINDS[job.kind], user)
    with in_turn():
        entry = record(f"{job.kind}.cancel", user=user, address=address, target=job.target_label, job=job)
        if not Job.objects.filter(pk=job.pk, undo_requested=False).update(cancel_requested_at=timezone.now()):
            job.refresh_from_db()
            raise Refused(
                f"This job has ended already: {job.word}.{steered(job, entry)}" if job.ended
                else "This job is being taken back already, and goes on with that until nothing of it is left."
                     f"{steered(job, entry)}"
            )  # fmt: skip
        started = job_was_started(job)
        if started:
            Job.objects.filter(pk=job.pk, state=JobState.QUEUED).update(undo_requested=True)
        if not started and job.move(JobState.QUEUED, JobState.AWAITING, to=JobState.CANCELLED, started_at=None):
            KINDS[job.kind].cancelled(job)
            tell_cancelled(job, user)
            record(job.kind, user=user, address=address, target=job.target_label, job=job, result=job.state)
            for freed in leases.release([job]):
                enqueue(freed)
        elif not queue_again(job, JobState.AWAITING, JobState.INTERRUPTED, undo_requested=True):
            job.refresh_from_db()
            if job.ended:
                raise Refused(f"This job has ended already: {job.state}.{steered(job, entry)}")
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


def left_all_as_it_was(job: Job) -> bool:
    """Tell whether a job that succeeded has made neither a row nor a change on a host, so that there is no undo."""
    return job.state == JobState.SUCCEEDED and not KINDS[job.kind].undo_is and not job_was_started(job)


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
                   "approval": job.approval, "retried_by": user, "not_before": None}  # fmt: skip
        sources = (*TRY_AGAIN, JobState.INTERRUPTED)
        if not queue_again(job, *sources, unchanged=("state", "undo_requested"), **({} if taking_back else forward)):
            raise Refused(f"A job that is {job.state} cannot be tried again.{steered(job)}")
        record(f"{job.kind}.retry", user=user, address=address, target=job.target_label, job=job)


def hosts_worked_on(job: Job) -> dict[str, bool]:
    """Return the hosts that a finished job has changed, as what is used to take it back.

    :raises Refused: one of them is gone.
    """
    machines = dict(job.steps.values_list("host", "machine"))
    if gone := sorted(name for name, machine in machines.items() if machine is None):
        raise Refused(f"{listed(gone)} is not known any more, so what was done there cannot be taken back.")
    return {f"host:{machine}": False for machine in machines.values()}


def undo(job: Job, user: User, address: str = "", *, seen: str | None = None) -> bool:
    """Take a finished job back. False: somebody else has to agree, and until then nothing happens.

    Where four eyes are demanded the first who asks is remembered, and the second who does the same has it done.
    ``seen``: who had asked when the person saw the button (``Job.undo_asked``); None: that is not known.

    :raises Refused: this kind cannot be undone, something has been built on it since, the person has asked already, or
        what the person saw is not so any more.
    """
    case = KINDS[job.kind]
    check_role(case, user)
    if not case.can_undo:
        raise Refused(f"{case.label}: this cannot be undone.")
    with in_turn():
        job.refresh_from_db()
        user.refresh_from_db(fields=["role", "is_active"])  # it may have been taken since the request came
        check_role(case, user)
        if seen is not None and seen != job.undo_asked:
            raise ChangedSince("Somebody asked for the undo, or does not want it any more, since you saw the page.")
        case.require_targets(job)
        if left_all_as_it_was(job):
            raise Refused("This job found everything as it should be and changed nothing: there is nothing to undo.")
        asker = None
        if job.state == JobState.SUCCEEDED:
            case.check_undo(job)
            held = hosts_worked_on(job) | case.resources(job)
            if not enough_eyes(job, user):
                ask_for_undo(job, user, address)
                return False
            asker = agrees_with(job, user)
            leases.acquire(job, held)
        back = {"undo_requested": True, "cancel_requested_at": None, "undo_asked_by": None, "undo_asked_at": None}
        if not queue_again(job, JobState.SUCCEEDED, JobState.INTERRUPTED, **back):
            raise Refused(f"A job that is {job.state} cannot be undone.{steered(job)}")
        agreed = {"result": "approved", "asked_by": str(asker)} if asker else {}
        record(f"{job.kind}.undo", user=user, address=address, target=job.target_label, job=job, **agreed)
    return True


def ask_for_undo(job: Job, user: User, address: str) -> None:
    """Remember who asked to take the job back, and have the others told."""
    Job.objects.filter(pk=job.pk).update(undo_asked_by=user, undo_asked_at=timezone.now())
    record(f"{job.kind}.undo", user=user, address=address, target=job.target_label, job=job)
    text = f"{user.get_username()} asked to take it back. Somebody else has to agree."
    tell("job.waits", f"To take back {job.title} waits for approval", text, job.get_absolute_url(), f"job:{job.uuid}")
    transaction.on_commit(partial(doorbell.ring_state, job))


def begin(job: Job, user: User, address: str = "") -> None:
    """Let a job begin now that was to wait until later.

    :raises Refused: it waits for nothing but its turn, or not any more.
    """
    check_role(KINDS[job.kind], user)
    with in_turn():
        job.refresh_from_db()
        if job.state not in {JobState.QUEUED, JobState.AWAITING} or job.not_before is None:
            raise Refused(f"This job does not wait for a moment to begin any more: it is {job.word}.{steered(job)}")
        Job.objects.filter(pk=job.pk).update(not_before=None)
        job.not_before = None
        record(f"{job.kind}.begin", user=user, address=address, target=job.target_label, job=job)
        if job.state == JobState.QUEUED and not job.leases.filter(granted=False).exists():
            enqueue(job)
    doorbell.ring_state(job)


def keep(job: Job, user: User, address: str = "") -> None:
    """Leave a job as it is that somebody asked to take back.

    :raises Refused: nobody did, or it is being taken back already.
    """
    check_role(KINDS[job.kind], user)
    with in_turn():
        job.refresh_from_db()
        if job.state != JobState.SUCCEEDED or not job.undo_asked_at:
            raise Refused("Nobody waits for this job to be taken back any more.")
        Job.objects.filter(pk=job.pk).update(undo_asked_by=None, undo_asked_at=None)
        record(f"{job.kind}.keep", user=user, address=address, target=job.target_label, job=job,
               asked_by=job.undo_asked_by.get_username() if job.undo_asked_by else "")  # fmt: skip
    doorbell.ring_state(job)
