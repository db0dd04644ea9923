"""What can be chosen of an iSCSI datastore."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from datastores.domain.errors import BadInput
from datastores.domain.iscsi import AUTHORITY, PORT, authority, initiator, is_name
from datastores.domain.lvm import GROUP, PREFIX
from datastores.domain.values import host_address, port_number
from datastores.domain.volumes import Capability
from datastores.domain.zfs import Layout
from datastores.drivers.files import FileDriver, same_words, words
from datastores.drivers.lvm_options import LvmOptions
from datastores.drivers.zfs_options import ZfsOptions
from datastores.hosts.lvm_wiping import Wipe


class Backing(StrEnum):
    """Where the storage host keeps the bytes."""

    LVM = "lvm"
    XFS = "xfs"
    BTRFS = "btrfs"
    ZFS = "zfs"
    FILES = "files"


MODE = "0600"
"""Of files with the bytes of disks: nobody but the target opens them."""
LVM, ZFS = ("backing", (Backing.LVM,)), ("backing", (Backing.ZFS,))
LVM_ZFS, ZFS_BTRFS = ("backing", (Backing.LVM, Backing.ZFS)), ("backing", (Backing.ZFS, Backing.BTRFS))
"""When an option has a meaning."""
OF_ZFS = (
    "dataset", "layout", "disks", "log", "cache", "compression", "record_size", "quota", "reservation", "reserve",
)  # fmt: skip
"""Options that are those of the data sets inside."""


class Server(StrEnum):
    """What serves targets on the storage host."""

    TGT = "tgt"
    LIO = "lio"


class Initiator(StrEnum):
    """What logs in to a target on the host of a VM."""

    KERNEL = "kernel"
    QEMU = "qemu"


@dataclass(frozen=True, slots=True, kw_only=True)
class IscsiOptions:
    """Options of iSCSI datastores."""

    backing: Backing = field(
        default=Backing.LVM,
        metadata=words(
            "Bytes are in",
            "lvm: thin volumes of a volume group. xfs, btrfs: files on such a file system, which clones them at once. "
            "zfs: files in data sets of a pool. files: plain files, and disks are full copies.",
        ),
    )
    disks: str = field(
        default="",
        metadata=words(
            "Disks",
            "Of what a missing volume group, or pool of ZFS, is made, with blanks between them. They have to be empty.",
            LVM_ZFS,
        ),
    )
    group_name: str = field(
        default=GROUP, metadata=words("Volume group", "Where volumes are, when the bytes are in lvm.", LVM)
    )
    pool: str = field(
        default="pool", metadata=words("Thin pool", "In the volume group; made where it is missing.", LVM)
    )
    prefix: str = field(
        default=PREFIX,
        metadata=words("Volumes begin with", "What their names begin with; no other datastore may have the same.", LVM),
    )
    wipe: Wipe = field(
        default=Wipe.NONE, metadata=words("Wipe", "What is done with a volume before it is removed.", LVM)
    )
    dataset: str = field(
        default="",
        metadata=words("Data set", "The one below which disks are, such as tank/luns; made when missing.", ZFS),
    )
    layout: Layout = field(default=Layout.SINGLE, metadata=same_words(ZfsOptions, "layout", ZFS))
    log: str = field(default="", metadata=same_words(ZfsOptions, "log", ZFS))
    cache: str = field(default="", metadata=same_words(ZfsOptions, "cache", ZFS))
    compression: str = field(default="lz4", metadata=same_words(ZfsOptions, "compression", ZFS))
    record_size: str = field(default="64K", metadata=same_words(ZfsOptions, "record_size", ZFS))
    quota: str = field(default="", metadata=same_words(ZfsOptions, "quota", ZFS_BTRFS))
    reservation: str = field(default="", metadata=same_words(ZfsOptions, "reservation", ZFS))
    reserve: bool = field(default=False, metadata=same_words(ZfsOptions, "reserve", ZFS))
    target: Server = field(
        default=Server.TGT,
        metadata=words(
            "Target",
            "tgt: a daemon, which knows hosts by their addresses. lio: the kernel, which knows them by names, serves "
            "volumes alone, and needs the initiator in the kernel, too.",
        ),
    )
    initiator: Initiator = field(
        default=Initiator.KERNEL,
        metadata=words(
            "Initiator",
            "kernel: the host logs in (open-iscsi), and a disk is a device. qemu: QEMU logs in by itself, and a disk "
            "is an address, iscsi://... .",
        ),
    )
    portal: str = field(
        default="",
        metadata=words("Portal", "Address at which hosts reach the storage host; empty for that of the host itself."),
    )
    port: int = field(default=PORT, metadata=words("Port", "At which the target listens."))
    clients: str = field(
        default="",
        metadata=words(
            "Initiators let in",
            "Networks or initiator names, with blanks between them; empty for the address of the disk's host alone.",
        ),
    )
    chap: bool = field(
        default=True,
        metadata=words(
            "CHAP",
            "Hosts prove that they know a secret, besides where they are. Machines need it, too, if QEMU logs in.",
        ),
    )
    authority: str = field(
        default=AUTHORITY,
        metadata=words("Names begin with", "What the names of targets begin with: iqn., a month, a domain."),
    )

    def __post_init__(self) -> None:
        if self.backing not in set(Backing):
            raise BadInput(f"Bytes are in {', '.join(Backing)}; not {self.backing!r}.")
        if self.target not in set(Server):
            raise BadInput(f"The target is {' or '.join(Server)}; not {self.target!r}.")
        self._check_bytes()
        if self.initiator not in set(Initiator):
            raise BadInput(f"The initiator is {' or '.join(Initiator)}; not {self.initiator!r}.")
        if self.portal and host_address(self.portal, "The portal") != self.portal:
            raise BadInput(f"The portal {self.portal} is usually written {host_address(self.portal)}.")
        port_number(self.port)
        authority(self.authority)
        for who in self.clients.split():
            if initiator(who) != who:
                raise BadInput(f"The initiator {who} is usually written {initiator(who)}.")
        if self.target == Server.LIO:
            self._check_lio()

    def _check_bytes(self) -> None:
        if self.backing == Backing.ZFS:
            if not self.dataset:
                raise BadInput("Name the data set below which the disks are to be, such as tank/luns.")
            self.datasets_options()
        else:
            self.volumes_options()
            if self.dataset or self.log or self.cache or self.reservation or self.reserve:
                raise BadInput("Data set, log, cache, reservation and reserved disks are options of bytes in zfs.")
            if self.quota and self.backing != Backing.BTRFS:
                raise BadInput("A quota is an option of bytes in zfs or btrfs.")

    def _check_lio(self) -> None:
        if self.backing != Backing.LVM or self.initiator != Initiator.KERNEL:
            raise BadInput("LIO serves volumes of LVM alone, and to initiators in the kernel. Choose these, or tgt.")
        if by_address := [who for who in self.clients.split() if not is_name(who)]:
            raise BadInput(f"LIO knows initiators by their names, not by addresses such as {by_address[0]}.")
        if self.port != PORT:
            raise BadInput(f"LIO listens at port {PORT}.")
        if self.portal and not _is_ip(self.portal):
            raise BadInput(f"LIO listens at an address, not at a name such as {self.portal}.")

    def volumes_options(self) -> LvmOptions:
        """Return the options of the volumes inside.

        :raises BadInput: one is not acceptable.
        """
        return LvmOptions(
            group_name=self.group_name, pool=self.pool, prefix=self.prefix, disks=self.disks, wipe=self.wipe
        )

    def datasets_options(self) -> ZfsOptions:
        """Return the options of the data sets inside.

        :raises BadInput: one is not acceptable.
        """
        return ZfsOptions(mode=MODE, **{name: getattr(self, name) for name in OF_ZFS})


def _is_ip(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class FilesInside(FileDriver):
    """Plain files of the storage host."""

    kind: ClassVar[str] = "files"
    label: ClassVar[str] = "iSCSI"
    can: ClassVar[frozenset[Capability]] = frozenset({Capability.RESIZE})

    @property
    def shared(self) -> bool:
        return False
