"""Names of LVM (lvm(8), "VALID NAMES"), and sizes, which are whole extents."""

from __future__ import annotations

import hashlib
import re

from datastores.domain.errors import BadInput
from datastores.domain.values import SECTOR, absolute_path

GROUP_MAX, VOLUME_MAX, PREFIX_MAX = 32, 127, 16
"""Characters. The kernel has 127 for group and volume together, in which each dash counts twice."""
READABLE = 24
"""Characters of a snapshot's name that its volume shows."""

GROUP, PREFIX = "vg-one", "lv-one-"
"""The volume group, and what names of volumes begin with, unless others are chosen."""

_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*\Z")
_RESERVED = re.compile(
    r"(snapshot|pvmove)|.*(_cdata|_cmeta|_corig|_cvol|_imeta|_iorig|_mimage|_mlog|_pmspare|_rimage|_rmeta|_tdata|_tmeta"
    r"|_vdata|_vorigin|_wcorig)"
)
_UNSAID = re.compile(r"[^A-Za-z0-9.]+")


def _name(value: str, what: str, longest: int) -> str:
    if not _NAME.match(value) or value in {".", ".."} or len(value) > longest or _RESERVED.match(value):
        raise BadInput(
            f"{what} {value[:60]!r} may hold letters, digits and _ + . -, at most {longest}, does not begin with -, "
            "and is none of those that LVM keeps for itself."
        )
    return value


def group_name(value: str) -> str:
    """Return the name of a volume group, such as vg-one."""
    return _name(value, "The volume group", GROUP_MAX)


def volume_name(value: str) -> str:
    """Return the name of a logical volume."""
    return _name(value, "The logical volume", VOLUME_MAX)


def prefix(value: str) -> str:
    """Return what the names of a datastore's volumes begin with, such as lv-one-."""
    return _name(value, "The beginning of names", PREFIX_MAX)


def device_path(value: str) -> str:
    """Return the path of a disk, such as /dev/sdb or /dev/disk/by-id/..."""
    path = absolute_path(value, "The disk")
    if not path.startswith("/dev/") or "," in path:
        raise BadInput(f"{path} is no disk of a host: those are below /dev.")
    return path


def snapshot_name(volume: str, name: str) -> str:
    """Return the name of the volume that is the snapshot ``name`` of another one: readable, and of this one alone.

    Names of snapshots have blanks and 128 characters; so it shows the beginning, and ends with a digest of all of it.
    """
    shown = _UNSAID.sub(".", name)[:READABLE].strip(".")
    return volume_name(f"{volume}.{shown}.{hashlib.sha256(name.encode()).hexdigest()[:12]}")


def whole_extents(size: int, extent: int) -> int:
    """Return bytes, rounded up to extents."""
    return -(-size // extent) * extent


def whole_sectors(size: int) -> int:
    """Return bytes, rounded up to sectors: of fewer no device is read or made."""
    return whole_extents(size, SECTOR)
