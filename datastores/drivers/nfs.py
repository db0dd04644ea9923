"""NFSv4: the storage host exports a directory, and all other hosts mount it at the same path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from datastores.domain.characters import Character
from datastores.domain.exports import export_path
from datastores.drivers.abilities import Steps
from datastores.drivers.files import same_words
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
    writes: Writes = field(default=Writes.SYNC, metadata=same_words(ExportOptions, "writes"))
    insecure: bool = field(default=False, metadata=same_words(ExportOptions, "insecure"))
    fsid: str = field(default="", metadata=same_words(ExportOptions, "fsid"))
    server: str = field(default="", metadata=same_words(ExportOptions, "server"))
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
        export_path(self.base)

    @property
    def exported(self) -> NfsExport:
        return NfsExport(self.host, self.base, self.hosts, among(self.options), self.locate)

    @property
    def source(self) -> str:
        return self.exported.source

    @property
    def mount_options(self) -> str:
        return self.options.mount

    @property
    def client_packages(self) -> tuple[str, ...]:
        return (CLIENT_PACKAGE,)

    def mounts(self, host: str) -> bool:
        return host != self.host

    def activate(self, host: str) -> Steps:
        if host != self.host:
            return MountedDriver.activate(self, host)
        exported = self.exported
        directory = self.directory(host), BaseReady(host, self.base)
        return exported.package(), *self.accounts(host), *directory, *exported.served()

    def serve(self) -> Steps:
        return self.exported.serve()

    def deactivate(self, host: str) -> Steps:
        """The server stays, for others may use it; and so does what lies in the directory."""
        if host != self.host:
            return MountedDriver.deactivate(self, host)
        return self.exported.gone(), DirectorySwept(host, self.base)
