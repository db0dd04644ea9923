"""Who is told of what, what waits to be told, and what was sent."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any
from urllib.parse import urlsplit

from django.db import models
from django.utils import timezone

from datastores.models.fields import EncryptedTextField
from datastores.models.visibility import VisibleQuerySet


class NotificationTarget(models.Model):
    """Where messages go: a webhook or an e-mail address, and for which events."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "webhook"
        EMAIL = "email", "e-mail"

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.WEBHOOK)
    address = models.CharField(max_length=500)
    secret = EncryptedTextField(blank=True, default="")
    """Signs what is posted to a webhook; "": it is not signed."""
    events = models.JSONField(default=list)
    """Names of events, see ``services.notifications``."""
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "address"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "address"],
                name="target_once",
                violation_error_message="It is told already. Change what it is told of.",
            )
        ]

    def __str__(self) -> str:
        """Whoever knows the path of a webhook may often post to it: only admins see that, on the page of the target."""
        parts = urlsplit(self.address)
        if self.kind != self.Kind.WEBHOOK or (parts.path in {"", "/"} and not parts.query):
            return self.address
        return f"{parts.scheme}://{parts.netloc}/... ({hashlib.sha256(self.address.encode()).hexdigest()[:8]})"


class Notice(models.Model):
    """Something that a target is to be told; written in the transaction in which it came true."""

    target = models.ForeignKey(NotificationTarget, models.CASCADE, related_name="notices")
    event = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    key = models.CharField(max_length=100, blank=True)
    """The same for what belongs together, such as the begin and the end of an alert."""
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["target", "event", "id"], name="notice_target_event")]

    def __str__(self) -> str:
        return f"{self.event}: {self.subject}"

    def line(self) -> dict[str, Any]:
        """Return it as one of the items of a message."""
        at = self.at.isoformat(timespec="seconds")
        return {"subject": self.subject, "text": self.text, "url": self.url, "key": self.key, "at": at}


class Delivery(models.Model):
    """A message to one target: what was told within a short time, put together. ``uuid`` stays through all attempts."""

    class Outcome(models.TextChoices):
        OPEN = "", "waiting"
        SENT = "sent", "sent"
        GIVEN_UP = "given up", "given up"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    target = models.ForeignKey(NotificationTarget, models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40)
    count = models.PositiveIntegerField(default=1)
    items = models.JSONField(default=list)
    """The first of them, as ``Notice.line`` tells them."""
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True)
    """Why the last attempt failed."""
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(outcome="")),
            models.Index(fields=["target", "-done_at"], name="delivery_target_done"),
        ]

    def __str__(self) -> str:
        return f"{self.uuid} to {self.target_id}"
