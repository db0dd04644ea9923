"""Partitions: directories of a GlusterFS volume that only some addresses may mount, and nothing else of the volume."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, Refused
from datastores.domain.gluster import address_list
from datastores.domain.gluster_addresses import first_shared

HOME = "/partitions"
"""The directory of a volume that holds them: no image and no machine has a name like it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Partition:
    """A directory of a volume, and the addresses, networks or patterns of addresses that may mount it."""

    name: str
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        partition_name(self.name)
        if not self.addresses:
            raise BadInput(f"Say which addresses may mount the partition {self.name}.")
        address_list(",".join(self.addresses))

    @property
    def path(self) -> str:
        """From the root of the volume."""
        return partition_path(self.name)


def partition_path(name: str) -> str:
    """Return the directory of the partition of that name, from the root of the volume."""
    return f"{HOME}/{name}"


def partition_name(value: str) -> str:
    """Return the name of a partition, which becomes that of a directory."""
    if not _NAME.match(value):
        raise BadInput(f"{value[:60]!r} is no name of a partition: small letters, digits and -, at most 63.")
    return value


def allowed(root: str, partitions: Sequence[Partition]) -> str:
    """Return auth.allow: the addresses of ``root`` (with commas) may mount the volume, others their partition.

    As soon as a directory is named, all entries have to be of that form (GlusterFS 10.3).
    """
    if not partitions:
        return root
    entries = [("/", root.split(",")), *((each.path, each.addresses) for each in partitions)]
    return ",".join(f"{path}({'|'.join(addresses)})" for path, addresses in entries)


def require_apart(root: str, partitions: Sequence[Partition]) -> None:
    """Raise Refused when somebody who may mount a partition may mount the whole volume, too (``root``: with commas)."""
    for each in partitions:
        if shared := first_shared(each.addresses, root.split(",")):
            raise Refused(
                f"{shared[0]} of the partition {each.name} would get to the whole volume, which {shared[1]} may mount. "
                "Name addresses that do not meet."
            )


def missing_in(value: str, names: Sequence[str]) -> list[str]:
    """Return the names that are not among those who may mount the whole volume."""
    root = value.partition("(")[2].partition(")")[0].split("|") if value.startswith("/") else value.split(",")
    return [name for name in names if name not in root]


def let_in(value: str, names: Sequence[str]) -> str:
    """Return the list with these as well for the whole volume, which is the first directory that ``allowed`` names."""
    if not value.startswith("/"):
        return ",".join((value, *names))
    root, bracket, rest = value.partition(")")
    return "|".join((root, *names)) + bracket + rest
