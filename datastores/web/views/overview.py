"""The first page: is anything wrong, what is running, where is the space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.states import ObjectState
from datastores.models import Credential, Datastore, Host, Image, Partition, User, VirtualMachine
from datastores.services.growth import add_growth
from datastores.services.hosts import OWN_CREDENTIAL
from datastores.services.promises import add_space
from datastores.web import figures
from datastores.web.access import EVERYBODY, READERS, Request, roles
from datastores.web.acting import done
from datastores.web.beginning import HIDDEN, beginning, first_disk_is_made
from datastores.web.forms.images import RegisterForm, places, where_from
from datastores.web.views.datastores import COLUMNS

SHOWN = 12
NOT_SHOWN = frozenset({"state", "full", "promised", "takes", "ds"})
"""Columns of the list of datastores for which there is no room here, or another place."""


@roles(read=EVERYBODY)
def overview(request: Request) -> HttpResponse:
    user = request.user
    if user.sees_everything and not Host.objects.exists():
        return begin_page(request)
    rows: Any = Datastore.objects
    datastores = list(rows.visible_to(user).defer("options", "source_directories").order_by("pk"))
    datastores.sort(key=lambda datastore: datastore.state == ObjectState.PENDING)  # those that are there come first
    prefetch_related_objects(datastores[:SHOWN], "cluster")
    add_space(datastores)
    if user.sees_everything:
        add_growth(datastores)
    context: dict[str, Any] = {
        "datastores": datastores[:SHOWN] if user.sees_everything else [],
        "datastore_count": sum(datastore.state != ObjectState.PENDING for datastore in datastores),
        "shown": {column.key: column for column in COLUMNS if column.key not in NOT_SHOWN},
        "space": figures.space(datastores),
        "hosts": figures.host_counts() if user.sees_everything else {},
        "jobs": figures.job_counts(user),
        "clones": figures.clone_seconds(user),
        "concerns": figures.concerns(user),
        "running": figures.running(user),
        "machine_count": VirtualMachine.objects.visible_to(user).count(),
        "image_count": image_count(user, datastores),
        "partitions": () if user.sees_everything else partitions_of(user),
        "beginning": beginning() if is_guided(request) else None,
    }
    if not user.sees_everything and not context["image_count"] and not context["machine_count"]:
        context["where_from"] = where_from(places(user, *RegisterForm.types))
    return render(request, "datastores/overview.html", context)


def partitions_of(user: User) -> list[Partition]:
    """Return the partitions of a tenant, with what was read of their volumes."""
    rows: Any = Partition.objects
    return list(rows.visible_to(user).select_related("datastore__reading"))


def image_count(user: User, datastores: Sequence[Any]) -> int:
    """Return how many images the person may see; who sees all of them sees those of every datastore."""
    if user.sees_everything:
        return sum(datastore.image_count for datastore in datastores)
    count: int = Image.objects.visible_to(user).count()
    return count


def is_guided(request: Request) -> bool:
    """Tell whether the person is shown the next step on the way to the first clone."""
    may = request.user.sees_everything and not request.session.get(HIDDEN)
    return may and not first_disk_is_made()


@roles(read=READERS)
def begin(request: Request) -> HttpResponse:
    return begin_page(request)


def begin_page(request: Request) -> HttpResponse:
    own = Credential.objects.filter(name=OWN_CREDENTIAL).first()
    context = {"public_key": own.public_key if own else "", "beginning": beginning()}
    return render(request, "datastores/first_run.html", context)


@roles(write=READERS)
def begin_hide(request: Request) -> HttpResponse:
    request.session[HIDDEN] = True
    return done(request, "The guide is hidden until you sign in again. Ctrl K finds it: Getting started.", "overview")
