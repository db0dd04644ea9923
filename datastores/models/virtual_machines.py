"""Virtual machines and their disks."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, models
from django.db.models import Q

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, target_name
from datastores.models.caches import CachedCopy
from datastores.models.fields import choices
from datastores.models.hosts import Host
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
        indexes = [models.Index(fields=["name"], name="vm_name")]

    def __str__(self) -> str:
        return self.name


class DiskQuerySet(VisibleQuerySet):
    owner_path = "vm__owner"

    def store_allocated(self, rows: Sequence[tuple[int | None, int, int]]) -> None:
        """Store (allocated, shared, key) of many disks: a statement run for each, where CASE takes much longer."""
        with connections[self.db].cursor() as cursor:
            cursor.executemany("UPDATE datastores_disk SET allocated = %s, shared = %s WHERE id = %s", rows)


class Disk(models.Model):
    """One disk of a VM. Where it is in its datastore, the driver says (``services.placing.disk_volume``)."""

    class Kind(models.TextChoices):
        LINK = "link", "link"
        """The master itself: persistent."""
        CLONE = "clone", "clone"
        """Copy-on-write of the image."""
        COPY = "copy", "copy"
        """A full copy of the image."""
        BLOCK = "block", "block"
        """Made empty: of no image."""

    vm = models.ForeignKey(VirtualMachine, models.CASCADE, related_name="disks")
    number = models.PositiveSmallIntegerField()
    image = models.ForeignKey(Image, models.SET_NULL, null=True, related_name="disks")
    """None: it never had one, or that was deleted; only a disk that does not need it outlives it."""
    datastore = models.ForeignKey(Datastore, models.PROTECT, related_name="disks")
    host = models.ForeignKey(Host, models.PROTECT, null=True, blank=True, related_name="disks")
    """Where it is used: it lies there, or is attached there. None: on any host that sees its datastore."""
    base = models.ForeignKey(CachedCopy, models.PROTECT, null=True, blank=True, related_name="disks")
    """The copy of its image on its host that it lies over; None: it needs none."""
    kind = models.CharField(max_length=5, choices=Kind)
    format = models.CharField(max_length=5, choices=choices(Format))
    virtual_size = models.BigIntegerField(default=0)
    allocated = models.BigIntegerField(null=True, blank=True)
    """Bytes that its file takes on the storage host, as it says itself (st_blocks); None: not looked at yet."""
    shared = models.BigIntegerField(default=0)
    """How many of them may be its image's just as well (reflinks), and are not taken twice."""
    reserved = models.BigIntegerField(default=0)
    """Bytes that its datastore keeps for it, whatever else is written there; 0: it takes room as it is written to."""
    allocated_at = models.DateTimeField(null=True, blank=True)
    """When that was seen."""
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DiskQuerySet.as_manager()

    class Meta:
        ordering = ["vm", "number"]
        # what the disks of a datastore or a machine come to is read from the index alone
        indexes = [
            models.Index(
                fields=["datastore", "kind", "virtual_size", "allocated", "shared", "reserved"], name="disk_space"
            ),
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

    @property
    def target(self) -> str:
        """The device that it is in its VM."""
        return target_name(self.number, cd=self.format == Format.ISO)
