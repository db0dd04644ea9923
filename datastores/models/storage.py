"""Datastores: where images and VM disks live."""

from __future__ import annotations

from django.db import models

from datastores.domain.growth import Growth
from datastores.domain.states import ObjectState
from datastores.models.fields import EncryptedTextField, choices
from datastores.models.hosts import Cluster, Host
from datastores.models.users import User
from datastores.models.visibility import VisibleQuerySet


class DatastoreQuerySet(VisibleQuerySet):
    def visible_to(self, user):
        """Everybody who may own images sees the datastores that can take them."""
        if isinstance(user, User) and user.is_active and not user.sees_everything:
            return self.filter(state=ObjectState.READY)
        return super().visible_to(user)


class Datastore(models.Model):
    """A place for bytes, of one kind (see ``drivers``), at one path on its hosts."""

    class Type(models.TextChoices):
        IMAGE = "image", "image"
        SYSTEM = "system", "system"
        FILE = "file", "file"

    name = models.CharField(max_length=128, unique=True)
    kind = models.CharField(max_length=16)
    type = models.CharField(max_length=8, choices=Type, default=Type.IMAGE)
    base = models.CharField(max_length=1024)
    """Absolute path, the same on every host."""
    label = models.CharField(max_length=100, blank=True, default="")
    """What its names on hosts are made of (of files, rules, targets), so that no other datastore has the same."""
    options = models.JSONField(default=dict, blank=True)
    secret = EncryptedTextField(default="", blank=True)
    """What lets its hosts in where the bytes are, such as the key of an account; "" where none is needed."""
    source_directories = models.JSONField(default=list, blank=True)
    """Directories on the storage host from which images may be registered."""
    cluster = models.ForeignKey(Cluster, models.PROTECT, null=True, blank=True, related_name="datastores")
    hosts = models.ManyToManyField(Host, through="DatastoreHost", related_name="datastores")
    state = models.CharField(max_length=10, choices=choices(ObjectState), default=ObjectState.PENDING)
    error = models.TextField(blank=True)
    total = models.BigIntegerField(null=True, blank=True)
    used = models.BigIntegerField(null=True, blank=True)
    free = models.BigIntegerField(null=True, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    version = models.PositiveIntegerField(default=0)
    in_order: list[DatastoreHost]
    """Its members, once ``services.placing.hosts_of`` has looked them up."""
    bricks_in_order: list[Brick]
    """Its bricks, once ``services.bricks.bricks_of`` has looked them up."""
    promised: int
    """Bytes that its images and disks may still grow by, and the number of disks of which it is not known what they
    take, once the figures of lists were looked up with it."""
    unseen: int
    growth: Growth
    """How fast it fills, once ``services.growth.add_growth`` has looked it up."""

    objects = DatastoreQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def used_percent(self) -> int:
        return round(100 * (self.used or 0) / self.total) if self.total else 0


class DatastoreHost(models.Model):
    """A host of a datastore. Position 0 is the storage host: commands on volumes run there."""

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="members")
    host = models.ForeignKey(Host, models.PROTECT, related_name="memberships")
    position = models.PositiveSmallIntegerField()
    peer = models.CharField(max_length=255, blank=True, default="")
    """What targets and initiators call the host, whatever it is called here by now: no other is called so. "": nothing
    that they would have kept."""
    mounted_from = models.CharField(max_length=1024, blank=True, default="")
    """What the host was told to mount when it was given the datastore, whatever became of the server's address since;
    "" where cloudstore mounts nothing, or did so before this was remembered."""
    unseen = models.TextField(blank=True, default="")
    """Why the host does not see the directory that it must see; "": it does, or nobody has looked."""
    looked_at = models.DateTimeField(null=True)
    total = models.BigIntegerField(null=True)
    used = models.BigIntegerField(null=True)
    free = models.BigIntegerField(null=True)
    """Bytes of the file system that the datastore has on this host, where each host has one of its own; those of the
    storage host are the datastore's."""
    measured_at = models.DateTimeField(null=True)
    cache_uses = models.PositiveBigIntegerField(default=0)
    """Disks that were made on it of images that may be cached."""
    cache_hits = models.PositiveBigIntegerField(default=0)
    """Those of them whose image was there already."""

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["datastore", "host"], name="datastorehost_once"),
            models.UniqueConstraint(fields=["datastore", "position"], name="datastorehost_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.datastore} on {self.host}"


class Brick(models.Model):
    """A directory of a host that is part of the datastore, of a kind that is made of such. In the order of the volume.

    ``peer``: the name by which the other hosts know this one. It was given when the brick was made, and GlusterFS keeps
    it for good, whatever the host is called here afterwards.
    """

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="bricks")
    host = models.ForeignKey(Host, models.PROTECT, related_name="bricks")
    peer = models.CharField(max_length=255)
    path = models.CharField(max_length=1024)
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["host", "path"], name="brick_once"),
            models.UniqueConstraint(fields=["datastore", "position"], name="brick_position_once"),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


