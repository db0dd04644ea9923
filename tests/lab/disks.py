"""The disks of a storage host, and disk images to store on them.

/srv/btrfs and /srv/xfs can share blocks between files, /srv/small is soon full, /srv/plain (the host's own root) can
do neither. `mount -o remount,ro /srv/small` in the host makes a datastore that turned read-only.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import command

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True)
class Disk:
    name: str
    size: int
    mkfs: tuple[str, ...]


DISKS = (
    Disk("btrfs", 40 * GIB, ("mkfs.btrfs", "--quiet")),
    Disk("xfs", 40 * GIB, ("mkfs.xfs", "-q", "-m", "reflink=1")),
    Disk("small", 64 * MIB, ("mkfs.ext4", "-q", "-m", "0")),
)

# mkfs from the host's own release: this machine need not have it.
MKFS = """images=$1 base=$2; shift 2
mount --bind "$images" "$base/mnt" && mount -t proc proc "$base/proc" && exec chroot "$base" "$@"
"""

# Runs in the host: a sparse file with `data` random bytes in chunks spread evenly over `virtual`. In two processes,
# because making random bytes takes longer than writing them.
IMAGE = """
import os, sys
path, virtual, data, chunks = sys.argv[1], *map(int, sys.argv[2:])
with open(path, "wb") as image:
    image.truncate(virtual)
for half in range(2):
    if os.fork() == 0:
        with open(path, "r+b") as image:
            for number in range(half, chunks, 2):
                image.seek(number * virtual // chunks // 4096 * 4096)
                image.write(os.urandom(data // chunks))
        sys.exit(0)
sys.exit(any(status for _, status in (os.wait(), os.wait())))
"""


def make(images: Path, *, base: str) -> None:
    """Make the sparse images with their file systems; one that is there already is left alone."""
    for disk in DISKS:
        image = images / f"{disk.name}.img"
        part = images / f"{disk.name}.part"
        if image.exists():
            continue
        part.unlink(missing_ok=True)
        part.touch()
        os.truncate(part, disk.size)
        alone = ("unshare", "--mount", "--propagation", "private")
        command(*alone, "sh", "-c", MKFS, "sh", images, base, *disk.mkfs, f"/mnt/{part.name}")
        part.rename(image)


def mounts(images: Path) -> list[tuple[str, str, str]]:
    """What the host's start mounts: kind, source, target."""
    return [
        *(("disk", f"{images}/{disk.name}.img", f"/srv/{disk.name}") for disk in DISKS),
        ("plain", "-", "/srv/plain"),
    ]


def image_script(path: str, *, virtual: int, data: int, chunks: int = 200) -> list[str]:
    return ["python3", "-c", IMAGE, path, str(virtual), str(data), str(chunks)]
