"""Images on the storage host, disks on the host of their machine: copied over SSH, and copied back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from datastores.domain.characters import Character
from datastores.domain.errors import Refused
from datastores.domain.volumes import Capability, Placement, Volume
from datastores.drivers.base import Steps
from datastores.drivers.directories import DirectoryDriver, DirectoryOptions, Mounted
from datastores.drivers.files import FileDriver, words
from datastores.hosts.files import DirectorySwept
from datastores.hosts.returned import FileReplaced
from datastores.hosts.sights import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions(DirectoryOptions):
    """Options of datastores of which each host has a directory of its own."""

    mounted: Mounted = field(
        default=Mounted.NOWHERE,
        metadata=words(
            "Must be mounted", "Where nothing is written unless it is a mount: nowhere, clients, everywhere."
        ),
    )


@dataclass(frozen=True, slots=True)
class SshDriver(DirectoryDriver):
    """Every host has a directory of its own at the base path; ``host`` is the one whose files are meant."""

    kind: ClassVar[str] = "ssh"
    label: ClassVar[str] = "SSH"
    about: ClassVar[str] = (
        "Disks are copies on the hosts of their machines: fast, but lost with the disks of a host; no live migration."
    )
    tm: ClassVar[str] = "ssh"
    character: ClassVar[Character] = Character(
        parts=1,
        simplicity="a directory on every host, and SSH between them",
        performance="local disks at full speed; each start waits for a copy of the image",
        redundancy="none: a disk is lost with its host's disk, until it is saved",
        capacity="the disks of every host; each disk takes its full room",
    )
    can: ClassVar[frozenset[Capability]] = frozenset({Capability.RESIZE})
    persistent: ClassVar[Placement] = Placement.SYSTEM
    disposable: ClassVar[Placement] = Placement.SYSTEM
    one_host: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = SshOptions

    options: SshOptions

    @property
    def shared(self) -> bool:
        return False

    def at(self, host: str) -> SshDriver:
        """Return the driver for the files on this host.

        :raises Refused: it is no host of the datastore.
        """
        if host not in self.hosts:
            raise Refused(f"{host} is no host of the datastore at {self.base} any more.")
        return replace(self, host=host)

    def mount_point(self, host: str) -> str:
        """The storage host is the first one, also for a driver of files elsewhere."""
        rule = self.options.mounted
        wanted = rule == Mounted.EVERYWHERE or (rule == Mounted.CLIENTS and host != self.hosts[0])
        return (self.options.mount_point or self.base) if wanted else ""

    def activate(self, host: str) -> Steps:
        """Each host gets the directory."""
        return FileDriver.activate(self.at(host), host)

    def deactivate(self, host: str) -> Steps:
        """The directories of hosts that only held disks go when they are empty, unless somebody mounts them."""
        if host == self.hosts[0] or self.mount_point(host) == self.base:
            return ()
        return (DirectorySwept(host, self.base),)

    def sight(self, host: str) -> Sight | None:
        return Sight(self.base, self.mount_point(host)) if host != self.hosts[0] else None

    def comes_back(self, volume: Volume, returned: Volume) -> Steps:
        self.check_inside(volume)
        self.check_inside(returned)
        return (FileReplaced(self.host, volume.path, returned.path),)
