"""ZFS for the machines' kernel: modules that Debian ships as source only. Kept by the kernel's version, since to
compile them takes minutes."""

import os
import shutil
from pathlib import Path

from tests.lab.bootstrap import bootstrap
from tests.lab.machine import LabError, directory, locked, state_directory

KERNEL = "linux-image-cloud-amd64"
BUILDER = "dkms build-essential zfs-dkms"

# The package asks about its licence, and would build for the kernel of this machine.
PREPARE = """set -e
echo 'zfs-dkms zfs-dkms/note-incompatible-licenses note true' | chroot "$1" debconf-set-selections
"""
BUILD = """set -e
version=$(chroot "$1" dpkg-query -W -f '${Version}' zfs-dkms | sed 's/-.*//')
chroot "$1" dkms install -m zfs -v "$version" -k KERNEL -j "$(nproc)"
"""


def modules(suite: str, kernel: str) -> Path:
    """The directory of the modules for a kernel, compiled first when there are none."""
    state = directory(state_directory())
    whole = state / f"zfs-{kernel}"
    with locked(state / "locks" / f"zfs-{kernel}", seconds=1800):
        if not whole.exists():
            _compile(suite, kernel, whole)
    return whole


def _compile(suite: str, kernel: str, whole: Path) -> None:
    part = whole.with_name(f"{whole.name}.part{os.getpid()}")
    try:
        directory(part)
        options = [
            "--format=null",
            f"--essential-hook={PREPARE}",
            f"--customize-hook={BUILD.replace('KERNEL', kernel)}",
            f"--customize-hook=copy-out /lib/modules/{kernel}/updates/dkms {part}",
        ]
        packages = [f"linux-headers-{kernel}", *BUILDER.split()]
        bootstrap(suite, Path("/dev/null"), packages, components="main,contrib", options=options)
        if not (part / "dkms/zfs.ko").exists():
            raise LabError(f"dkms made no zfs.ko for {kernel}.")
        (part / "dkms").rename(whole)
    finally:
        shutil.rmtree(part, ignore_errors=True)
