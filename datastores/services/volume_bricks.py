"""Bricks that come to a volume, leave it, or take the place of others, while it is in use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from datastores.domain.errors import BadInput, Refused
from datastores.domain.export_checks import Severity
from datastores.domain.gluster import Brick
from datastores.domain.gluster_checks import PlacedBrick, check
from datastores.domain.plan import Plan, Stage
from datastores.domain.states import HostState
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.gluster_bricks import BrickAbsent
from datastores.hosts.gluster_healing import VolumeHealed
from datastores.hosts.gluster_layout import BrickReplaced, BricksAdded, BricksRemoved
from datastores.hosts.gluster_names import PeersAllowed
from datastores.hosts.gluster_pool import PeerProbed, PeerUnneeded
from datastores.models import Host, Job
from datastores.services import bricks
from datastores.services.placing import hosts_of
from datastores.services.usecase import Results
from datastores.services.viewers import listed
from datastores.services.volumes import VolumeCase, volume_of

Placed = list[PlacedBrick]


def plain(placed: Iterable[PlacedBrick]) -> list[dict[str, str]]:
    """Return bricks as parameters of a job. Hosts by name: nobody renames them as long as it has not ended."""
    return [{"host": each.host, "peer": each.brick.peer, "path": each.brick.path} for each in placed]


def from_plain(given: Iterable[dict[str, str]]) -> Placed:
    return [PlacedBrick(each["host"], Brick(each["peer"], each["path"])) for each in given]


class BrickCase(VolumeCase):
    """A change of the bricks.

    Kept in params: before and after, all bricks; silent, hosts that do not answer.
    """

    def ask(self, job: Job) -> None:
        driver = volume_of(job.datastore)
        self.note(job, driver)
        super().ask(job)

    def again(self, job: Job) -> None:
        self.note(job, volume_of(job.datastore))
        self.check_still(job)
        job.save(update_fields=["params"])

    def note(self, job: Job, driver: GlusterDriver) -> None:
        """Note which bricks there are, which there are to be, and who cannot be spoken to."""
        away = Host.objects.filter(datastores=job.datastore).exclude(state=HostState.READY)
        after = self.after(job, driver)
        job.params |= {"before": plain(driver.bricks), "after": plain(after), "silent": [host.name for host in away]}

    def after(self, job: Job, driver: GlusterDriver) -> Placed:
        """Return the bricks as they are to be. Raises CloudstoreError when they cannot be so."""
        raise NotImplementedError

    def check(self, job: Job, driver: GlusterDriver) -> None:
        if plain(driver.bricks) != job.params["before"]:
            raise Refused(f"The bricks of {job.datastore.name} were changed meanwhile. Look at them again.")
        after = from_plain(job.params["after"])
        if driver.host not in {each.host for each in after}:
            raise BadInput(f"{driver.host}, from where the volume is managed, has to keep a brick.")

    def drivers(self, job: Job, driver: GlusterDriver) -> tuple[GlusterDriver, GlusterDriver]:
        """Return the datastore with its bricks as they were and as they are to be; the same also when it is done."""
        sides = (tuple(from_plain(job.params[side])) for side in ("before", "after"))
        before, after = (replace(driver, bricks=side) for side in sides)
        return before, after

    def arriving(self, job: Job, before: GlusterDriver, after: GlusterDriver) -> Plan:
        """Return the stages that make ready the bricks that come, their hosts, and the volume for both."""
        peers = {host: peer for host, peer in after.peers.items() if host not in before.peers}
        fresh = [each for each in after.bricks if each not in before.bricks]
        silent = {after.host, *job.params["silent"]}
        others = {peer for side in (before, after) for host, peer in side.peers.items() if host not in silent}
        return (
            Stage("packages and daemons", tuple(step for host in peers for step in after.daemon(host)), gate=True),
            Stage("pool", tuple(PeerProbed(after.host, peer) for peer in peers.values())),
            Stage("bricks", tuple(after.ready(each) for each in fresh)),
            Stage("names of hosts", (PeersAllowed(after.host, after.volume, tuple(sorted(others))),)),
        )

    def leaving(self, job: Job, before: GlusterDriver, after: GlusterDriver) -> Plan:
        """Return the stages after which nobody looks for what is gone, and nothing is left of it if that is asked."""
        silent = job.params["silent"]
        gone = [each for each in before.bricks if each not in after.bricks and each.host not in silent]
        peers = [peer for host, peer in before.peers.items() if host not in after.peers and host not in silent]
        lines = after.mount_lines() if before.mount_options != after.mount_options else ()
        clear = gone if job.params.get("clear") else []
        absent = (BrickAbsent(each.host, each.brick.path, True, before.volume) for each in clear)
        return (
            Stage("who may mount", after.serve_again()),
            Stage("mounts", tuple(line for line in lines if line.host not in silent)),
            Stage("former bricks", tuple(absent)),
            Stage("pool", tuple(PeerUnneeded(after.host, peer, before.volume) for peer in peers)),
        )

    def succeeded(self, job: Job, results: Results) -> None:
        self.check_rows(job, "before")
        bricks.store(job.datastore, from_plain(job.params["after"]))
        super().succeeded(job, results)

    def check_rows(self, job: Job, side: str) -> None:
        """Raise Refused when others than these bricks are remembered."""
        if plain(volume_of(job.datastore).bricks) != job.params[side]:
            raise Refused(f"The bricks of {job.datastore.name} were changed meanwhile.")


def chosen(job: Job, driver: GlusterDriver, given: Sequence[dict[str, Any]]) -> Placed:
    """Return new bricks, ``{"host": id, "path": path}`` each; a host keeps the name that the pool has for it."""
    wanted = bricks.named(given, hosts_of(job.datastore))
    bricks.require_unused(wanted)
    if unusable := [host.name for host, _ in wanted if not host.usable]:
        raise Refused(f"{listed(unusable)} cannot be used now.")
    known = driver.peers
    return [
        replace(each, brick=replace(each.brick, peer=known.get(each.host, each.brick.peer)))
        for each in bricks.placed(wanted)
    ]


def require_sound(driver: GlusterDriver, after: Placed, fresh: Collection[PlacedBrick]) -> None:
    """Raise BadInput when the bricks as they are to be make no volume, or one that would not survive."""
    hosts = Host.objects.filter(name__in={each.host for each in fresh})
    options = driver.options
    said = check(options.placed(), after, driver.host, disks=bricks.disks_of(hosts), forced=options.forced)
    if bad := [finding.text for finding in said if finding.severity is Severity.BAD]:
        raise BadInput(" ".join(bad))


def known_brick(driver: GlusterDriver, peer: str, path: str) -> PlacedBrick:
    """Return the brick of the volume. Raises Refused when it has none of that name."""
    found = next((each for each in driver.bricks if each.brick == Brick(peer, path)), None)
    if found is None:
        raise Refused(f"{peer}:{path} is no brick of the volume any more. Look at it again.")
    return found


class BricksAdd(BrickCase):
    """Give a volume more sets of bricks. Files come there with a rebalance.

    params: bricks ({"host": id, "path": path} each).
    """

    kind = "volume.add"
    label = "Add bricks"
    verb = "Add bricks to"
    can_undo = True
    undo_is = "volume.remove"

    def after(self, job: Job, driver: GlusterDriver) -> Placed:
        fresh = chosen(job, driver, job.params["bricks"])
        if not fresh:
            raise BadInput("Name at least one brick.")
        after = [*driver.bricks, *fresh]
        require_sound(driver, after, fresh)
        return after

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        before, after = self.drivers(job, driver)
        fresh = tuple(each.brick for each in after.bricks if each not in before.bricks)
        added = BricksAdded(driver.host, driver.volume, fresh, driver.options.forced)
        return *self.arriving(job, before, after), Stage("volume", (added,)), *self.leaving(job, before, after)

    def check_undo(self, job: Job) -> None:
        self.check_rows(job, "after")

    def undone(self, job: Job) -> None:
        bricks.store(job.datastore, from_plain(job.params["before"]))


class BricksRemove(BrickCase):
    """Take whole sets of bricks out of a volume, once their files have moved.

    params: bricks (peer, path), clear.
    """

    kind = "volume.remove"
    label = "Remove bricks"
    verb = "Remove bricks from"
    queue = "transfer"

    def after(self, job: Job, driver: GlusterDriver) -> Placed:
        gone = {known_brick(driver, each["peer"], each["path"]) for each in job.params["bricks"]}
        size = driver.options.placed().set_size
        sets = [driver.bricks[first : first + size] for first in range(0, len(driver.bricks), size)]
        torn = [each for each in sets if 0 < len(gone & set(each)) < size]
        if not gone or torn:
            example = listed([str(each) for each in sets[-1]])
            raise BadInput(f"Bricks leave a volume in whole sets, such as {example}.")
        after = [each for each in driver.bricks if each not in gone]
        if not after:
            raise BadInput("These are all its bricks. Delete the datastore if it is not needed any more.")
        return after

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        before, after = self.drivers(job, driver)
        gone = tuple(each.brick for each in before.bricks if each not in after.bricks)
        removed = BricksRemoved(driver.host, driver.volume, gone)
        return Stage("move the files away", (removed,)), *self.leaving(job, before, after)


class BrickReplace(BrickCase):
    """Put a new brick where an old one was, and wait until it has its files.

    params: peer, path; brick (host, path).
    """

    kind = "volume.replace"
    label = "Replace brick"
    verb = "Replace a brick of"
    queue = "transfer"

    def after(self, job: Job, driver: GlusterDriver) -> Placed:
        old = known_brick(driver, job.params["peer"], job.params["path"])
        [fresh] = chosen(job, driver, [job.params["brick"]])
        after = [fresh if each == old else each for each in driver.bricks]
        require_sound(driver, after, [fresh])
        return after

    def stages(self, job: Job, driver: GlusterDriver) -> Plan:
        before, after = self.drivers(job, driver)
        what = driver.host, driver.volume
        [(old, new)] = [pair for pair in zip(before.bricks, after.bricks, strict=True) if pair[0] != pair[1]]
        replaced = BrickReplaced(*what, old.brick, new.brick)
        healed = Stage("heal", (VolumeHealed(*what),))
        arriving, leaving = self.arriving(job, before, after), self.leaving(job, before, after)
        return *arriving, Stage("volume", (replaced,)), healed, *leaving
