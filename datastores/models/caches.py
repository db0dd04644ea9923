"""Copies of images that hosts keep below the disks that are used on them."""

from __future__ import annotations

from django.db import models

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.models.fields import choices
from datastores.models.images import Image
from datastores.models.storage import DatastoreHost
from datastores.models.visibility import VisibleQuerySet


class CachedCopy(models.Model):
    """What an image held when it was copied to a host: its file there is never written to.

    ``held``: 16 hexadecimal digits that tell this content from any other of the image, of which the file has its name.
    """

    member = models.ForeignKey(DatastoreHost, models.CASCADE, related_name="cached")
    image = models.ForeignKey(Image, models.SET_NULL, null=True, related_name="cached")
    """None: it was deleted; the copy stays as long as disks lie over it."""
    uuid = models.UUIDField()
    """That of the image."""
    name = models.CharField(max_length=128)
    held = models.CharField(max_length=16)
    format = models.CharField(max_length=5, choices=choices(Format))
    data_digest = models.CharField(max_length=64, blank=True)
    """That of the image; as long as it has this one, disks of it are made over the copy."""
    digest = models.CharField(max_length=64, blank=True)
    """That of the data in the file itself: another one where it was converted on its way."""
    size = models.BigIntegerField(default=0)
    """Bytes from its first to its last."""
    taken = models.BigIntegerField(default=0)
    """Bytes that it takes; until it is there, those that it may come to."""
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    error = models.TextField(blank=True)
    made_by = models.UUIDField()
    """The job that made it."""
    made_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(auto_now_add=True)
    """When a disk was made over it last, or when it was made."""
    uses = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["member", "uuid", "held", "format"], name="cached_once_per_host")
        ]

    def __str__(self) -> str:
        return f"{self.name} in the cache of {self.member.host}"
