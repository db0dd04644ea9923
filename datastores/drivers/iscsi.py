"""iSCSI: the storage host serves each disk as a target of its own, to the host alone where its VM runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from datastores.domain.characters import Character
from datastores.domain.errors import BadInput, Unsupported
from datastores.domain.iscsi import NAME_MAX, Account, Lun, Portal, chap_secret, make_chap_secret, name_part
from datastores.domain.openings import Opening, opening
from datastores.domain.plan import AnyStep, Plan
from datastores.domain.volumes import Capability, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.btrfs import BtrfsDriver, BtrfsOptions
from datastores.drivers.initiators import forgotten, initiating, told
from datastores.drivers.inside import InsideDriver
from datastores.drivers.iscsi_options import MODE, Backing, FilesInside, Initiator, IscsiOptions, Server
from datastores.drivers.iscsi_servers import LioServer, TgtServer
from datastores.drivers.lvm import LvmDriver
from datastores.drivers.xfs import XfsDriver
from datastores.drivers.zfs import ZfsDriver
from datastores.hosts.disk_throughput import Used
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.files import DirectoryPresent, DirectorySwept
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.initiator_names import InterfaceNamed, interface_of
from datastores.hosts.open_iscsi import SessionClosed, SessionOpen
from datastores.hosts.opened import Opened
from datastores.hosts.secret_files import secret_digest
from datastores.hosts.tgt import LUN, plain_path
from datastores.hosts.tgt_targets import TargetRenewed, TargetUnserved, TargetUnused

RAW_FORMATS = (Format.RAW, Format.ISO)
"""A target serves bytes as they are: what lies in qcow2 would be seen as qcow2 by the guest."""


@dataclass(frozen=True, slots=True)
class IscsiDriver(InsideDriver):
    """Bytes lie in ``<base>/luns`` of the storage host, as another kind keeps them there.

    On the host of a VM ``<base>/<vm>/disk.<n>`` leads to the device, or to the address that QEMU opens.
    """

    kind: ClassVar[str] = "iscsi"
    label: ClassVar[str] = "iSCSI"
    about: ClassVar[str] = "The storage host serves each disk as an iSCSI target, to the host of its VM alone."
    ds: ClassVar[str] = "iscsi"
    tm: ClassVar[str] = "iscsi"
    character: ClassVar[Character] = Character(
        parts=3,
        simplicity="volumes, targets and initiators, made by cloudstore",
        performance="one network link and one server for all; blocks, not files",
        redundancy="RAID in the server; the server is a single point",
        capacity="what one server has",
    )
    can: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.CLONE, Capability.RESIZE, Capability.SNAPSHOT, Capability.ATTACH, Capability.PROMOTE,
            Capability.RESERVE,
        }
    )  # fmt: skip
    at_best: ClassVar[frozenset[Capability]] = frozenset({Capability.PROMOTE, Capability.RESERVE})
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.SELF
    formats: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    exports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    imports: ClassVar[tuple[Format, ...]] = RAW_FORMATS
    shares_blocks: ClassVar[bool] = True
    one_host: ClassVar[bool] = True
    has_names: ClassVar[bool] = True
    leaves: ClassVar[str] = "No disk is served any more. Packages, and the bytes on the storage host, stay."
    key_label: ClassVar[str] = "CHAP secret"
    key_help: ClassVar[str] = (
        "12 to 16 letters and digits, which hosts log in with. Empty: one is made, unless CHAP is not wanted."
    )
    Options: ClassVar[type[Any]] = IscsiOptions
    chooses: ClassVar[str] = "backing"
    insides: ClassVar[Mapping[str, type[StorageDriver]]] = {
        Backing.LVM: LvmDriver,
        Backing.XFS: XfsDriver,
        Backing.BTRFS: BtrfsDriver,
        Backing.ZFS: ZfsDriver,
        Backing.FILES: FilesInside,
    }

    options: IscsiOptions

    @classmethod
    def check_secret(cls, value: str) -> None:
        chap_secret(value)

    @classmethod
    def new_secret(cls, options: Mapping[str, Any]) -> str:
        return make_chap_secret() if cls.Options(**options).chap else ""

    @property
    def account(self) -> Account | None:
        """As whom hosts log in; None for no CHAP. tgtd tells no secrets, so another one is another account, too."""
        if not self.secret or not self.options.chap:
            return None
        label, digest = self.label_on_hosts, secret_digest(self.secret)
        return Account(f"cloudstore-{label}-{digest[:6]}", label, digest)

    def __post_init__(self) -> None:
        StorageDriver.__post_init__(self)
        plain_path(self.base)

    def check_new(self) -> None:
        StorageDriver.check_new(self)
        if isinstance(self.inside, ZfsDriver):
            self.inside.options.check_new()

    @property
    def inside(self) -> StorageDriver:
        """The kind that keeps the bytes."""
        options = self.options
        inside: Any
        match options.backing:
            case Backing.LVM:
                inside = options.volumes_options()
            case Backing.ZFS:
                inside = options.datasets_options()
            case Backing.BTRFS:
                inside = BtrfsOptions(mode=MODE, quota=options.quota)
            case _:
                inside = self.insides[options.backing].Options(mode=MODE)
        return self.insides[options.backing](self.host, f"{self.base}/luns", (self.host,), inside)

    @property
    def logs_in_as(self) -> str:
        return self.account.name if self.account else ""

    @property
    def shared(self) -> bool:
        return False

    def capabilities(self, format: Format) -> frozenset[Capability]:
        if format not in self.formats:
            return frozenset()
        return self.inside.capabilities(format) | {Capability.ATTACH}

    # What is served, and where it is found

    @property
    def openings(self) -> tuple[Opening, ...]:
        clients = tuple(host for host in self.hosts if host != self.host)
        return opening(clients, (self.host,), str(self.options.port), "iSCSI")

    def target(self, volume: Volume) -> str:
        """Return the name of its target: <authority>:<host>.<vg>.<lv>, or <authority>:<host>.<label>-<path> of a file.

        The host is called there what it was called when it became the storage host.
        """
        self.check_inside(volume)
        inside = self.inside
        if isinstance(inside, LvmDriver) and volume.format is Format.RAW:
            where = f"{self.options.group_name}.{inside.volume_name(volume)}"
        else:
            where = f"{self.label_on_hosts}{volume.path.removeprefix(self.base)}"
        return f"{self.options.authority}:{self.names.of(self.host)}.{name_part(where)}"

    def lun(self, volume: Volume) -> Lun:
        portal = Portal(self.options.portal or self.locate(self.host), self.options.port)
        return Lun(portal, self.target(volume), LUN)

    def reached(self, volume: Volume) -> str:
        """Return what a VM on another host opens: a device of its kernel, or an address."""
        lun = self.lun(volume)
        return lun.url if self.options.initiator == Initiator.QEMU else lun.device

    def attach(self, volume: Volume, host: str, link: str) -> Steps:
        """The target is made before anybody logs in to it; both are told the secret, which may be another by now."""
        logged_in: Steps = ()
        if self._by_name:
            logged_in = (InterfaceNamed(host, self._interface(host), self.initiator(host)),)
        if self.options.initiator == Initiator.KERNEL:
            logged_in = *logged_in, SessionOpen(host, self.lun(volume), self._interface(host), self.account)
        free = (self._server.free,) if self._by_name else ()
        served = *free, *self._secret(self.host), self._served(volume, host)
        return *served, *self._secret(host), *logged_in, DeviceLinked(host, link, self.reached(volume))

    def detach(self, volume: Volume, host: str, link: str, *, lost: bool = False) -> Steps:
        """The target goes only when it is seen that nobody is logged in: then its bytes may be deleted.

        A host that is lost stays logged in until its connection is taken from it with the target.
        """
        if lost:
            return self._gone(volume, host, forced=True)
        kernel = self.options.initiator == Initiator.KERNEL
        session = (SessionClosed(host, self.lun(volume), self._interface(host), self.account),) if kernel else ()
        return DiskAbsent(host, link, self.base), *session, *self._gone(volume, *((host,) if kernel else ()))

    def measured_as(self, volume: Volume, host: str, link: str) -> Used | None:
        if self.options.initiator == Initiator.QEMU:
            return Used(Opened(self.lun(volume).url, "raw", volume.virtual_size), self.host, self.account)
        return Used(Opened(link, "raw", volume.virtual_size, device=True), self.host)

    @property
    def _by_name(self) -> bool:
        return self.options.target == Server.LIO

    def _interface(self, host: str) -> str:
        """Return the interface of open-iscsi by which the host logs in; "" for the usual one, under the usual name."""
        return interface_of(self.initiator(host)) if self._by_name else ""

    def initiator(self, host: str) -> str:
        """Return the name that a host logs in by, where the target goes by names."""
        return f"{self.options.authority}:{self.names.of(host)}"

    @property
    def _server(self) -> TgtServer | LioServer:
        options = self.options
        who = tuple(options.clients.split())
        if self._by_name:
            return LioServer(self.host, who, self.account, options.port, options.portal)
        return TgtServer(self.host, who, self.account, options.port)

    def _served(self, volume: Volume, host: str) -> AnyStep:
        name, inside = self.target(volume), self.inside
        if not self._by_name:
            return self._server.served(name, volume.path, volume.virtual_size, self.locate(host))
        if not isinstance(inside, LvmDriver) or volume.format is not Format.RAW:
            raise Unsupported("LIO serves volumes alone, and CDs are files. Choose tgt where CDs are attached, too.")
        return self._server.served(name, inside.device(volume), volume.virtual_size, self.initiator(host))

    def _gone(self, volume: Volume, *leaving: str, forced: bool = False) -> Steps:
        """``leaving``: hosts that steps before this one log out; ``forced``: or that are not asked any more."""
        called = self.initiator if self._by_name else self.locate
        return (self._server.gone(self.target(volume), tuple(called(host) for host in leaving), forced=forced),)

    @property
    def found_by_address(self) -> bool:
        return not self.options.portal

    @property
    def lets_in_by_address(self) -> bool:
        return not self._by_name and not self.options.clients

    # Hosts

    def set_up(self) -> Plan:
        """Names are told to be too long before there is anything to give them to."""
        images = (Volume(self.image_path(UUID(int=0), each), each) for each in self.formats)
        longest = max(len(self.target(each)) for each in images)
        if longest > NAME_MAX:
            raise BadInput(
                f"Targets would have names of {longest} characters, and {NAME_MAX} are allowed. Choose less for them "
                "to begin with, or a shorter volume group."
            )
        return InsideDriver.set_up(self)

    def activate(self, host: str) -> Steps:
        return self._ready(host, self.inside.activate)

    def _ready(self, host: str, inside: Callable[[str], Steps]) -> Steps:
        directory = DirectoryPresent(host, self.base, mode="0755"), BaseReady(host, self.base)
        client = *initiating(host, qemu=self.options.initiator == Initiator.QEMU), *self._secret(host)
        if host != self.host:
            return *client, *directory
        return *client, *directory, *inside(host), *self._server.ready()

    def _secret(self, host: str) -> Steps:
        return told(host, self.account, self.secret, qemu=self.options.initiator == Initiator.QEMU)

    def _forgotten(self, host: str) -> Steps:
        return forgotten(host, self.account, qemu=self.options.initiator == Initiator.QEMU)

    def keeps(self, host: str) -> Steps:
        return self._ready(host, self.inside.keeps)

    def deactivate(self, host: str) -> Steps:
        """Packages and daemons stay, for others may use them; and so does what lies in the directory."""
        mounted = isinstance(self.inside, ZfsDriver)
        inside = (DirectorySwept(host, self.inside.base),) if host == self.host and not mounted else ()
        return *inside, DirectorySwept(host, self.base), *self._forgotten(host)

    # Bytes: what is served is neither removed nor changed under anybody

    def delete(self, volume: Volume) -> Steps:
        """``detach`` has logged hosts out by then; if it has not, the target does not go, and so its bytes stay."""
        return *self._gone(volume, *self.hosts), *self.inside.delete(volume)

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        return *self._gone(volume, *self.hosts), *self.inside.delete_image(volume, snapshots)

    def resize(self, volume: Volume, size: int) -> Steps:
        """The target takes note of the size when it opens the disk, so nobody may be logged in."""
        name, grown = self.target(volume), self.inside.resize(volume, size)
        if self._by_name:  # it asks the volume each time
            return grown
        return TargetUnused(self.host, name), *grown, TargetRenewed(self.host, name, size)

    def revert(self, volume: Volume, name: str) -> Steps:
        """tgtd goes on with the file that it has opened, and with the size that that had."""
        reverted = InsideDriver.revert(self, volume, name)
        return reverted if self._by_name else (TargetUnserved(self.host, self.target(volume)), *reverted)

    def promote(self, clone: Volume, source: Volume) -> Steps:
        """The clone may be in use meanwhile; what it takes the place of may not."""
        promoted = InsideDriver.promote(self, clone, source)
        return *self._gone(source, *self.hosts), *promoted

    def rename(self, volume: Volume, path: str) -> Steps:
        """By then it is detached: its target had its name."""
        return *self._gone(volume, *self.hosts), *self.inside.rename(volume, path)
