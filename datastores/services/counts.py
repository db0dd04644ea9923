"""How many there are of what the navigation leads to, as far as a person may know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from datastores.domain.states import HostState, ObjectState
from datastores.models import Alert, Cluster, Datastore, Disk, Drift, Host, Image, User, VirtualMachine

TROUBLED = Q(state__in=[HostState.UNREACHABLE, HostState.QUARANTINED])


@dataclass(frozen=True, slots=True)
class Count:
    """``number``: None: nothing to tell. ``bad``: so many need attention."""

    number: int | None
    bad: bool = False


def counts(user: User) -> dict[str, Count]:
    """Return the counts by the names of the addresses, such as "image-list".

    A datastore that nobody has made yet, because its plan waits for approval, is none.
    """

    def rows(model: Any) -> Count:
        return Count(model.objects.visible_to(user).count())

    own = {"image-list": rows(Image), "vm-list": rows(VirtualMachine), "disk-list": rows(Disk)}
    if not user.sees_everything:
        return own
    troubled = Host.objects.filter(TROUBLED).count()
    differing = Drift.objects.open().count()
    firing = Alert.objects.filter(state=Alert.State.FIRING).count()
    return own | {
        "datastore-list": Count(Datastore.objects.visible_to(user).exclude(state=ObjectState.PENDING).count()),
        "host-list": Count(troubled, bad=True) if troubled else rows(Host),
        "cluster-list": rows(Cluster),
        "drift-list": Count(differing, bad=bool(differing)),
        "alert-list": Count(firing or None, bad=bool(firing)),
    }
