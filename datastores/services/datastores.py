"""Datastores: create on chosen hosts, measure, remove."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Q
from django.utils import timezone

from datastores.domain import gluster, values
from datastores.domain.errors import BadInput, CloudstoreError, Refused
from datastores.domain.iscsi import new_label
from datastores.domain.plan import Plan, Shell
from datastores.domain.states import HostState, ObjectState
from datastores.domain.volumes import Capacity, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.gluster import GlusterDriver
from datastores.drivers.registry import DRIVERS
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.mounts import MountAbsent
from datastores.models import Cluster, Datastore, DatastoreHost, Drift, Host, Job, MovedDirectory, Partition, User
from datastores.services import bricks, leases
from datastores.services.datastore_hosts import require_own_directory, silent, usable_hosts
from datastores.services.exports import require_found
from datastores.services.placing import driver_of, driver_on, hosts_of, image_volume, members_of, remember_mounts
from datastores.services.usecase import Results, UseCase
from datastores.services.viewers import listed
from datastores.services.volume_names import require_own_volumes

MOVES = "image.move", "disk.move"
"""Jobs of which the datastore is where something is to be; its row is still elsewhere."""
NOT_MEASURED = "It could not be measured: "


class DatastoreCreate(UseCase):
    """Make a directory a datastore on its hosts.

    params: name, kind, type, base, hosts (ids, the storage host first), cluster (id or None), options,
    source_directories, secret (stored with the datastore, not with the job); of a kind that has bricks also bricks
    ({"host": id, "path": path} each, in their order).
    """

    kind = "datastore.create"
    label = "Create datastore"
    queue = "provision"
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    can_undo = True
    undo_is = "datastore.delete"
    targets = ("datastore",)

    def ask(self, job: Job) -> None:
        params = job.params
        secret = params.pop("secret", "")
        name = values.object_name(params["name"])
        if params["kind"] not in DRIVERS:
            raise BadInput(f"{params['kind']!r} is not a kind of datastore.")
        if params["type"] not in Datastore.Type.values:
            raise BadInput(f"{params['type']!r} is not a type of datastore.")
        base = values.base_path(params["base"])
        if Datastore.objects.filter(name=name).exists():
            raise BadInput(f"There is a datastore {name} already.")
        if not params["hosts"]:
            raise BadInput("Choose at least one host.")
        hosts = usable_hosts(params["hosts"])
        require_own_directory(base, hosts)
        job.datastore = Datastore.objects.create(
            name=name, kind=params["kind"], type=params["type"], base=base, label=new_label(base),
            options=params.get("options") or {},
            secret=secret or DRIVERS[params["kind"]].new_secret(params.get("options") or {}),
            source_directories=[values.source_directory(path) for path in params.get("source_directories") or []],
            cluster=Cluster.objects.filter(pk=params.get("cluster")).first(), owner=job.user,
        )  # fmt: skip
        DatastoreHost.objects.bulk_create(members_of(job.datastore.pk, hosts))
        made_of(job.datastore, hosts, params.get("bricks") or [])
        require_own_volumes(job.datastore, hosts[0])
        driver_of(job.datastore).check_new()
        require_found(job.datastore)
        job.title = f"Create datastore {name}"
        job.target_label = name

    def check_undo(self, job: Job) -> None:
        require_empty(job.datastore)
        require_as_made(job.datastore, job.params)

    def again(self, job: Job) -> None:
        usable_hosts([host.pk for host in hosts_of(job.datastore)])
        require_found(job.datastore)
        Datastore.objects.filter(pk=job.datastore_id).update(state=ObjectState.PENDING, error="")

    def resources(self, job: Job) -> dict[str, bool]:
        hosts = {f"host:{member.host_id}": False for member in job.datastore.members.all()}
        return {f"datastore:{job.datastore_id}": True, **leases.changes_hosts(job.datastore_id), **hosts}

    def plan(self, job: Job) -> Plan:
        driver = driver_of(job.datastore)
        return *driver.set_up(), *driver.same_directory(job.uuid.hex)

    def succeeded(self, job: Job, results: Results) -> None:
        Datastore.objects.filter(pk=job.datastore_id).update(state=ObjectState.READY, error="")
        remember_mounts(job.datastore)
        if capacity := base_capacity(job.datastore, results):
            remember_capacity(job.datastore, capacity)

    def failed(self, job: Job, error: str) -> None:
        Datastore.objects.filter(pk=job.datastore_id).update(state=ObjectState.ERROR, error=error)

    def cancelled(self, job: Job) -> None:
        Drift.objects.cease(datastore=job.datastore_id)
        Datastore.objects.filter(pk=job.datastore_id).delete()


def made_of(datastore: Datastore, hosts: list[Host], given: list[dict[str, Any]]) -> None:
    """Remember the bricks of a new datastore.

    :raises BadInput: its kind has none, or nothing can be made of them.
    :raises Refused: one is part of another datastore.
    """
    wanted = bricks.named(given, hosts)
    driver = driver_on(datastore, [host.name for host in hosts], bricks.placed(wanted))
    if not isinstance(driver, GlusterDriver):
        if wanted:
            raise BadInput(f"{driver.label} datastores have no bricks.")
        return
    bricks.require_fit(driver, wanted, hosts[0])
    bricks.require_unused(wanted)
    bricks.require_own_volume(driver, datastore)
    bricks.store(datastore, driver.bricks)


def require_as_made(datastore: Datastore, params: dict[str, Any]) -> None:
    """Raise Refused when its hosts or bricks are not those any more that the job with these params made it of.

    What other jobs did on hosts is no part of what is taken back.
    """
    hosts = set(datastore.members.values_list("host", flat=True))
    made = [(each["host"], gluster.brick_path(each["path"])) for each in params.get("bricks") or []]
    changed = [
        what for what, same in (
            ("hosts", hosts == set(params["hosts"])),
            ("bricks", list(datastore.bricks.order_by("position").values_list("host", "path")) == made),
        ) if not same
    ]  # fmt: skip
    if changed:
        raise Refused(f"The {' and '.join(changed)} of {datastore.name} were changed since. Delete it instead.")


def require_empty(datastore: Datastore) -> None:
    """Raise Refused when images or VM disks are stored in it, or on their way there."""
    images, disks = datastore.images.count(), datastore.disks.count()
    if images or disks:
        raise Refused(f"{datastore.name} still holds {images} images and {disks} VM disks. Delete or move them first.")
    if partitions := list(Partition.objects.filter(datastore=datastore).values_list("name", flat=True)):
        raise Refused(f"{datastore.name} has the partitions {listed(partitions)}. Take them back first.")
    if there := MovedDirectory.objects.filter(datastore=datastore).select_related("host").first():
        raise Refused(f"{there} was moved onto {datastore.name}. Bring it back, and delete what it has left, first.")
    if kept := list(Host.objects.filter(guards__datastore=datastore).order_by("name").values_list("name", flat=True)):
        who = listed(kept)
        raise Refused(f"{who} cannot get to the appliance of {datastore.name}. Let them get there again first.")
    if move := Job.objects.filter(kind__in=MOVES, datastore=datastore, ended_at=None).order_by("pk").first():
        raise Refused(f"Job {move.pk} ({move.title}) is to put something into {datastore.name}. Cancel it first.")


class DatastoreDelete(UseCase):
    """Forget an empty datastore, and take back what made it one on its hosts; on those that do not answer all stays.

    params: state (before), silent (names of the hosts that do not answer), lost (the storage host is gone).
    """

    kind = "datastore.delete"
    label = "Delete datastore"
    queue = "provision"
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    targets = ("datastore",)

    def ask(self, job: Job) -> None:
        datastore = job.datastore
        require_empty(datastore)
        job.title = f"Delete datastore {datastore.name}"
        job.target_label = datastore.name
        job.params = {"state": datastore.state, "silent": silent_hosts(datastore), "lost": is_lost(datastore)}
        Datastore.objects.filter(pk=datastore.pk).update(state=ObjectState.DELETING, error="")

    def again(self, job: Job) -> None:
        require_empty(job.datastore)
        job.params |= {"silent": silent_hosts(job.datastore), "lost": is_lost(job.datastore)}
        job.save(update_fields=["params"])
        Datastore.objects.filter(pk=job.datastore_id).update(state=ObjectState.DELETING, error="")

    def check_still(self, job: Job) -> None:
        require_empty(job.datastore)
        if job.params.get("silent", []) != (now := silent_hosts(job.datastore)):
            who = f"{listed(now)} cannot be reached" if now else "all its hosts can be reached"
            raise Refused(f"It was asked for when other hosts could not be reached; now {who}. Ask for it anew.")

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"datastore:{job.datastore_id}": True}

    def plan(self, job: Job) -> Plan:
        away = set(job.params.get("silent", ()))
        driver = driver_of(job.datastore)
        down = driver.given_up() if away & set(driver.served_by) else driver.tear_down()
        lost = bool(job.params.get("lost"))
        stages = (replace(stage, steps=heard(stage.steps, away, lost=lost)) for stage in down)
        return tuple(stage for stage in stages if stage.steps)

    def succeeded(self, job: Job, results: Results) -> None:
        Drift.objects.cease(datastore=job.datastore_id)
        Datastore.objects.filter(pk=job.datastore_id).delete()

    def failed(self, job: Job, error: str) -> None:
        Datastore.objects.filter(pk=job.datastore_id).update(state=job.params["state"], error=error)

    def cancelled(self, job: Job) -> None:
        Datastore.objects.filter(pk=job.datastore_id).update(state=job.params["state"])


def heard(steps: Steps, away: Collection[str], *, lost: bool) -> Steps:
    """Return the steps on hosts that answer. ``lost``: what the storage host served is given up, not waited for."""
    there = (step for step in steps if step.host not in away)
    return tuple(replace(step, lost=lost) if isinstance(step, MountAbsent) else step for step in there)


def is_lost(datastore: Datastore) -> bool:
    """Tell whether the storage host does not answer at all: one in quarantine may serve its clients as ever."""
    return any(host.state == HostState.UNREACHABLE for host in hosts_of(datastore)[:1])


def silent_hosts(datastore: Datastore) -> list[str]:
    """Return the names of the datastore's hosts that do not answer."""
    return silent([host.pk for host in hosts_of(datastore)])


