"""The volume behind a datastore that is made of bricks: read, and changed while it is in use."""

from __future__ import annotations

from typing import ClassVar

from django.utils import timezone

from datastores.domain import gluster
from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import Plan, Stage
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.gluster_balance import FixLayoutDone, Rebalanced
from datastores.hosts.gluster_healing import SplitBrainResolved, VolumeHealed
from datastores.hosts.gluster_seen import VolumeKnown, VolumeSeen
from datastores.hosts.gluster_volumes import BricksRunning, VolumeOptionSet, VolumeStarted, VolumeStopped
from datastores.hosts.open_files import DirectoryAtRest
from datastores.models import Datastore, Job, User, VolumeReading
from datastores.services import leases
from datastores.services.placing import driver_of, hosts_of, require_host_ready
from datastores.services.usecase import CLOUD_STAFF, Results, UseCase
from datastores.services.viewers import listed

OURS = frozenset({"auth.allow", "auth.reject"})
"""Options that follow from the hosts of the datastore."""


def volume_of(datastore: Datastore) -> GlusterDriver:
    """Return the driver of a datastore that has a volume. Raises Refused for one of another kind."""
    driver = driver_of(datastore)
    if not isinstance(driver, GlusterDriver):
        raise Refused(f"{datastore.name} is a {driver.label} datastore: it has no volume of bricks.")
    return driver


def remember_volume(datastore: int, seen: VolumeSeen) -> None:
    """Store what was read of the volume of a datastore."""
    row = {"seen": seen.to_json(), "at": timezone.now(), "error": ""}
    VolumeReading.objects.update_or_create(datastore_id=datastore, defaults=row)


def remember_unread(datastore: int, error: str) -> None:
    """Say why the volume could not be read; what was known of it stays."""
    VolumeReading.objects.update_or_create(datastore_id=datastore, defaults={"error": error})


def last_balance(datastore: Datastore) -> str:
    """Return the id of the rebalance that was the last when the volume was read; "": none is known."""
    seen = VolumeReading.objects.filter(datastore=datastore).values_list("seen__balance__id", flat=True).first()
    return seen or ""


class VolumeCase(UseCase):
    """A job on the volume of a datastore. Steps run on the storage host; what became of it is read at the end."""

    queue = "provision"
    needs_approval = True
    roles = frozenset({User.Role.ADMIN})
    targets = ("datastore",)
    verb: ClassVar[str]
    """What the title says before the name of the datastore."""

    def ask(self, job: Job) -> None:
        self.check_still(job)
        job.title = f"{self.verb_of(job)} {job.datastore.name}"[:300]
        job.target_label = job.datastore.name

    def verb_of(self, job: Job) -> str:
        return self.verb

    def again(self, job: Job) -> None:
        self.check_still(job)

    def check_still(self, job: Job) -> None:
        datastore = Datastore.objects.filter(pk=job.datastore_id).first()
        if datastore is None:
            raise Refused("The datastore is gone.")
        require_host_ready(datastore)
        self.check(job, volume_of(datastore))

    def check(self, job: Job, driver: GlusterDriver) -> None:
        """Raise CloudstoreError when this cannot be done with the bricks as they are."""

    def resources(self, job: Job) -> dict[str, bool]:
        hosts = {f"host:{host.pk}": False for host in hosts_of(job.datastore)}
        mine = {f"volume of datastore:{job.datastore_id}": True, f"datastore:{job.datastore_id}": False}
        return {**mine, **leases.uses_hosts(job.datastore_id), **hosts}

    def plan(self, job: Job) -> Plan:
        driver = volume_of(job.datastore)
        stages = (*self.stages(job, driver), Stage("look at it", (VolumeKnown(driver.host, driver.volume),)))
        return tuple(stage for stage in stages if stage.steps)

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        """Return what is done before the volume is read."""
        raise NotImplementedError

    def succeeded(self, job: Job, results: Results) -> None:
        for step, facts in results:
            if isinstance(step, VolumeKnown) and isinstance(facts, VolumeSeen):
                remember_volume(job.datastore_id, facts)


class VolumeRead(VolumeCase):
    """Read a volume: its bricks, what waits to be healed, what moves."""

    kind = "volume.read"
    label = "Read volume"
    verb = "Read the volume of"
    queue = "monitor"
    can_wait = False
    needs_approval = False
    roles = CLOUD_STAFF

    def resources(self, job: Job) -> dict[str, bool]:
        return {f"datastore:{job.datastore_id}": False}

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        return ()

    def failed(self, job: Job, error: str) -> None:
        remember_unread(job.datastore_id, error)


