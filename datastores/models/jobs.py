"""Jobs, their steps and their log."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from datastores.domain.approvals import Approval
from datastores.domain.states import ENDED, JOB_MOVES, WITH_WORKER, EventKind, JobState, Level, StepState
from datastores.models.fields import choices
from datastores.models.hosts import Cluster, Host
from datastores.models.images import Image, Snapshot
from datastores.models.storage import Datastore
from datastores.models.users import User
from datastores.models.virtual_machines import Disk, VirtualMachine
from datastores.models.visibility import VisibleQuerySet

AUTOMATIC_ATTEMPTS = 5
"""How often in a row a job is resumed without anybody asking. One that kills its worker would do it for ever."""
UNDONE = "undone"
WAS_UNDONE = models.Q(state=JobState.CANCELLED, undo_requested=True, cancel_requested_at=None)
"""Jobs that a person had taken back; who cancels one stops it."""
HAS_ENDED = models.Q(ended_at__isnull=False)
UNDO_ASKED = models.Q(undo_asked_at__isnull=False)
TARGETS = ("cluster", "host", "datastore", "image", "snapshot", "vm", "disk")


class JobQuerySet(VisibleQuerySet):
    owner_path = "user"

    def unattended(self, patience: timedelta) -> JobQuerySet:
        """Jobs that should have a worker, but whose worker has not been heard of for ``patience``."""
        states = [state.value for state in WITH_WORKER]
        return self.filter(state__in=states, heartbeat_at__lt=timezone.now() - patience)


class Job(models.Model):
    """Something that a person, or the schedule, asked for; carried out by a worker.

    Targets are explicit and become NULL when the object goes; ``target_label`` keeps its name.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=300)
    state = models.CharField(max_length=20, choices=choices(JobState), default=JobState.QUEUED)
    params = models.JSONField(default=dict, blank=True)
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="jobs")
    user_label = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True)
    """From where it was asked."""

    cluster = models.ForeignKey(Cluster, models.SET_NULL, null=True, blank=True, related_name="jobs")
    host = models.ForeignKey(Host, models.SET_NULL, null=True, blank=True, related_name="jobs")
    datastore = models.ForeignKey(Datastore, models.SET_NULL, null=True, blank=True, related_name="jobs")
    image = models.ForeignKey(Image, models.SET_NULL, null=True, blank=True, related_name="jobs")
    snapshot = models.ForeignKey(Snapshot, models.SET_NULL, null=True, blank=True, related_name="jobs")
    vm = models.ForeignKey(VirtualMachine, models.SET_NULL, null=True, blank=True, related_name="jobs")
    disk = models.ForeignKey(Disk, models.SET_NULL, null=True, blank=True, related_name="jobs")
    target_label = models.CharField(max_length=300, blank=True)

    approval = models.CharField(max_length=20, choices=choices(Approval), blank=True)
    """What was demanded when it was asked for; "": what its kind demands by itself."""
    retried_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    """Who asked for it last, when that was to try it again."""
    approved_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    undo_requested = models.BooleanField(default=False)
    undo_asked_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    """Who asked to take the finished job back, and waits for somebody else who agrees."""
    undo_asked_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    """How often it was queued, for whatever reason."""
    resumed = models.PositiveSmallIntegerField(default=0)
    """How often it was resumed by itself since a person asked for it last."""
    worker = models.CharField(max_length=100, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(null=True, blank=True)
    """When it may begin to change something; None: at once. Planned at once, it holds what it needs meanwhile."""
    started_at = models.DateTimeField(null=True, blank=True)
    """When a worker took it first since a person wanted something of it: asked for it, approved it, had it undone."""
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["state"], name="job_state"),  # without the heartbeat, which then touches no index
            models.Index(fields=["user", "-id"], name="job_user"),
            models.Index(fields=["title"], name="job_title"),
            models.Index(fields=["user_label"], name="job_by"),
            models.Index(fields=["created_at"], name="job_asked"),
            models.Index(fields=["undo_asked_at"], name="job_undo_asked", condition=UNDO_ASKED),
            # of jobs that have ended, so that a new one, for which somebody waits, costs nothing here
            models.Index(fields=["-ended_at"], name="job_ended", condition=HAS_ENDED),
            models.Index(fields=["user", "-ended_at"], name="job_user_ended", condition=HAS_ENDED),
            models.Index(fields=["kind", "-ended_at"], name="job_kind_ended", condition=HAS_ENDED),
            models.Index(fields=["target_label", "kind"], name="job_target_ended", condition=HAS_ENDED),
        ]

    def __str__(self) -> str:
        return f"{self.title} (job {self.pk})"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.uuid])

    def is_visible_to(self, user: User) -> bool:
        """Tell what ``visible_to`` would; for a row that was read once for many people."""
        return user.is_active and (user.sees_everything or self.user_id == user.pk)

    @property
    def undo_asked(self) -> str:
        """When somebody asked to take it back, as a text that tells this from any other time; "": nobody does."""
        return self.undo_asked_at.isoformat() if self.undo_asked_at else ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def word(self) -> str:
        """The state as people read it."""
        return self.word_in(JobState(self.state))

    def word_in(self, state: JobState) -> str:
        """Return how the job reads in a state: one that a person had taken back is "undone", not "cancelled"."""
        taken_back = self.undo_requested and self.cancel_requested_at is None
        return UNDONE if state is JobState.CANCELLED and taken_back else str(state)

    @property
    def seconds(self) -> float | None:
        """How long it was worked on, without what it waited for a person or for other jobs; None: it was not, or is.

        Jobs of former versions noted when they were queued first; one that was resumed by itself was queued again.
        """
        if self.started_at is None or self.ended_at is None:
            return None
        began = self.started_at if self.resumed else max(self.started_at, self.queued_at)
        return max(0.0, (self.ended_at - began).total_seconds())

    @property
    def is_early(self) -> bool:
        """Whether it may not begin yet."""
        return self.not_before is not None and self.not_before > timezone.now()

    @property
    def is_given_up(self) -> bool:
        """Whether it waits for a person to resume it, because that has been done often enough by itself."""
        return self.state == JobState.INTERRUPTED and self.resumed >= AUTOMATIC_ATTEMPTS

    def move(self, *sources: JobState, to: JobState, unchanged: Iterable[str] = (), **values: Any) -> bool:
        """Change the state if it still is one of ``sources``. False: somebody else was first.

        ``unchanged``: the fields on which the move was decided; the row must still hold what was read of them.
        """
        return move_all([self], *sources, to=to, unchanged=unchanged, **values)

    def objects_touched(self) -> list[str]:
        """Names such as "disk:17" of the objects whose rows on a page this job changes."""
        return [f"{name}:{value}" for name in TARGETS if (value := getattr(self, f"{name}_id"))]


