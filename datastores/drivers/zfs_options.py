"""What is chosen when a ZFS datastore is made: data set, pool, properties."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastores.domain.errors import BadInput
from datastores.domain.values import account_name
from datastores.domain.zfs import (
    BASE_MAX,
    Disks,
    Layout,
    Property,
    dataset_name,
    record_size,
    room_of_disk,
    size_property,
    words_of,
)
from datastores.drivers.files import FileOptions, same_words, words
from datastores.drivers.nfs_exports import USUAL_MOUNT, ExportOptions, Squash, Writes, among

EXPORTED_MOUNT = f"{USUAL_MOUNT},lookupcache=positive"
"""A client that looked for a disk before its data set was made would go on saying for up to a minute (acdirmax of
nfs(5)) that there is none."""
WHEN_EXPORTED = ("exported", (True,))
COMPRESSIONS = ("lz4", "zstd", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZfsOptions(FileOptions):
    dataset: str = field(
        default="",
        metadata=words(
            "Data set",
            "The one that is mounted at the base path, such as tank/cloud; made when missing. Empty: the base path "
            "without its first slash, as ZFS mounts data sets by itself.",
        ),
    )
    layout: Layout = field(
        default=Layout.SINGLE,
        metadata=words(
            "Layout",
            "Of a pool that is to be made: single (one disk), mirror, raidz1, raidz2 or raidz3; stripe takes several "
            "disks without a copy.",
        ),
    )
    disks: str = field(
        default="",
        metadata=words(
            "Disks",
            "Empty disks of which the pool is to be made, separated by blanks, such as /dev/disk/by-id/...; none: the "
            "pool is there, and is taken as it is.",
        ),
    )
    log: str = field(
        default="", metadata=words("Log", "Empty disks that take synchronous writes first; two mirror each other.")
    )
    cache: str = field(default="", metadata=words("Cache", "Empty disks that keep what is read often."))
    compression: str = field(
        default="lz4", metadata=words("Compression", "Of what is written from now on: lz4, zstd or off.")
    )
    record_size: str = field(
        default="64K",
        metadata=words(
            "Record size", "Largest block of a file, from 4 KiB to 1 MiB; small ones suit databases in VMs."
        ),
    )
    access_times: bool = field(
        default=False, metadata=words("Access times", "Each reading is noted on the disk (atime); VMs need it not.")
    )
    quota: str = field(
        default="", metadata=words("Quota", "What all of it may take at most, such as 2 TiB; empty for the whole pool.")
    )
    reservation: str = field(
        default="",
        metadata=words(
            "Reservation", "What is kept free for it whatever else is in the pool, such as 500 GiB; or empty."
        ),
    )
    reserve: bool = field(
        default=False,
        metadata=words(
            "Reserve disks",
            "All that a new disk of a machine may come to take is kept free for it (refreservation); otherwise it "
            "takes room as it is written to.",
        ),
    )
    account: str = field(
        default="",
        metadata=words(
            "Delegate to",
            "Account that may clone and destroy data sets by hand (zfs allow); on Linux only root mounts them.",
        ),
    )

    exported: bool = field(
        default=False,
        metadata=words(
            "Exported",
            "The storage host exports all of it over NFSv4, and the other hosts mount it at the base path: disks are "
            "seen on every host, and machines can migrate live.",
        ),
    )
    clients: str = field(default="", metadata=same_words(ExportOptions, "clients", WHEN_EXPORTED))
    squash: Squash = field(default=Squash.NONE, metadata=same_words(ExportOptions, "squash", WHEN_EXPORTED))
    anon_id: int = field(default=0, metadata=same_words(ExportOptions, "anon_id", WHEN_EXPORTED))
    anon_group_id: int = field(default=0, metadata=same_words(ExportOptions, "anon_group_id", WHEN_EXPORTED))
    writes: Writes = field(default=Writes.SYNC, metadata=same_words(ExportOptions, "writes", WHEN_EXPORTED))
    insecure: bool = field(default=False, metadata=same_words(ExportOptions, "insecure", WHEN_EXPORTED))
    server: str = field(default="", metadata=same_words(ExportOptions, "server", WHEN_EXPORTED))
    mount: str = field(default=EXPORTED_MOUNT, metadata=same_words(ExportOptions, "mount", WHEN_EXPORTED))

    def __post_init__(self) -> None:
        FileOptions.__post_init__(self)
        among(self)
        if not self.exported and (self.clients or self.server or self.insecure):
            raise BadInput("To whom it is exported, and where, is chosen together with Exported.")
        if self.dataset and len(dataset_name(self.dataset)) > BASE_MAX:
            raise BadInput(f"The name of the data set has at most {BASE_MAX} characters.")
        if self.compression not in COMPRESSIONS:
            raise BadInput(f"Compression is {', '.join(COMPRESSIONS)}; not {self.compression!r}.")
        if self.layout not in set(Layout):
            raise BadInput(f"A layout is {', '.join(Layout)}; not {self.layout!r}.")
        if (self.log or self.cache) and not self.disks:
            raise BadInput("A log or a cache belongs to a pool that is to be made: name its disks.")
        if self.account:
            account_name(self.account)
        self.pool_disks()
        self.properties()
        quota, reservation = self.limits()
        if quota and reservation > quota:
            raise BadInput("What is kept free for the datastore is more than it may take.")

    def check_new(self) -> None:
        """Check what a datastore that is there need not keep to.

        :raises BadInput: nobody has said what is kept of a file on several disks.
        """
        disks = self.pool_disks()
        if disks and len(disks.data) > 1 and self.layout == Layout.SINGLE:
            raise BadInput(
                f"Choose a layout for the {len(disks.data)} disks: mirror keeps a copy of every block, raidz1 to "
                "raidz3 survive one to three lost disks. With stripe, the first disk that dies takes all files with it."
            )

    def pool_disks(self) -> Disks | None:
        """Return the disks of the pool that is to be made; None: it is there."""
        if not self.disks:
            return None
        return Disks(Layout(self.layout), *(tuple(words_of(each)) for each in (self.disks, self.log, self.cache)))

    def properties(self) -> tuple[Property, ...]:
        """Return those of the base data set; what lies below inherits them, but for the two sizes."""
        return (
            Property("compression", self.compression),
            Property("atime", "on" if self.access_times else "off"),
            record_size(self.record_size),
            *self._sizes(),
        )

    def limits(self) -> tuple[int, int]:
        """Return quota and reservation in bytes; 0 for none."""
        quota, reservation = (int(each.value) for each in self._sizes())
        return quota, reservation

    def _sizes(self) -> tuple[Property, Property]:
        return size_property("quota", self.quota), size_property("reservation", self.reservation)

    def room_of(self, size: int) -> int:
        """Return the bytes that a disk of this size may come to take."""
        return room_of_disk(size, int(record_size(self.record_size).value))
