"""What has to be so before anything is started. Django runs these checks; ``prepare`` and every other command obey."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from datastores.hosts.usage import NETWORK_TYPES

MOUNTINFO = Path("/proc/self/mountinfo")
NETWORK = frozenset(NETWORK_TYPES) | {
    "9p", "afs", "beegfs", "fuse.ceph-fuse", "fuse.moosefs", "fuse.rclone", "fuse.s3fs", "glusterfs", "smb3", "smbfs",
}  # fmt: skip
"""File systems whose locks other machines do not see, or see too late."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def database_is_local(**_: Any) -> list[CheckMessage]:
    """Refuse SQLite on a network mount: its locks do not hold there, and two processes destroy the file."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3") or not MOUNTINFO.exists():
        return []
    path = Path(database["NAME"]).resolve()
    kind = file_system(path, MOUNTINFO.read_text(errors="surrogateescape"))
    if kind not in NETWORK:
        return []
    return [
        Error(
            f"The database {path} is on a network file system ({kind}), where the locks of SQLite do not hold: it "
            "would be destroyed sooner or later. Nothing was started.",
            hint="Set CLOUDSTORE_DATA_DIR to a directory on a local disk, or DATABASE_URL to a PostgreSQL database.",
            id="cloudstore.E001",
        )
    ]


def file_system(path: PurePath, mountinfo: str) -> str:
    """Return the type of the file system that ``path`` is on, such as "ext4"; "" when it is on none of them.

    ``mountinfo``: the text of /proc/self/mountinfo, see proc_pid_mountinfo(5). ``path`` has no links in it. Of two
    mounts at one place, the later one is seen.
    """
    found, kind = PurePath(), ""
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        target = PurePath(unescaped(mount.split(" ")[4]))
        if path.is_relative_to(target) and len(target.parts) >= len(found.parts):
            found, kind = target, source.split(" ")[0]
    return kind


def unescaped(text: str) -> str:
    """Return a path as it is: blanks and the like are written as ``\\040`` there."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
