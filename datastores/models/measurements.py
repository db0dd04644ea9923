"""How fast datastores are, as they were measured."""

from __future__ import annotations

from django.db import models

from datastores.models.hosts import Host
from datastores.models.storage import Datastore
from datastores.models.visibility import VisibleQuerySet


class Measurement(models.Model):
    """How fast a datastore was on one host. It outlives both: what was measured tells of its kind.

    Rates in bytes per second, operations of 4 KiB per second, latencies in microseconds; None: the tool did not tell.
    """

    datastore = models.ForeignKey(Datastore, models.SET_NULL, null=True, related_name="measurements")
    host = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="measurements")
    datastore_name = models.CharField(max_length=128)
    host_name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16)
    """Of the datastore, as it was then."""
    at = models.DateTimeField()
    tool = models.CharField(max_length=60)
    direct = models.BooleanField()
    """Past the page cache of the host."""
    network = models.BooleanField()
    """The host has it over the network; else the bytes are its own."""
    fstype = models.CharField(max_length=60, blank=True)
    hardware = models.CharField(max_length=500, blank=True)
    """What it is made of, in words."""
    size = models.BigIntegerField()
    write_rate = models.BigIntegerField()
    read_rate = models.BigIntegerField()
    write_iops = models.FloatField(null=True)
    read_iops = models.FloatField(null=True)
    write_p50 = models.FloatField(null=True)
    write_p99 = models.FloatField(null=True)
    read_p50 = models.FloatField(null=True)
    read_p99 = models.FloatField(null=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["datastore", "-at"], name="measurement_of"),
            models.Index(fields=["kind", "-at"], name="measurement_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.datastore_name} on {self.host_name} at {self.at:%Y-%m-%d %H:%M}"
