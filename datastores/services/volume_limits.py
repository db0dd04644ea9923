"""Limits for directories of a volume."""

from __future__ import annotations

from datastores.domain.errors import Refused
from datastores.domain.gluster_partitions import partition_path
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import JobState
from datastores.domain.values import format_size
from datastores.drivers.abilities import Steps
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.gluster_quota import DirectoryThere, QuotaEnabled, QuotaLimitAbsent, QuotaLimitSet
from datastores.models import Job
from datastores.services.viewers import job_in_words
from datastores.services.volumes import VolumeCase

LIMITING = frozenset({"volume.quota", "volume.unlimit", "volume.give", "volume.take"})
"""The kinds of jobs that set limits, or lift them."""


class LimitCase(VolumeCase):
    """A job about the limit of a directory.

    params: path, from the root of the volume ("/", which is all of it, when it is not given).
    """

    can_undo = True

    def check(self, job: Job, driver: GlusterDriver) -> None:
        require_no_partition(path_of(job), driver)

    def check_undo(self, job: Job) -> None:
        require_last(job)


class VolumeQuota(LimitCase):
    """Limit what a directory of the volume holds.

    params: size, in bytes; path.
    """

    kind = "volume.quota"
    label = "Limit volume"
    verb = "Limit the volume of"

    def verb_of(self, job: Job) -> str:
        return f"Limit to {format_size(job.params['size'])} {whole(job)}"

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        what, path = (driver.host, driver.volume), path_of(job)
        there: Steps = ()
        if path != "/":
            there = *driver.guard(driver.host), DirectoryThere(driver.host, f"{driver.base}{path}")
        limit = QuotaLimitSet(*what, path, job.params["size"])
        return Stage("directory", there), Stage("limit", (QuotaEnabled(*what), limit))


class VolumeUnlimit(LimitCase):
    """Lift the limit of a directory of the volume."""

    kind = "volume.unlimit"
    label = "Lift limit of volume"
    verb = "Lift the limit of the volume of"

    def verb_of(self, job: Job) -> str:
        return f"Lift the limit of {whole(job)}"

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        return (Stage("limit", (QuotaLimitAbsent(driver.host, driver.volume, path_of(job)),)),)


def require_no_partition(path: str, driver: GlusterDriver) -> None:
    """Raise Refused for the directory of a partition, whose limit is remembered with it."""
    if path in {each.path for each in driver.partitions}:
        raise Refused(f"{path} is a partition. Give it another limit as such, or take it back.")


def require_last(job: Job) -> None:
    """Raise Refused when another job on the limit of the same directory has ended since: its limit would be lost."""
    ended = Job.objects.filter(datastore=job.datastore_id, kind__in=LIMITING, ended_at__gt=job.ended_at)
    for other in ended.exclude(state=JobState.CANCELLED).order_by("pk"):
        if path_of(other) == path_of(job):
            raise Refused(
                f"The limit of {path_of(job)} was worked on since, by {job_in_words(job.user, other)}, so nothing was "
                "taken back. Set the limit that you want."
            )


def path_of(job: Job) -> str:
    """Return the directory that a job is about, from the root of the volume."""
    name = job.params.get("name")
    return partition_path(name) if name else str(job.params.get("path", "/"))


def whole(job: Job) -> str:
    """Return what a title says before the name of the datastore: the directory, and that it is of a volume."""
    path = path_of(job)
    return "the volume of" if path == "/" else f"{path} in the volume of"
