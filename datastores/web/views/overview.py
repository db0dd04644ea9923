"""The first page: is anything wrong, what is running, where is the space."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from datastores.models import Credential, Datastore, Host, Image, VirtualMachine
from datastores.services.growth import add_growth
from datastores.services.hosts import OWN_CREDENTIAL
from datastores.web import figures
from datastores.web.access import EVERYBODY, Request, roles
from datastores.web.views.datastores import COLUMNS, with_figures

SHOWN = 12
FIRST_STEPS = (
    ("Add a host", "Its address, and an account. cloudstore reads its public key; you compare it with the console."),
    (
        "Onboard it",
        "The first login: what it is and has is read, and nothing else is changed but the key that lets us in.",
    ),
    ("Make a datastore", "A directory on that host. You see every command, for every host, before it is run."),
    ("Register an image", "A file that is there already is inspected, then copied."),
    ("Make disks of it", "One for a machine, or a thousand for a thousand machines; clones take milliseconds."),
)


@roles(read=EVERYBODY)
def overview(request: Request) -> HttpResponse:
    user = request.user
    if user.sees_everything and not Host.objects.exists():
        own = Credential.objects.filter(name=OWN_CREDENTIAL).first()
        first: dict[str, Any] = {"public_key": own.public_key if own else "", "steps": FIRST_STEPS}
        return render(request, "datastores/first_run.html", first)
    rows: Any = Datastore.objects
    datastores = list(with_figures(rows.visible_to(user)).order_by("pk"))
    if user.sees_everything:
        add_growth(datastores)
    context: dict[str, Any] = {
        "datastores": datastores[:SHOWN] if user.sees_everything else [],
        "datastore_count": len(datastores),
        "shown": {column.key: column for column in COLUMNS if column.key not in {"state", "full"}},
        "space": figures.space(datastores),
        "hosts": figures.host_counts() if user.sees_everything else {},
        "jobs": figures.job_counts(user),
        "clones": figures.clone_seconds(user),
        "concerns": figures.concerns(user),
        "running": figures.running(user),
        "machine_count": VirtualMachine.objects.visible_to(user).count(),
        "image_count": Image.objects.visible_to(user).count(),
    }
    return render(request, "datastores/overview.html", context)