def base_capacity(datastore: Datastore, results: Results) -> Capacity | None:
    """Return how full the datastore is, as seen when its directory was looked at on the storage host.

    None: it was not looked at by the attempt that ended the job; the schedule measures it.
    """
    storage = driver_of(datastore).host
    seen = (facts.capacity for step, facts in results if isinstance(step, BaseReady) and step.host == storage)
    return next(seen, None)


def remember_capacity(datastore: Datastore, capacity: Capacity) -> None:
    """Store what was measured. What else went wrong with the datastore stays to be read."""
    row = Datastore.objects.filter(pk=datastore.pk)
    row.update(total=capacity.total, used=capacity.used, free=capacity.free, measured_at=timezone.now())
    row.filter(error__startswith=NOT_MEASURED).update(error="")


def remember_unmeasured(datastore: Datastore, error: CloudstoreError) -> None:
    """Say why it could not be measured, unless something else is said of it already."""
    unsaid = Q(error="") | Q(error__startswith=NOT_MEASURED)
    Datastore.objects.filter(unsaid, pk=datastore.pk).update(error=f"{NOT_MEASURED}{error}")


@dataclass(frozen=True, slots=True)
class Measure:
    """How full a datastore is, and what lies in it."""

    capacity: Capacity
    volumes: tuple[Volume, ...]


def measure(driver: StorageDriver, shell: Shell) -> Measure:
    """Read how full a datastore is and how large its images really are. Asks the host, not the database.

    :raises CloudstoreError: the storage host cannot be read.
    """
    return Measure(driver.capacity(shell), driver.volumes(shell))


def remember_measure(datastore: Datastore, found: Measure) -> None:
    """Store what was measured. Each row by itself: whoever changes several of them waits for none of these."""
    driver = driver_of(datastore)
    sizes = {volume.path: volume.allocated for volume in found.volumes}
    remember_capacity(datastore, found.capacity)
    ready = datastore.images.filter(state=ObjectState.READY)
    for image in ready:
        size = sizes.get(image_volume(image, driver).path, image.real_size)
        if size != image.real_size:
            ready.filter(pk=image.pk).update(real_size=size)
