"""What an admin has set in the browser: only what differs from the defaults."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SettingsSection(models.Model):
    """The values of one section by their keys, as JSON; ``services.settings`` knows what they mean and checks them."""

    name = models.CharField(max_length=40, primary_key=True)
    values = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name
