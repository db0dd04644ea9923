"""Bricks of datastores that are made of directories of several hosts: which were named, and what is wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from datastores.domain import gluster
from datastores.domain.errors import BadInput, Refused
from datastores.domain.export_checks import Severity
from datastores.domain.gluster import Layout
from datastores.domain.gluster_checks import Disks, Finding, PlacedBrick, check
from datastores.drivers.gluster import GlusterDriver
from datastores.models import Brick, Datastore, Host
from datastores.services.placing import driver_of
from datastores.services.viewers import listed


def named(bricks: Iterable[dict[str, Any]], hosts: Collection[Host]) -> list[tuple[Host, str]]:
    """Return what the parameters of a job say of bricks: ``{"host": id, "path": path}`` each.

    :raises BadInput: one is of no host of the datastore, or its path is none.
    """
    known = {host.pk: host for host in hosts}
    found = []
    for brick in bricks:
        if brick["host"] not in known:
            raise BadInput(f"The brick {brick['path']} is on none of the hosts of the datastore.")
        found.append((known[brick["host"]], gluster.brick_path(brick["path"])))
    return found


def placed(bricks: Iterable[tuple[Host, str]]) -> list[PlacedBrick]:
    """Return new bricks as drivers know them; the pool gets to know each host by its address."""
    return [PlacedBrick(host.name, gluster.Brick(host.address.lower(), path)) for host, path in bricks]


def findings(layout: Layout, storage: Host, bricks: Sequence[tuple[Host, str]], *, forced: bool) -> list[Finding]:
    """Return what is to be said of a volume of these bricks, from what is known of their hosts. Asks no host."""
    return check(layout, placed(bricks), storage.name, disks=disks_of({host for host, _ in bricks}), forced=forced)


def disks_of(hosts: Iterable[Host]) -> list[Disks]:
    """Return where file systems were mounted when the hosts were read last; those that never were are left out."""
    rows = Host.objects.filter(pk__in=[host.pk for host in hosts]).order_by()
    found = []
    for name, systems in rows.values_list("name", "facts__file_systems"):
        if isinstance(systems, list):  # another version of cloudstore may have read them
            targets = (each.get("target") for each in systems if isinstance(each, dict))
            found.append(Disks(name, tuple(each for each in targets if isinstance(each, str) and each != "/")))
    return found


def require_fit(driver: GlusterDriver, bricks: Sequence[tuple[Host, str]], storage: Host) -> None:
    """Raise BadInput, in all that is to be said, when no volume can be made of the bricks."""
    said = findings(driver.options.placed(), storage, bricks, forced=driver.options.forced)
    if bad := [finding.text for finding in said if finding.severity is Severity.BAD]:
        raise BadInput(" ".join(bad))


def require_unused(bricks: Iterable[tuple[Host, str]]) -> None:
    """Raise Refused when a brick is one of another datastore."""
    for host, path in bricks:
        if other := Brick.objects.filter(host=host, path=path).select_related("datastore").first():
            raise Refused(f"{host}:{path} is a brick of the datastore {other.datastore}.")


def require_own_volume(driver: GlusterDriver, datastore: Datastore) -> None:
    """Raise Refused when another datastore has a volume of that name in the pool of one of these hosts."""
    hosts = Host.objects.filter(name__in=driver.peers)
    others = Datastore.objects.filter(kind=driver.kind, bricks__host__in=hosts).exclude(pk=datastore.pk)
    for other in others.distinct():
        with contextlib.suppress(BadInput):  # its options are not acceptable any more: nobody knows its volume
            known = driver_of(other)
            if isinstance(known, GlusterDriver) and known.volume == driver.volume:
                raise Refused(
                    f"The volume {driver.volume} is that of the datastore {other} already. Name another one, under "
                    '"Volume".'
                )


def store(datastore: Datastore, bricks: Sequence[PlacedBrick]) -> None:
    """Remember which bricks the datastore has, in this order. Belongs into a transaction."""
    keys = dict(Host.objects.filter(name__in={each.host for each in bricks}).values_list("name", "pk"))
    Brick.objects.filter(datastore=datastore).delete()
    Brick.objects.bulk_create(
        Brick(datastore=datastore, host_id=keys[each.host], peer=each.brick.peer, path=each.brick.path, position=place)
        for place, each in enumerate(bricks)
    )


def require_no_bricks(datastore: Datastore, hosts: Iterable[int]) -> None:
    """Refuse to take out hosts that hold a part of the bytes."""
    rows = Brick.objects.filter(datastore=datastore, host__in=hosts)
    if names := list(rows.order_by("host__name").values_list("host__name", flat=True).distinct()):
        raise Refused(f"{listed(names)} has bricks of {datastore}: remove or replace them first.")
