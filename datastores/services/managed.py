"""What cloudstore keeps true of hosts: every statement that a job made so and that is meant to last.

To have a new kind of thing looked after, write a function that yields what is ``Managed`` of it, and add it to
``KEEPERS``. Statements are made of few queries, however many hosts and images there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from datastores.domain.errors import BadInput
from datastores.domain.plan import AnyStep
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.hosts.stored import Footprint
from datastores.models import ApplianceGuard, Datastore, Disk, Image, Job
from datastores.services.cached_files import said_of_caches
from datastores.services.datastores import MOVES
from datastores.services.disk_hosts import LYING
from datastores.services.drift_scope import OF_GUARDS, Managed, Scope
from datastores.services.hosts import login_steps
from datastores.services.placing import driver_of

WORKS_ON_IMAGE = (Q(kind__startswith="image.") | Q(kind__startswith="snapshot.")) & ~Q(kind="image.checksum")
"""Jobs after which an image's file may be another one."""


def leaves_image(kind: str) -> bool:
    """Tell whether a job of this kind has made the file of an image, or may have changed it."""
    return kind == "disk.save" or (kind.startswith(("image.", "snapshot.")) and kind != "image.checksum")


Keeper: TypeAlias = Callable[[Scope], Iterator[Managed]]


def logins(scope: Scope) -> Iterator[Managed]:
    """What onboarding made true: cloudstore's key may log in."""
    for host in scope.hosts.exclude(facts_at=None).select_related("credential").defer("facts"):
        if scope.datastore:
            continue
        with scope.row(host.pk, f"host:{host.pk}", f"the login to {host.name}"):
            if steps := login_steps(host):
                label = f"login as {host.account}"
                yield Managed("host.onboard", host.pk, label, steps, settled=not host.first_password)


def directories(scope: Scope) -> Iterator[Managed]:
    """What making a datastore, or giving it a host, made true there."""
    for datastore, driver, hosts in scope.datastores:
        settled = datastore.state == ObjectState.READY
        for host in hosts:
            if not (name := scope.names.get(host)):
                continue
            with scope.row(host, f"datastore:{datastore.pk}", f"the datastore {datastore.name}"):
                steps = driver.keeps(name)
                yield Managed("datastore.create", host, datastore.name, steps, datastore=datastore.pk, settled=settled)


def masters(scope: Scope) -> Iterator[Managed]:
    """The files of images, as the last job on each left them."""
    worked = Job.objects.filter(
        WORKS_ON_IMAGE, image=OuterRef("pk"), ended_at__isnull=False, ended_at__gt=OuterRef("footprint__seen_at")
    )
    images = Image.objects.filter(datastore__in=scope.stores).annotate(worked=Exists(worked)).order_by("pk")
    images = images.filter(pk=scope.image) if scope.image else images
    columns = ("pk", "name", "datastore_id", "uuid", "format", "virtual_size", "persistent", "state")
    seen = ("footprint__size", "footprint__written", "worked")
    # no objects: a cloud has 100,000 images
    for pk, name, store, uuid, format_, size, persistent, state, *footprint, again in images.values_list(
        *columns, *seen
    ).iterator(2000):
        datastore, driver, host = scope.stores[store]
        with scope.row(host, f"image:{pk}", f"the image {name}"):
            valid = footprint[0] is not None and not persistent and not again
            before = Footprint(*footprint) if valid else None
            yield Managed(
                "image.register", host, name, driver.stored(master(driver, uuid, format_, size), before),
                datastore=datastore.pk, image=pk, inside=True, settled=state == ObjectState.READY == datastore.state,
                watched=not persistent, store_label=datastore.name,
            )  # fmt: skip


def master(driver: StorageDriver, uuid: UUID, format: str, size: int = 0) -> Volume:
    """Return the file of an image.

    :raises BadInput: its format is none.
    """
    known = format_named(format)
    return Volume(driver.image_path(uuid, known), known, size)


