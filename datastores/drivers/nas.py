"""An appliance whose targets are made by hand: LUNs that there are already, pinned as images, attached to hosts."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from datastores.domain.characters import Character
from datastores.domain.errors import BadInput, Refused, Unsupported
from datastores.domain.iscsi import Account, PinnedLun, Portal, chap_name, chap_secret, iqn, portals
from datastores.domain.openings import Opening, opening
from datastores.domain.plan import Plan, Shell
from datastores.domain.values import account_name
from datastores.domain.volumes import Capability, Capacity, Format, Placement, Volume
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.drivers.files import words
from datastores.drivers.initiators import forgotten, initiating, told
from datastores.drivers.iscsi_options import Initiator
from datastores.hosts.appliances import LunReached
from datastores.hosts.blocks import Filesystem
from datastores.hosts.contexts import ContextFile, Variable
from datastores.hosts.disks import DeviceLinked, DiskAbsent
from datastores.hosts.files import DirectoryPresent, DirectorySwept
from datastores.hosts.open_iscsi import SessionClosed, SessionOpen
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.portal_guards import PortalsGuarded, PortalsOpen
from datastores.hosts.secret_files import secret_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NasOptions:
    """Options of datastores on an appliance."""

    portals: str = field(
        default="",
        metadata=words("Portals", "IP addresses of the appliance, with blanks between them: 10.0.0.5 10.0.1.5:3261."),
    )
    target: str = field(
        default="", metadata=words("Target", "The only target that is taken from it; empty for all that it offers.")
    )
    user: str = field(
        default="", metadata=words("CHAP account", "As which hosts log in; empty where the appliance wants none.")
    )
    initiator: Initiator = field(
        default=Initiator.KERNEL,
        metadata=words("Initiator", "kernel: the host logs in (open-iscsi). qemu: QEMU logs in by itself."),
    )
    guard: bool = field(
        default=True,
        metadata=words("Guard the portals", "On its hosts only root, and QEMU where it logs in, get to the appliance."),
    )
    qemu_user: str = field(
        default="libvirt-qemu", metadata=words("QEMU's user", "Who is let through the guard where QEMU logs in.")
    )

    def __post_init__(self) -> None:
        portals(self.portals)
        if self.target:
            iqn(self.target)
        if self.user:
            chap_name(self.user)
        account_name(self.qemu_user)
        if self.initiator not in set(Initiator):
            raise BadInput(f"The initiator is {' or '.join(Initiator)}; not {self.initiator!r}.")


@dataclass(frozen=True, slots=True)
class NasDriver(StorageDriver):
    """On the host of a VM ``<base>/<vm>/disk.<n>`` leads to the device of a LUN, or to the address that QEMU opens."""

    kind: ClassVar[str] = "nas"
    label: ClassVar[str] = "Appliance"
    about: ClassVar[str] = "LUNs that were made by hand on an iSCSI appliance: found, pinned as images, and attached."
    ds: ClassVar[str] = "iscsi"
    tm: ClassVar[str] = "nas"
    character: ClassVar[Character] = Character(
        parts=2,
        simplicity="LUNs are made by hand at the appliance; hosts only log in",
        performance="one network link and one appliance for all; blocks, not files",
        redundancy="as the appliance has it; it is a single point itself",
        capacity="what the appliance has; each LUN takes its room there",
    )
    can: ClassVar[frozenset[Capability]] = frozenset({Capability.ATTACH})
    persistent: ClassVar[Placement] = Placement.NONE
    disposable: ClassVar[Placement] = Placement.NONE
    formats: ClassVar[tuple[Format, ...]] = (Format.RAW,)
    exports: ClassVar[tuple[Format, ...]] = ()
    imports: ClassVar[tuple[Format, ...]] = ()
    links: ClassVar[bool] = False
    one_host: ClassVar[bool] = True
    has_luns: ClassVar[bool] = True
    has_names: ClassVar[bool] = True
    leaves: ClassVar[str] = "Hosts are logged out, and forget its secret. Everything on the appliance stays as it is."
    unmeasured: ClassVar[str] = (
        "LUNs are made at the appliance, by hand, and whatever is on one would be overwritten: cloudstore makes none "
        "there to be tried. Have a LUN made for that, and use fio on a host that is logged in to it."
    )
    key_label: ClassVar[str] = "CHAP secret"
    key_help: ClassVar[str] = (
        "Of the account, as it is set at the appliance: 12 to 16 letters, digits or . _ : @ + - signs. Empty: none."
    )
    Options: ClassVar[type[Any]] = NasOptions

    options: NasOptions
    luns: tuple[PinnedLun, ...] = ()
    """The LUNs that are images here."""

    @classmethod
    def check_secret(cls, value: str) -> None:
        chap_secret(value)

    @property
    def shared(self) -> bool:
        return False

    @property
    def portals(self) -> tuple[Portal, ...]:
        return portals(self.options.portals)

    def check_new(self) -> None:
        StorageDriver.check_new(self)
        for portal in self.portals:
            address = ipaddress.ip_address(portal.address)
            if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
                raise BadInput(f"No appliance answers other hosts at {address}. Name its addresses on the network.")

    @property
    def account(self) -> Account | None:
        if not self.secret or not self.options.user:
            return None
        return Account(self.options.user, self.label_on_hosts, secret_digest(self.secret))

    @property
    def logs_in_as(self) -> str:
        return self.account.name if self.account else ""

    # Names

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return f"{self.base}/luns/{uuid if isinstance(uuid, UUID) else UUID(uuid)}"

    def disk_path(self, vm: int, number: int) -> str:
        return self.link_path(vm, number)

    def pinned(self, volume: Volume) -> PinnedLun:
        """Return the LUN of an image.

        :raises Refused: it lies elsewhere, or is none that is pinned.
        """
        self.check_inside(volume)
        name = posixpath.basename(volume.path)
        for each in self.luns:
            if each.uuid == name:
                return each
        raise Refused(f"{volume.path} is no LUN that is pinned in this datastore.")

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Each portal has a port of its own."""
        return tuple(
            each
            for portal in self.portals
            for each in opening(self.hosts, (portal.address,), str(portal.port), "iSCSI")
        )

    # Reading

    def capacity(self, shell: Shell) -> Capacity:
        """Nothing is known of the room that the appliance has."""
        return Capacity(0, 0, 0)

    def volumes(self, shell: Shell) -> tuple[Volume, ...]:
        return ()

    # Hosts

    def set_up(self) -> Plan:
        if not self.portals:
            raise BadInput("Name at least one portal of the appliance.")
        if bool(self.options.user) != bool(self.secret):
            raise BadInput("Give both the CHAP account and its secret, or neither.")
        return StorageDriver.set_up(self)

    def activate(self, host: str) -> Steps:
        client = (
            *initiating(host, qemu=self.options.initiator == Initiator.QEMU),
            PackageInstalled(host, "libiscsi-bin"),
        )
        return *client, DirectoryPresent(host, self.base, mode="0755"), *self._secret(host), *self._guard(host)

    def _guard(self, host: str) -> Steps:
        if not self.options.guard or not self.portals:
            return (PortalsOpen(host, self.label_on_hosts),)  # it may have been kept from them before
        users = (self.options.qemu_user,) if self.options.initiator == Initiator.QEMU else ()
        return PackageInstalled(host, "nftables"), PortalsGuarded(host, self.label_on_hosts, self.portals, users)

    def guard_other(self, host: str) -> Steps:
        """Keep a host that is none of the datastore from the appliance, with all that run on it."""
        guarded = PortalsGuarded(host, self.label_on_hosts, self.portals, nobody=True)
        return PackageInstalled(host, "nftables"), guarded

    def open_other(self, host: str) -> Steps:
        """Take that back."""
        return (PortalsOpen(host, self.label_on_hosts),)

    def _secret(self, host: str) -> Steps:
        return told(host, self.account, self.secret, qemu=self.options.initiator == Initiator.QEMU)

    def _forgotten(self, host: str) -> Steps:
        return forgotten(host, self.account, qemu=self.options.initiator == Initiator.QEMU)

    def deactivate(self, host: str) -> Steps:
        return DirectorySwept(host, self.base), *self._forgotten(host), PortalsOpen(host, self.label_on_hosts)

    # LUNs as disks

    def attach(self, volume: Volume, host: str, link: str) -> Steps:
        """The LUN is looked at first: another one may have been put in its place at the appliance."""
        pinned = self.pinned(volume)
        reached = *self._secret(host), LunReached(host, pinned.lun, pinned.size, self.account)
        if self.options.initiator == Initiator.QEMU:
            return *reached, DeviceLinked(host, link, pinned.lun.url)
        logged_in = SessionOpen(host, pinned.lun, "", self.account, foreign=True)
        return *reached, logged_in, DeviceLinked(host, link, pinned.lun.device)

    def detach(self, volume: Volume, host: str, link: str, *, lost: bool = False) -> Steps:
        """A session stays as long as another link on the host leads to a LUN of the same target.

        Only the appliance can keep a host that is ``lost`` from its LUNs; whoever says that it is gone sees to that.
        """
        pinned, absent = self.pinned(volume), DiskAbsent(host, link, self.base)
        if lost:
            return ()
        if self.options.initiator == Initiator.QEMU:
            return (absent,)
        return absent, SessionClosed(host, pinned.lun, "", self.account, foreign=True, among=self.base, leaving=link)

    def link(self, volume: Volume, disk_path: str) -> Steps:
        return ()

    def unlink(self, volume: Volume, disk_path: str) -> Steps:
        return ()

    def linked(self, volume: Volume, disk_path: str) -> Volume:
        return volume

    # What is done at the appliance alone

    def create(self, volume: Volume, filesystem: Filesystem = Filesystem.NONE) -> Steps:
        self._by_hand(volume, "made")

    def context(self, path: str, variables: tuple[Variable, ...], files: tuple[ContextFile, ...] = ()) -> Steps:
        self._by_hand(Volume(path, Format.ISO), "made")

    def import_file(self, source: str, volume: Volume) -> Steps:
        self._by_hand(volume, "made")

    def copy(self, source: Volume, target: Volume) -> Steps:
        self._by_hand(target, "made")

    def checksum(self, volume: Volume) -> Steps:
        self.check_inside(volume)
        raise Unsupported("LUNs of an appliance are not read here: no host sees their bytes unless they are attached.")

    def data_digest(self, volume: Volume) -> Steps:
        return self.checksum(volume)

    def delete(self, volume: Volume) -> Steps:
        self._by_hand(volume, "removed")

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        self._by_hand(volume, "removed")

    def _by_hand(self, volume: Volume, what: str) -> NoReturn:
        self.check_inside(volume)
        raise Unsupported(f"LUNs are {what} at the appliance, by hand. Here they are found, pinned and unpinned.")
