"""Find anything by its name."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from datastores.models import Datastore, Host, Image, Job, VirtualMachine
from datastores.web.access import EVERYBODY, READERS, Request, roles

SHOWN = 10
KINDS: tuple[tuple[str, str, Any, str, str], ...] = (
    ("Hosts", "server", Host, "name", "host"),
    ("Datastores", "hdd-stack", Datastore, "name", "datastore"),
    ("Images", "disc", Image, "name", "image"),
    ("Virtual machines", "pc-display", VirtualMachine, "name", "vm"),
    ("Jobs", "list-task", Job, "title", ""),
)
"""Title, icon, model, field, and the page of a row."""


@roles(read=EVERYBODY)
def find(request: Request) -> HttpResponse:
    text = request.GET.get("q", "").replace("\0", "").strip()
    found = []
    for title, icon, model, field, page in KINDS:
        if not text or (page in {"host", "datastore"} and request.user.role not in READERS):
            continue
        rows = model.objects.visible_to(request.user).filter(**{f"{field}__icontains": text}).order_by("-pk")[:SHOWN]
        lines = [(row_url(row, page), getattr(row, field), getattr(row, "state", "")) for row in rows]
        if lines:
            found.append((title, icon, lines))
    return render(request, "datastores/find.html", {"find": text, "found": found})


def row_url(row: Any, page: str) -> str:
    url: str = reverse(page, args=[row.pk]) if page else row.get_absolute_url()
    return url
