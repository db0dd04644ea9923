"""The volume of a datastore that is made of bricks: as it was read last, and what can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from datastores.drivers.registry import DRIVERS
from datastores.models import Brick, Datastore, Host, Job, Partition, VolumeReading
from datastores.services.placing import hosts_of
from datastores.web.access import ADMINS, READERS, STAFF, Request, roles, visible
from datastores.web.acting import done, start, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.base import Form, attempt
from datastores.web.forms.volumes import (
    AddForm,
    BareForm,
    ChooseForm,
    GiveForm,
    OptionForm,
    QuotaForm,
    RebalanceForm,
    RemoveForm,
    ReplaceForm,
    TakeForm,
    UnlimitForm,
)

PREFIX = "volume."


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that can be done to a volume. ``needs``: what of ``Known`` its form is made of."""

    name: str
    icon: str
    words: str
    form: type[Form]
    needs: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return f"{PREFIX}{self.name}"


DEEDS = {
    deed.name: deed
    for deed in (
        Deed("add", "plus-lg", "Add bricks", AddForm, ("bricks", "hosts")),
        Deed("remove", "dash-circle", "Remove bricks", RemoveForm, ("bricks", "hosts")),
        Deed("replace", "arrow-left-right", "Replace a brick", ReplaceForm, ("bricks", "hosts")),
        Deed("rebalance", "shuffle", "Rebalance", RebalanceForm),
        Deed("option", "sliders", "Set an option", OptionForm),
        Deed("quota", "speedometer2", "Limit what it holds", QuotaForm),
        Deed("unlimit", "unlock", "Lift a limit", UnlimitForm, ("limited",)),
        Deed("give", "person-plus", "Give a partition", GiveForm),
        Deed("take", "person", "Take a partition back", TakeForm, ("partitions",)),
        Deed("stop", "pause-circle", "Stop it", BareForm),
        Deed("start", "play-circle", "Start it", BareForm),
        Deed("choose", "signpost-split", "Choose which copy is right", ChooseForm, ("bricks", "hosts", "torn")),
    )
}


@dataclass(frozen=True, slots=True)
class Known:
    """A volume as a page needs it. ``seen``: see ``hosts.gluster_seen.VolumeSeen``, as JSON; {} until it was read."""

    datastore: Datastore
    bricks: list[Brick]
    reading: VolumeReading | None
    partitions: list[Partition]

    @classmethod
    def of(cls, datastore: Datastore) -> Known:
        bricks = list(Brick.objects.filter(datastore=datastore).select_related("host").defer("host__facts"))
        partitions = list(Partition.objects.filter(datastore=datastore).select_related("owner", "datastore__reading"))
        return cls(datastore, bricks, VolumeReading.objects.filter(datastore=datastore).first(), partitions)

    @property
    def seen(self) -> dict[str, Any]:
        return self.reading.seen if self.reading else {}

    @property
    def torn(self) -> list[str]:
        return list(self.seen.get("torn", ()))

    def rows(self) -> list[dict[str, Any]]:
        """Return each brick that there should be with what was seen of it."""
        seen = {(each["peer"], each["path"]): each for each in self.seen.get("bricks", ())}
        return [{"row": brick, "seen": seen.get((brick.peer, brick.path))} for brick in self.bricks]

    @property
    def limited(self) -> list[str]:
        """The directories that have a limit and are no partition."""
        partitions = {each.path for each in self.partitions}
        return [path for path in self.seen.get("limits", ()) if path not in partitions]

    @property
    def hosts(self) -> list[Host]:
        return hosts_of(self.datastore)

    def form(self, deed: Deed, data: Any = None) -> Form:
        return deed.form(data, **{name: getattr(self, name) for name in deed.needs})

    def deeds(self) -> list[Deed]:
        """Return what can be done to it as it is."""
        needless = {"Started": {"start"}, "Stopped": {"stop"}}.get(self.seen.get("state", ""), set())
        needless |= {
            deed.name
            for deed in DEEDS.values()
            if any(name in deed.needs and not getattr(self, name) for name in ("torn", "limited", "partitions"))
        }
        return [deed for name, deed in DEEDS.items() if name not in needless]


def without_volume(request: Request, datastore: Datastore) -> HttpResponse | None:
    """Return the answer for a datastore that has no volume; None: it has one."""
    if DRIVERS[datastore.kind].has_bricks:
        return None
    return done(request, f"{datastore} is not made of bricks, so it has no volume.", "datastore", datastore.pk)


def volume_page(request: Request, known: Known, sent: dict[str, Form] | None = None) -> HttpResponse:
    """Show a volume; ``sent``: the form that was sent and refused, by name."""
    acts = [
        {"deed": deed, "form": (sent or {}).get(deed.name) or known.form(deed), "ahead": ahead_of(deed.kind)}
        for deed in (known.deeds() if request.user.role in ADMINS else ())
    ]
    jobs = Job.objects.visible_to(request.user).filter(datastore=known.datastore, kind__startswith=PREFIX)
    page = {
        "object": known.datastore,
        "reading": known.reading,
        "seen": known.seen,
        "bricks": known.rows(),
        "partitions": known.partitions,
        "acts": acts,
        "opened": next(iter(sent), "") if sent else "",
        "working": jobs.filter(ended_at=None).exclude(kind="volume.read").order_by("-pk").first(),
        "jobs": jobs.exclude(kind="volume.read").order_by("-pk")[:8],
    }
    return render(request, "datastores/volume.html", page)


@roles(read=READERS)
def volume(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_volume(request, datastore) or volume_page(request, Known.of(datastore))


@roles(write=STAFF)
def volume_read(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_volume(request, datastore) or started(request, start(request, "volume.read", datastore=datastore))


@roles(write=ADMINS)
def volume_heal(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_volume(request, datastore) or started(request, start(request, "volume.heal", datastore=datastore))


def doing(name: str) -> Callable[..., HttpResponse]:
    """Return the view that does this to a volume."""

    @roles(write=ADMINS)
    def view(request: Request, pk: int) -> HttpResponse:
        datastore = visible(request, Datastore, pk=pk)
        if answer := without_volume(request, datastore):
            return answer
        known, deed = Known.of(datastore), DEEDS[name]
        form: Any = known.form(deed, request.POST)

        def act(_: object) -> HttpResponse:
            return started(request, start(request, deed.kind, form.params(), datastore=datastore))

        return attempt(request, form, act, lambda: volume_page(request, known, {name: form}))

    return view
