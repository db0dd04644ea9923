"""Partitions of a volume: directories that belong to a tenant, with a limit, for addresses of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from datastores.domain.errors import BadInput, Refused
from datastores.domain.gluster_addresses import first_shared
from datastores.domain.gluster_partitions import Partition, partition_path
from datastores.domain.plan import Plan, Stage
from datastores.domain.values import format_size
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.files import DirectoryPresent, DirectoryVacant
from datastores.hosts.gluster_quota import DirectoryThere, QuotaEnabled, QuotaLimitAbsent, QuotaLimitSet
from datastores.hosts.gluster_volumes import VolumeOptionSet
from datastores.models import Datastore, Job, User
from datastores.models import Partition as Row
from datastores.services.placing import partitions_of
from datastores.services.usecase import Results
from datastores.services.volume_limits import require_last
from datastores.services.volumes import VolumeCase, volume_of

MODE = "0770"
"""Of a new one, which belongs to the owner of the datastore; root of the hosts that mount it may change it."""

OFTEN = "5"
"""Seconds after which it is looked again at what a directory holds that is far below its limit. GlusterFS 10.3 waits
for a minute, in which a tenant could fill the volume; the first partition changes that."""

WHO = "who may mount"
"""The stage that says it."""

KNOWN = ("owner", "size", "addresses")
"""What a row tells of a partition beside its name."""


def plain(partitions: Sequence[Partition]) -> list[dict[str, Any]]:
    """Return partitions as parameters of a job."""
    return [{"name": each.name, "addresses": list(each.addresses)} for each in partitions]


def from_plain(given: Sequence[dict[str, Any]]) -> tuple[Partition, ...]:
    return tuple(Partition(each["name"], tuple(each["addresses"])) for each in given)


class PartitionCase(VolumeCase):
    """A change of one partition, ``name``.

    Kept in params: before and after, all partitions; had: what is known of this one before, None: it is new; root: who
    may mount the whole volume, which the undo would bring back.
    """

    can_undo = True
    instead: ClassVar[str]
    """What to do when a job cannot be taken back any more."""

    def verb_of(self, job: Job) -> str:
        return f"{self.verb} {job.params['name']} of the volume of"

    def ask(self, job: Job) -> None:
        self.note(job)
        super().ask(job)

    def again(self, job: Job) -> None:
        self.note(job)
        self.check_still(job)
        job.save(update_fields=["params"])

    def note(self, job: Job) -> None:
        """Note which partitions there are, and which there are to be."""
        before = partitions_of(job.datastore)
        after = self.after(job, before)
        root = volume_of(job.datastore).root
        job.params |= {"before": plain(before), "after": plain(after), "had": row_of(job), "root": root}

    def after(self, job: Job, before: Sequence[Partition]) -> list[Partition]:
        """Return the partitions as they are to be. Raises CloudstoreError when they cannot be so."""
        raise NotImplementedError

    def check(self, job: Job, driver: GlusterDriver) -> None:
        self.check_rows(job, "before", job.params["had"])
        if driver.root != job.params.get("root"):
            raise Refused(
                f"The addresses of the hosts of {job.datastore.name} were changed meanwhile. Look at it again."
            )

    def check_undo(self, job: Job) -> None:
        self.check_rows(job, "after", self.has(job))
        require_last(job)
        if volume_of(job.datastore).root != job.params.get("root"):
            raise Refused(
                f"The addresses of the hosts of {job.datastore.name} were changed since, and the undo would bring "
                f"the old ones back. {self.instead}"
            )

    def has(self, job: Job) -> dict[str, Any] | None:
        """Return what is known of the partition (owner, size, addresses) when the job has ended; None: it is none."""
        raise NotImplementedError

    def check_rows(self, job: Job, side: str, mine: dict[str, Any] | None) -> None:
        if plain(partitions_of(job.datastore)) != job.params[side] or row_of(job) != mine:
            raise Refused(f"The partitions of {job.datastore.name} were changed meanwhile. Look at them again.")

    def then(self, job: Job, driver: GlusterDriver) -> GlusterDriver:
        """Return the driver with the partitions as they are to be."""
        return replace(driver, partitions=from_plain(job.params["after"]))

    def undone(self, job: Job) -> None:
        store(job.datastore, job.params["name"], job.params["had"])


def require_own(datastore: Datastore, fresh: Partition, owner: User) -> None:
    """Raise Refused when who may mount a partition may mount one of another owner, too."""
    for other in Row.objects.filter(datastore=datastore).exclude(name=fresh.name).exclude(owner=owner):
        if shared := first_shared(fresh.addresses, other.addresses):
            raise Refused(
                f"{shared[0]} would get to the partition {other.name}, too, which is another's and which {shared[1]} "
                "may mount. Name addresses that do not meet."
            )


def row_of(job: Job) -> dict[str, Any] | None:
    """Return what is known of the partition that a job is about (owner, size, addresses); None: it is none."""
    rows = Row.objects.filter(datastore=job.datastore, name=job.params["name"])
    return rows.values(*KNOWN).first()


def store(datastore: Datastore, name: str, what: dict[str, Any] | None) -> None:
    """Remember a partition (owner, size, addresses), or forget it."""
    rows = Row.objects.filter(datastore=datastore, name=name)
    if what is None:
        rows.delete()
        return
    owner = User.objects.filter(pk=what["owner"]).first()
    given = {"owner": owner, "size": what["size"], "addresses": what["addresses"]}
    Row.objects.update_or_create(datastore=datastore, name=name, defaults=given)


class PartitionGive(PartitionCase):
    """Give a tenant a directory of the volume, or change its limit and who may mount it.

    A new one is empty: files of whoever had the name before are not for the next.

    params: name, owner (a user's key), size (bytes), addresses.
    """

    kind = "volume.give"
    label = "Give partition"
    verb = "Give the partition"
    undo_is = "volume.take"
    instead = "Take it back, or give it what it had."

    def after(self, job: Job, before: Sequence[Partition]) -> list[Partition]:
        owner = User.objects.filter(pk=job.params["owner"], is_active=True).first()
        if owner is None or not owner.owns_things:
            raise BadInput("The owner is no account that may own anything.")
        had = row_of(job)
        if had and had["owner"] != owner.pk:
            whose = User.objects.filter(pk=had["owner"]).first() or "nobody any more"
            raise Refused(f"The partition {job.params['name']} belongs to {whose}. Take it back first.")
        fresh = Partition(job.params["name"], tuple(job.params["addresses"]))
        require_own(job.datastore, fresh, owner)
        return sorted([*(each for each in before if each.name != fresh.name), fresh], key=lambda each: each.name)

    def has(self, job: Job) -> dict[str, Any]:
        return {name: job.params[name] for name in KNOWN}

    def verb_of(self, job: Job) -> str:
        return f"Give {format_size(job.params['size'])} as the partition {job.params['name']} of the volume of"

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        what, path = (driver.host, driver.volume), partition_path(job.params["name"])
        place, options = f"{driver.base}{path}", driver.options
        made = DirectoryPresent(driver.host, place, options.owner, options.group, MODE)
        there = (
            (DirectoryThere(driver.host, place),) if job.params["had"] else (DirectoryVacant(driver.host, place), made)
        )
        often = () if job.params["before"] else (VolumeOptionSet(*what, "features.soft-timeout", OFTEN),)
        limit = QuotaEnabled(*what), *often, QuotaLimitSet(*what, path, job.params["size"])
        return (
            Stage("directory", (*driver.guard(driver.host), *there)),
            Stage("limit", limit),
            Stage(WHO, self.then(job, driver).serve()),
        )

    def succeeded(self, job: Job, results: Results) -> None:
        store(job.datastore, job.params["name"], self.has(job))
        super().succeeded(job, results)


class PartitionTake(PartitionCase):
    """Let nobody mount a partition any more, and lift its limit. Its directory stays, with what is in it.

    params: name.
    """

    kind = "volume.take"
    label = "Take partition back"
    verb = "Take back the partition"
    instead = "Give it again, when its files have been moved away."

    def after(self, job: Job, before: Sequence[Partition]) -> list[Partition]:
        after = [each for each in before if each.name != job.params["name"]]
        if len(after) == len(before):
            raise Refused(f"{job.datastore.name} has no partition {job.params['name']}.")
        return after

    def has(self, job: Job) -> dict[str, Any] | None:
        return None

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        path = partition_path(job.params["name"])
        limit = QuotaLimitAbsent(driver.host, driver.volume, path)
        return Stage(WHO, self.then(job, driver).serve_rest()), Stage("limit", (limit,))

    def succeeded(self, job: Job, results: Results) -> None:
        store(job.datastore, job.params["name"], self.has(job))
        super().succeeded(job, results)
