"""A directory that the storage host exports over NFSv4, and all other hosts mount at the same path."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from datastores.domain import openings
from datastores.domain.errors import BadInput
from datastores.domain.exports import Client, export_client, export_fsid, export_option, export_path
from datastores.domain.openings import Opening, opening
from datastores.domain.values import host_address
from datastores.drivers.abilities import Steps
from datastores.drivers.files import words
from datastores.drivers.mounting import checked_mount_options
from datastores.hosts import exports
from datastores.hosts.accounts import account_id
from datastores.hosts.exports import ExportAbsent, ExportPresent
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.parsing import canonical_path
from datastores.hosts.services import ServiceRunning

SERVER = "nfs-server.service"
CLIENT_PACKAGE = "nfs-common"
FSTYPE = "nfs4"
LONGEST = 255 - len(".cloudstore-XXXXXXXX")
"""Bytes of the name of a file that is written beside itself first."""
USUAL_MOUNT = "rw,_netdev,hard,vers=4.2,rsize=1048576,wsize=1048576"


class Squash(StrEnum):
    """What root on a client is on the server (exports(5))."""

    NONE = "none"
    ROOT = "root"
    ALL = "all"


SQUASHED = {Squash.NONE: "no_root_squash", Squash.ROOT: "root_squash", Squash.ALL: "all_squash"}


class Writes(StrEnum):
    """When the server answers a write."""

    SYNC = "sync"
    ASYNC = "async"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is chosen of an export and its mounts. Each kind has them among its own options, by the same names."""

    clients: str = field(
        default="",
        metadata=words(
            "Exported to",
            "Networks or hosts, separated by blanks, such as 10.0.0.0/24; empty: the addresses of the other hosts.",
        ),
    )
    squash: Squash = field(
        default=Squash.NONE,
        metadata=words(
            "Squash", "none: root on a hypervisor is root on the files, which QEMU as root needs. root, all: it is "
            "nobody, and files need wide modes.",
        ),
    )  # fmt: skip
    anon_id: int = field(
        default=0, metadata=words("Squashed to", "The uid of whoever is squashed (anonuid). 0: nobody's.")
    )
    anon_group_id: int = field(
        default=0, metadata=words("Squashed to group", "The gid of whoever is squashed (anongid). 0: nobody's.")
    )
    writes: Writes = field(
        default=Writes.SYNC,
        metadata=words(
            "Writes", "sync: answered when they are on the disk. async: faster, and lost when the server fails."
        ),
    )
    insecure: bool = field(
        default=False, metadata=words("Any port", "Clients may use ports above 1023 (insecure): needed behind NAT.")
    )
    fsid: str = field(
        default="", metadata=words("fsid", "0: the base path is the root that NFSv4 clients see. Empty: by itself.")
    )
    server: str = field(
        default="",
        metadata=words(
            "Server's address", "Where clients reach the storage host, on a storage network perhaps; empty: as "
            "cloudstore does.",
        ),
    )  # fmt: skip
    mount: str = field(
        default=USUAL_MOUNT, metadata=words("Mount options", "As in fstab; with _netdev, and neither soft nor ro.")
    )

    def __post_init__(self) -> None:
        for client in self.clients.split():
            if export_client(client) != client:
                raise BadInput(f"{client} is usually written {export_client(client)}.")
        if self.squash not in set(Squash) or self.writes not in set(Writes):
            raise BadInput("Squash is none, root or all, and writes are sync or async.")
        self._check_squashed()
        if self.fsid:
            export_option(f"fsid={self.fsid}")
        if self.server and host_address(self.server, "The server's address") != self.server:
            raise BadInput(f"The server's address is usually written {host_address(self.server)}.")
        checked_mount_options(self.mount, needs=("_netdev",))

    def _check_squashed(self) -> None:
        for number in filter(None, (self.anon_id, self.anon_group_id)):
            account_id(number)
            if self.squash == Squash.NONE:
                raise BadInput("Where nobody is squashed, there is nobody who could get another number.")

    def check_new(self) -> None:
        """Raise BadInput where disks of a new datastore would not fare well with this fsid or these mount options."""
        if self.fsid:
            export_fsid(self.fsid)
        given = set(self.mount.split(","))
        if given & {"soft", "softerr"}:
            raise BadInput(
                "With a soft mount, a VM is told that its disk failed when the server is away for a while, and what it "
                "wrote is lost (nfs(5)). Leave it out of the mount options."
            )
        if "ro" in given:
            raise BadInput("Where it is mounted read-only, no VM can write to its disk. Leave ro out.")

    @property
    def root_writes(self) -> bool:
        """Whether root of a client may write anywhere in it."""
        return self.squash == Squash.NONE


