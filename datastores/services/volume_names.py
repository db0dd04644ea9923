"""In which volume groups datastores name volumes, and how, so that no two name theirs alike."""

from __future__ import annotations

from datastores.domain.errors import Refused
from datastores.domain.lvm import GROUP, PREFIX
from datastores.drivers.iscsi import IscsiDriver
from datastores.drivers.iscsi_options import Backing
from datastores.drivers.lvm import LvmDriver
from datastores.models import Datastore, Host


def require_own_volumes(datastore: Datastore, storage: Host) -> None:
    """Refuse names of volumes that another datastore in the same volume group of the storage host gives, too."""
    if (mine := volume_names(datastore)) is None:
        return
    others = Datastore.objects.filter(members__host=storage, members__position=0).exclude(pk=datastore.pk)
    for other in others:
        theirs = volume_names(other)
        if theirs and mine[0] == theirs[0] and (mine[1].startswith(theirs[1]) or theirs[1].startswith(mine[1])):
            raise Refused(
                f"Names of volumes begin with {theirs[1]} in {theirs[0]} for {other.name}. Let these begin with "
                "something else."
            )


def volume_names(datastore: Datastore) -> tuple[str, str] | None:
    """Return the volume group that a datastore names volumes in, and what these names begin with; None: in none."""
    given = datastore.options
    if datastore.kind != LvmDriver.kind and (datastore.kind, given.get("backing", Backing.LVM)) != (
        IscsiDriver.kind,
        Backing.LVM,
    ):
        return None
    return given.get("group_name", GROUP), given.get("prefix", PREFIX)
