"""Hosts: what is known of them, and whether they may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.views.generic import DetailView

from datastores.domain.states import HostState
from datastores.hosts.sudoers import sudoers_text
from datastores.models import CachedCopy, Cluster, Drift, Host, Job, MovedDirectory
from datastores.models.audit import in_turn
from datastores.services import hosts
from datastores.services.addresses import still_mounted
from datastores.services.exports import judged
from datastores.web.access import ADMINS, READERS, STAFF, Request, client_address, one_of, roles, visible
from datastores.web.acting import ask_name, done, note, start, started
from datastores.web.charts import SPANS, span_asked
from datastores.web.drift import notes_on
from datastores.web.facts import known, warnings
from datastores.web.forms.base import attempt
from datastores.web.forms.hosts import HostForm, HostPlaceForm
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import LONG_AGO, Column, Filter
from datastores.web.lists.fields import Choice, Flag, Moment, Number, Size, Text
from datastores.web.lists.rows import Rows
from datastores.web.timeline import timeline_of

KEPT = ("name", "address", "port", "account", "cluster", "jump", "credential")
"""The fields that an audit entry tells about."""


def fact(name: str) -> Callable[[Host], Any]:
    """Return what finds a fact of a host."""
    return lambda host: host.facts.get(name)


def maintaining(on: bool) -> Callable[[Request, Host], None]:
    """Return what takes a host out of the choice for new work, or back into it."""
    return lambda request, host: hosts.set_maintenance(host, request.user, client_address(request), on=on)


def read_host(request: Request, host: Host) -> Job:
    return start(request, "host.read", host=host)


@roles(read=READERS, write=STAFF)
class HostList(Rows):
    model = Host
    noun = "host,hosts"
    resource = "host"
    acts = (
        Act("read", "Read", "arrow-clockwise", read_host, "are being read", STAFF),
        Act("maintain", "Maintenance", "wrench", maintaining(True), "are in maintenance", STAFF),
        Act("back", "Back to work", "play-fill", maintaining(False), "are back at work", STAFF),
    )
    template_name = "datastores/host_list.html"
    row_template = "datastores/_host_row.html"
    related = ("cluster",)
    name = "hosts"
    search = Text(("name", "address", "cluster__name"), "kvm")
    fields = {
        "name": Text(("name",), "name:kvm"),
        "state": Choice("state", {state.value: state.value for state in HostState}, "state:unreachable"),
        "maintenance": Flag("maintenance", "maintenance:yes"),
        "address": Text(("address",), "address:10.0.0."),
        "account": Text(("account",), "account=root"),
        "cluster": Text(("cluster__name",), "cluster:lab"),
        "system": Text(("facts__os_title",), "system:bookworm"),
        "cpus": Number("facts__cpu_count", "cpus>=16", int),
        "memory": Size("facts__memory", "memory>64G"),
        "clock": Number("clock_skew", "clock>0.5"),
        "read": Moment("facts_at", "read>1h"),
    }
    default_sort = "name"
    filters = (Filter("state", "state", tuple((state.value, state.value) for state in HostState)),)
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("name", "Name", "name", "name"),
        Column("state", "State", "state", "state"),
        Column("address", "Address", "address", "address"),
        Column("account", "Account", "account", "account"),
        Column("cluster", "Cluster", "cluster__name", "cluster", absent=""),
        Column("system", "System", value=fact("os_title")),
        Column("cpus", "CPUs", value=fact("cpu_count"), number=True),
        Column("memory", "Memory", value=fact("memory"), number=True),
        Column("clock", "Clock", "clock_skew", "clock_skew", number=True, absent=-1e9),
        Column("read", "Read", "facts_at", "facts_at", absent=LONG_AGO),
    )


@roles(read=READERS)
class HostPage(DetailView):
    template_name = "datastores/host.html"
    request: Request

    def get_queryset(self) -> QuerySet[Host]:
        return Host.objects.visible_to(self.request.user).select_related("cluster", "credential", "jump")

    def get_object(self, queryset: QuerySet[Host] | None = None) -> Host:
        return one_of(self.get_queryset(), pk=self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        host = self.object
        keys = list(host.keys.select_related("pinned_by"))
        facts = known(host)
        return super().get_context_data(**kwargs) | {
            "pinned": [key for key in keys if key.pinned_at],
            "offered": [key for key in keys if not key.pinned_at],
            "facts": facts,
            "exports": judged(facts.exports) if facts else (),
            "warnings": warnings(host, facts),
            "sudoers": sudoers_text(host.account) if host.account != "root" else "",
            "datastores": host.datastores.order_by("name"),
            "cached": cached_on(host),
            "directories": MovedDirectory.objects.filter(host=host).select_related("datastore"),
            "spans": SPANS.values(),
            "span": span_asked(self.request),
            "jobs": list(host.jobs.order_by("-pk")[:8]),
            **notes_on(self.request.user, host=host),
            **timeline_of(self.request.user, host),
        }


def cached_on(host: Host) -> list[dict[str, Any]]:
    """Return how many images each datastore caches on the host, and the bytes that they take."""
    rows = CachedCopy.objects.filter(member__host=host).order_by("member__datastore__name")
    sums = rows.values("member__datastore", "member__datastore__name").annotate(count=Count("*"), bytes=Sum("taken"))
    return list(sums)


@roles(read=ADMINS, write=ADMINS)
def host_new(request: Request) -> HttpResponse:
    form = HostForm(request.POST or None, initial={"cluster": request.GET.get("cluster")})

    def act(_: object) -> HttpResponse:
        with in_turn():
            host = form.save()
            note(request, "host.create", host, after=kept(host))
        return done(
            request, f"{host} is added. Nothing was sent to it yet: read and compare its keys.", "host", host.pk
        )

    page = {"form": form, "title": "New host", "first_cluster": not Cluster.objects.exists()}
    return attempt(request, form, act, lambda: render(request, "datastores/host_form.html", page))


@roles(read=STAFF, write=STAFF)
def host_edit(request: Request, pk: int) -> HttpResponse:
    """Change a host; who is not an admin cannot change how it is reached."""
    host = visible(request, Host, pk=pk)
    before, name, address = kept(host), host.name, host.address
    full = request.user.role in ADMINS
    form: Any = (HostForm if full else HostPlaceForm)(request.POST or None, instance=host)

    def act(_: object) -> HttpResponse:
        with in_turn():
            saved = form.save()  # refused unless the row is still as it was looked up
            note(request, "host.change", saved, before=before, after=kept(saved))
        if saved.address != address and (mounted := still_mounted(saved, address)):
            messages.warning(request, mounted)
        return done(request, f"{saved} is saved.", "host", saved.pk)

    page = {"form": form, "object": host, "name": name, "title": f"Edit {name}", "full": full}
    return attempt(request, form, act, lambda: render(request, "datastores/host_form.html", page))


def kept(host: Host) -> dict[str, str]:
    return {name: str(getattr(host, name) or "") for name in KEPT if name != "credential" or host.credential_id}


@roles(write=ADMINS)
def host_delete(request: Request, pk: int) -> HttpResponse:
    host = visible(request, Host, pk=pk)
    hosts.require_unneeded(host)
    question = f"cloudstore forgets {host} and the key it is known by. Nothing is changed on the host."
    if asked := ask_name(request, host.name, question):
        return asked
    with in_turn():
        hosts.require_unneeded(host)
        note(request, "host.delete", host, before=kept(host))
        Drift.objects.cease(host=host.pk)
        host.delete()
    return done(request, f"{host} is deleted.", "host-list")


@roles(write=ADMINS)
def host_scan(request: Request, pk: int) -> HttpResponse:
    host = visible(request, Host, "jump__credential", pk=pk)
    found = hosts.scan(host)
    note(request, "host.scan", host, fingerprints=[key.fingerprint for key in found])
    keys = "1 key. Compare it" if len(found) == 1 else f"{len(found)} keys. Compare one"
    return done(request, f"{host} offered {keys} with its console.", "host", pk)


@roles(write=ADMINS)
def host_pin(request: Request, pk: int, key: int) -> HttpResponse:
    host = visible(request, Host, pk=pk)
    host_key = one_of(host.keys.select_related("host"), about=host, pk=key)
    hosts.pin(host_key, request.user, client_address(request))
    if host_key.host.state != HostState.NEW:  # the page of a new one asks for its onboarding
        start(request, "host.onboard" if host_key.host.wants_onboarding else "host.read", host=host_key.host)
    return done(request, f"{host_key.host} is known by {host_key.fingerprint} from now on.", "host", pk)


@roles(write=ADMINS)
def host_onboard(request: Request, pk: int) -> HttpResponse:
    return started(request, start(request, "host.onboard", host=visible(request, Host, pk=pk)))


@roles(write=STAFF)
def host_read(request: Request, pk: int) -> HttpResponse:
    return started(request, read_host(request, visible(request, Host, pk=pk)))


@roles(write=STAFF)
def host_maintenance(request: Request, pk: int) -> HttpResponse:
    host = visible(request, Host, pk=pk)
    on = request.POST.get("on") == "1"
    hosts.set_maintenance(host, request.user, client_address(request), on=on)
    words = "gets no new work until you take it back" if on else "takes part in new work again"
    return done(request, f"{host} {words}.", "host", pk)
