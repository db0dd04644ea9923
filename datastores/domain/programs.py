"""Programs that some step or driver runs, and the packages of Debian and its kin that bring them."""

from __future__ import annotations

TOOLS = {
    "qemu-img": "qemu-utils", "systemctl": "systemd", "systemd-run": "systemd", "sudo": "sudo", "rsync": "rsync",
    "curl": "curl", "btrfs": "btrfs-progs", "mkfs.xfs": "xfsprogs", "mkfs.ext4": "e2fsprogs", "mkswap": "util-linux",
    "genisoimage": "genisoimage", "xorriso": "xorriso", "setfacl": "acl", "setfattr": "attr",
    "exportfs": "nfs-kernel-server", "mount.nfs": "nfs-common", "tgtadm": "tgt", "iscsiadm": "open-iscsi",
    "targetcli": "targetcli-fb", "gluster": "glusterfs-cli", "mount.glusterfs": "glusterfs-client",
    "ceph": "ceph-common", "rbd": "ceph-common", "virsh": "libvirt-clients", "libvirtd": "libvirt-daemon",
    "zfs": "zfsutils-linux", "lvm": "lvm2", "mdadm": "mdadm", "ebtables": "ebtables", "nft": "nftables",
    "dnsmasq": "dnsmasq-base", "chronyc": "chrony", "apparmor_parser": "apparmor",
}  # fmt: skip
"""What the facts of a host tell of; and Debian's package of each."""

OF_A_TOOL = {
    "zpool": "zfs", "zdb": "zfs", "lvs": "lvm", "vgs": "lvm", "pvs": "lvm", "lvcreate": "lvm", "lvremove": "lvm",
    "lvchange": "lvm", "lvextend": "lvm", "lvrename": "lvm", "lvconvert": "lvm", "vgcreate": "lvm", "vgremove": "lvm",
    "pvcreate": "lvm", "thin_check": "lvm", "ceph-conf": "ceph", "qemu-nbd": "qemu-img", "qemu-io": "qemu-img",
    "tgt-admin": "tgtadm", "tgtd": "tgtadm", "iscsid": "iscsiadm", "mount.nfs4": "mount.nfs", "rpc.nfsd": "exportfs",
    "mkfs.btrfs": "btrfs", "getfacl": "setfacl", "getfattr": "setfattr", "xfs_growfs": "mkfs.xfs",
    "resize2fs": "mkfs.ext4", "wipefs": "mkswap", "lsblk": "mkswap", "glusterd": "gluster", "glusterfs": "gluster",
}  # fmt: skip
"""Programs that come with one of those."""
PACKAGES = {
    "gluster": "glusterfs-server", "zfs": "zfsutils-linux (from contrib; on Debian with zfs-dkms and linux-headers)",
    "iscsi-ls": "libiscsi-bin", "iscsi-inq": "libiscsi-bin", "fio": "fio", "python3": "python3-minimal",
    "setpriv": "util-linux", "flock": "util-linux", "thin_dump": "thin-provisioning-tools", "cmp": "diffutils",
}  # fmt: skip
"""What to install where that is not the package of the program alone, or nobody looks for it."""


def package_of(program: str) -> str:
    """Return what to install so that there is this program; "": that is not known."""
    tool = OF_A_TOOL.get(program, program)
    return PACKAGES.get(tool, TOOLS.get(tool, ""))
