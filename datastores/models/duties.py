"""What is done again and again by itself."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone


class Duty(models.Model):
    """When something is due next, on whichever machine: the schedule runs on every one of them."""

    name = models.CharField(max_length=60, primary_key=True)
    due_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name} at {self.due_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def take(cls, name: str, every: timedelta) -> bool:
        """Take a duty that is due, once in ``every``. False: it is not, or another machine was faster."""
        now = timezone.now()
        Duty.objects.get_or_create(name=name, defaults={"due_at": now})
        # one that is far off was put there by a clock that went wrong, or when it was to be done less often
        due = models.Q(due_at__lte=now) | models.Q(due_at__gt=now + 2 * every)
        return Duty.objects.filter(due, name=name).update(due_at=now + every) == 1

    @classmethod
    def seconds_left(cls, name: str) -> float:
        """Return the seconds until it is due; 0: it is."""
        due_at = Duty.objects.values_list("due_at", flat=True).get(name=name)
        return max(0.0, (due_at - timezone.now()).total_seconds())
