"""The interface of every kind of datastore.

Reading methods take a shell and return facts. Every other method returns the steps that would do the work and
touches nothing, so that it can be shown, approved, tested and undone. A driver knows no rows, jobs or requests.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from datastores.domain.characters import Character
from datastores.domain.errors import BadInput, Refused
from datastores.domain.iscsi import LABEL_MAX, Names, distinct
from datastores.domain.openings import Opening
from datastores.domain.plan import Shell
from datastores.domain.values import is_below, own_directory
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.hosted import Hosted
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import ContextFile, Variable
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.opened import Opened
from datastores.hosts.parsing import canonical_path


def nowhere(host: str) -> str:
    """Stand for addresses where nobody told them."""
    raise Refused(f"It is not known at which address others reach {host}.")


@dataclass(frozen=True, slots=True)
class StorageDriver(Hosted):
    """One datastore. ``host``: where commands on its volumes run. ``base``: its directory (or pool) there.

    ``hosts``: all hosts of the datastore, the storage host among them. ``options``: an instance of ``Options``.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    about: ClassVar[str]
    """One sentence for the person who has to choose."""
    ds: ClassVar[str]
    tm: ClassVar[str]
    """The words of the DS and TM columns, as operators know them."""
    can: ClassVar[frozenset[Capability]]
    persistent: ClassVar[Placement]
    """LN_TARGET: where a persistent disk's bytes are."""
    disposable: ClassVar[Placement]
    """CLONE_TARGET: where a disposable disk's bytes are."""
    formats: ClassVar[tuple[Format, ...]]
    """What may be stored in it, the preferred first."""
    exports: ClassVar[tuple[Format, ...]]
    imports: ClassVar[tuple[Format, ...]]
    """Formats in which an image leaves and enters; the first common one is taken."""
    links: ClassVar[bool] = True
    """Whether a persistent disk is a link to its image; else it is the image itself, or is attached."""
    shares_blocks: ClassVar[bool] = False
    """Whether a clone begins with the blocks of its source, which then count as bytes of both."""
    one_host: ClassVar[bool] = False
    """Whether each disk is used on one host, which is chosen with it: its bytes lie there, or it is attached there."""
    snapshots_inside: ClassVar[bool] = False
    """Whether snapshots are kept in the image's own file, whose bytes change with them."""
    has_bricks: ClassVar[bool] = False
    """Whether it is made of directories of several hosts, which are named when it is made."""
    has_names: ClassVar[bool] = False
    """Whether it gives names on its hosts that are made of what they are called (``names``)."""
    has_luns: ClassVar[bool] = False
    """Whether its volumes are LUNs that others made: they are found and pinned, never made, copied or removed."""
    character: ClassVar[Character] = Character()
    """What it is like, for whoever has to choose between kinds."""
    leaves: ClassVar[str] = "The directory stays on its hosts, as it is."
    """What becomes of it on its hosts when the datastore is deleted, in a sentence."""
    key_label: ClassVar[str] = ""
    key_help: ClassVar[str] = ""
    """What its form says of the secret that it needs; "": it needs none."""
    Options: ClassVar[type[Any]]
    """A frozen dataclass; the web layer makes a form from its fields (``metadata``: label, help)."""

    host: str
    base: str
    hosts: tuple[str, ...]
    options: Any
    locate: Callable[[str], str] = field(default=nowhere, compare=False, repr=False)
    """Return the address at which hosts reach the one of this name. Asked only for what has to name a host."""
    secret: str = field(default="", compare=False, repr=False)
    """What lets the hosts in where the bytes are; "" where the kind has none (``key_label``), or hosts have it."""
    names: Names = field(default=Names(), compare=False, repr=False)
    """What names on its hosts were made of."""

    def __post_init__(self) -> None:
        canonical_path(self.base, "The base path")
        if self.host not in self.hosts:
            raise BadInput(f"The storage host {self.host} is not one of the datastore's hosts.")
        if not isinstance(self.options, self.Options):
            raise BadInput(f"The options are not those of a {self.label} datastore.")

    # What it is

    @property
    def label_on_hosts(self) -> str:
        """What in names on hosts tells it from other datastores: small letters, digits, dots and dashes."""
        return self.names.label or distinct(self.base, LABEL_MAX)

    @property
    @abstractmethod
    def shared(self) -> bool:
        """The same bytes are at the same path on every host of the datastore."""

    @property
    def openings(self) -> tuple[Opening, ...]:
        """What firewalls between its hosts have to let through, besides the SSH by which cloudstore comes."""
        return ()

    def capabilities(self, format: Format) -> frozenset[Capability]:
        """What can be done with a volume of this format here; the pages offer nothing else."""
        return self.can

    @classmethod
    def check_secret(cls, value: str) -> None:
        """Raise BadInput unless the value can be what the kind needs to be let in."""
        raise BadInput(f"{cls.label} datastores need no secret.")

    def check_new(self) -> None:
        """Raise BadInput where a new datastore may not be like this, though an older one may have to go on so."""
        own_directory(self.base)

    @classmethod
    def new_secret(cls, options: Mapping[str, Any]) -> str:
        """Return a secret for a new datastore to which none was given; "" where the kind makes none.

        ``options``: as given; those that are missing have their defaults.
        """
        return ""

    @property
    def logs_in_as(self) -> str:
        """The account that machines name with the secret, where QEMU is to log in by itself; "" for none."""
        return ""

    @property
    def days_kept(self) -> int:
        """For how many days a deleted image can be brought back; 0: it is gone at once."""
        return 0

    @property
    def keeper(self) -> StorageDriver:
        return self

    @property
    def seen_from(self) -> tuple[str, ...]:
        """The hosts on which its paths are valid, the storage host first."""
        return tuple(dict.fromkeys((self.host, *self.hosts))) if self.shared else (self.host,)

    @property
    def written_from(self) -> tuple[str, ...]:
        """The hosts on which volumes can be copied into it: those that see it, unless it takes the storage host."""
        return self.seen_from

    # Reading

    @abstractmethod
    def capacity(self, shell: Shell) -> Capacity: ...

    @abstractmethod
    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        """Return the images that are stored, whether or not anybody remembers them; VM disks are left out."""

    # Names

    @abstractmethod
    def image_path(self, uuid: UUID | str, format: Format) -> str:
        """Return where an image is stored. The name is our UUID: nobody else chooses file names."""

    @abstractmethod
    def disk_path(self, vm: int, number: int) -> str:
        """Return where a disk of a VM is stored."""

    def link_path(self, vm: int, number: int) -> str:
        """Return where in its VM's directory a disk is, on the host that it was attached to."""
        return f"{self.base}/{int(vm)}/disk.{int(number)}"

    def opened(self, volume: Volume) -> Opened:
        """Return what QEMU opens to read the volume on a host that sees it."""
        return Opened(volume.path, volume.format.qemu, volume.virtual_size)

    def at(self, host: str) -> StorageDriver:
        """Return the driver for the bytes of disks that are used on ``host``; this one, unless they lie there."""
        return self

    # Steps that every kind has

    @abstractmethod
    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        """Make an empty disk of ``volume.virtual_size`` bytes."""

    @abstractmethod
    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        """Make a context CD at ``path``, from which a VM reads variables and files when it boots."""

    @abstractmethod
    def import_file(self, source: str, volume: Volume) -> Steps:
        """Make ``volume`` of a file of the storage host, in the volume's format: byte for byte, as it was inspected."""

    def inspected(self, volume: Volume) -> Steps:
        """Say of what ``import_file`` made that it is harmless, before any tool opens it; a check.

        It may be another file than the source was when that was looked at; here nobody else can change it.
        """
        return (ImageIsSafe(self.host, volume.path, volume.format),)

    @abstractmethod
    def checksum(self, volume: Volume) -> Steps:
        """Compute the SHA-256 of its bytes; the facts of the last step are the 64 hexadecimal digits."""

    @abstractmethod
    def data_digest(self, volume: Volume) -> Steps:
        """Compute a digest of its data, holes left out; the facts of the last step are a ``checksums.DataDigest``."""

    @abstractmethod
    def delete(self, volume: Volume) -> Steps:
        """Remove it; when it is gone already, nothing is left to do."""

    @abstractmethod
    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        """Remove an image and all that is kept beside it: its checksum, and its ``snapshots`` (their names)."""

    def prepare(self, image: Volume) -> Steps:
        """Make ready what clones of the image, as it is now, are made with; nothing for most kinds."""
        return ()

    @abstractmethod
    def copy(self, source: Volume, target: Volume) -> Steps:
        """Make a full, independent copy within the datastore, in the target's format."""

    @abstractmethod
    def link(self, volume: Volume, disk_path: str) -> Steps:
        """Let a VM use the volume itself (persistent): a link to it at ``disk_path``."""

    def unlink(self, volume: Volume, disk_path: str) -> Steps:
        """Take back what ``link`` made; the volume stays."""
        return self.delete(self.linked(volume, disk_path))

    def linked(self, volume: Volume, disk_path: str) -> Volume:
        """Return what the VM uses after ``link``: the link, or the volume where the kind has no links."""
        return Volume(disk_path, volume.format, volume.virtual_size)

    # For the methods above

    def check_inside(self, volume: Volume) -> None:
        """Raise Refused when the volume does not lie in this datastore."""
        if volume.path == self.base or not is_below(volume.path, self.base):
            raise Refused(f"{volume.path} does not lie in the datastore at {self.base}; it was not touched.")
