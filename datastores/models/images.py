"""Images and snapshots."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.models.fields import choices
from datastores.models.storage import Datastore
from datastores.models.users import User
from datastores.models.visibility import OwnedQuerySet, VisibleQuerySet


class Image(models.Model):
    """A master: a disk, CD or data block in an image datastore."""

    class Type(models.TextChoices):
        OS = "OS", "OS"
        CDROM = "CDROM", "CDROM"
        DATABLOCK = "DATABLOCK", "DATABLOCK"
        KERNEL = "KERNEL", "KERNEL"
        RAMDISK = "RAMDISK", "RAMDISK"
        CONTEXT = "CONTEXT", "CONTEXT"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=128)
    datastore = models.ForeignKey(Datastore, models.PROTECT, related_name="images")
    type = models.CharField(max_length=9, choices=Type, default=Type.OS)
    format = models.CharField(max_length=5, choices=choices(Format), default=Format.RAW)
    filesystem = models.CharField(max_length=8, blank=True)
    persistent = models.BooleanField(default=False)
    virtual_size = models.BigIntegerField(default=0)
    real_size = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    data_digest = models.CharField(max_length=64, blank=True)
    """What tells its content from any other (``hosts.data_digest``); "": that is not known."""
    source = models.CharField(max_length=1100, blank=True)
    """Where it came from, in words: a path, "empty data block", "clone of ...", "saved from ..."."""
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="overlays")
    """The image whose bytes this one needs (an overlay); None when it is independent."""
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    error = models.TextField(blank=True)
    owner = models.ForeignKey(User, models.PROTECT, related_name="images")
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    WRITTEN: ClassVar[dict[str, Any]] = {"sha256": "", "data_digest": ""}
    """The columns that become untrue with its content."""

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["datastore", "name"], name="image_name_once_per_datastore")]
        indexes = [
            # what the images of a datastore come to is read from the index alone
            models.Index(fields=["datastore", "virtual_size", "real_size"], name="image_space"),
            models.Index(fields=["name"], name="image_name"),
            models.Index(fields=["virtual_size"], name="image_size"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def taken(self) -> int | None:
        """Bytes that its file takes, as seen when its datastore was measured last; None: it was not since it is there.

        Looks at the datastore, so have that selected with it.
        """
        measured = self.datastore.measured_at
        return self.real_size if self.real_size or (measured and measured > self.created_at) else None


class DeletedImageQuerySet(OwnedQuerySet):
    def kept(self) -> DeletedImageQuerySet:
        """Those whose time is not over."""
        return self.filter(until__gt=timezone.now())


class DeletedImage(models.Model):
    """An image whose bytes its datastore keeps for some days, so that it can be brought back."""

    KEPT = (
        "uuid", "name", "datastore_id", "type", "format", "filesystem", "virtual_size", "real_size", "sha256", "source",
        "owner_id", "persistent",
    )  # fmt: skip
    """The columns of the image that it has again when it comes back."""

    uuid = models.UUIDField(unique=True, editable=False)
    name = models.CharField(max_length=128)
    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="deleted_images")
    type = models.CharField(max_length=9, choices=Image.Type)
    format = models.CharField(max_length=5, choices=choices(Format))
    filesystem = models.CharField(max_length=8, blank=True)
    persistent = models.BooleanField(default=False)
    virtual_size = models.BigIntegerField(default=0)
    real_size = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=1100, blank=True)
    owner = models.ForeignKey(User, models.CASCADE, related_name="deleted_images")
    deleted_at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField()
    """After that its bytes are removed for good."""

    objects = DeletedImageQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.KEPT}


class SnapshotQuerySet(VisibleQuerySet):
    owner_path = "image__owner"


class Snapshot(models.Model):
    """A state of an image to which it can be taken back."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="snapshots")
    name = models.CharField(max_length=128)
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["image", "name"], name="snapshot_name_once_per_image")]

    def __str__(self) -> str:
        return f"{self.image}@{self.name}"
