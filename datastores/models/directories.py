"""Directories of hosts that lie on a datastore, with a link in their place."""

from __future__ import annotations

from django.db import models

from datastores.models.hosts import Host
from datastores.models.storage import Datastore
from datastores.models.visibility import VisibleQuerySet


class MovedDirectory(models.Model):
    """A directory of a host that was moved onto a datastore. ``path`` is a link to ``target`` there.

    Several hosts may share one target. ``moved`` False: it was brought back, and what it left is to be deleted.
    """

    host = models.ForeignKey(Host, models.PROTECT, related_name="moved_directories")
    datastore = models.ForeignKey(Datastore, models.PROTECT, related_name="moved_directories")
    path = models.CharField(max_length=1024)
    target = models.CharField(max_length=1300)
    kept = models.CharField(max_length=1100, blank=True)
    """Where the directory is that was there before; "": it was deleted."""
    services = models.JSONField(default=list, blank=True)
    """Units that were stopped meanwhile: offered again for the way back."""
    moved = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "path"], condition=models.Q(moved=True), name="directory_moved_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.path} on {self.host}"
