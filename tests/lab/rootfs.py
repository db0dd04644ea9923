"""The root file systems of the hosts, read-only, below an overlay each: one per Debian release and package set.

Built once. The directory's name carries a digest of this file, of bootstrap.py and of the set's packages: the recipe
is the version.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import bootstrap
from tests.lab.machine import LabError, command, directory, locked, state_directory
from tests.lab.packages import SETS

SUITES = ("bookworm", "bullseye", "trixie")

PACKAGES = """
    systemd systemd-sysv dbus openssh-server sudo iproute2 iputils-ping netbase procps kmod ca-certificates less
    python3-minimal util-linux acl attr e2fsprogs btrfs-progs xfsprogs qemu-utils genisoimage
"""

# Units that would touch the kernel all hosts share, and units that only cost memory.
MASKED = """
    systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service
    systemd-sysctl.service systemd-modules-load.service systemd-timesyncd.service systemd-random-seed.service
    systemd-binfmt.service systemd-network-generator.service systemd-networkd-wait-online.service
    systemd-pcrphase.service systemd-pcrphase-sysinit.service getty.target console-getty.service getty@.service
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount apt-daily.timer apt-daily-upgrade.timer
    dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service
"""

FILES = {
    "etc/ssh/sshd_config.d/lab.conf": """\
PermitRootLogin prohibit-password
PasswordAuthentication yes
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
MaxSessions 100
MaxStartups 200:30:400
""",
    # Until then all users but root are turned away; so a banner means that everybody may come in.
    "etc/systemd/system/ssh.service.d/lab.conf": "[Unit]\nAfter=systemd-user-sessions.service\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\nReadKMsg=no\nAudit=no\n",
    "etc/sudoers.d/admin1": "admin1 ALL=(ALL) NOPASSWD: ALL\n",
    "etc/machine-id": "",
    "etc/default/locale": "",
}

# Run by a shell inside the new root. `ops` may do nothing but log in; `admin1` may become root.
ACCOUNTS = """set -e
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap
chmod 440 /etc/sudoers.d/admin1
useradd --create-home --shell /bin/bash ops
useradd --create-home --shell /bin/bash admin1
printf 'ops:ops-pass\\nadmin1:admin-pass\\n' | chpasswd
"""
FINISH = f"""{ACCOUNTS}
systemctl --quiet mask {" ".join(MASKED.split())}
systemctl --quiet set-default multi-user.target
systemctl --quiet enable ssh.service
touch -r /usr /etc/.updated /var/.updated
"""

# Run after it when there is a set of packages: a host starts of their daemons what it needs.
STARTED = "ssh.service remote-fs.target systemd-pstore.service"
KEEP_OFF = f"""set -e
systemctl list-unit-files --state=enabled --no-legend --no-pager | while read -r unit rest; do
    case " {STARTED} " in *" $unit "*) ;; *) systemctl --quiet disable "$unit" ;; esac
done
touch -r /usr /etc/.updated /var/.updated
"""

# Mode, major, minor. The console is a null device: there is none.
DEVICES = {
    "null": (0o666, 1, 3),
    "zero": (0o666, 1, 5),
    "full": (0o666, 1, 7),
    "random": (0o666, 1, 8),
    "urandom": (0o666, 1, 9),
    "tty": (0o666, 5, 0),
    "console": (0o600, 1, 3),
    "fuse": (0o666, 10, 229),
    "kvm": (0o666, 10, 232),
    "net/tun": (0o666, 10, 200),
    "loop-control": (0o600, 10, 237),
    "btrfs-control": (0o600, 10, 234),
}
LOOPS = 64
LINKS = {
    "ptmx": "pts/ptmx",
    "kmsg": "null",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def build(suite: str = "bookworm", packages: str = "") -> Path:
    """The suite's root file system with a set of packages ("": the base), built first when there is none."""
    if suite not in SUITES:
        raise LabError(f"The lab knows {', '.join(SUITES)}; not {suite}.")
    if packages and packages not in SETS:
        raise LabError(f"The package sets are {', '.join(SETS)}; there is no {packages}.")
    state = directory(state_directory())
    wanted = SETS[packages].split() if packages else []
    version = digest(Path(__file__), also=" ".join(wanted))
    kind = f"{packages or 'base'}-{suite}"
    whole = state / f"{kind}-{version}"
    if whole.exists():
        return whole
    with locked(state / "locks" / kind, seconds=900):
        if not whole.exists():
            for older in state.glob(f"{kind}-*"):
                remove_unless_used(older)
            _build(suite, wanted, whole)
    return whole


def digest(*recipe: Path, also: str = "") -> str:
    """What the name of something built by these files, and of what is said besides, carries."""
    texts = [path.read_bytes() for path in (*recipe, Path(bootstrap.__file__))]
    return hashlib.sha256(b"".join(texts) + also.encode()).hexdigest()[:10]


def write_files(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        directory((root / name).parent)
        (root / name).write_text(text)
        (root / name).chmod(0o644)


def _build(suite: str, packages: Sequence[str], whole: Path) -> None:
    part = whole.with_name(f"{whole.name}.part{os.getpid()}")
    try:
        bootstrap.bootstrap(suite, part, [*PACKAGES.split(), *packages])
        write_files(part, FILES)
        command("chroot", part, "/bin/sh", "-c", FINISH)
        if packages:
            command("chroot", part, "/bin/sh", "-c", KEEP_OFF)
        _make_devices(part / "dev")
        part.rename(whole)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make_devices(dev: Path) -> None:
    """The device nodes of a host: copied into its own /dev at every start."""
    shutil.rmtree(dev)
    directory(dev)
    for folder in ("pts", "shm", "mqueue", "net", "hugepages"):
        directory(dev / folder)
    for name, (mode, major, minor) in DEVICES.items():
        _make_node(dev / name, stat.S_IFCHR | mode, os.makedev(major, minor))
    for number in range(LOOPS):
        _make_node(dev / f"loop{number}", stat.S_IFBLK | 0o660, os.makedev(7, number))
    for name, target in LINKS.items():
        (dev / name).symlink_to(target)


def _make_node(path: Path, mode: int, device: int) -> None:
    os.mknod(path, mode, device)
    path.chmod(stat.S_IMODE(mode))  # mknod heeds the umask


def remove_unless_used(base: Path) -> None:
    """Remove a root file system of an older recipe, or half of one; hosts that stand on it keep it."""
    for record in state_directory().glob("*/*/hosts/*/record.json"):
        with contextlib.suppress(OSError, ValueError):
            if json.loads(record.read_text())["base"] == str(base):
                return
    shutil.rmtree(base, ignore_errors=True)
