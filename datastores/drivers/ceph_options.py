"""What may be chosen of a datastore in a Ceph cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from datastores.domain import ceph
from datastores.domain.ceph import Access
from datastores.domain.errors import BadInput
from datastores.domain.values import account_name
from datastores.drivers.files import words

LONGEST_IN_TRASH = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class CephOptions:
    """Options of a datastore in a Ceph cluster."""

    pool: str = field(default="one", metadata=words("Pool", "The pool of the images; one for this datastore alone."))
    user: str = field(
        default="libvirt", metadata=words("Account", "As which hosts ask the cluster: libvirt for client.libvirt.")
    )
    monitors: str = field(
        default="",
        metadata=words(
            "Monitors", "Their addresses, separated by commas; ceph.conf is made of them. Empty: it is there already."
        ),
    )
    fsid: str = field(
        default="", metadata=words("fsid", "Which cluster it has to be, as `ceph fsid` prints it. With monitors.")
    )
    cluster: str = field(
        default="ceph", metadata=words("Cluster's name", "Of its files on the hosts: /etc/ceph/<name>.conf.")
    )
    keyring_group: str = field(
        default="root", metadata=words("Keyring's group", "May read the keyring besides root; root: nobody else may.")
    )
    create_pool: bool = field(
        default=False,
        metadata=words("Make the pool", "If there is none; the keyring of client.admin is on the storage host."),
    )
    trash_days: int = field(
        default=0,
        metadata=words("Days in the trash", "That deleted images can be brought back for. 0: they are gone at once."),
    )

    def __post_init__(self) -> None:
        ceph.pool_name(self.pool), account_name(self.keyring_group)
        Access(self.cluster, self.user)
        if bool(self.monitors) != bool(self.fsid):
            raise BadInput("Give both the monitors and the fsid, or neither where ceph.conf is there already.")
        if self.monitors:
            ceph.monitors(self.monitors), ceph.cluster_id(self.fsid)
        if not 0 <= self.trash_days <= LONGEST_IN_TRASH:
            raise BadInput(f"Images lie in the trash for at most {LONGEST_IN_TRASH} days.")
