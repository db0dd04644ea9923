"""Leases: which job holds what, so that two jobs never change one thing."""

from __future__ import annotations

from django.db import models

from datastores.models.jobs import Job


class Lease(models.Model):
    """A job's hold on a resource such as "image:3", from its submission until it has ended.

    Exclusive for a change, shared for use as a source. ``granted`` is False while an exclusive one waits for
    shared ones to end.
    """

    job = models.ForeignKey(Job, models.CASCADE, related_name="leases")
    resource = models.CharField(max_length=60)
    exclusive = models.BooleanField()
    granted = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "resource"], name="lease_once_per_job"),
            models.UniqueConstraint(
                fields=["resource"], condition=models.Q(exclusive=True), name="lease_one_exclusive_holder"
            ),
        ]
        indexes = [
            models.Index(fields=["resource"], name="lease_resource"),
            # a thousand clones hold one image; that nobody waits for it is found without reading all of them
            models.Index(fields=["resource"], name="lease_waiting", condition=models.Q(granted=False)),
        ]

    def __str__(self) -> str:
        return f"{self.resource} for job {self.job_id}"
