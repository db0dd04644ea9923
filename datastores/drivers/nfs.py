"""NFSv4: the storage host exports a directory, and all other hosts mount it at the same path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from datastores.domain.characters import Character
from datastores.domain.errors import BadInput
from datastores.domain.openings import Opening
from datastores.domain.values import is_below
from datastores.drivers.abilities import Steps
from datastores.drivers.files import same_words, words
from datastores.drivers.mounted import MountedDriver, MountedOptions
from datastores.drivers.nfs_exports import (
    CLIENT_PACKAGE,
    FSTYPE,
    USUAL_MOUNT,
    ExportOptions,
    NfsExport,
    Squash,
    Writes,
    among,
)
from datastores.hosts.files import DirectorySwept
from datastores.hosts.filesystems import BaseReady


@dataclass(frozen=True, slots=True, kw_only=True)
class NfsOptions(MountedOptions):
    clients: str = field(default="", metadata=same_words(ExportOptions, "clients"))
    squash: Squash = field(default=Squash.NONE, metadata=same_words(ExportOptions, "squash"))
    anon_id: int = field(default=0, metadata=same_words(ExportOptions, "anon_id"))
    anon_group_id: int = field(default=0, metadata=same_words(ExportOptions, "anon_group_id"))
    writes: Writes = field(default=Writes.SYNC, metadata=same_words(ExportOptions, "writes"))
    insecure: bool = field(default=False, metadata=same_words(ExportOptions, "insecure"))
    fsid: str = field(default="", metadata=same_words(ExportOptions, "fsid"))
    server: str = field(default="", metadata=same_words(ExportOptions, "server"))
    mount_point: str = field(
        default="",
        metadata=words(
            "Mounted on the server",
            "What must be mounted on the storage host: the base path, or a directory above it; nothing is exported or "
            "written while it is not. Empty: it may lie on the root disk.",
        ),
    )
    mount: str = field(default=USUAL_MOUNT, metadata=same_words(ExportOptions, "mount"))

    def __post_init__(self) -> None:
        MountedOptions.__post_init__(self)
        among(self)


@dataclass(frozen=True, slots=True)
class NfsDriver(MountedDriver):
    kind: ClassVar[str] = "nfs"
    label: ClassVar[str] = "NFS"
    about: ClassVar[str] = (
        "A directory that the storage host exports over NFSv4 and all others mount; cloudstore sets both up."
    )
    tm: ClassVar[str] = "nfs"
    character: ClassVar[Character] = Character(
        parts=2,
        simplicity="an export and its mounts, made by cloudstore",
        performance="one network link and one server for all",
        redundancy="RAID in the server; the server is a single point",
        capacity="what one server has",
    )
    fstype: ClassVar[str] = FSTYPE
    Options: ClassVar[type[Any]] = NfsOptions

    options: NfsOptions

    def __post_init__(self) -> None:
        MountedDriver.__post_init__(self)
        self.over_nfs.check_base()
        wanted = self.over_nfs.mounted
        if wanted and not is_below(self.base, wanted):
            raise BadInput(f"The base path {self.base} does not lie below {wanted}.")

    def check_new(self) -> None:
        MountedDriver.check_new(self)
        among(self.options).check_new()

    @property
    def over_nfs(self) -> NfsExport:
        options = among(self.options)
        return NfsExport(self.host, self.base, self.hosts, options, self.locate, self.options.mount_point)

    @property
    def openings(self) -> tuple[Opening, ...]:
        return self.over_nfs.openings

    @property
    def source(self) -> str:
        return self.over_nfs.source

    @property
    def mount_options(self) -> str:
        return self.options.mount

    @property
    def client_packages(self) -> tuple[str, ...]:
        return (CLIENT_PACKAGE,)

    def mounts(self, host: str) -> bool:
        return host != self.host

    @property
    def root_writes(self) -> bool:
        return among(self.options).root_writes

    def mount_point(self, host: str) -> str:
        return self.base if self.mounts(host) else self.options.mount_point

    def activate(self, host: str) -> Steps:
        if host != self.host:
            return MountedDriver.activate(self, host)
        wanted, exported = self.mount_point(host), self.over_nfs
        return (
            exported.package(),
            *((BaseReady(host, wanted, wanted),) if wanted else ()),
            *self.accounts(host),
            self.directory(host),
            BaseReady(host, self.base, wanted),
            *exported.served(),
        )

    def serve(self) -> Steps:
        return self.over_nfs.serve()

    def deactivate(self, host: str) -> Steps:
        """The server stays, for others may use it; and so does what lies in the directory."""
        if host != self.host:
            return MountedDriver.deactivate(self, host)
        return self.over_nfs.gone(), DirectorySwept(host, self.base)
