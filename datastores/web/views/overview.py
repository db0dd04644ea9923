"""The first page: is anything wrong, what is running, where is the space."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from datastores.models import Credential, Datastore, Host, Image, VirtualMachine
from datastores.services.hosts import OWN_CREDENTIAL
from datastores.web import figures
from datastores.web.access import EVERYBODY, Request, roles
from datastores.web.views.datastores import COLUMNS, with_figures

SHOWN = 12


@roles(read=EVERYBODY)
def overview(request: Request) -> HttpResponse:
    user = request.user
    if user.sees_everything and not Host.objects.exists():
        own = Credential.objects.filter(name=OWN_CREDENTIAL).first()
        return render(request, "datastores/first_run.html", {"public_key": own.public_key if own else ""})
    datastores = list(with_figures(Datastore.objects.visible_to(user)).order_by("pk"))
    context = {
        "datastores": datastores[:SHOWN] if user.sees_everything else [],
        "datastore_count": len(datastores),
        "columns": [column for column in COLUMNS if column.label != "State"],
        "space": figures.space(datastores),
        "hosts": figures.host_counts() if user.sees_everything else {},
        "jobs": figures.job_counts(user),
        "clones": figures.clone_seconds(user),
        "concerns": figures.concerns(user, datastores if user.sees_everything else []),
        "running": figures.running(user),
        "machine_count": VirtualMachine.objects.visible_to(user).count(),
        "image_count": Image.objects.visible_to(user).count(),
    }
    return render(request, "datastores/overview.html", context)
