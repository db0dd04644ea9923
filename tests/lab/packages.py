"""Package sets: what the hosts of a lab may have besides the base. Their daemons are there, and off."""

SETS = {
    "storage": """
        glusterfs-server glusterfs-client nfs-ganesha nfs-ganesha-vfs libnfs-utils tgt libiscsi-bin qemu-block-extra
        nftables
    """,
    "ceph": """
        ceph-mon ceph-mgr ceph-osd ceph-common qemu-block-extra libvirt-daemon-system libvirt-clients
    """,
    "tools": "fio rsync psmisc",
    "guide": "glusterfs-server glusterfs-client fio rsync psmisc",
}
