"""Which hosts use a datastore: chosen when it is made, and changed later while it is in use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from django.db.models import Max, Q

from datastores.domain import values
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.models import ApplianceGuard, Datastore, DatastoreHost, Disk, Host, Job, MovedDirectory, User
from datastores.services import leases
from datastores.services.bricks import require_no_bricks
from datastores.services.placing import driver_of, driver_on, hosts_of, members_of, remember_mounts, require_ready
from datastores.services.since import about, by_whom
from datastores.services.usecase import Results, UseCase
from datastores.services.viewers import listed


def usable_hosts(keys: Collection[int]) -> list[Host]:
    """Return hosts that can be used now, in this order.

    :raises BadInput: one does not exist, or is named twice. :raises Refused: one cannot be used now.
    """
    found = Host.objects.defer("facts").in_bulk(keys)
    hosts = [found[key] for key in dict.fromkeys(keys) if key in found]
    if len(hosts) != len(keys):
        raise BadInput("One of the hosts does not exist, or is named twice.")
    unusable = [
        f"{host.name} ({'maintenance' if host.maintenance else host.state})" for host in hosts if not host.usable
    ]
    if unusable:
        raise Refused(f"These hosts cannot be used now: {', '.join(unusable)}.")
    return hosts


def require_own_directory(base: str, hosts: Iterable[Host], datastore: Datastore | None = None) -> None:
    """Refuse a base inside or around that of another datastore on the same host: two must not share files."""
    for other in Datastore.objects.filter(hosts__in=hosts).exclude(pk=datastore and datastore.pk).distinct():
        if values.is_below(base, other.base) or values.is_below(other.base, base):
            raise Refused(f"{base} overlaps {other.base} of the datastore {other.name}.")


def require_links_lead(datastore: Datastore, after: StorageDriver) -> None:
    """Refuse a change after which a VM's disk would be a link that leads nowhere on a host of its datastore.

    ``after``: the datastore as it would be.
    """
    linked = Disk.objects.filter(kind=Disk.Kind.LINK).exclude(image=None)
    pairs = linked.filter(Q(datastore=datastore) ^ Q(image__datastore=datastore))
    for disks, images in set(pairs.order_by().values_list("datastore", "image__datastore")):
        other = Datastore.objects.get(pk=images if disks == datastore.pk else disks)
        here, there = (after, driver_of(other)) if disks == datastore.pk else (driver_of(other), after)
        if blind := [host for host in here.seen_from if host not in there.seen_from]:
            raise Refused(
                f"Disks in {datastore if disks == datastore.pk else other} are links to persistent images in "
                f"{other if disks == datastore.pk else datastore}, which would lead nowhere on {listed(blind)}. "
                "Both datastores have to be used by the same hosts as long as there are such disks."
            )


def require_no_disks(datastore: Datastore, hosts: Collection[int]) -> None:
    """Refuse to take hosts out on which disks of the datastore are used."""
    rows = Disk.objects.filter(datastore=datastore, host__in=hosts).order_by("host__name").values_list("host__name")
    if used := list(dict.fromkeys(name for (name,) in rows)):
        raise Refused(f"Disks of {datastore.name} are used on {listed(used)}. Move or delete them first.")


class DatastoreHosts(UseCase):
    """Let more hosts use a datastore, or fewer, while it is in use.

    The storage host stays: the bytes are there. params: add, remove (ids); their names are kept as added, removed.

    The datastore serves its hosts meanwhile, also as long as the plan waits for a person. So what may be is checked
    before every attempt, and in the turn in which the change comes true.
    """

    kind = "datastore.hosts"
    label = "Change hosts of datastore"
    queue = "provision"
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    targets = ("datastore",)

    def ask(self, job: Job) -> None:
        if not job.params["add"] and not job.params["remove"]:
            raise BadInput("These are its hosts already.")
        self.check_still(job)
        self._name(job)
        job.target_label = job.datastore.name

    def _name(self, job: Job) -> None:
        """Note what the hosts are called now: nobody renames them as long as the job has not ended."""
        words = {"added": names_of(job.params["add"]), "removed": names_of(job.params["remove"])}
        job.params["silent"] = silent(job.params["remove"])
        said = [
            f"{verb} {listed(words[key])}" for verb, key in (("add", "added"), ("take out", "removed")) if words[key]
        ]
        job.params |= words
        job.title = f"Datastore {job.datastore.name}: {', '.join(said)}"[:300]

    def again(self, job: Job) -> None:
        self.check_still(job)
        self._name(job)
        job.save(update_fields=["params", "title"])

    def check_still(self, job: Job) -> None:
        add, remove = job.params["add"], job.params["remove"]
        datastore = Datastore.objects.filter(pk=job.datastore_id).first()
        if datastore is None:
            raise Refused("The datastore is gone.")
        require_ready(datastore)
        storage, *others = hosts_of(datastore)
        now = {host.pk for host in others}
        if storage.pk in {*add, *remove}:
            raise BadInput(f"{storage.name} is the storage host of {datastore.name}: the bytes are there.")
        if now & set(add) or set(remove) - now:
            entries = about(f"datastore:{datastore.pk}").filter(action=self.kind).exclude(job_uuid=job.uuid)
            raise Refused(
                f"The hosts of {datastore.name} were changed meanwhile{by_whom(entries.first())}. Look at them again."
            )
        lie_here = MovedDirectory.objects.filter(datastore=datastore, host__in=remove, moved=True)
        if there := lie_here.select_related("host").first():
            raise Refused(f"{there} lies in {datastore.name}. Bring it back first.")
        require_own_directory(datastore.base, usable_hosts(add), datastore)
        require_no_disks(datastore, remove)
        require_no_bricks(datastore, remove)
        names = names_of(sorted({*now, *add} - set(remove)))
        require_links_lead(datastore, driver_on(datastore, [storage.name, *names]))

    def resources(self, job: Job) -> dict[str, bool]:
        storage = hosts_of(job.datastore)[0].pk
        hosts = {f"host:{key}": False for key in (storage, *job.params["add"], *job.params["remove"])}
        return {**leases.changes_hosts(job.datastore_id), f"datastore:{job.datastore_id}": False, **hosts}

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.datastore)
        added, removed = job.params["added"], job.params["removed"]
        kept = [host for host in driver.hosts if host not in removed]
        heard = [host for host in removed if host not in job.params.get("silent", ())]
        stages = [Stage("hosts that do not use it any more", each_host(heard, driver.deactivate))]
        stages.append(Stage("storage host", driver_on(job.datastore, [*kept, *added]).serve()))
        if added:
            fresh = driver_on(job.datastore, [driver.host, *added])
            stages += [Stage("hosts", each_host(added, fresh.activate)), *fresh.same_directory(job.uuid.hex)]
        return tuple(stage for stage in stages if stage.steps)

    def succeeded(self, job: Job, results: Results) -> None:
        self.check_still(job)
        members = DatastoreHost.objects.filter(datastore=job.datastore_id)
        members.filter(host__in=job.params["remove"]).delete()
        first = members.aggregate(last=Max("position"))["last"] + 1
        found = Host.objects.in_bulk(job.params["add"])
        added = [found[key] for key in job.params["add"]]
        DatastoreHost.objects.bulk_create(members_of(job.datastore.pk, added, first))
        ApplianceGuard.objects.filter(datastore=job.datastore_id, host__in=added).delete()
        remember_mounts(Datastore.objects.get(pk=job.datastore_id))


def silent(keys: Collection[int]) -> list[str]:
    """Return the names of those among these hosts that do not answer: nothing can be done there, and nobody waits."""
    away = Host.objects.filter(pk__in=keys).exclude(state=HostState.READY)
    return list(away.order_by("name").values_list("name", flat=True))


def each_host(names: Iterable[str], steps_of: Callable[[str], Steps]) -> Steps:
    return tuple(step for name in names for step in steps_of(name))


def names_of(keys: Collection[int]) -> list[str]:
    """Return the names of hosts, in this order."""
    names = dict(Host.objects.filter(pk__in=keys).values_list("pk", "name"))
    return [names[key] for key in keys if key in names]
