"""NFS exports of a host: one line of them, rewritten."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from datastores.models import Host
from datastores.services.exports import Judged, judged
from datastores.web.access import ADMINS, Request, roles, visible
from datastores.web.acting import done, start, started
from datastores.web.ahead import ahead_of
from datastores.web.facts import known
from datastores.web.forms.base import attempt
from datastores.web.forms.exports import ExportForm


@roles(read=ADMINS, write=ADMINS)
def host_export(request: Request, pk: int) -> HttpResponse:
    """Rewrite the entry that the address names by its file and its path."""
    host = visible(request, Host, pk=pk)
    found = the_entry(host, request.GET.get("file", ""), request.GET.get("path", ""))
    if found is None:
        return done(request, "The host had no such export when it was read last.", "host", pk)
    form = ExportForm(found, request.POST or None)

    def act(_: object) -> HttpResponse:
        params = {"file": found.file, "before": form.cleaned_data["before"], "after": form.cleaned_data["line"]}
        return started(request, start(request, "export.change", params, host=host))

    page = {"form": form, "object": host, "name": host.name, "found": found, "title": f"Export of {found.entry.path}",
            "ahead": ahead_of("export.change")}  # fmt: skip
    return attempt(request, form, act, lambda: render(request, "datastores/export_form.html", page))


def the_entry(host: Host, file: str, path: str) -> Judged | None:
    """Return the entry as the host had it when it was read last; None: it had none."""
    facts = known(host)
    found = judged(facts.exports if facts else ())
    return next((each for each in found if (each.file, each.entry.path) == (file, path)), None)
