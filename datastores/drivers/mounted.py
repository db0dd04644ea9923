"""Datastores on a network file system that cloudstore serves and mounts itself; disks are qcow2 overlays or copies."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from datastores.domain.errors import BadInput
from datastores.domain.values import file_mode
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers import internal_snapshots, overlays
from datastores.drivers.abilities import Steps
from datastores.drivers.files import FileDriver, FileOptions, words
from datastores.drivers.mounting import NetworkMount
from datastores.hosts.accounts import NO_HOME, GroupHasId, UserHasId, account_id
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.packages import PackageInstalled

NO_LOGIN = "/usr/sbin/nologin"


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

    @property
    def shared(self) -> bool:
        return True

    @property
    @abstractmethod
    def source(self) -> str:
        """What the clients mount."""

    @property
    @abstractmethod
    def mount_options(self) -> str: ...

    @property
    @abstractmethod
    def client_packages(self) -> tuple[str, ...]: ...

    @abstractmethod
    def mounts(self, host: str) -> bool:
        """Whether ``host`` mounts it; the one that has the bytes may not."""

    def capabilities(self, format: Format) -> frozenset[Capability]:
        can = internal_snapshots.capabilities(self, format)
        return can if self.options.disks == Disks.OVERLAYS else can - {Capability.CLONE}

    def prepare(self, image: Volume) -> Steps:
        return overlays.prepare(self, image) if self.options.disks == Disks.OVERLAYS else ()

    def mount_point(self, host: str) -> str:
        return self.base if self.mounts(host) else ""

    def accounts(self, host: str) -> Steps:
        """Return the owner and group with their numbers, where these were chosen."""
        options = self.options
        group = (GroupHasId(host, options.group, options.group_id),) if options.group_id else ()
        if not options.owner_id:
            return group
        return *group, UserHasId(host, options.owner, options.owner_id, options.group, NO_HOME, NO_LOGIN)

    def directory(self, host: str) -> DirectoryPresent:
        options = self.options
        return DirectoryPresent(host, self.base, options.owner, options.group, options.directory_mode)

    @property
    def mount(self) -> NetworkMount:
        return NetworkMount(self.source, self.base, self.fstype, self.mount_options)

    def activate(self, host: str) -> Steps:
        packages = tuple(PackageInstalled(host, name) for name in self.client_packages)
        return *packages, *self.accounts(host), self.directory(host), *self.mount.made(host)

    def deactivate(self, host: str) -> Steps:
        return self.mount.gone(host) if self.mounts(host) else ()
