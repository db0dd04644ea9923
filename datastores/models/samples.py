"""Measured values over time, kept like a round-robin archive: the older, the coarser."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from datastores.models.hosts import Host
from datastores.models.storage import Datastore

FINE, HOURLY, DAILY = 300, 3600, 86400
"""Seconds that a sample stands for: as it was taken, the mean of an hour, the mean of a day."""
RESOLUTIONS = (FINE, HOURLY, DAILY)


class Sample(models.Model):
    """What was found at one moment, or the mean of an hour or a day (UTC)."""

    at = models.DateTimeField()
    """Of a mean: when its hour or day began."""
    resolution = models.PositiveIntegerField(default=FINE)

    owner: ClassVar[str]
    """The name of the column that says what was measured."""
    figures: ClassVar[tuple[str, ...]]

    class Meta:
        abstract = True


class HostSample(Sample):
    """A host that answered. Nothing is stored of one that did not."""

    host = models.ForeignKey(Host, models.CASCADE, related_name="samples", db_index=False)
    latency = models.FloatField(null=True)
    """Milliseconds of a round trip on a connection that was there already; None: it had to be made first."""
    load = models.FloatField()
    """The mean number of processes that ran or wanted to, over a minute."""
    memory_total = models.BigIntegerField()
    memory_used = models.BigIntegerField()
    root_total = models.BigIntegerField()
    """Bytes of the root file system."""
    root_used = models.BigIntegerField()

    owner = "host"
    figures = ("latency", "load", "memory_total", "memory_used", "root_total", "root_used")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "resolution", "at"], name="hostsample_once")]
        indexes = [models.Index(fields=["resolution", "at"], name="hostsample_by_time")]

    def __str__(self) -> str:
        return f"{self.host_id} at {self.at:%Y-%m-%d %H:%M}"


class DatastoreSample(Sample):
    """A datastore that could be measured. Bytes, of its file system but for ``promised``."""

    datastore = models.ForeignKey(Datastore, models.CASCADE, related_name="samples", db_index=False)
    total = models.BigIntegerField()
    used = models.BigIntegerField()
    promised = models.BigIntegerField()
    """What its images and disks may still grow by."""
    inodes_total = models.BigIntegerField(null=True)
    """None: the file system makes as many as are needed."""
    inodes_used = models.BigIntegerField(null=True)

    owner = "datastore"
    figures = ("total", "used", "promised", "inodes_total", "inodes_used")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["datastore", "resolution", "at"], name="datastoresample_once")]
        indexes = [models.Index(fields=["resolution", "at"], name="datastoresample_by_time")]

    def __str__(self) -> str:
        return f"{self.datastore_id} at {self.at:%Y-%m-%d %H:%M}"
