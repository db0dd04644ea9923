"""Datastores: what there is, how full, and new ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from django.db.models import BigIntegerField, Count, ExpressionWrapper, QuerySet, Sum
from django.views.generic import DetailView

from datastores.domain.errors import CloudstoreError
from datastores.domain.openings import Opening
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS
from datastores.models import Datastore, DatastoreHost, Image
from datastores.services.caching import keeps_copies
from datastores.services.datastores import silent_hosts
from datastores.services.disk_hosts import LYING
from datastores.services.growth import add_growth, growth_of
from datastores.services.limits import limits_in_words, limits_of
from datastores.services.placing import driver_of, hosts_of
from datastores.services.promises import DISK_MORE, IMAGE_MORE, TAKEN, add_space, growing_disks
from datastores.services.viewers import listed
from datastores.web.access import READERS, Request, one_of, roles
from datastores.web.charts import SPANS, span_asked
from datastores.web.drift import notes_on
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Choice, Linked, Moment, Number, Size, Text
from datastores.web.lists.rows import Rows
from datastores.web.lists.sums import count_of, sum_of
from datastores.web.look import TYPE_WORDS
from datastores.web.speeds import SHOWN, chart_names, known
from datastores.web.timeline import timeline_of


def growing(name: str) -> Callable[[Datastore], int | None]:
    """Return what finds a number of a datastore's growth."""

    def find(datastore: Datastore) -> int | None:
        value = getattr(datastore.growth, name)
        return None if value is None else round(value)

    return find


COLUMNS = (
    Column("id", "ID", "pk", "pk", number=True),
    Column("name", "Name", "name", "name"),
    Column("state", "State", "state", "state"),
    Column("type", "Type", "type", "type"),
    Column("ds", "DS", value=lambda datastore: DRIVERS[datastore.kind].ds),
    Column("tm", "TM", "kind", lambda datastore: DRIVERS[datastore.kind].tm),
    Column("cluster", "Cluster", "cluster__name", "cluster", absent=""),
    Column("size", "Size", "total", "total", number=True),
    Column("use", "Use", value="used"),
    Column("free", "Avail", "free", "free", number=True, absent=-1),
    Column("images", "Images", "image_count", "image_count", number=True),
    Column("takes", "Disks take", "disks_take", "disks_take", number=True, shown=False),
    Column("promised", "Promised", "promised", "promised", number=True, shown=False),
    Column("growth", "Growth", value=growing("bytes_per_day"), number=True, shown=False),
    Column("full", "Full in", value=growing("days_to_full"), number=True, shown=False),
)
GROWING = {"growth", "full"}

LARGEST = 10
FIGURES = {
    "image_count": count_of(Image.objects.all(), "datastore"),
    "promised": ExpressionWrapper(
        sum_of(Image.objects.all(), "datastore", IMAGE_MORE) + sum_of(growing_disks(), "datastore", DISK_MORE),
        BigIntegerField(),
    ),
    "disks_take": sum_of(growing_disks(), "datastore", TAKEN),
}
"""What lists are sorted and filtered by; for what they show, ``add_space`` asks once for all rows."""


def words(driver: type[StorageDriver]) -> dict[str, Any]:
    """Return a kind of datastore for a template, which would call a class instead of looking at it."""
    names = ("kind", "label", "about", "ds", "tm", "persistent", "disposable", "leaves", "has_bricks", "has_luns")
    return {name: getattr(driver, name) for name in names} | {"can": sorted(driver.can - driver.at_best)}


def abilities_of(datastore: Datastore) -> list[Capability]:
    """Return what can be done with volumes of some format in it, with the options that it has."""
    driver = driver_of(datastore)
    return sorted({each for format in driver.formats for each in driver.capabilities(format)})


