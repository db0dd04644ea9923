"""Datastores are made, changed and deleted."""

from __future__ import annotations

from django.db.models import Sum
from django.http import HttpResponse
from django.shortcuts import render

from datastores.drivers.registry import DRIVERS
from datastores.models import Datastore, Host
from datastores.models.audit import in_turn
from datastores.services.caching import keeps_copies
from datastores.services.limits import limits_of
from datastores.services.placing import hosts_of
from datastores.web.access import ADMINS, Request, roles, visible
from datastores.web.acting import ask_name, done, note, start, started
from datastores.web.ahead import ahead_of
from datastores.web.forms.base import attempt
from datastores.web.forms.datastores import (
    DatastoreChangeForm,
    DatastoreForm,
    DatastoreHostsForm,
    LimitsForm,
    OptionsForm,
)
from datastores.web.views.datastores import what_stays, words


@roles(read=ADMINS, write=ADMINS)
def datastore_new(request: Request) -> HttpResponse:
    form = DatastoreForm(request.POST or None)

    def act(_: object) -> HttpResponse:
        return started(request, start(request, "datastore.create", form.params()))

    kinds = [words(driver) for driver in DRIVERS.values()]
    page = {"form": form, "kinds": kinds, "driver": words(form.driver), "any_host": Host.objects.exists()}
    return attempt(request, form, act, lambda: render(request, "datastores/datastore_form.html", page))


@roles(read=ADMINS)
def datastore_options(request: Request) -> HttpResponse:
    """The options of the kind that was just chosen, or of one that was, for the form of a new datastore."""
    driver = DRIVERS.get(request.GET.get("kind", "")) or next(iter(DRIVERS.values()))
    given = any(name.startswith(f"options-{driver.kind}-") for name in request.GET)
    options = OptionsForm.anew(driver, request.GET) if given else OptionsForm(driver)
    return render(request, "datastores/_datastore_options.html", {"options": options, "driver": words(driver)})


@roles(read=ADMINS)
def datastore_bricks(request: Request) -> HttpResponse:
    """What is to be said of the bricks that are in the form of a new datastore just now."""
    form = DatastoreForm(request.GET)
    found = form.brick_findings()
    return render(request, "datastores/_brick_findings.html", {"findings": found, "driver": words(form.driver)})


@roles(read=ADMINS, write=ADMINS)
def datastore_edit(request: Request, pk: int) -> HttpResponse:
    """Change what is known of a datastore here; nothing is done on its hosts."""
    datastore = visible(request, Datastore, pk=pk)
    before, name = kept(datastore), datastore.name
    form = DatastoreChangeForm(request.POST or None, instance=datastore)

    def act(_: object) -> HttpResponse:
        if kept(datastore) == before and not form.new_key and "cache_limit" not in form.changed_data:
            return done(request, f"{name} is as it was.", "datastore", pk)
        with in_turn():
            saved = form.save()
            key = {"key": "replaced"} if form.new_key else {}
            note(request, "datastore.change", saved, before=before, after=kept(saved) | key)
        return done(request, f"{saved} is saved.", "datastore", pk)

    page = {"form": form, "object": datastore, "name": name, "title": f"Edit {name}", "button": "Save",
            "about": "Nothing is changed on a host. Its kind and its path stay what they are."}  # fmt: skip
    return attempt(request, form, act, lambda: render(request, "datastores/datastore_change.html", page))


def kept(datastore: Datastore) -> dict[str, str]:
    return {
        "name": datastore.name,
        "cluster": str(datastore.cluster or ""),
        "source directories": ", ".join(datastore.source_directories),
        **({"limit of the cache": datastore.options.get("cache_limit", "")} if keeps_copies(datastore) else {}),
    }


@roles(read=ADMINS, write=ADMINS)
def datastore_hosts(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    storage, *others = hosts_of(datastore)
    ahead = ahead_of("datastore.hosts")
    form = DatastoreHostsForm(storage, others, request.POST or None)

    def act(_: object) -> HttpResponse:
        return started(request, start(request, "datastore.hosts", form.params(), datastore=datastore))

    page = {
        "form": form,
        "object": datastore,
        "name": datastore.name,
        "title": f"Hosts of {datastore}",
        "button": "Show the plan" if ahead.waits else "Change the hosts",
        "about": f"{storage} stays its storage host. Each added host is checked and prepared. {ahead}",
    }
    return attempt(request, form, act, lambda: render(request, "datastores/datastore_change.html", page))


@roles(read=ADMINS, write=ADMINS)
def datastore_limits(request: Request, pk: int) -> HttpResponse:
    """Change how much a datastore may take."""
    datastore = visible(request, Datastore, pk=pk)
    driver, now, ahead = DRIVERS[datastore.kind], limits_of(datastore), ahead_of("datastore.limit")
    if not now:
        return done(request, f"{driver.label} datastores have no limits of their own.", "datastore", pk)
    form = LimitsForm(driver, now, request.POST or None)

    def act(_: object) -> HttpResponse:
        return started(request, start(request, "datastore.limit", form.params(), datastore=datastore))

    page = {"form": form, "object": datastore, "name": datastore.name, "title": f"Limits of {datastore}",
            "button": "Show the plan" if ahead.waits else "Change the limits",
            "use": {"kept": datastore.disks.aggregate(kept=Sum("reserved", default=0))["kept"]},
            "about": f"What lies in it stays as it is. {ahead}"}  # fmt: skip
    return attempt(request, form, act, lambda: render(request, "datastores/datastore_change.html", page))


@roles(write=ADMINS)
def datastore_delete(request: Request, pk: int) -> HttpResponse:
    datastore = visible(request, Datastore, pk=pk)
    question = f"{ahead_of('datastore.delete')} {what_stays(datastore)}"
    if asked := ask_name(request, datastore.name, question):
        return asked
    return started(request, start(request, "datastore.delete", datastore=datastore))
