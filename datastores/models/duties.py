"""What is done again and again by itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import models
from django.utils import timezone

QUIET = timedelta(minutes=2)
"""What was not heard of for so long is not being done."""


class Duty(models.Model):
    """When something is due next, on whichever machine: the schedule runs on every one of them."""

    name = models.CharField(max_length=60, primary_key=True)
    due_at = models.DateTimeField(default=timezone.now)
    heard_at = models.DateTimeField(null=True)
    """When whoever does it said so last; None: it was taken, and has not taken long yet."""

    def __str__(self) -> str:
        return f"{self.name} at {self.due_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def take(cls, name: str, every: timedelta) -> bool:
        """Take a duty that is due, once in ``every``. False: it is not, or another machine was faster."""
        now = timezone.now()
        Duty.objects.get_or_create(name=name, defaults={"due_at": now})
        # one that is far off was put there by a clock that went wrong, or when it was to be done less often
        due = models.Q(due_at__lte=now) | models.Q(due_at__gt=now + 2 * every)
        return Duty.objects.filter(due, name=name).update(due_at=now + every, heard_at=None) == 1

    @classmethod
    def hasten(cls, name: str) -> None:
        """Have it done with the next look at the duties."""
        now = timezone.now()
        Duty.objects.filter(name=name, due_at__gt=now).update(due_at=now)

    @classmethod
    def seconds_left(cls, name: str) -> float:
        """Return the seconds until it is due; 0: it is."""
        due_at = Duty.objects.values_list("due_at", flat=True).get(name=name)
        return max(0.0, (due_at - timezone.now()).total_seconds())

    @classmethod
    def beat(cls, name: str) -> None:
        """Say that it is being done."""
        Duty.objects.filter(name=name).update(heard_at=timezone.now())

    @classmethod
    def late(cls, names: Iterable[str]) -> dict[str, float]:
        """Return the seconds since they were due, by name, of those that are due and that nobody is doing."""
        now = timezone.now()
        idle = models.Q(heard_at=None) | models.Q(heard_at__lt=now - QUIET)
        due = Duty.objects.filter(idle, name__in=list(names), due_at__lt=now).values_list("name", "due_at")
        return {name: (now - due_at).total_seconds() for name, due_at in due}
