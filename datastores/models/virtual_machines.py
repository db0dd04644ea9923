"""Virtual machines and their disks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format
from datastores.models.fields import choices
from datastores.models.images import Image
from datastores.models.storage import Datastore
from datastores.models.users import User
from datastores.models.visibility import OwnedQuerySet, VisibleQuerySet


class VirtualMachine(models.Model):
    """A virtual machine, as far as its disks are concerned."""

    class State(models.TextChoices):
        OFF = "off", "off"
        """Never started, or shut down cleanly: its disks are at rest and may be saved."""
        RUNNING = "running", "running"
        STOPPED = "stopped", "stopped"
        """Suspended, stopped or dead: its disks may be torn, nothing is saved from them."""

    name = models.CharField(max_length=128)
    owner = models.ForeignKey(User, models.PROTECT, related_name="virtual_machines")
    state = models.CharField(max_length=8, choices=State, default=State.OFF)
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="vm_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name


class DiskQuerySet(VisibleQuerySet):
    owner_path = "vm__owner"


class Disk(models.Model):
    """One disk of a VM. Where it is in its datastore, the driver says (``services.placing.disk_volume``)."""

    class Kind(models.TextChoices):
        LINK = "link", "link"
        """The master itself: persistent."""
        CLONE = "clone", "clone"
        """Copy-on-write of the image."""
        COPY = "copy", "copy"
        """A full copy of the image."""

    vm = models.ForeignKey(VirtualMachine, models.CASCADE, related_name="disks")
    number = models.PositiveSmallIntegerField()
    image = models.ForeignKey(Image, models.SET_NULL, null=True, related_name="disks")
    """None: the image was deleted; only a disk that does not need it outlives it."""
    datastore = models.ForeignKey(Datastore, models.PROTECT, related_name="disks")
    kind = models.CharField(max_length=5, choices=Kind)
    format = models.CharField(max_length=5, choices=choices(Format))
    virtual_size = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DiskQuerySet.as_manager()

    class Meta:
        ordering = ["vm", "number"]
        # what the disks of a datastore or a machine come to is read from the index alone
        indexes = [
            models.Index(fields=["datastore", "virtual_size"], name="disk_space"),
            models.Index(fields=["vm", "virtual_size"], name="disk_space_of_vm"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["vm", "number"], name="disk_number_once_per_vm"),
            models.UniqueConstraint(
                fields=["image"], condition=Q(kind="link"), name="persistent_image_for_one_vm_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vm} disk.{self.number}"