def among(options: Any) -> ExportOptions:
    """Return what a kind's options say of its export.

    :raises BadInput: one is not acceptable.
    """
    known = {each.name for each in fields(ExportOptions)} & {each.name for each in fields(options)}
    return ExportOptions(**{name: getattr(options, name) for name in sorted(known)})


@dataclass(frozen=True, slots=True)
class NfsExport:
    """``base`` of ``host``, exported to the other ``hosts``. ``locate``: at which address hosts reach each other.

    ``mounted``: what has to be mounted on the server, or nothing is exported (mountpoint): clients would be given the
    bare directory (exports(5)). ``nested``: below it are file systems of their own. Clients get into them when they
    look there (crossmnt), without any line of their own.
    """

    host: str
    base: str
    hosts: tuple[str, ...]
    options: ExportOptions
    locate: Callable[[str], str]
    mounted: str = ""
    nested: bool = False

    def check_base(self) -> None:
        """Raise BadInput when the base path cannot be exported."""
        export_path(self.base)
        if len(posixpath.basename(exports.file_of(self.base)).encode()) > LONGEST:
            raise BadInput(
                f"The base path is too long: the file of its export takes its name from it ({LONGEST} bytes)."
            )
        if self.mounted:
            canonical_path(self.mounted, "The server's mount point")
            export_option(f"mountpoint={self.mounted}")

    @property
    def is_root(self) -> bool:
        """Whether it is the root that NFSv4 clients see."""
        return self.options.fsid in {"0", "root"}

    @property
    def source(self) -> str:
        """What clients are told to mount from now on."""
        address = self.options.server or self.locate(self.host)
        path = "/" if self.is_root else self.base
        return f"{bracketed(address)}:{path}"

    @property
    def openings(self) -> tuple[Opening, ...]:
        clients = self.options.clients.split() or [host for host in self.hosts if host != self.host]
        return opening(clients, (self.host,), openings.NFS, "NFSv4")

    def clients(self) -> tuple[Client, ...]:
        """Return who may mount it. Several addresses of one host are the admin's to name."""
        named = self.options.clients.split() or [self.locate(host) for host in self.hosts if host != self.host]
        return tuple(Client(export_client(name), self._options()) for name in dict.fromkeys(named))

    def _options(self) -> tuple[str, ...]:
        options = self.options
        fsid = (f"fsid={options.fsid}",) if options.fsid else ()
        port = ("insecure",) if options.insecure else ()
        nested = ("crossmnt",) if self.nested else ()
        mounted = (f"mountpoint={self.mounted}",) if self.mounted else ()
        numbers = {"anonuid": options.anon_id, "anongid": options.anon_group_id}
        anon = tuple(f"{name}={number}" for name, number in numbers.items() if number)
        squash = SQUASHED[Squash(options.squash)], *anon
        return "rw", options.writes, *squash, "no_subtree_check", *fsid, *port, *nested, *mounted

    def package(self) -> PackageInstalled:
        return PackageInstalled(self.host, "nfs-kernel-server")

    def serve(self) -> Steps:
        clients = self.clients()
        return (ExportPresent(self.host, self.base, clients),) if clients else (ExportAbsent(self.host, self.base),)

    def served(self) -> Steps:
        """Return the export and its server; package and directory are there by then."""
        there = DirectoryPresent(self.host, exports.DIRECTORY)
        return there, *self.serve(), ServiceRunning(self.host, SERVER)

    def gone(self) -> ExportAbsent:
        """The server stays, for others may use it; and so does what lies in the directory."""
        return ExportAbsent(self.host, self.base)


def bracketed(address: str) -> str:
    """Return an address as it is written before a colon: [fd00::1] for an IPv6 address."""
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address
