"""What can be done to an image. Each action is a POST that ends in a job, or in the page with a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.forms import BaseForm
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from datastores.domain.errors import BadInput, CloudstoreError, Refused
from datastores.domain.values import whole
from datastores.models import Datastore, Image, Job
from datastores.services import images
from datastores.services.dependants import require_unneeded
from datastores.services.snapshots import lost_by_revert
from datastores.services.vms import create_vms, require_free_vm_names
from datastores.web.access import OWNERS, Request, client_address, one_of, roles, visible, wants_json
from datastores.web.acting import ACCEPTED, ask_name, done, job_line, start, start_all, started
from datastores.web.forms.base import attempt
from datastores.web.forms.images import (
    DisksForm,
    ImageNameForm,
    PlaceForm,
    RenameForm,
    ResizeForm,
    SnapshotForm,
    on_host,
)
from datastores.web.views.images import (
    delete_image,
    heir_form,
    image_page,
    lost_by_promotion,
    visible_image,
    what_is_lost,
)

BATCH = 20
"""Disks asked for in one transaction: the first run while the others are still being asked for."""


def shown(request: Request, image: Image, name: str, form: BaseForm, act: Any) -> HttpResponse:
    return attempt(request, form, act, lambda: image_page(request, image, {name: form}))


@roles(write=OWNERS)
def image_disks(request: Request, pk: int) -> HttpResponse:
    """Make disks of the image: one for a VM, or N new VMs with one each."""
    image = visible(request, Image, "datastore", pk=pk)
    form = DisksForm(request.POST, user=request.user)

    def act(data: dict[str, Any]) -> HttpResponse:
        if data["vm"]:
            what = {"image": image, "vm": data["vm"], "datastore": data["datastore"]}
            jobs = [start(request, "disk.create", on_host(data), **what)]
        else:
            jobs = make_machines(request, image, form.names(), data["datastore"], on_host(data))
        if wants_json(request):
            return JsonResponse({"jobs": [job_line(job) for job in jobs]}, status=ACCEPTED)
        if len(jobs) == 1:
            return started(request, jobs[0])
        return done(request, f"{len(jobs)} disks of {image} are being made.", f"{reverse('job-list')}?kind=disk.create")

    return shown(request, image, "disks", form, act)


def make_machines(
    request: Request, image: Image, names: list[str], datastore: Datastore | None, params: dict[str, Any]
) -> list[Job]:
    """Make a VM of each name with a disk of the image.

    :raises CloudstoreError: refused; the message says how many were asked for before that.
    """
    if len(names) > BATCH:  # else they are made in one transaction, or not at all
        require_free_vm_names(names, request.user)
    jobs: list[Job] = []
    try:
        for batch in batches(names):
            with transaction.atomic():
                vms = create_vms(batch, request.user, client_address(request))
                wanted = [{"image": image, "vm": vm, "datastore": datastore} for vm in vms]
                jobs += start_all(request, "disk.create", wanted, params | {"with_vm": True})
    except CloudstoreError as error:
        if not jobs:
            raise
        raise Refused(f"{len(jobs)} of {len(names)} disks were asked for, then: {error}") from error
    return jobs


def batches(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), BATCH):
        yield names[first : first + BATCH]


@roles(write=OWNERS)
def image_persistent(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    on = request.POST.get("on") == "1"
    version = whole(request.POST.get("version", ""))
    if version is None:
        raise BadInput("The version of the image is missing. Look at it again, then repeat your change.")
    images.set_persistent(image, request.user, client_address(request), on=on, version=version)
    return done(request, f"{image} is {'persistent' if on else 'not persistent any more'}.", "image", pk)


@roles(write=OWNERS)
def image_rename(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    form = RenameForm(request.POST)

    def act(data: dict[str, Any]) -> HttpResponse:
        images.rename(image, data["name"], request.user, client_address(request), version=data["version"])
        return done(request, f"{image} is called {data['name']} now.", "image", pk)

    return shown(request, image, "rename", form, act)


@roles(write=OWNERS)
def image_clone(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    form = ImageNameForm(request.POST)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "image.clone", {"name": data["name"], "source": image.pk}))

    return shown(request, image, "clone", form, act)


@roles(write=OWNERS)
def image_resize(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    form = ResizeForm(request.POST)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "image.resize", {"size": data["size"]}, image=image))

    return shown(request, image, "resize", form, act)


@roles(write=OWNERS)
def image_move(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    types = (Datastore.Type.IMAGE, Datastore.Type.FILE)
    form = PlaceForm(request.POST, user=request.user, types=types, without=image.datastore_id)

    def act(data: dict[str, Any]) -> HttpResponse:
        targets = {"image": image, "datastore": data["datastore"]}
        return started(request, start(request, "image.move", form.params(), form.not_before(), **targets))

    return shown(request, image, "move", form, act)


@roles(write=OWNERS)
def image_checksum(request: Request, pk: int) -> HttpResponse:
    return started(request, start(request, "image.checksum", image=visible_image(request, pk)))


@roles(write=OWNERS)
def image_delete(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    require_unneeded(image, request.user, "deleted")
    if asked := ask_name(request, image.name, what_is_lost(image)):
        return asked
    return started(request, delete_image(request, image))


@roles(write=OWNERS)
def image_promote(request: Request, pk: int) -> HttpResponse:
    """Delete an image that clones need: one of them takes its place."""
    image = visible_image(request, pk)
    form = heir_form(request, image)
    if form.is_valid() and (asked := ask_name(request, image.name, lost_by_promotion(image))):
        return asked

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "image.promote", {"heir": data["heir"]}, image=image))

    return shown(request, image, "promote", form, act)


@roles(write=OWNERS)
def snapshot_take(request: Request, pk: int) -> HttpResponse:
    image = visible_image(request, pk)
    form = SnapshotForm(request.POST)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "snapshot.create", {"name": data["name"]}, image=image))

    return shown(request, image, "snapshot", form, act)


@roles(write=OWNERS)
def snapshot_revert(request: Request, pk: int, snapshot: int) -> HttpResponse:
    return change_snapshot(request, pk, snapshot, "snapshot.revert")


@roles(write=OWNERS)
def snapshot_delete(request: Request, pk: int, snapshot: int) -> HttpResponse:
    return change_snapshot(request, pk, snapshot, "snapshot.delete", "The image cannot be taken back to it any more.")


def change_snapshot(request: Request, pk: int, snapshot: int, kind: str, question: str = "") -> HttpResponse:
    """Ask for the name of the snapshot, with the ``question``; "" for that of a way back, and then start the job."""
    image = visible_image(request, pk)
    row = one_of(image.snapshots.all(), pk=snapshot)
    if asked := ask_name(request, row.name, question or lost_by_revert(row, image.snapshots.all())):
        return asked
    return started(request, start(request, kind, image=image, snapshot=row))
