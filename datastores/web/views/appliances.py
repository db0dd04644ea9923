"""The LUNs of an appliance: as they were found last, pinned as images, and which hosts get there."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.drivers.registry import DRIVERS
from datastores.hosts.appliance_luns import Answer
from datastores.models import Appliance, ApplianceLun, ApplianceReach, Datastore, Host, Image, Job
from datastores.services.appliances import differences, other_hosts, unpin
from datastores.services.placing import hosts_of
from datastores.web.access import ADMINS, OWNERS, READERS, STAFF, Request, client_address, roles, visible
from datastores.web.acting import done, start, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.appliances import PinForm
from datastores.web.forms.base import attempt

PREFIX = "nas."


def without_luns(request: Request, datastore: Datastore) -> HttpResponse | None:
    """Return the answer for a datastore that is on no appliance; None: it is."""
    if DRIVERS[datastore.kind].has_luns:
        return None
    return done(request, f"{datastore} is on no appliance, so it has no LUNs.", "datastore", datastore.pk)


def luns_page(request: Request, datastore: Datastore, sent: tuple[int, PinForm] | None = None) -> HttpResponse:
    """Show the LUNs; ``sent``: the form that was sent for one of them, and refused."""
    rows = ApplianceLun.objects.filter(datastore=datastore).select_related("image")
    may_pin = request.user.role in ADMINS
    luns = [
        {"row": row, **differences(row), "form": sent[1] if sent and sent[0] == row.pk else PinForm(prefix=str(row.pk)),
         "opened": bool(sent and sent[0] == row.pk)}
        for row in rows
    ]  # fmt: skip
    kept = list(Host.objects.filter(guards__datastore=datastore).order_by("name").values_list("name", flat=True))
    jobs = Job.objects.visible_to(request.user).filter(datastore=datastore, kind__startswith=PREFIX).order_by("-pk")
    page = {
        "object": datastore,
        "appliance": Appliance.objects.filter(datastore=datastore).first(),
        "luns": luns,
        "may_pin": may_pin,
        "pin_ahead": ahead_of("nas.pin"),
        "reaches": reaches(datastore),
        "kept": kept,
        "free": [host.name for host in other_hosts(datastore) if host.name not in kept],
        "guards": bool(datastore.options.get("guard", True)),
        "jobs": jobs[:8],
    }
    return render(request, "datastores/luns.html", page)


def reaches(datastore: Datastore) -> list[dict[str, Any]]:
    """Return how far each host got, and whether that is as it should be."""
    members = {host.pk for host in hosts_of(datastore)}
    rows = ApplianceReach.objects.filter(datastore=datastore).select_related("host")
    found = []
    for row in rows.defer("host__facts"):
        member, silent = row.host_id in members, row.answer == Answer.SILENT
        found.append({"row": row, "member": member, "right": member != silent and (member or not row.luns)})
    return found


@roles(read=READERS)
def luns(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_luns(request, datastore) or luns_page(request, datastore)


@roles(write=STAFF)
def luns_find(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_luns(request, datastore) or started(request, start(request, "nas.find", datastore=datastore))


@roles(write=STAFF)
def luns_try(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    return without_luns(request, datastore) or started(request, start(request, "nas.try", datastore=datastore))


@roles(write=ADMINS)
def luns_guard(request: Request, pk: int) -> HttpResponse:
    """Keep other hosts from the portals, or let them get there again (``on``)."""
    datastore = visible(request, Datastore, pk=pk)
    kind = "nas.guard" if request.POST.get("on") == "1" else "nas.open"
    return without_luns(request, datastore) or started(request, start(request, kind, datastore=datastore))


@roles(write=ADMINS)
def luns_pin(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    if answer := without_luns(request, datastore):
        return answer
    number = request.POST.get("lun", "")
    if not number.isdigit():
        raise Refused("That is no LUN.")
    form = PinForm(request.POST, prefix=number)

    def act(_: object) -> HttpResponse:
        params = form.cleaned_data | {"lun": int(number)}
        return started(request, start(request, "nas.pin", params, datastore=datastore))

    return attempt(request, form, act, lambda: luns_page(request, datastore, (int(number), form)))


@roles(write=OWNERS)
def image_unpin(request: Request, pk: int) -> HttpResponse:
    image = visible(request, Image, pk=pk)
    unpin(image, request.user, client_address(request))
    return done(request, f"{image.name} is no image any more. The LUN stays at the appliance.", "image-list")
