"""Disks of virtual machines: their page, and what can be done to one."""

from __future__ import annotations

from typing import Any

from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import render

from datastores.models import Datastore, Disk
from datastores.services.placing import disk_volume
from datastores.web.access import EVERYBODY, OWNERS, Request, roles, visible
from datastores.web.acting import ask_name, start, started
from datastores.web.drift import notes_on
from datastores.web.forms.base import attempt
from datastores.web.forms.images import PlaceForm
from datastores.web.forms.machines import SaveForm

ANYWHERE = (Datastore.Type.IMAGE, Datastore.Type.SYSTEM)


def visible_disk(request: Request, pk: int) -> Disk:
    return visible(request, Disk, "vm__owner", "image", "datastore", pk=pk)


def move_form(request: Request, disk: Disk) -> PlaceForm:
    data = request.POST if request.method == "POST" else None
    return PlaceForm(data, user=request.user, types=ANYWHERE, without=disk.datastore_id)


def save_form(request: Request, disk: Disk) -> SaveForm:
    data = request.POST if request.method == "POST" else None
    return SaveForm(data, user=request.user, initial={"datastore": disk.datastore_id})


def disk_page(request: Request, disk: Disk, sent: dict[str, BaseForm] | None = None) -> HttpResponse:
    """Show a disk; ``sent``: the form that was sent and refused, by name."""
    forms: dict[str, BaseForm] = sent or {"save": save_form(request, disk), "move": move_form(request, disk)}
    context = {
        "object": disk,
        "path": disk_volume(disk).path,
        "forms": forms,
        "jobs": disk.jobs.visible_to(request.user).order_by("-pk")[:8],
        **notes_on(request.user, disk=disk),
        "mine": request.user.role in OWNERS,
    }
    return render(request, "datastores/disk.html", context)


@roles(read=EVERYBODY)
def disk_show(request: Request, pk: int) -> HttpResponse:
    return disk_page(request, visible_disk(request, pk))


@roles(write=OWNERS)
def disk_save(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    form = save_form(request, disk)

    def act(data: dict[str, Any]) -> HttpResponse:
        params = {"name": data["name"]}
        return started(request, start(request, "disk.save", params, disk=disk, datastore=data["datastore"]))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"save": form}))


@roles(write=OWNERS)
def disk_move(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    form = move_form(request, disk)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.move", disk=disk, datastore=data["datastore"]))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"move": form}))


@roles(write=OWNERS)
def disk_delete(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    question = "The disk and everything on it are gone for ever."
    if disk.kind == Disk.Kind.LINK:
        question = "Only the link is removed: the persistent image keeps its bytes."
    if asked := ask_name(request, str(disk), question):
        return asked
    return started(request, start(request, "disk.delete", disk=disk))
