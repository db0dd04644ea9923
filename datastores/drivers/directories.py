"""Datastores on a directory that somebody else mounts: cloudstore only looks whether it is mounted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from datastores.domain.errors import BadInput
from datastores.domain.values import is_below
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import FileDriver, FileOptions, words
from datastores.hosts.parsing import canonical_path


class Mounted(StrEnum):
    """On which hosts the datastore must be a mount, so that nobody fills a bare directory instead."""

    NOWHERE = "nowhere"
    CLIENTS = "clients"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryOptions(FileOptions):
    """Options of kinds whose directory is mounted by others, or is on the host's own disk."""

    mounted: Mounted = field(
        default=Mounted.CLIENTS,
        metadata=words(
            "Must be mounted",
            "Where nothing is written unless it is a mount: nowhere, on the clients (all hosts but the storage host), "
            "or everywhere.",
        ),
    )
    mount_point: str = field(
        default="", metadata=words("Mount point", "What must be mounted there; empty for the base path itself.")
    )

    def __post_init__(self) -> None:
        FileOptions.__post_init__(self)
        if self.mounted not in set(Mounted):
            raise BadInput(f"A datastore must be mounted {', '.join(Mounted)}; not {self.mounted!r}.")
        if self.mount_point:
            canonical_path(self.mount_point, "The mount point")


@dataclass(frozen=True, slots=True)
class DirectoryDriver(FileDriver):
    """A kind whose directory others mount."""

    Options: ClassVar[type[Any]] = DirectoryOptions

    options: DirectoryOptions

    def __post_init__(self) -> None:
        StorageDriver.__post_init__(self)
        if self.options.mount_point and not is_below(self.base, self.options.mount_point):
            raise BadInput(f"The base path {self.base} does not lie below the mount point {self.options.mount_point}.")

    def mount_point(self, host: str) -> str:
        rule = self.options.mounted
        wanted = rule == Mounted.EVERYWHERE or (rule == Mounted.CLIENTS and host != self.host)
        return (self.options.mount_point or self.base) if wanted else ""
