"""GlusterFS: hosts give directories as bricks, which form a volume that all hosts mount."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from datastores.domain import openings
from datastores.domain.characters import Character
from datastores.domain.errors import BadInput
from datastores.domain.gluster import Brick, Layout, address_list, volume_name
from datastores.domain.gluster_checks import PlacedBrick
from datastores.domain.gluster_partitions import Partition, allowed, require_apart
from datastores.domain.openings import Opening, opening
from datastores.domain.plan import Plan, Stage
from datastores.drivers.abilities import Steps
from datastores.drivers.files import words
from datastores.drivers.mounted import MountedDriver, MountedOptions
from datastores.drivers.mounting import checked_mount_options
from datastores.hosts.files import MountedRootBelongs
from datastores.hosts.gluster_bricks import BrickAbsent, BrickEmpty, BrickReady
from datastores.hosts.gluster_pool import PeerProbed, PeerUnneeded
from datastores.hosts.gluster_volumes import BricksRunning, VolumeAbsent, VolumeExists, VolumeOptionSet, VolumeStarted
from datastores.hosts.mounts import FstabLinePresent
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.services import ServiceRunning

DAEMON = "glusterd.service"
USUAL_MOUNT = "rw,_netdev"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


class Spread(StrEnum):
    """What a volume keeps of a file."""

    REPLICATE = "replicate"
    ARBITER = "arbiter"
    DISPERSE = "disperse"
    DISTRIBUTE = "distribute"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlusterOptions(MountedOptions):
    layout: Spread = field(
        default=Spread.REPLICATE,
        metadata=words(
            "Layout", "replicate: whole copies. arbiter: two copies, and a third brick with names only, which settles "
            "who is right. disperse: erasure code. distribute: each file once.",
        ),
    )  # fmt: skip
    set_size: int = field(
        default=3,
        metadata=words(
            "Bricks of a set", "Copies of a file, or parts of a dispersed one; a volume has one set or several. Each "
            "set is neighbours in the list of bricks.",
        ),
    )  # fmt: skip
    redundancy: int = field(
        default=1, metadata=words("Redundancy", "disperse only: bricks of a set that may fail with nothing lost.")
    )
    volume: str = field(
        default="", metadata=words("Volume", "Its name in GlusterFS; empty: made of the base path.")
    )  # fmt: skip
    allow: str = field(
        default="",
        metadata=words(
            "May mount", "auth.allow: addresses, networks or patterns such as 10.0.*, with commas; empty: the "
            "addresses of its hosts.",
        ),
    )  # fmt: skip
    forced: bool = field(
        default=False,
        metadata=words(
            "Even so", "Bricks may be on the root file system, and several of a set on one host: for trials only."
        ),
    )
    mount: str = field(default=USUAL_MOUNT, metadata=words("Mount options", "As in fstab; with _netdev."))

    def __post_init__(self) -> None:
        MountedOptions.__post_init__(self)
        if self.layout not in set(Spread):
            raise BadInput(f"The layout is one of {', '.join(Spread)}; not {self.layout!r}.")
        self.placed()
        if self.volume:
            volume_name(self.volume)
        if self.allow:
            address_list(self.allow)
        checked_mount_options(self.mount, needs=("_netdev",))
        if "backup-volfile-servers" in self.mount:
            raise BadInput("backup-volfile-servers is made of the hosts of the bricks; leave it out.")

    def placed(self) -> Layout:
        """Return how bricks form the volume. Raises BadInput for a number that none has."""
        match self.layout:
            case Spread.DISTRIBUTE:
                return Layout()
            case Spread.ARBITER:
                return Layout(3, 1)
            case Spread.DISPERSE:
                return Layout(fragments=self.set_size, redundancy=self.redundancy)
        if self.set_size < 2:
            raise BadInput("A replicated volume keeps at least two copies of a file.")
        return Layout(self.set_size)


@dataclass(frozen=True, slots=True)
class GlusterDriver(MountedDriver):
    """``bricks``: in the order of the volume; of hosts of the datastore, the storage host among them."""

    kind: ClassVar[str] = "gluster"
    label: ClassVar[str] = "GlusterFS"
    about: ClassVar[str] = "A volume of bricks on several hosts, which survives the loss of one; cloudstore sets it up."
    tm: ClassVar[str] = "gluster"
    character: ClassVar[Character] = Character(
        parts=4,
        survives=True,
        simplicity="a pool of hosts, a volume and its mounts, made by cloudstore",
        performance="each write goes to every copy; reads come from one of them",
        redundancy="copies or erasure code over several hosts",
        capacity="what all bricks have, divided by the copies",
    )
    fstype: ClassVar[str] = "glusterfs"
    has_bricks: ClassVar[bool] = True
    leaves: ClassVar[str] = (
        "It is unmounted, the volume and its bricks are deleted, and hosts that serve nothing else leave the pool. "
        "Packages and accounts stay. Files that cloudstore has not made keep it from being deleted."
    )
    Options: ClassVar[type[Any]] = GlusterOptions

    options: GlusterOptions
    bricks: tuple[PlacedBrick, ...] = ()
    partitions: tuple[Partition, ...] = ()

    # What it is

    @property
    def volume(self) -> str:
        """The volume's name."""
        return self.options.volume or volume_name(_UNFIT.sub("-", self.base.strip("/")).strip("-_"))

    @property
    def of(self) -> tuple[Brick, ...]:
        """The bricks of the volume, by which it is told from another that has its name."""
        return tuple(placed.brick for placed in self.bricks)

    @property
    def servers(self) -> tuple[str, ...]:
        """The hosts of the pool that have to do with it, the storage host first."""
        return tuple(dict.fromkeys((self.host, *(placed.host for placed in self.bricks))))

    @property
    def peers(self) -> dict[str, str]:
        """By host, the name that the pool has for it; the storage host first."""
        known = {placed.host: placed.brick.peer for placed in reversed(self.bricks)}
        return {host: known.get(host) or self.locate(host) for host in self.servers}

    @property
    def openings(self) -> tuple[Opening, ...]:
        others = dict.fromkeys(each for partition in self.partitions for each in partition.addresses)
        mounts = ("GlusterFS", self.hosts), ("its partitions", tuple(others))
        return tuple(
            each for what, clients in mounts for each in opening(clients, self.servers, openings.GLUSTER, what)
        )

    @property
    def source(self) -> str:
        return f"{next(iter(self.peers.values()))}:/{self.volume}"

    @property
    def mount_options(self) -> str:
        others = ":".join(list(self.peers.values())[1:])
        return f"{self.options.mount},backup-volfile-servers={others}" if others else self.options.mount

    @property
    def client_packages(self) -> tuple[str, ...]:
        return ("glusterfs-client",)

    def mounts(self, host: str) -> bool:
        return True

    def bricks_of(self, host: str) -> tuple[str, ...]:
        """Return the paths of the bricks of ``host``."""
        return tuple(placed.brick.path for placed in self.bricks if placed.host == host)

    # Steps

    def daemon(self, host: str) -> Steps:
        """Return the packages and, on a host of the pool, the daemon."""
        packages = ("glusterfs-server", *self.client_packages) if host in self.peers else self.client_packages
        runs = (ServiceRunning(host, DAEMON),) if host in self.peers else ()
        return *(PackageInstalled(host, name) for name in packages), *runs

    def ready(self, placed: PlacedBrick) -> BrickReady:
        return BrickReady(placed.host, placed.brick.path, self.volume, self.options.forced, coming=True)

    def made(self, *, coming: bool = False) -> Steps:
        """Return the volume: it exists, lets its hosts in, and is started. ``coming``: glusterd may not run yet."""
        what, of = (self.host, self.volume), self.of
        return (
            VolumeExists(*what, self.options.placed(), of, self.options.forced, coming=coming),
            VolumeOptionSet(*what, "auth.allow", self.allowed, coming=coming, of=of),
            VolumeStarted(*what, coming=coming, of=of),
        )

    @property
    def allowed(self) -> str:
        """Who may mount the volume, or a partition of it.

        :raises BadInput: a host is known by a name: auth.allow wants addresses.
        """
        return allowed(self.root, self.partitions)

    @property
    def root(self) -> str:
        """Who may mount the whole volume, with commas. Raises BadInput as ``allowed``."""
        if self.options.allow:
            return self.options.allow
        try:
            return address_list(",".join(dict.fromkeys(self.locate(host) for host in self.hosts)))
        except BadInput as error:
            raise BadInput(f'{error} Say under "May mount" which addresses the hosts have.') from error

    def serve(self) -> Steps:
        """Let in who may mount it. Raises Refused when a tenant's host would get to more than its partition."""
        require_apart(self.root, self.partitions)
        return self.serve_rest()

    def serve_rest(self) -> Steps:
        """Let in who may still mount it, when a partition goes."""
        return (VolumeOptionSet(self.host, self.volume, "auth.allow", self.allowed, of=self.of),)

    def serve_again(self) -> Steps:
        """Let in the same hosts as before: changing bricks, gluster adds hosts by names of its own (10.3)."""
        return (VolumeOptionSet(self.host, self.volume, "auth.allow", self.allowed, follows=True, of=self.of),)

    def used(self, host: str) -> Steps:
        """Return what a host needs to use the volume; on the storage host also whose it is."""
        options = self.options
        whose = (self.base, options.owner, options.group, options.directory_mode)
        root = (MountedRootBelongs(host, *whose),) if host == self.host else ()
        return *self.accounts(host), *self.mounted(host), *root

    def mount_lines(self) -> tuple[FstabLinePresent, ...]:
        """Return the lines of fstab of all hosts, which name every host that has a brick."""
        what = (self.base, self.fstype, self.mount_options)
        return tuple(FstabLinePresent(host, self.source_on(host), *what) for host in self.hosts)

    def activate(self, host: str) -> Steps:
        """A host that is added has no brick yet."""
        made = self.made(coming=True) if host == self.host else ()
        return *self.daemon(host), *made, *self.used(host)

    def set_up(self) -> Plan:
        pool = tuple(PeerProbed(self.host, peer, coming=True) for host, peer in self.peers.items() if host != self.host)
        stages = (
            Stage("packages and daemons", tuple(step for host in self.hosts for step in self.daemon(host)), gate=True),
            Stage("pool", pool),
            Stage("bricks", tuple(self.ready(placed) for placed in self.bricks)),
            Stage("volume", self.made(coming=True)),
            Stage("storage host", self.used(self.host)),  # the others would remember for a while whose it was before
            Stage("hosts", tuple(step for host in self.hosts if host != self.host for step in self.used(host))),
        )
        return tuple(stage for stage in stages if stage.steps)

    def keeps(self, host: str) -> Steps:
        running = (*self.made(), BricksRunning(host, self.volume)) if host == self.host else ()
        return *self.daemon(host), *running, *self.used(host)

    def stands_on(self, host: str) -> Steps:
        """The pool is one, whichever of its hosts was asked to take the others in."""
        others = (PeerProbed(host, peer) for name, peer in self.peers.items() if name != host)
        return *MountedDriver.stands_on(self, host), *(others if host in self.peers else ())

    @property
    def served_by(self) -> tuple[str, ...]:
        return tuple(self.peers)

    def given_up(self) -> Plan:
        """Only mounts are taken back: the pool deletes no volume while a peer is away (10.3). Its bricks stay, too.

        The bricks are looked at first: what others have put into the volume would be lost from sight.
        """
        return (
            Stage("nothing is stored", tuple(BrickEmpty(each.host, each.brick.path) for each in self.bricks)),
            Stage("hosts", tuple(step for host in self.hosts for step in self.deactivate(host))),
        )

    def tear_down(self) -> Plan:
        others = tuple(peer for host, peer in self.peers.items() if host != self.host)
        stages = (
            *self.given_up(),
            Stage("volume", (VolumeAbsent(self.host, self.volume, of=self.of),)),
            Stage("bricks", tuple(BrickAbsent(each.host, each.brick.path, after=self.volume) for each in self.bricks)),
            Stage("pool", tuple(PeerUnneeded(self.host, peer, self.volume, self.of) for peer in others)),
        )
        return tuple(stage for stage in stages if stage.steps)
