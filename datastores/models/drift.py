"""Where hosts are not as they were left: what differs, when it was looked for, and what images were like before."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils import timezone

from datastores.models.hosts import Host
from datastores.models.images import Image
from datastores.models.storage import Datastore
from datastores.models.users import User
from datastores.models.virtual_machines import Disk
from datastores.models.visibility import VisibleQuerySet


class DriftQuerySet(VisibleQuerySet):
    def live(self) -> DriftQuerySet:
        """Those that still differ, as far as is known."""
        return self.filter(state__in=Drift.LIVE)

    def open(self) -> DriftQuerySet:
        """Those about which nobody has decided anything."""
        return self.filter(state=Drift.State.OPEN)

    def cease(self, **about: int | None) -> None:
        """End those about a thing that is about to be deleted: ``cease(disk=17)``. Nobody keeps them true any more."""
        self.live().filter(**about).update(state=Drift.State.GONE, closed_at=timezone.now())


class Drift(models.Model):
    """A managed statement that is, or was, not true on its host. One row for each, whatever became of it.

    What it is about becomes NULL when that goes; ``label`` keeps its name.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        ACCEPTED = "accepted", "accepted"
        """A person lets exactly this difference be; another one is open again."""
        REPAIRED = "repaired", "repaired"
        GONE = "gone", "gone"
        """True again by itself, or not managed any more."""

    class Kind(models.TextChoices):
        MISSING = "missing", "missing"
        ALTERED = "altered", "altered"
        DIFFERS = "differs", "differs"
        """A step can put it right."""
        BLOCKED = "in the way", "in the way"
        """Something has to be done by hand."""
        FOREIGN = "foreign", "foreign"

    LIVE = (State.OPEN, State.ACCEPTED)

    key = models.CharField(max_length=64, unique=True)
    """Of the statement: whose it is, about what, on which host."""
    owner = models.CharField(max_length=40)
    """The kind of job that made it true."""
    host = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="drift")
    datastore = models.ForeignKey(Datastore, models.SET_NULL, null=True, related_name="drift")
    image = models.ForeignKey(Image, models.SET_NULL, null=True, related_name="drift")
    disk = models.ForeignKey(Disk, models.SET_NULL, null=True, related_name="drift")
    label = models.CharField(max_length=300)
    title = models.CharField(max_length=1500)
    kind = models.CharField(max_length=10, choices=Kind)
    change = models.JSONField(null=True)
    """What would put it right, as ``jobs.codec`` writes it; None: no step can."""
    text = models.TextField(blank=True)
    """What was found, where no step can put it right."""
    fingerprint = models.CharField(max_length=64)
    """Of the difference."""
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=500, blank=True)

    objects = DriftQuerySet.as_manager()

    class Meta:
        ordering = ["-first_seen", "-pk"]
        indexes = [models.Index(fields=["state", "-first_seen"], name="drift_state")]

    def __str__(self) -> str:
        return self.title[:200]

    def get_absolute_url(self) -> str:
        return reverse("drift", args=[self.pk])

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE

    @property
    def can_be_repaired(self) -> bool:
        return self.is_live and self.change is not None and self.host_id is not None


class DriftScan(models.Model):
    """One look at all managed statements: asked for by a person or by the schedule, then made by one machine."""

    asked_at = models.DateTimeField(default=timezone.now)
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    """None: the schedule."""
    started_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    broken = models.BooleanField(default=False)
    """Whoever made it was not heard of any more; nothing of it was stored."""
    hosts = models.PositiveIntegerField(default=0)
    statements = models.PositiveIntegerField(default=0)
    """Those of which it is known whether they are true."""
    skipped = models.PositiveIntegerField(default=0)
    """Those that a job works on, or that could not be told because of others."""
    differing = models.PositiveIntegerField(default=0)
    unread = models.JSONField(default=list)
    """[host, why]: hosts, and single statements, that could not be read; the first ones."""
    unread_hosts = models.PositiveIntegerField(default=0)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"scan {self.pk}"


class ImageFootprint(models.Model):
    """What the file of an image was like when the last job on it had ended, or when a scan saw it first after that.

    Only of images that nobody may write to: it goes when one becomes persistent, or ceases to be.
    """

    image = models.OneToOneField(Image, models.CASCADE, related_name="footprint")
    size = models.BigIntegerField()
    written = models.CharField(max_length=40)
    """Seconds since 1970, as exact as the host knows it."""
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.image_id}: {self.size} bytes of {self.written}"