class VolumeReading(models.Model):
    """What was read last of the volume of a datastore that is made of bricks. ``seen``: see ``hosts.gluster_seen``."""

    datastore = models.OneToOneField(Datastore, models.CASCADE, related_name="reading")
    seen = models.JSONField(default=dict)
    at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")
    """Why the last look told nothing; what was seen before stays."""

    def __str__(self) -> str:
        return f"the volume of {self.datastore}"


class Appliance(models.Model):
    """What was read last of the appliance of a datastore whose LUNs others make, and what was asked of it."""

    datastore = models.OneToOneField(Datastore, models.CASCADE, related_name="appliance")
    read_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    guarded_at = models.DateTimeField(null=True)
    """When hosts that are none of the datastore were kept from it last; None: none is."""

    def __str__(self) -> str:
        return f"the appliance of {self.datastore}"


class ApplianceGuard(models.Model):
    """A host that is none of the datastore, and is kept from the appliance until it is let there again."""

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="guards")
    host = models.ForeignKey(Host, models.CASCADE, related_name="guards")

    class Meta:
        ordering = ["host__name"]
        constraints = [models.UniqueConstraint(fields=["datastore", "host"], name="applianceguard_once")]

    def __str__(self) -> str:
        return f"{self.host}, kept from {self.datastore}"


class ApplianceLun(models.Model):
    """A LUN that the appliance offered when it was read, or that was pinned and is not offered any more.

    ``size``: bytes, 0: it does not tell. ``size_before``: before that changed, None: it has not.
    """

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="luns")
    portal = models.CharField(max_length=64)
    port = models.PositiveIntegerField()
    iqn = models.CharField(max_length=223)
    number = models.PositiveIntegerField()
    size = models.BigIntegerField()
    size_before = models.BigIntegerField(null=True)
    found_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    """When it was not offered for the first time; None: it is."""
    image = models.OneToOneField("datastores.Image", models.SET_NULL, null=True, related_name="lun")

    class Meta:
        ordering = ["iqn", "number"]
        constraints = [models.UniqueConstraint(fields=["datastore", "iqn", "number"], name="appliancelun_once")]

    def __str__(self) -> str:
        return f"LUN {self.number} of {self.iqn}"


class ApplianceReach(models.Model):
    """How far a host got with a portal when that was tried last. ``answer``: see ``hosts.appliance_luns.Answer``."""

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="reaches")
    host = models.ForeignKey(Host, models.CASCADE, related_name="+")
    portal = models.CharField(max_length=64)
    answer = models.CharField(max_length=20)
    luns = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["host__name", "portal"]
        constraints = [models.UniqueConstraint(fields=["datastore", "host", "portal"], name="appliancereach_once")]

    def __str__(self) -> str:
        return f"{self.host} and {self.portal}"
