"""Partitions: parts of a volume that belong to a tenant."""

from __future__ import annotations

from typing import Any

from django.db import models

from datastores.domain.gluster_partitions import partition_path
from datastores.models.storage import Datastore
from datastores.models.users import User
from datastores.models.visibility import OwnedQuerySet


class Partition(models.Model):
    """A directory of the volume of a datastore with a limit of its own, which only its addresses may mount.

    ``size``: bytes that it may hold. ``addresses``: as auth.allow has them. ``owner``: None when the account is gone.
    """

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="partitions")
    name = models.CharField(max_length=63)
    owner = models.ForeignKey(User, models.SET_NULL, null=True, related_name="partitions")
    size = models.BigIntegerField()
    addresses = models.JSONField(default=list)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["datastore", "name"], name="partition_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.datastore}"

    @property
    def path(self) -> str:
        """Its directory, from the root of the volume."""
        return partition_path(self.name)

    @property
    def source(self) -> str:
        """What hosts mount, as it follows from what was read of the volume; "": nothing was read yet."""
        seen = self.reading
        return f"{seen['bricks'][0]['peer']}:/{seen['name']}{self.path}" if seen.get("bricks") else ""

    @property
    def used(self) -> int | None:
        """Bytes that it held when the volume was read; None: not known."""
        limit = self.reading.get("limits", {}).get(self.path)
        return int(limit[1]) if limit else None

    @property
    def reading(self) -> dict[str, Any]:
        """What was read of the volume; {} when nothing was."""
        found = getattr(self.datastore, "reading", None)
        return found.seen if found else {}
