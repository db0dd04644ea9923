"""Package sets: what the hosts of a lab may have besides the base. A set is one line; the name is also its directory's."""

SETS = {
    "storage": "glusterfs-server glusterfs-client nfs-ganesha nfs-ganesha-vfs libnfs-utils tgt libiscsi-bin qemu-block-extra",
}