def move_all(
    jobs: Sequence[Job], *sources: JobState, to: JobState, unchanged: Iterable[str] = (), **values: Any
) -> bool:
    """Change the state of all the jobs as :meth:`Job.move` does, or of none.

    In one statement; for more than one job in a transaction of its own, so that none is moved without the others.
    """
    values = _values_of_move(sources, to, values)
    as_read = models.Q(pk__in=[])  # an empty condition would be true of every job
    for job in jobs:
        as_read |= models.Q(pk=job.pk, **{name: getattr(job, name) for name in unchanged})
    is_pack = len(jobs) > 1
    with transaction.atomic() if is_pack else contextlib.nullcontext():
        moved = Job.objects.filter(as_read, state__in=sources).update(**values) == len(jobs)
        if is_pack and not moved:
            transaction.set_rollback(True)
    plain = {name: value for name, value in values.items() if moved and not hasattr(value, "resolve_expression")}
    for job, name in itertools.product(jobs, plain):
        setattr(job, name, plain[name])
    return moved


def _values_of_move(sources: Iterable[JobState], to: JobState, values: dict[str, Any]) -> dict[str, Any]:
    """Return what is written when a job moves. Raises ValueError when there is no such way."""
    illegal = [source for source in sources if to not in JOB_MOVES[source]]
    if illegal:
        raise ValueError(f"a job cannot go from {illegal[0]} to {to}")
    now = timezone.now()
    ended = {"ended_at": now} if to in ENDED else {}
    heard = {"heartbeat_at": now} if to in WITH_WORKER else {}
    return ended | heard | values | {"state": to}


class JobStep(models.Model):
    """One step of a job's plan: what it would do, and how it went."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="steps")
    index = models.PositiveIntegerField()
    stage = models.PositiveSmallIntegerField(default=0)
    stage_title = models.CharField(max_length=200, blank=True)
    host = models.CharField(max_length=128)
    """Its name when the step was stored; the host may have been renamed since, and another one have its name."""
    machine = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="+")
    """The host itself; None: it is gone."""
    title = models.CharField(max_length=1500)
    state = models.CharField(max_length=9, choices=choices(StepState), default=StepState.WAITING)
    change = models.JSONField(null=True, blank=True)
    """The Change that was shown for approval, as ``jobs.codec`` writes it; None: already so, or not shown before."""
    refused = models.TextField(blank=True)
    message = models.TextField(blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    silent_since = models.DateTimeField(null=True, blank=True)
    """Since when the host does not answer while the step is carried out."""
    bytes_done = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["index"]
        constraints = [models.UniqueConstraint(fields=["job", "index"], name="jobstep_index_once_per_job")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.index} {self.title}"

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended_at - self.started_at).total_seconds() if self.started_at and self.ended_at else None

    @property
    def bytes_left(self) -> int:
        """Bytes that are to be moved still."""
        return max(0, self.bytes_total - self.bytes_done)

    @property
    def is_silent(self) -> bool:
        """Whether its host does not answer while it is carried out."""
        return self.state == StepState.RUNNING and self.silent_since is not None


class JobEvent(models.Model):
    """One entry of a job's log: one line, or a block of output lines of one step.

    ``seq`` numbers entries, ``first_line`` lines; neither has gaps. ``data`` holds what a machine needs later:
    the undo command of an action (the journal after a crash).
    """

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=choices(EventKind))
    level = models.CharField(max_length=8, choices=choices(Level), default=Level.INFO)
    step = models.PositiveIntegerField(null=True)
    host = models.CharField(max_length=128, blank=True)
    first_line = models.PositiveIntegerField()
    lines = models.PositiveIntegerField(default=1)
    text = models.TextField()
    data = models.JSONField(null=True)

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["job", "seq"], name="jobevent_seq_once_per_job")]
        indexes = [models.Index(fields=["job", "first_line"], name="jobevent_line")]

    def __str__(self) -> str:
        return f"{self.job_id}#{self.seq} {self.kind}"

    def frame(self) -> dict[str, Any]:
        """Return the entry as browsers get it."""
        return {
            "seq": self.seq,
            "at": int(self.at.timestamp() * 1000),
            "kind": self.kind,
            "level": self.level,
            "step": self.step,
            "host": self.host,
            "first": self.first_line,
            "lines": self.lines,
            "text": self.text,
        }
