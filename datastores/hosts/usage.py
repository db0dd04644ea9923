"""Mounted file systems: how large, how full, and whether they clone files. Commands and their parsers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from datastores.domain.fstab import Mount
from datastores.domain.plan import read

NETWORK_DEADLINE = 4.0
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "ceph", "fuse.glusterfs", "fuse.ceph", "fuse.sshfs", "fuse.mfs", "lustre")
Sizes = tuple[int | None, int | None, int | None]
UNKNOWN: Sizes = (None, None, None)

_DF = ("df", "-a", "-B1", "--output=size,used,avail,target")
LOCAL_SIZES = read(*_DF, "-l")
NETWORK_SIZES = read(*_DF, *(f"-t{kind}" for kind in NETWORK_TYPES), timeout=NETWORK_DEADLINE)
"""Apart, because one server that does not answer stops it."""
XFS = read("sh", "-c", 'findmnt -rnv -t xfs -o SOURCE | sort -u | while read -r d; do xfs_info "$d"; done')
"""What every XFS was made with; quiet when there is none."""

CLONING = frozenset({"btrfs", "ocfs2", "bcachefs"})
_NO_STORE = """
    autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl fuse.lxcfs fuse.portal
    fuse.gvfsd-fuse hugetlbfs mqueue nfsd nsfs overlay proc pstore ramfs rpc_pipefs securityfs selinuxfs squashfs
    sysfs tmpfs tracefs
"""
_PSEUDO = frozenset(_NO_STORE.split())
_XFS = re.compile(r"^meta-data=(\S+)|\breflink=([01])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system that can hold files for long. Bytes; None: it could not be asked.

    ``clones``: it copies a file in an instant (reflink). None: the server behind it knows.
    """

    target: str
    source: str
    fstype: str
    options: str
    size: int | None
    used: int | None
    available: int | None
    clones: bool | None


def sizes(text: str) -> dict[str, Sizes]:
    """Return (size, used, available) in bytes by mount point; df puts a dash where it could not ask."""
    found: dict[str, Sizes] = {}
    for line in text.splitlines()[1:]:
        size, used, available, target = line.split(None, 3)
        if size.isdigit() and used.isdigit() and available.isdigit():
            found[target] = (int(size), int(used), int(available))
    return found


def reflinks(text: str) -> dict[str, bool]:
    """Return by device whether its XFS has reflinks; one made by old tools does not say, and has none."""
    found: dict[str, bool] = {}
    device = ""
    for match in _XFS.finditer(text):
        device = match[1] or device
        found[device] = match[2] == "1"
    return found


def file_systems(
    mounts: Iterable[Mount], sized: Mapping[str, Sizes], reflinking: Mapping[str, bool]
) -> tuple[FileSystem, ...]:
    """Return the file systems among the mounts, as one sees them: the last one mounted on each target."""
    seen = {mount.target: mount for mount in mounts}
    return tuple(
        FileSystem(
            mount.target, mount.source, mount.fstype, mount.options,
            *sized.get(mount.target, UNKNOWN), _clones(mount, reflinking),
        )
        for mount in seen.values()
        if mount.fstype not in _PSEUDO or mount.target == "/"
    )  # fmt: skip


def _clones(mount: Mount, reflinking: Mapping[str, bool]) -> bool | None:
    if mount.fstype == "xfs":
        return reflinking.get(mount.source.partition("[")[0])  # a bind mount adds [/directory]
    if mount.fstype in NETWORK_TYPES:
        return None
    return mount.fstype in CLONING