class VolumeHeal(VolumeCase):
    """Start the bricks that do not run, and heal until all copies are alike, where there are copies."""

    kind = "volume.heal"
    label = "Heal volume"
    verb = "Heal the volume of"
    needs_approval = False

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        what = driver.host, driver.volume
        healed = () if driver.options.placed().form is gluster.Form.DISTRIBUTE else (VolumeHealed(*what),)
        return (Stage("bricks", (VolumeStarted(*what), BricksRunning(*what))), Stage("heal", healed))


class VolumeStop(VolumeCase):
    """Stop a volume that nobody has anything open in: no host reaches its files until it is started again."""

    kind = "volume.stop"
    label = "Stop volume"
    verb = "Stop the volume of"
    can_undo = True

    def check(self, job: Job, driver: GlusterDriver) -> None:
        """Whether a tenant has something open cannot be told: its hosts are not cloudstore's."""
        if names := [each.name for each in driver.partitions]:
            raise Refused(
                f"{job.datastore.name} has the partitions {listed(names)}, which tenants have mounted or may mount. "
                "Take them back first."
            )

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        unused = tuple(DirectoryAtRest(host, driver.base) for host in driver.hosts)
        stop = VolumeStopped(driver.host, driver.volume)
        return Stage("nobody uses it", unused), Stage("stop", (stop,))


class VolumeStart(VolumeCase):
    """Start a volume that was stopped, with all its bricks. Hosts that have it mounted reach it by themselves."""

    kind = "volume.start"
    label = "Start volume"
    verb = "Start the volume of"
    needs_approval = False

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        what = driver.host, driver.volume
        return (Stage("bricks", (VolumeStarted(*what), BricksRunning(*what))),)


class VolumeRebalance(VolumeCase):
    """Lay directories out over all bricks and, with ``files``, move the files that belong elsewhere now.

    params: files. Kept beside it: the id of the last rebalance, which does not count (after).
    """

    kind = "volume.rebalance"
    label = "Rebalance volume"
    verb = "Rebalance the volume of"
    queue = "transfer"

    def ask(self, job: Job) -> None:
        job.params["after"] = last_balance(job.datastore)
        super().ask(job)

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        made = Rebalanced if job.params["files"] else FixLayoutDone
        return (Stage("rebalance", (made(driver.host, driver.volume, job.params["after"]),)),)

    def check(self, job: Job, driver: GlusterDriver) -> None:
        if len(driver.bricks) <= driver.options.placed().set_size:
            raise Refused(f"{job.datastore.name} has one set of bricks only, so there is nothing to spread.")


class VolumeSplitBrain(VolumeCase):
    """Choose which copy of a file is right.

    params: entry, peer, path (those of the brick that has it right).
    """

    kind = "volume.choose"
    label = "Choose copy"
    verb = "Choose a copy in the volume of"

    def check(self, job: Job, driver: GlusterDriver) -> None:
        gluster.torn_entry(job.params["entry"])
        if self._brick(job) not in {placed.brick for placed in driver.bricks}:
            raise BadInput(f"{self._brick(job)} is no brick of {job.datastore.name}.")

    def _brick(self, job: Job) -> gluster.Brick:
        return gluster.Brick(job.params["peer"], job.params["path"])

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        what = driver.host, driver.volume, self._brick(job), job.params["entry"]
        return (Stage("choose", (SplitBrainResolved(*what),)),)


class VolumeOption(VolumeCase):
    """Set an option of the volume.

    params: option, value.
    """

    kind = "volume.option"
    label = "Set option of volume"
    verb = "Set an option of the volume of"
    can_undo = True

    def verb_of(self, job: Job) -> str:
        return f"Set {job.params['option']} of the volume of"

    def check(self, job: Job, driver: GlusterDriver) -> None:
        option = gluster.option_name(job.params["option"])
        if option in OURS:
            raise Refused(f"{option} follows from the hosts of {job.datastore.name}: change those instead.")
        gluster.option_value(option, job.params["value"])

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        set_to = VolumeOptionSet(driver.host, driver.volume, job.params["option"], job.params["value"])
        return (Stage("option", (set_to,)),)
