"""Datastores on a network file system that cloudstore serves and mounts itself; disks are qcow2 overlays or copies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from datastores.domain.errors import BadInput
from datastores.domain.plan import Plan, Stage
from datastores.domain.values import file_mode
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers import internal_snapshots, overlays
from datastores.drivers.abilities import Steps
from datastores.drivers.files import FileDriver, FileOptions, words
from datastores.drivers.mounting import NetworkMount, nothing_yet, tried
from datastores.hosts.accounts import GroupHasId, UserHasId, account_id
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.mount_points import MountedRootSeen
from datastores.hosts.packages import PackageInstalled


class Disks(StrEnum):
    """What the disk of a VM is made as, unless its image is persistent."""

    OVERLAYS = "overlays"
    COPIES = "copies"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedOptions(FileOptions):
    """Options of every network file system that is mounted at the base path."""

    disks: Disks = field(
        default=Disks.OVERLAYS,
        metadata=words(
            "Disks", "overlays: made at once, and hold only their difference from the image. copies: stand alone."
        ),
    )
    owner_id: int = field(
        default=0,
        metadata=words(
            "Owner's number",
            "The uid that the owner has on every host; the account is made where it is missing. 0: as is.",
        ),
    )
    group_id: int = field(
        default=0,
        metadata=words(
            "Group's number",
            "The gid that the group has on every host; the group is made where it is missing. 0: as is.",
        ),
    )
    directory_mode: str = field(
        default="0755", metadata=words("Directory's mode", "Octal mode of the base path; o+x, or VMs cannot start.")
    )

    def __post_init__(self) -> None:
        FileOptions.__post_init__(self)
        if self.disks not in set(Disks):
            raise BadInput(f"Disks are {' or '.join(Disks)}; not {self.disks!r}.")
        for name, number in ((self.owner, self.owner_id), (self.group, self.group_id)):
            if number and name == "root":
                raise BadInput("The number of root is 0 everywhere; name another account, or leave the number out.")
            if number:
                account_id(number)
        if self.owner_id and not (self.group_id or self.group == "root"):
            raise BadInput(f"The account {self.owner} needs its group {self.group} with a number as well.")
        if not int(file_mode(self.directory_mode), 8) & 0o001:
            raise BadInput(f"The mode {self.directory_mode} of the directory lacks o+x, so VMs could not start.")


@dataclass(frozen=True, slots=True)
class MountedDriver(FileDriver):
    """A kind whose directory is a mount on every client, made by cloudstore."""

    Options: ClassVar[type[Any]] = MountedOptions
    fstype: ClassVar[str]
    can: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT, Capability.LIVE_MIGRATION}
    )
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SYSTEM
    leaves: ClassVar[str] = (
        "It is unmounted where it is mounted, and not served any more. Packages, accounts and whatever lies in its "
        "directory stay."
    )
    clone_needs_source: ClassVar[bool] = True
    snapshots_inside: ClassVar[bool] = True

    clone_format = overlays.clone_format
    clone = overlays.clone
    delete_image = overlays.delete_image
    stands_alone = overlays.stands_alone
    snapshot = internal_snapshots.snapshot
    revert = internal_snapshots.revert
    delete_snapshot = internal_snapshots.delete_snapshot

    options: MountedOptions
    mounted_from: Callable[[str], str] = field(default=nothing_yet, compare=False, repr=False)
    """Return what the host of this name was told to mount; "" for nothing yet."""

    @property
    def shared(self) -> bool:
        return True

    @property
    @abstractmethod
    def source(self) -> str:
        """What clients are told to mount from now on."""

    @property
    @abstractmethod
    def mount_options(self) -> str: ...

    @property
    @abstractmethod
    def client_packages(self) -> tuple[str, ...]: ...

    @property
    def root_writes(self) -> bool:
        """Whether root of a client may write anywhere in it."""
        return True

    @abstractmethod
    def mounts(self, host: str) -> bool:
        """Whether ``host`` mounts it; the one that has the bytes may not."""

    def capabilities(self, format: Format) -> frozenset[Capability]:
        can = internal_snapshots.capabilities(self, format)
        return can if self.options.disks == Disks.OVERLAYS else can - {Capability.CLONE}

    def prepare(self, image: Volume) -> Steps:
        return overlays.prepare(self, image) if self.options.disks == Disks.OVERLAYS else ()

    def source_on(self, host: str) -> str:
        """Return what ``host`` mounts. That stays, also when the server gets another address."""
        return self.mounted_from(host) or self.source

    def remembered(self, host: str) -> str:
        return self.source_on(host) if self.mounts(host) else ""

    def mount_point(self, host: str) -> str:
        return self.base if self.mounts(host) else ""

    def accounts(self, host: str) -> Steps:
        """Return the owner and group with their numbers, where these were chosen.

        Home and shell of an account that is there stay: it is the cloud's own, and has to log in.
        """
        options = self.options
        group = (GroupHasId(host, options.group, options.group_id),) if options.group_id else ()
        if not options.owner_id:
            return group
        return *group, UserHasId(host, options.owner, options.owner_id, options.group, home=None, shell=None)

    def directory(self, host: str) -> DirectoryPresent:
        options = self.options
        return DirectoryPresent(host, self.base, options.owner, options.group, options.directory_mode)

    def mount_on(self, host: str) -> NetworkMount:
        return NetworkMount(self.source_on(host), self.base, self.fstype, self.mount_options)

    def mounted(self, host: str) -> Steps:
        """Return the mount on a client, now and at boot."""
        return self.mount_on(host).made(host)

    def activate(self, host: str) -> Steps:
        packages = tuple(PackageInstalled(host, name) for name in self.client_packages)
        return *packages, *self.accounts(host), *self.mounted(host)

    def same_directory(self, token: str) -> Plan:
        """Every host sees whose it is, and root of each may write there, unless the server takes it for nobody."""
        options, others = self.options, self.seen_from[1:]
        whose = (self.base, options.owner, options.group, options.directory_mode)
        seen = tuple(MountedRootSeen(host, *whose) for host in others)
        trials = tried(self.base, self.ownership, others if self.root_writes else (), token)
        stages = (Stage("owner on the other hosts", seen), Stage("write on the other hosts", trials))
        return *(stage for stage in stages if stage.steps), *FileDriver.same_directory(self, token)

    def deactivate(self, host: str) -> Steps:
        return self.mount_on(host).gone(host) if self.mounts(host) else ()
