"""What every use case is: rows in, plan out, rows updated. One subclass per kind of job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from datastores.domain.errors import Refused
from datastores.domain.plan import AnyStep, Plan
from datastores.models import Job, User

Results = Sequence[tuple[AnyStep, Any]]
"""Each step of the plan with the facts that were read of it last."""

CLOUD_STAFF = frozenset({User.Role.ADMIN, User.Role.OPERATOR})
OWNERS = CLOUD_STAFF | {User.Role.TENANT}


class UseCase:
    """One kind of job. Instances hold no state: everything is in the job and its rows.

    The order of calls: ``ask`` (by way of ``ask_all``), ``plan`` (unless ``checks_plan`` is off) and ``resources`` when
    it is submitted, ``look_ahead`` in the worker of a pack, ``check_still`` and ``plan`` in the worker (again after a
    crash, so it must give the same steps; ``plan`` alone, to judge the hosts by, when it is taken back), then one of
    ``succeeded``, ``failed``, ``unreachable``, ``broken_off`` and ``cancelled``, each in the transaction that ends the
    job; ``undone`` after an operator took a finished job back.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    """A verb and a noun: "Clone image"."""
    queue: ClassVar[str] = "interactive"
    needs_approval: ClassVar[bool] = False
    """Show the plan and wait for a person before anything changes, unless an admin has set something else."""
    never_at_once: ClassVar[bool] = False
    """No admin may have it begin at once: it replaces what others than cloudstore made, so a person looks first."""
    can_wait: ClassVar[bool] = True
    """An admin may have it wait for approval; a kind that only reads has nothing to approve."""
    roles: ClassVar[frozenset[str]] = CLOUD_STAFF
    checks_plan: ClassVar[bool] = True
    """Plan once when it is asked for: what a step can never be made with is said there, and becomes no job."""
    can_undo: ClassVar[bool] = False
    """A finished job can be taken back."""
    undo_is: ClassVar[str] = ""
    """The kind of job that an undo of this one amounts to ("disk.delete"): what is set for it counts for the undo.

    "": it makes no row, so that there is nothing to undo where no host was changed.
    """
    targets: ClassVar[tuple[str, ...]] = ()
    """The job's targets ("image") without whose rows it can be neither tried again nor taken back."""

    def queue_of(self, job: Job) -> str:
        """Return the name of the queue that the job waits in: "transfer" when it copies bytes."""
        return self.queue

    def pack(self, job: Job) -> str:
        """Return what jobs have in common that are done together when they were asked for at once; "": done alone.

        Only jobs whose plan is one step on the same host gain by it. What needs approval is always done alone.
        """
        return ""

    def look_ahead(self, jobs: Sequence[Job]) -> None:
        """Look up at once what ``plan`` needs of each job of a pack."""

    def require_targets(self, job: Job) -> None:
        """Raise Refused when a row that the job is about is gone."""
        for name in self.targets:
            if getattr(job, name) is None:
                raise Refused(f"The {name} of this job is gone. Ask for what you want anew.")

    def ask(self, job: Job) -> None:
        """Check ``job.params`` and targets, create or mark rows, set ``job.title`` and ``job.target_label``.

        :raises CloudstoreError: the request is refused; the caller's transaction is rolled back.
        """
        raise NotImplementedError

    def ask_all(self, jobs: Sequence[Job]) -> None:
        """Do what ``ask`` does for jobs that are asked for at once."""
        for job in jobs:
            self.ask(job)

    def again(self, job: Job) -> None:
        """Bring the rows of a failed or cancelled job back to where ``ask`` left them, for a retry.

        :raises CloudstoreError: it cannot be done any more as things stand.
        """

    def check_undo(self, job: Job) -> None:
        """Check that a finished job can be taken back without harm to what came after it.

        :raises Refused: something has been built on it since; the message says what to do.
        """

    def destroyed_by_undo(self, job: Job) -> str:
        """Return the name of what is deleted, with all that was written to it since, when a finished job is taken back.

        "": nothing that anybody could miss.
        """
        return ""

    def resources(self, job: Job) -> dict[str, bool]:
        """Return what the job holds until it ends: {"image:3": exclusive?}."""
        raise NotImplementedError

    def check_still(self, job: Job) -> None:
        """Check, before each attempt that goes forward, what may have changed since the job was asked for.

        :raises CloudstoreError: it cannot be done any more as things stand.
        """

    def leaves_out(self, job: Job) -> dict[str, bool]:
        """Return the names of the hosts that all is done for; True: it is left out if it cannot be reached.

        One that is left out is named when the job ends, and what the others tell counts; when all are, the job fails.
        """
        return {}

    def plan(self, job: Job) -> Plan:
        """Return the stages that make it true. Reads rows only; the same answer every time.

        :raises CloudstoreError: it cannot be done as things stand.
        """
        raise NotImplementedError

    def succeeded(self, job: Job, results: Results) -> None:
        """Update the rows: the hosts are in the wanted state.

        :raises CloudstoreError: the rows cannot become so any more; what was done on the hosts is taken back.
        """

    def failed(self, job: Job, error: str) -> None:
        """Update the rows: it failed, and what could be undone has been undone."""

    def unreachable(self, job: Job, error: str) -> None:
        """Update the rows: it failed because a host did not answer, and nothing had been done there."""
        self.failed(job, error)

    def broken_off(self, job: Job, error: str, *, lossy: bool) -> None:
        """Update the rows: it failed when the destruction of something had begun, so what came before is still there.

        ``lossy``: something was destroyed, or may have been; else the host refused to.
        """
        self.failed(job, error)

    def cancelled(self, job: Job) -> None:
        """Update the rows: a person stopped it, and what could be undone has been undone. That is no error."""

    def undone(self, job: Job) -> None:
        """Update the rows: a person took a succeeded job back."""
        self.cancelled(job)


def facts_of(results: Results, step_type: type) -> Any:
    """Return the facts of the one step of this type.

    :raises LookupError: there is none, or more than one.
    """
    found = [facts for step, facts in results if isinstance(step, step_type)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} steps are {step_type.__name__}, not one")
    return found[0]
