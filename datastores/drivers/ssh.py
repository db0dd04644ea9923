"""Images on the storage host, disks on the host of their machine: copied over SSH, and copied back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID

from datastores.domain import openings
from datastores.domain.characters import Character
from datastores.domain.errors import BadInput, Refused
from datastores.domain.openings import Opening, opening
from datastores.domain.values import is_below, own_directory, parse_size
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.directories import DirectoryDriver, DirectoryOptions, Mounted
from datastores.drivers.files import FileDriver, words
from datastores.hosts.caches import CachedCopyGone, CacheEmptied
from datastores.hosts.checksums import DataDigestKnown
from datastores.hosts.files import DirectoryPresent, DirectorySwept
from datastores.hosts.open_files import DirectoryAtRest
from datastores.hosts.overlays import OverlayExists, OverlayTemplateKept
from datastores.hosts.parsing import canonical_path
from datastores.hosts.returned import FileReplaced
from datastores.hosts.sights import Sight

REMOVED = "It was cached there, and somebody has removed it: have the image cached there again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SshOptions(DirectoryOptions):
    """Options of datastores of which each host has a directory of its own."""

    mounted: Mounted = field(
        default=Mounted.NOWHERE,
        metadata=words(
            "Must be mounted", "Where nothing is written unless it is a mount: nowhere, clients, everywhere."
        ),
    )
    cache: bool = field(
        default=False,
        metadata=words(
            "Cache images on hosts",
            "A disk is an overlay on a copy of its image that its host keeps: the next one there takes no copying.",
        ),
    )
    cache_directory: str = field(
        default="",
        metadata=words("Directory of the cache", "On every host, such as /ssd/cache; empty: below the base path."),
    )
    cache_limit: str = field(
        default="100 GiB",
        metadata=words("Limit of the cache", "Bytes on each host. What was used longest ago makes room."),
    )

    def __post_init__(self) -> None:
        DirectoryOptions.__post_init__(self)
        parse_size(self.cache_limit)
        if self.cache_directory:
            canonical_path(self.cache_directory, "The directory of the cache")

    @property
    def cache_bytes(self) -> int:
        return parse_size(self.cache_limit)


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
    takes_back: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = SshOptions

    options: SshOptions

    def __post_init__(self) -> None:
        DirectoryDriver.__post_init__(self)
        if (there := self.options.cache_directory) and (is_below(there, self.base) or is_below(self.base, there)):
            raise BadInput(f"The cache at {there} overlaps {self.base}. Leave it empty, and it lies below that.")

    @property
    def shared(self) -> bool:
        return False

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Images and disks are fetched by each host from each."""
        return opening(self.hosts, self.hosts, openings.SSH, "SSH")

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
        """Each host gets the directory, and that of its cache."""
        cache = DirectoryPresent(host, self.cache_base, self.options.owner, self.options.group, "0755", True)
        return *FileDriver.activate(self.at(host), host), *((cache,) if self.options.cache else ())

    def deactivate(self, host: str) -> Steps:
        """The directories of hosts that only held disks go when they are empty, unless somebody mounts them."""
        emptied = (CacheEmptied(host, self.cache_base),) if self.options.cache else ()
        if host == self.hosts[0] or self.mount_point(host) == self.base:
            return emptied
        return *emptied, DirectorySwept(host, self.base)

    def sight(self, host: str) -> Sight | None:
        return Sight(self.base, self.mount_point(host)) if host != self.hosts[0] else None

    def comes_back(self, volume: Volume, returned: Volume) -> Steps:
        self.check_inside(volume)
        self.check_inside(returned)
        return (FileReplaced(self.host, volume.path, returned.path),)

    # Copies of images on the hosts of disks

    def check_new(self) -> None:
        FileDriver.check_new(self)
        if self.options.cache_directory:
            own_directory(self.options.cache_directory, "The directory of the cache")

    @property
    def cache_base(self) -> str:
        """The directory in which every host keeps copies of images; that of no other datastore."""
        outside = self.options.cache_directory
        return f"{outside}{self.base}" if outside else f"{self.base}/.cache"

    @property
    def cache(self) -> SshDriver:
        """Return what puts copies of images into the cache of this host: nobody writes to them any more."""
        below = not self.options.cache_directory
        mounted = self.options.mounted if below else Mounted.NOWHERE
        point = (self.options.mount_point or self.base) if below else ""
        alone = replace(self.options, mode="0444", cache=False, cache_directory="")
        return replace(self, base=self.cache_base, options=replace(alone, mounted=mounted, mount_point=point))

    def cached_copy(self, uuid: UUID | str, held: str, format: Format, size: int = 0) -> Volume:
        """Return where the copy of an image is. ``held``: 16 hexadecimal digits for what the image held."""
        named = uuid if isinstance(uuid, UUID) else UUID(uuid)
        return Volume(f"{self.cache_base}/{named}.{held}.{format}", format, size)

    def cached(self, copy: Volume) -> tuple[Steps, Steps]:
        """Say of a copy that has arrived that it is known what it holds, and that overlays are made of it at once."""
        return (DataDigestKnown(self.host, copy.path),), (OverlayTemplateKept(self.host, copy.path, copy.format),)

    def over(self, copy: Volume, disk: Volume, *, coming: bool = False) -> Steps:
        """Make a disk that holds only its difference from the copy of its image on this host."""
        self.check_inside(disk)
        made = self.makes_directory(disk)
        how = (made, self.ownership, coming, REMOVED)
        return (OverlayExists(self.host, copy.path, copy.format, disk.path, *how),)

    def evicted(self, copy: Volume) -> Steps:
        """Remove a copy over which no disk lies; refused where somebody uses it all the same."""
        gone = CachedCopyGone(self.host, copy.path, self.cache_base)
        return DirectoryAtRest(self.host, copy.path), gone

    def stands_alone(self, volume: Volume) -> bool:
        """A qcow2 disk may be an overlay on a cached copy, so it is read through that; images are whole files."""
        may_be_over = self.options.cache and volume.format is Format.QCOW2
        return not (may_be_over and self.makes_directory(volume))
