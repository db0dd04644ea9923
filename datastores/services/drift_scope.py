"""What a scan for drift is about: things that are kept true, and what it knows of hosts and datastores."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from django.db.models import QuerySet

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import AnyStep
from datastores.drivers.abilities import Steps
from datastores.drivers.base import StorageDriver
from datastores.models import Datastore, DatastoreHost, Host
from datastores.services.placing import IN_ORDER, driver_on

logger = logging.getLogger(__name__)
OF_GUARDS = "nas.guard"


@dataclass(frozen=True, slots=True)
class Managed:
    """Statements about one thing on one host. A later one may stand on those before it.

    ``owner``: the kind of job that made them true. ``inside``: they tell nothing unless the datastore itself is there,
    as its own statements on the same host say. ``settled``: False while the thing is being made, changed or deleted.
    """

    owner: str
    host: int
    label: str
    steps: Steps
    datastore: int | None = None
    image: int | None = None
    disk: int | None = None
    inside: bool = False
    settled: bool = True
    watched: bool = False
    """It is an image that nobody may write to."""
    store_label: str = ""
    """Name of the datastore, where ``label`` is that of something in it."""

    def key(self, step: AnyStep) -> str:
        """Return what tells this statement from all others, for good, also when it is put in other words one day."""
        return self.key_of(getattr(step, "identity", step.title))

    def key_of(self, identity: str) -> str:
        told = (self.owner, self.host, self.datastore, self.image, self.disk, identity)
        return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()

    @property
    def resources(self) -> tuple[str, ...]:
        """Whoever holds one of these exclusively may be changing what the statements are about."""
        names = ("host", "datastore", "image", "disk")
        held = [f"{name}:{key}" for name in names if (key := getattr(self, name)) is not None]
        if self.inside and self.image is None and self.disk is None:
            held.append(f"images of datastore:{self.datastore}")
        if self.owner == OF_GUARDS:
            held.append(f"appliance of datastore:{self.datastore}")
        return tuple(held)

    @property
    def is_file(self) -> bool:
        """Whether it is said of the file of an image or disk."""
        return bool(self.image or self.disk)

    def of_datastore(self) -> Managed:
        """Return what is said of the datastore as a whole, when all that should be in it is missing."""
        label = self.store_label or self.label
        return replace(self, owner="datastore.create", label=label, steps=(), image=None, disk=None, watched=False)


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Why nothing can be said of one thing on a host. ``about``: such as "image:7", as in ``Managed.resources``."""

    host: int
    about: str
    why: str


@dataclass
class Scope:
    """Which hosts, datastore, image or disk statements are wanted of, looked up once for all keepers."""

    hosts: QuerySet[Host]
    datastore: int | None = None
    image: int | None = None
    disk: int | None = None
    blind: set[int] = field(default_factory=set)
    """Datastores of which nothing can be said: their options are not acceptable any more."""
    unsaid: list[Unsaid] = field(default_factory=list)
    """Single things of which nothing can be said."""

    @contextlib.contextmanager
    def row(self, host: int, about: str, label: str) -> Iterator[None]:
        """Note what drivers and steps refuse in the data of one row, and go on with the next: it stops no other."""
        try:
            yield
        except CloudstoreError as error:
            logger.warning("nothing can be said of %s (%s): %s", label, about, error)
            self.unsaid.append(Unsaid(host, about, f"Nothing can be said of {label}: {error}"))

    @cached_property
    def names(self) -> dict[int, str]:
        return dict(self.hosts.values_list("pk", "name"))

    @cached_property
    def datastores(self) -> list[tuple[Datastore, StorageDriver, list[int]]]:
        """Each datastore with its driver and all of its hosts, the storage host first."""
        members = DatastoreHost.objects.filter(host__in=self.hosts)
        rows = Datastore.objects.filter(pk__in=members.values("datastore"))
        rows = rows.filter(pk=self.datastore) if self.datastore else rows
        found = []
        for datastore in rows.order_by("pk").prefetch_related(IN_ORDER):
            hosts = [member.host for member in datastore.in_order]
            if not hosts:  # it was deleted between the two queries
                continue
            try:
                driver = driver_on(datastore, [host.name for host in hosts])
            except CloudstoreError as error:
                logger.warning("nothing can be said of the datastore %s: %s", datastore, error)
                self.blind.add(datastore.pk)
            else:
                found.append((datastore, driver, [host.pk for host in hosts]))
        return found

    @cached_property
    def stores(self) -> dict[int, tuple[Datastore, StorageDriver, int]]:
        """The datastores whose storage host is among the hosts, by key, with driver and storage host."""
        return {
            datastore.pk: (datastore, driver, hosts[0])
            for datastore, driver, hosts in self.datastores
            if hosts[0] in self.names
        }
