"""Drift: where hosts are not as cloudstore left them, and what is done about it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render

from datastores.jobs.drift import SCAN_SECONDS, ask_for_scan
from datastores.models import Drift, Host, Job
from datastores.models.words import DRIFT
from datastores.services import drift as services
from datastores.web import drift as words
from datastores.web.access import READERS, STAFF, Request, client_address, roles, visible
from datastores.web.acting import done, start, started
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import LONG_AGO, Column, Filter
from datastores.web.lists.fields import Anywhere, Choice, Moment, Owning, Text, Worded
from datastores.web.lists.paging import Page
from datastores.web.lists.rows import Rows

HOST = Owning(Host.objects.all(), "host", Text(("name",), "host:kvm-01"))


def plan_repair(request: Request, found: Drift) -> Job:
    return start(request, "drift.repair", {"drift": found.pk}, host=found.host)


@roles(read=READERS, write=STAFF)
class DriftList(Rows):
    """Without a state in the address: what still differs."""

    model = Drift
    noun = "difference,differences"
    acts = (Act("repair", "Plan the repair", "wrench", plan_repair, "are being repaired", STAFF),)
    template_name = "datastores/drift_list.html"
    row_template = "datastores/_drift_row.html"
    related = ("host", "accepted_by")
    unread = ("change", "host__facts")
    name = "drift"
    search = Anywhere((Worded(DRIFT.parts, "authorized_keys", DRIFT), HOST), "authorized_keys")
    fields = {
        "host": HOST,
        "kind": Choice("kind", {kind.value.replace(" ", "-"): kind.value for kind in Drift.Kind}, "kind:missing"),
        "since": Moment("first_seen", "since<1d"),
        "state": Choice("state", {state.value: state.value for state in Drift.State}, "state:accepted"),
        "about": Text(("label",), "about:ubuntu"),
        "datastore": Text(("datastore__name",), "datastore:fast"),
        "seen": Moment("last_seen", "seen>2h"),
        "by": Text(("accepted_by__username",), "by:alice"),
    }
    default_sort = "-since"
    filters = (
        Filter("state", "state", tuple((state.value, state.value) for state in Drift.State)),
        Filter("kind", "kind", tuple((kind.value, kind.value) for kind in Drift.Kind)),
    )
    columns = (
        Column("id", "ID", "pk", "pk", number=True, shown=False),
        Column("statement", "What does not hold", "title", "title"),
        Column("kind", "How", "kind", "kind"),
        Column("about", "Of", "label", "label"),
        Column("host", "Host", "host__name", "host", absent=""),
        Column("state", "State", "state", "state"),
        Column("since", "Since", "first_seen", "first_seen"),
        Column("seen", "Seen last", "last_seen", "last_seen"),
        Column("closed", "Closed", "closed_at", "closed_at", shown=False, absent=LONG_AGO),
        Column("by", "Accepted by", "accepted_by__username", "accepted_by", shown=False, absent=""),
        Column("note", "Note", value="note", shown=False),
    )

    def get(self, request: Request) -> HttpResponseBase:
        """The card of a scan that has ended meanwhile has the whole page shown anew."""
        waits = bool(request.htmx) and request.htmx.trigger == "scan"
        if waits and not words.latest_scans()["under_way"]:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return super().get(request)

    def found(self) -> QuerySet[Any]:
        rows: Any = super().found()
        asked = self.request.GET
        return rows if "state" in asked or asked.get("q") else rows.live()

    def context(self, page: Page) -> dict[str, Any]:
        return super().context(page) | words.latest_scans() | {"minutes": round(SCAN_SECONDS / 60)}


@roles(write=STAFF)
def drift_scan(request: Request) -> HttpResponse:
    ask_for_scan(request.user, client_address(request))
    return done(request, "All hosts are read again in a few seconds. Nothing is changed on them.", "drift-list")


def visible_drift(request: Request, pk: int) -> Drift:
    return visible(request, Drift, "host", "datastore", "image", "disk__vm", "accepted_by", pk=pk)


@roles(read=READERS)
def drift(request: Request, pk: int) -> HttpResponse:
    found = visible_drift(request, pk)
    repairs = Job.objects.visible_to(request.user).filter(kind="drift.repair", host=found.host_id, params__drift=pk)
    context = {
        "object": found,
        "statement": words.shown(found),
        "advice": words.advice(found),
        "jobs": repairs.order_by("-pk")[:8],
        "minutes": round(SCAN_SECONDS / 60),
        **words.latest_scans(),
    }
    return render(request, "datastores/drift.html", context)


@roles(write=STAFF)
def drift_repair(request: Request, pk: int) -> HttpResponse:
    """Ask for the plan of the repair, and go there."""
    return started(request, plan_repair(request, visible_drift(request, pk)))


@roles(write=STAFF)
def drift_accept(request: Request, pk: int) -> HttpResponse:
    found = visible_drift(request, pk)
    asked = request.POST
    services.accept(
        found, request.user, client_address(request),
        fingerprint=asked.get("fingerprint", ""), note=asked.get("note", "").strip(),
    )  # fmt: skip
    return done(request, "It is accepted as it is. When it changes again, it is open again.", found)


@roles(write=STAFF)
def drift_reopen(request: Request, pk: int) -> HttpResponse:
    found = visible_drift(request, pk)
    services.reopen(found, request.user, client_address(request))
    return done(request, "It is open again.", found)
