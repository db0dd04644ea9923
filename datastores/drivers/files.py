"""Datastores whose images and disks are files below a directory."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias
from uuid import UUID

from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.plan import Plan, Shell, Stage
from datastores.domain.routes import Route
from datastores.domain.values import account_name, disk_mode, file_mode
from datastores.domain.volumes import Capability, Capacity, Format, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.received import Received
from datastores.drivers.travels import Sent
from datastores.hosts import capacity
from datastores.hosts.blocks import DataBlockExists, Filesystem
from datastores.hosts.checksums import ChecksumKnown, DataDigestKnown
from datastores.hosts.contexts import ContextFile, ContextIsoExists, Variable
from datastores.hosts.copies import PART, FileConverted, FileCopied, Ownership
from datastores.hosts.disks import DiskAbsent, DiskLinked, DiskRenamed
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.probes import ProbeGone, ProbePresent, ProbeVisible
from datastores.hosts.receiving import FileReceived
from datastores.hosts.sights import Sight
from datastores.hosts.sizes import ImageResized
from datastores.hosts.stored import FileStored, Footprint, OnlyKnownFiles

TO_BE_SENT = Ownership("root", "root", "0600")
ALL_FORMATS = (Format.QCOW2, Format.RAW, Format.ISO)


When: TypeAlias = tuple[str, tuple[object, ...]]
"""The name of another option, and the values of that with which an option has a meaning."""


def words(label: str, help: str, when: When | None = None) -> dict[str, Any]:
    """Return the metadata of an option: what its form says, and when it asks for it; None: always."""
    return {"label": label, "help": help, "when": when}


def same_words(options: type[Any], name: str, when: When | None = None) -> dict[str, Any]:
    """Return the metadata of an option that other kinds have, too."""
    known = options.__dataclass_fields__[name].metadata
    return words(known["label"], known["help"], when)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """Options of every kind that keeps files in a directory."""

    owner: str = field(
        default="root",
        metadata=words("Owner", "Account that owns images and disks, with the same id on every host."),
    )
    group: str = field(default="root", metadata=words("Group", "Group of images and disks."))
    mode: str = field(default="0660", metadata=words("Mode", "Octal mode of images and disks."))

    def __post_init__(self) -> None:
        account_name(self.owner), account_name(self.group)
        if file_mode(self.mode) != self.mode:
            raise BadInput(f"The mode {self.mode} needs four digits, such as 0660.")


@dataclass(frozen=True, slots=True)
class FileDriver(StorageDriver):
    """What the kinds of files have in common: images ``<base>/<uuid>.<format>``, disks ``<base>/<vm>/disk.<n>``."""

    Options: ClassVar[type[Any]] = FileOptions
    ds: ClassVar[str] = "fs"
    formats: ClassVar[tuple[Format, ...]] = ALL_FORMATS
    exports: ClassVar[tuple[Format, ...]] = ALL_FORMATS
    imports: ClassVar[tuple[Format, ...]] = ALL_FORMATS
    sends_files: ClassVar[bool] = True

    options: FileOptions

    def check_new(self) -> None:
        StorageDriver.check_new(self)
        disk_mode(self.options.mode)

    def capabilities(self, format: Format) -> frozenset[Capability]:
        """A CD is neither made larger nor snapshotted."""
        return self.can - ({Capability.RESIZE, Capability.SNAPSHOT} if format is Format.ISO else set())

    @property
    def ownership(self) -> Ownership:
        return Ownership(self.options.owner, self.options.group, self.options.mode)

    # Reading

    def capacity(self, shell: Shell) -> Capacity:
        for step in self.guard(self.host):
            step.plan(step.facts(shell.run_many(step.reads())))
        ask = capacity.ask_room(self.base)
        found = capacity.rooms(ask, shell.run(ask)).get(self.base)
        if found is None:
            raise Refused(f"There is no directory {self.base} on {self.host}. Mount or make it first.")
        return found.capacity

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        ask = capacity.list_files(self.base)
        return capacity.listed(ask, shell.run(ask))

    # Names

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return f"{self.base}/{uuid if isinstance(uuid, UUID) else UUID(uuid)}.{format}"

    def disk_path(self, vm: int, number: int) -> str:
        return f"{self.base}/{int(vm)}/disk.{int(number)}"

    def makes_directory(self, volume: Volume) -> bool:
        """Disks have a directory per VM. The base path is never made on the way: it may just not be mounted."""
        return posixpath.dirname(volume.path) != self.base

    # Steps

    def activate(self, host: str) -> Steps:
        """The storage host's directory is made, but only on what must be mounted."""
        wanted = self.mount_point(host)
        ready = BaseReady(host, self.base, wanted)
        mounted = (BaseReady(host, wanted, wanted),) if wanted not in {"", self.base} else ()
        if wanted == self.base or host != self.host:
            return *mounted, ready
        return *mounted, DirectoryPresent(host, self.base, self.options.owner, self.options.group, "0755"), ready

    def guard(self, host: str) -> Steps:
        wanted = self.mount_point(host)
        return (BaseReady(host, self.base, wanted),) if wanted else ()

    def deactivate(self, host: str) -> Steps:
        """Nothing: unmounting is up to whoever mounted it."""
        return ()

    def sight(self, host: str) -> Sight | None:
        """The storage host is asked more than that: how full it is."""
        there = host != self.host and host in self.seen_from
        return Sight(self.base, self.mount_point(host)) if there else None

    def writable(self, host: str) -> str:
        return self.base if host in self.seen_from else ""

    def stored(self, volume: Volume, before: Footprint | None = None, link: str = "") -> Steps:
        self.check_inside(volume)
        least = 1 if volume.format is Format.QCOW2 else volume.virtual_size
        return (FileStored(self.host, self.base, volume.path, least, before, link, self.options.mode),)

    def stores_only(self, volumes: Sequence[Volume]) -> Steps:
        names = tuple(sorted(posixpath.basename(volume.path) for volume in volumes))
        return (OnlyKnownFiles(self.host, self.base, names),)

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        self.check_inside(volume)
        what = (volume.path, volume.format, volume.virtual_size, filesystem)
        block = DataBlockExists(self.host, *what, self.ownership, self.makes_directory(volume))
        return *self.guard(self.host), block

    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        """Make the context CD of a VM, at a disk path of this datastore."""
        volume = Volume(path, Format.ISO)
        self.check_inside(volume)
        cd = ContextIsoExists(self.host, path, variables, files, self.ownership, self.makes_directory(volume))
        return *self.guard(self.host), cd

    def import_file(self, source: str, volume: Volume) -> Steps:
        self.check_inside(volume)
        copied = FileCopied(self.host, source, volume.path, self.ownership, self.makes_directory(volume))
        return *self.guard(self.host), copied

    def checksum(self, volume: Volume) -> Steps:
        return (self._checksum(volume),)

    def data_digest(self, volume: Volume) -> Steps:
        self.check_inside(volume)
        return (DataDigestKnown(self.host, volume.path),)

    def delete(self, volume: Volume) -> Steps:
        self.check_inside(volume)
        return (DiskAbsent(self.host, volume.path, self.base),)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        """Snapshots inside the file go with it."""
        return (DiskAbsent(self.host, self._checksum(volume).kept, self.base), *self.delete(volume))

    def copy(self, source: Volume, target: Volume) -> Steps:
        self.check_inside(target)
        return *self.guard(self.host), *self.export(self.host, source, self.receive(target))

    def link(self, volume: Volume, disk_path: str) -> Steps:
        return (DiskLinked(self.host, disk_path, volume.path),)

    def rename(self, volume: Volume, path: str) -> Steps:
        for place in (volume, Volume(path, volume.format)):
            self.check_inside(place)
        return (DiskRenamed(self.host, volume.path, path),)

    def resize(self, volume: Volume, size: int) -> Steps:
        self.require(Capability.RESIZE, volume)
        self.check_inside(volume)
        return (ImageResized(self.host, volume.path, volume.format, size),)

    def export(self, host: str, volume: Volume, place: Received) -> Steps:
        file = place.file
        if self.stands_alone(volume) and volume.format is file.format:
            return (FileCopied(host, volume.path, file.path, *place.how),)
        if (volume.format is Format.ISO) != (file.format is Format.ISO):
            raise Unsupported("A CD cannot become a disk of another format, nor the other way round.")
        return (FileConverted(host, volume.path, volume.format.qemu, file.path, file.format, *place.how),)

    def sends(self, volume: Volume, format: Format, name: str) -> Sent:
        """A file that is the whole volume already is sent as it is."""
        self.check_inside(volume)
        if self.stands_alone(volume) and volume.format is format:
            return Sent(volume.path)
        path = f"{self.base}/{name}{PART}"
        place = Received(Volume(path, format, volume.virtual_size), ownership=TO_BE_SENT)
        return Sent(path, (*self.guard(self.host), *self.export(self.host, volume, place)), made=True)

    def fetches(self, route: Route, copy: Volume, data: int) -> Steps:
        self.check_inside(copy)
        made = self.makes_directory(copy)
        return *self.guard(route.target), FileReceived(route, copy.path, self.ownership, made, data)

    def same_directory(self, token: str) -> Plan:
        storage, *others = self.seen_from
        if not others:
            return ()
        return (
            Stage("write a probe", (ProbePresent(storage, self.base, token),)),
            Stage("look for it on the other hosts", tuple(ProbeVisible(host, self.base, token) for host in others)),
            Stage("remove the probe", (ProbeGone(storage, self.base, token),)),
        )

    def _checksum(self, volume: Volume) -> ChecksumKnown:
        self.check_inside(volume)
        return ChecksumKnown(self.host, volume.path, volume.file_size)

    def mount_point(self, host: str) -> str:
        """Return what has to be mounted on ``host`` before anything is written there; "" for nothing."""
        return ""
