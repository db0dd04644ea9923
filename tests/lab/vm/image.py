"""The disk image that the virtual machines share: Debian with its own kernel, and what file servers are made of.

Built once, like rootfs.py: the directory's name carries a digest of the recipe. It holds base.raw (one ext4, no
partitions), the kernel, and a RAM disk that finds the root.
"""

import os
import shutil
from pathlib import Path

from tests.lab import rootfs
from tests.lab.bootstrap import bootstrap
from tests.lab.machine import command, directory, locked, state_directory
from tests.lab.vm import zfs

SUITE = "bookworm"
SIZE = "4G"
PACKAGES = f"""
    {rootfs.PACKAGES} {zfs.KERNEL} busybox-static udev ethtool ebtables nfs-kernel-server nfs-common lvm2
    thin-provisioning-tools tgt targetcli-fb open-iscsi zfsutils-linux
"""

# What only a machine with a screen needs, or what would take seconds of each start under emulation.
MASKED = """
    systemd-random-seed.service systemd-binfmt.service systemd-firstboot.service systemd-hwdb-update.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-journal-catalog-update.service
    systemd-machine-id-commit.service systemd-boot-system-token.service systemd-pstore.service
    systemd-networkd-wait-online.service systemd-logind.service modprobe@drm.service modprobe@efi_pstore.service
    serial-getty@ttyS0.service getty@tty1.service getty-static.service lvm2-monitor.service e2scrub_reap.service
    e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount
"""
# Debian starts a daemon with its package; here each test starts what it needs. What finds ZFS pools again is left on.
DISABLED = """
    nfs-server.service nfs-client.target nfs-blkmap.service rpcbind.service rpcbind.socket tgt.service
    rtslib-fb-targetctl.service open-iscsi.service iscsid.socket zfs-share.service zfs-volume-wait.service
    zfs-zed.service
"""

# Rules by which udev looks for what is not here each time that a disk was closed, half of its work: names for shelves
# of disks, volumes of ZFS, file systems of several disks, checks of ext4 by LVM.
UNNEEDED_RULES = "69-vdev 60-zvol 64-btrfs 64-btrfs-dm 64-btrfs-zoned 96-e2scrub"

FILES = {
    **rootfs.FILES,
    **{f"etc/udev/rules.d/{name}.rules": "" for name in UNNEEDED_RULES.split()},
    # A daemon that would wait for pools to be full needs six seconds to start.
    "etc/lvm/lvmlocal.conf": "activation {\n    monitoring = 0\n}\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n",
    "etc/fstab": "/dev/vda / ext4 rw,noatime 0 0\n",
    # For the time after its start in which a server waits for its old clients: half a minute, not three.
    "etc/nfs.conf.d/lab.conf": "[nfsd]\ngrace-time=10\nlease-time=10\n",
    "etc/systemd/system/lab-network.service": """\
[Unit]
DefaultDependencies=no
Before=network-pre.target network.target
Wants=network-pre.target network.target
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/lab-network
ExecStart=/usr/sbin/ip link set lo up
ExecStart=/usr/sbin/ip link set eth0 up
ExecStart=/usr/sbin/ip address add ${ADDRESS} dev eth0
[Install]
WantedBy=sysinit.target
""",
}

FINISH = f"""{rootfs.ACCOUNTS}
systemctl --quiet mask {" ".join(MASKED.split())}
systemctl --quiet disable {" ".join(DISABLED.split())}
systemctl --quiet set-default multi-user.target
systemctl --quiet enable ssh.service lab-network.service
touch -r /usr /etc/.updated /var/.updated
"""

# The modules that a machine needs to see its root and its network, in the order of loading.
MODULES = """set -e
mkdir -p "$2/bin" "$2/lib" "$2/dev" "$2/proc" "$2/sys" "$2/new"
cp "$1/bin/busybox" "$2/bin/busybox"
for module in virtio_pci virtio_blk virtio_net ext4; do
    chroot "$1" modprobe --set-version "$3" --show-depends "$module"
done | while read -r verb path rest; do
    [ "$verb" = insmod ] && ! grep -qsxF "${path##*/}" "$2/modules" || continue
    cp "$1$path" "$2/lib/"
    echo "${path##*/}" >> "$2/modules"
done
"""
# What makes a machine itself (guest.py) is in the same RAM disk, and is copied once: what is changed later stays so.
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys
while read -r module; do $b insmod "/lib/$module"; done < /modules
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); $b usleep 50000; done
$b mount -t ext4 -o rw,noatime /dev/vda /new || exec $b poweroff -f
[ -e /new/etc/ssh/ssh_host_ed25519_key ] || $b cp -a /identity/. /new/
for each in dev proc sys; do $b mount -o move /$each /new/$each; done
exec $b switch_root /new /sbin/init
"""


def build() -> Path:
    """The directory of the image, built first when there is none of this recipe."""
    state = directory(state_directory())
    whole = state / f"machine-{SUITE}-{rootfs.digest(Path(__file__), Path(zfs.__file__), Path(rootfs.__file__))}"
    if whole.exists():
        return whole
    with locked(state / "locks" / f"machine-{SUITE}", seconds=1800):
        if not whole.exists():
            for older in state.glob(f"machine-{SUITE}-*"):
                rootfs.remove_unless_used(older)
            _build(whole)
    return whole


def archive(root: Path, target: Path) -> None:
    """Pack a directory as the kernel reads a RAM disk."""
    script = 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 > "$2"'
    command("sh", "-c", script, "sh", root, target)


def _build(whole: Path) -> None:
    part = whole.with_name(f"{whole.name}.part{os.getpid()}")
    root = part / "root"
    try:
        directory(part)
        bootstrap(SUITE, root, PACKAGES.split(), components="main,contrib")
        rootfs.write_files(root, FILES)
        command("chroot", root, "/bin/sh", "-c", FINISH)
        [kernel] = [path.name for path in (root / "lib/modules").iterdir()]
        shutil.copytree(zfs.modules(SUITE, kernel), root / "lib/modules" / kernel / "updates/dkms")
        command("chroot", root, "depmod", kernel)
        _make_ram_disk(root, kernel, part)
        shutil.copy(root / "boot" / f"vmlinuz-{kernel}", part / "vmlinuz")
        command("truncate", "--size", SIZE, part / "base.raw")
        command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", "-d", root, part / "base.raw")
        shutil.rmtree(root)
        part.rename(whole)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make_ram_disk(root: Path, kernel: str, part: Path) -> None:
    tree = directory(part / "ram")
    command("sh", "-c", MODULES, "sh", root, tree, kernel)
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    archive(tree, part / "initrd")
    shutil.rmtree(tree)