@roles(read=READERS)
class DatastoreList(Rows):
    model = Datastore
    noun = "datastore,datastores"
    resource = "datastore"
    template_name = "datastores/datastore_list.html"
    row_template = "datastores/_datastore_row.html"
    related = ("cluster",)
    figures = FIGURES
    unread = ("secret",)
    name = "datastores"
    search = Text(("name", "base", "cluster__name"), "gold")
    fields = {
        "name": Text(("name",), "name:gold"),
        "state": Choice("state", {state.value: state.value for state in ObjectState}, "state:error"),
        "type": Choice("type", {short: each for each, short in TYPE_WORDS.items()}, "type:img"),
        "tm": Choice("kind", {driver.tm: kind for kind, driver in DRIVERS.items()}, "tm:qcow2"),
        "cluster": Text(("cluster__name",), "cluster:lab"),
        "host": Linked(DatastoreHost.objects.all(), "datastore", Text(("host__name",), "host:nas")),
        "base": Text(("base",), "base:/srv"),
        "size": Size("total", "size>1T"),
        "used": Size("used", "used>80%", whole="total"),
        "free": Size("free", "free<20%", whole="total"),
        "images": Number("image_count", "images>100", int),
        "takes": Size("disks_take", "takes>1T", whole="total"),
        "promised": Size("promised", "promised>50%", whole="total"),
        "measured": Moment("measured_at", "measured>1h"),
    }
    default_sort = "id"
    filters = (
        Filter("type", "type", tuple(Datastore.Type.choices)),
        Filter("kind", "TM", tuple((kind, driver.tm) for kind, driver in DRIVERS.items())),
    )
    columns = COLUMNS

    def dressed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.select_related(*self.related)

    def completed(self, rows: list[Any]) -> list[Any]:
        add_space(rows)
        if GROWING & self.address.shown.keys():
            add_growth(rows)
        return rows


@roles(read=READERS)
class DatastorePage(DetailView):
    template_name = "datastores/datastore.html"
    request: Request

    def get_queryset(self) -> QuerySet[Datastore]:
        rows: Any = Datastore.objects
        found: QuerySet[Datastore] = rows.visible_to(self.request.user).select_related("cluster")
        return found

    def get_object(self, queryset: QuerySet[Datastore] | None = None) -> Datastore:
        return one_of(self.get_queryset(), pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        datastore = self.object
        add_space([datastore])
        members = hosts_of(datastore)
        return super().get_context_data(**kwargs) | {
            "kind": words(DRIVERS[datastore.kind]),
            "can": abilities_of(datastore) if members else (),
            "stays": what_stays(datastore),
            "logs_in_as": account_of(datastore),
            "openings": openings_of(datastore),
            "has_limits": bool(limits_of(datastore)),
            "limits": limits_in_words(datastore),
            "storage_host": members[0] if members else None,
            "other_hosts": members[1:],
            "rooms": rooms_of(datastore),
            "keeps_copies": keeps_copies(datastore),
            "unseen": [member for member in datastore.in_order[1:] if member.unseen],
            "images": datastore.images.select_related("owner").order_by("name")[:100],
            "disks": datastore.disks.select_related("vm", "image").order_by("-pk")[:100],
            "disk_count": datastore.disks.count(),
            "jobs": datastore.jobs.order_by("-pk")[:8],
            "largest": largest_images(datastore),
            "growth": growth_of([datastore])[datastore.pk],
            "spans": SPANS.values(),
            "span": span_asked(self.request, "month"),
            "speeds": known(datastore)[:SHOWN],
            "speed_lines": chart_names(datastore),
            **notes_on(self.request.user, datastore=datastore),
            **timeline_of(self.request.user, datastore),
        }


def account_of(datastore: Datastore) -> str:
    """Return the account that machines of the datastore log in as, if any; "" also while its options are wrong."""
    with contextlib.suppress(CloudstoreError):
        return driver_of(datastore).logs_in_as if datastore.secret else ""
    return ""


def openings_of(datastore: Datastore) -> tuple[Opening, ...]:
    """Return what firewalls have to let through; nothing while its options are wrong."""
    with contextlib.suppress(CloudstoreError):
        return driver_of(datastore).openings
    return ()


def rooms_of(datastore: Datastore) -> list[dict[str, Any]]:
    """Return what the datastore has on each host, where every host has a file system of its own for its disks."""
    if datastore.kind not in LYING:
        return []
    disks = growing_disks().filter(datastore=datastore).order_by().values("host")
    figures = {row["host"]: row for row in disks.annotate(count=Count("*"), more=Sum(DISK_MORE))}
    rooms = []
    for member in datastore.in_order:
        seen = member if member.position else datastore
        share = round(100 * (seen.used or 0) / seen.total) if seen.total else 0
        mine = figures.get(member.host_id, {"count": 0, "more": 0})
        rooms.append(mine | {"host": member.host, "seen": seen, "percent": share})
    return rooms


def largest_images(datastore: Datastore) -> list[tuple[Image, int]]:
    """Return the images that take most bytes, with their share of the largest of them in percent."""
    images = list(datastore.images.filter(real_size__gt=0).order_by("-real_size", "pk")[:LARGEST])
    return [(image, round(100 * image.real_size / images[0].real_size)) for image in images]


def what_stays(datastore: Datastore) -> str:
    """Return in words what is left on its hosts when the datastore is deleted now."""
    usual = DRIVERS[datastore.kind].leaves
    if away := silent_hosts(datastore):
        return f"{usual} {listed(away)} cannot be reached now: nothing is taken back there."
    return usual
