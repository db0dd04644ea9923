"""Hosts, the keys they are known by, and how to log in to them."""

from __future__ import annotations

from django.db import models
from django.urls import reverse

from datastores.domain.states import HostState
from datastores.models.fields import EncryptedTextField, choices
from datastores.models.users import User
from datastores.models.visibility import VisibleQuerySet


class Cluster(models.Model):
    """Hosts that belong together: the same networks, the same shared storage."""

    name = models.CharField(max_length=128, unique=True)
    description = models.CharField(max_length=500, blank=True)
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Credential(models.Model):
    """A private key with which cloudstore logs in; one may serve many hosts."""

    name = models.CharField(max_length=128, unique=True)
    private_key = EncryptedTextField(blank=True)
    passphrase = EncryptedTextField(blank=True)
    public_key = models.TextField(blank=True)
    certificate = models.TextField(blank=True)
    use_agent = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class HostQuerySet(VisibleQuerySet):
    def usable(self) -> HostQuerySet:
        """Those that may take part in a job, as ``Host.usable`` tells of one."""
        return self.filter(state=HostState.READY, maintenance=False)


class Host(models.Model):
    """A machine that cloudstore reaches over SSH."""

    name = models.CharField(max_length=128, unique=True)
    address = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=22)
    account = models.CharField(max_length=32, default="root")
    credential = models.ForeignKey(Credential, models.PROTECT, related_name="hosts")
    first_password = EncryptedTextField(blank=True)
    """Known only until the key is installed."""
    jump = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="reached_through_me")
    cluster = models.ForeignKey(Cluster, models.PROTECT, null=True, blank=True, related_name="hosts")
    state = models.CharField(max_length=12, choices=choices(HostState), default=HostState.NEW)
    maintenance = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    facts = models.JSONField(default=dict, blank=True)
    facts_at = models.DateTimeField(null=True, blank=True)
    """None: it has not been onboarded yet."""
    clock_skew = models.FloatField(null=True, blank=True)
    """Seconds; positive: the host's clock is ahead."""
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["address", "port"], condition=models.Q(jump=None), name="host_address_once"
            ),
            models.UniqueConstraint(fields=["address", "port", "jump"], name="host_address_once_behind_jump"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("host", args=[self.pk])

    @property
    def usable(self) -> bool:
        """May take part in a job."""
        return self.state == HostState.READY and not self.maintenance

    @property
    def wants_onboarding(self) -> bool:
        """An admin has to let cloudstore in: for the first time, or anew with a password that was given since."""
        return self.facts_at is None or bool(self.first_password)


class HostKey(models.Model):
    """A public host key: pinned by an admin who saw its fingerprint, or only offered by the host so far."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="keys")
    line = models.TextField()
    fingerprint = models.CharField(max_length=64)
    seen_at = models.DateTimeField(auto_now_add=True)
    pinned_at = models.DateTimeField(null=True, blank=True)
    pinned_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["host", "fingerprint"], name="hostkey_once_per_host")]

    def __str__(self) -> str:
        return f"{self.host}: {self.fingerprint}"

    @property
    def kind(self) -> str:
        return self.line.split(" ", 1)[0]
