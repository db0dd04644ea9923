"""Options of LVM datastores."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastores.domain import lvm as names
from datastores.domain.errors import BadInput
from datastores.drivers.files import FileOptions, words
from datastores.hosts.lvm_wiping import Wipe


@dataclass(frozen=True, slots=True, kw_only=True)
class LvmOptions(FileOptions):
    """Options of LVM datastores. Owner, group and mode are those of CDs, which are files."""

    group_name: str = field(
        default=names.GROUP, metadata=words("Volume group", "Where the volumes are, on the storage host.")
    )
    thin: bool = field(
        default=True,
        metadata=words("Thin", "Volumes take room as they are written to, and are cloned at once. Else whole at once."),
    )
    pool: str = field(default="pool", metadata=words("Thin pool", "In the volume group; made where it is missing."))
    prefix: str = field(
        default=names.PREFIX,
        metadata=words(
            "Names begin with", "What the names of volumes begin with; no other datastore may have the same."
        ),
    )
    disks: str = field(
        default="",
        metadata=words(
            "Disks", "Of what a missing volume group is made, with blanks between them. They have to be empty."
        ),
    )
    wipe: Wipe = field(
        default=Wipe.NONE,
        metadata=words(
            "Wipe",
            "What is done with a volume before it is removed: none; discard; zero (of thin ones: discard, since the "
            "pool empties what it gives to others).",
        ),
    )

    def __post_init__(self) -> None:
        FileOptions.__post_init__(self)
        names.group_name(self.group_name)
        names.volume_name(self.pool)
        names.prefix(self.prefix)
        for disk in self.disks.split():
            names.device_path(disk)
        if self.wipe not in set(Wipe):
            raise BadInput(f"A volume is wiped by {', '.join(Wipe)}; not {self.wipe!r}.")
        if self.thin and self.pool.startswith(self.prefix):
            raise BadInput(f"The thin pool {self.pool} is named like a volume of this datastore.")