def format_named(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise BadInput(f"{name!r} is no format of a file.") from None


def disks(scope: Scope) -> Iterator[Managed]:
    """The files of VM disks, and the links of persistent ones."""
    columns = ("pk", "vm_id", "vm__name", "number", "datastore_id", "kind", "format", "virtual_size", "state")
    here, everywhere = Q(datastore__in=scope.stores), {each[0].pk: each for each in scope.datastores}
    elsewhere = Q(datastore__kind__in=LYING, datastore__in=everywhere, host__in=scope.names)
    rows = Disk.objects.filter((here & ~Q(datastore__kind__in=LYING)) | elsewhere).order_by("pk")
    rows = rows.filter(pk=scope.disk) if scope.disk else rows
    linked = masters_of_links(scope)
    for pk, vm, vm_name, number, datastore_id, kind, format_, size, state, on in rows.values_list(
        *columns, "host"
    ).iterator(2000):
        datastore, driver, (host, *_) = everywhere[datastore_id]
        lies = datastore.kind in LYING
        host, label = on if lies else host, f"{vm_name} disk.{number}"
        with scope.row(host, f"disk:{pk}", label):
            driver = driver.at(scope.names[on]) if lies else driver
            image = linked.get(pk)
            volume = Volume(driver.disk_path(vm, number), format_named(format_), size)
            link = master(*image).path if image else ""
            steps = driver.stored(volume, link=link) if link or kind != Disk.Kind.LINK else ()
            yield Managed(
                "disk.create", host, label, steps, datastore=datastore.pk, disk=pk, inside=True,
                settled=state == ObjectState.READY == datastore.state, store_label=datastore.name,
            )  # fmt: skip


def masters_of_links(scope: Scope) -> dict[int, tuple[StorageDriver, UUID, str]]:
    """Return what the links of persistent disks lead to, where the datastore of the image is known here."""
    drivers = {datastore.pk: driver for datastore, driver, _ in scope.datastores}
    links = Disk.objects.filter(kind=Disk.Kind.LINK, datastore__in=scope.stores, image__datastore__in=drivers)
    links = links.filter(pk=scope.disk) if scope.disk else links
    rows = links.values_list("pk", "image__uuid", "image__format", "image__datastore").order_by()
    return {pk: (drivers[place], uuid, format_) for pk, uuid, format_, place in rows}


def whole_directories(scope: Scope) -> Iterator[Managed]:
    """That no other files lie among the images."""
    known: dict[int, list[tuple[UUID, str]]] = {key: [] for key in scope.stores}
    for store, uuid, format_ in Image.objects.filter(datastore__in=known).values_list("datastore", "uuid", "format"):
        known[store].append((uuid, format_))
    coming = Job.objects.filter(kind__in=MOVES, ended_at=None, datastore__in=known).exclude(image=None)
    for store, uuid in coming.values_list("datastore", "image__uuid").order_by():
        known[store] += [(uuid, format_) for format_ in scope.stores[store][1].formats]
    for key, (datastore, driver, host) in scope.stores.items():
        if datastore.type == Datastore.Type.SYSTEM:
            continue
        with scope.row(host, f"images of datastore:{key}", f"the files of the datastore {datastore.name}"):
            settled = datastore.state == ObjectState.READY
            steps = driver.stores_only([master(driver, uuid, format_) for uuid, format_ in known[key]])
            yield Managed("datastore.create", host, datastore.name, steps, datastore=key, inside=True, settled=settled)


def cached_copies(scope: Scope) -> Iterator[Managed]:
    """The copies of images in the caches of hosts, and that no other files lie among them."""
    for said in said_of_caches(((row, driver) for row, driver, _ in scope.datastores), scope.names):
        yield Managed(
            "cache.warm", said.host, said.label, said.steps, datastore=said.datastore.pk, inside=True,
            settled=said.settled and said.datastore.state == ObjectState.READY, store_label=said.datastore.name,
        )  # fmt: skip


def guards(scope: Scope) -> Iterator[Managed]:
    """The rules that keep hosts from the appliances of datastores of which they are none."""
    rows = ApplianceGuard.objects.filter(host__in=scope.names).select_related("datastore").order_by("pk")
    for row in rows.filter(datastore=scope.datastore) if scope.datastore else rows:
        datastore = row.datastore
        with scope.row(row.host_id, f"datastore:{datastore.pk}", f"the guard of {datastore.name}"):
            driver = driver_of(datastore)
            steps = driver.guard_other(scope.names[row.host_id])
            settled = datastore.state == ObjectState.READY
            yield Managed(OF_GUARDS, row.host_id, datastore.name, steps, datastore=datastore.pk, settled=settled)


KEEPERS: tuple[tuple[str, Keeper], ...] = (
    ("host.onboard", logins),
    ("datastore.create", directories),
    ("image.register", masters),
    ("disk.create", disks),
    ("datastore.create", whole_directories),
    ("cache.warm", cached_copies),
    (OF_GUARDS, guards),
)
"""Each with the ``owner`` of all that it yields."""


def statements(scope: Scope) -> Iterator[Managed]:
    """Yield all that is kept true on the hosts; what a datastore stands on comes before what is in it."""
    for _, keeper in KEEPERS:
        yield from (managed for managed in keeper(scope) if managed.steps)


def find(key: str, owner: str, scope: Scope) -> tuple[Managed, Sequence[AnyStep]] | None:
    """Return the statement with this key, after those of the same thing that it stands on; None: nobody keeps it.

    Only what may be meant is made: by keepers of this owner, of the one image or disk in the scope. What else lies in a
    datastore is left out, for that takes all of its images, and no step puts it right.
    """
    if {"image.register": scope.image, "disk.create": scope.disk}.get(owner, 0) is None:
        return None  # it was deleted
    for keeper in (keeper for name, keeper in KEEPERS if name == owner and keeper is not whole_directories):
        for managed in keeper(scope):
            for number, step in enumerate(managed.steps, 1):
                if managed.key(step) == key:
                    return managed, managed.steps[:number]
    return None
