"""What needs or needed a person, and the tallies of what has ended."""

from __future__ import annotations

from django.db import models
from django.urls import reverse

from datastores.domain.alert_rules import RULES, Rule, Severity
from datastores.models.fields import choices
from datastores.models.users import User
from datastores.models.visibility import VisibleQuerySet


class AlertQuerySet(VisibleQuerySet):
    """Tenants see none: alerts are about what the cloud is made of."""

    def firing(self) -> AlertQuerySet:
        """Those that are so now, acknowledged or not."""
        return self.filter(state__in=[Alert.State.FIRING, Alert.State.ACKNOWLEDGED])


class Alert(models.Model):
    """A rule that holds, or held, of something. A new row each time that it begins.

    The subject is a key such as "datastore:3" without a foreign key, and the label its name: they outlive it.
    """

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        """Not for long enough yet: nobody has been told."""
        FIRING = "firing", "firing"
        ACKNOWLEDGED = "acknowledged", "acknowledged"
        RESOLVED = "resolved", "resolved"

    OPEN = (State.PENDING, State.FIRING, State.ACKNOWLEDGED)

    rule = models.CharField(max_length=40)
    subject = models.CharField(max_length=100)
    label = models.CharField(max_length=300)
    severity = models.CharField(max_length=8, choices=choices(Severity))
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    text = models.TextField()
    value = models.FloatField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    """What is to be known of it when nobody else remembers: of a lost worker its place."""
    since = models.DateTimeField()
    """From when on it was so."""
    fired_at = models.DateTimeField(null=True, blank=True)
    last_seen = models.DateTimeField()
    """When it was so last."""
    resolved_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=~models.Q(state="resolved"), name="alert_once_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["state"], name="alert_state"),  # counted on every page
            models.Index(fields=["since"], name="alert_since"),
            models.Index(fields=["resolved_at"], name="alert_resolved"),
        ]

    def __str__(self) -> str:
        return f"{self.summary}: {self.label}"

    def get_absolute_url(self) -> str:
        """Return the address of its page; of its list while it has no number."""
        return reverse("alert", args=[self.pk]) if self.pk else reverse("alert-list")

    @property
    def about(self) -> Rule | None:
        """Its rule; None: a former version of cloudstore had it."""
        return RULES.get(self.rule)

    @property
    def summary(self) -> str:
        return self.about.summary if self.about else self.rule

    @property
    def word(self) -> str:
        return self.about.word if self.about else self.rule

    @property
    def advice(self) -> str:
        """What to do next."""
        return self.about.advice if self.about else ""


class Tally(models.Model):
    """How many jobs of a kind ended in a state, and how long they took: what counters and histograms show.

    ``buckets``: how many took at most as long as each bound of ``domain.histograms``, each counted in its own bucket
    only, and last those that took longer. The row of the measure "read" holds in ``count`` up to which audit entry
    ends have been counted.
    """

    measure = models.CharField(max_length=20)
    kind = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=20, blank=True)
    count = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    buckets = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["measure", "kind", "state"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.measure} {self.kind} {self.state}: {self.count}"
