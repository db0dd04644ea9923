"""Disks of virtual machines: their page, and what can be done to one."""

from __future__ import annotations

from typing import Any

from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import render

from datastores.domain.errors import Refused
from datastores.domain.states import ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.drivers.registry import DRIVERS, driver_class
from datastores.models import Datastore, Disk, Image, Job, User, VirtualMachine, words
from datastores.services.dependants import is_saved
from datastores.services.disk_flatten import can_flatten
from datastores.services.disk_places import is_silent
from datastores.services.disks import comes_back
from datastores.services.limits import can_reserve
from datastores.services.placing import disk_volume
from datastores.web.access import EVERYBODY, OWNERS, STAFF, Request, roles, visible
from datastores.web.acting import ask_name, start, started
from datastores.web.drift import notes_on
from datastores.web.forms.base import attempt
from datastores.web.forms.images import PlaceForm, rate_limit
from datastores.web.forms.machines import HostOfDiskForm, LargerDiskForm, SaveForm, TakerForm
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Anywhere, Choice, Moment, Owning, Size, Text, Worded
from datastores.web.lists.rows import Rows
from datastores.web.timeline import timeline_of

ANYWHERE = (Datastore.Type.IMAGE, Datastore.Type.SYSTEM)


NAMED = {
    "vm": Owning(VirtualMachine.objects.all(), "vm", Text(("name",), "vm:web")),
    "image": Owning(Image.objects.all(), "image", Worded(("name",), "image:debian", words.IMAGES)),
    "datastore": Owning(Datastore.objects.all(), "datastore", Text(("name",), "datastore:gold")),
}


def type_of(disk: Disk) -> str:
    """Return what a disk is to its machine, in the word of the datastores' DS column: fs, iscsi ..."""
    return DRIVERS[disk.datastore.kind].ds


def delete_disk(request: Request, disk: Disk) -> Job:
    return start(request, "disk.delete", disk=disk)


@roles(read=EVERYBODY, write=OWNERS)
class DiskList(Rows):
    model = Disk
    noun = "disk,disks"
    resource = "disk"
    acts = (
        Act("delete", "Delete", "trash", delete_disk, "are being deleted",
            lost="The disks and everything on them are gone for ever. Of a link only the link goes: the persistent "
                 "image keeps its bytes."),
    )  # fmt: skip
    template_name = "datastores/disk_list.html"
    row_template = "datastores/_disk_row.html"
    same_for_all = True
    related = ("vm__owner", "image", "datastore")
    name = "disks"
    search = Anywhere((NAMED["vm"], NAMED["image"]), "web")
    fields = {
        **NAMED,
        "state": Choice("state", {state.value: state.value for state in ObjectState}, "state:error"),
        "kind": Choice("kind", {kind: kind for kind in Disk.Kind.values}, "kind:clone"),
        "format": Choice("format", {each.value: each.value for each in Format}, "format:qcow2"),
        "size": Size("virtual_size", "size>100G"),
        "takes": Size("allocated", "takes>80%", whole="virtual_size"),
        "owner": Owning(
            VirtualMachine.objects.all(),
            "vm",
            Owning(User.objects.all(), "owner", Text(("username",), "owner:alice")),
        ),
        "since": Moment("created_at", "since<7d"),
    }
    default_sort = "-id"
    filters = (
        Filter("state", "state", tuple((state.value, state.value) for state in ObjectState)),
        Filter("kind", "kind", tuple(Disk.Kind.choices)),
    )
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("disk", "Disk", value=str),
        Column("state", "State", "state", "state"),
        Column("vm", "Virtual machine", "vm__name", "vm.name"),
        Column("image", "Image", "image__name", "image", absent=""),
        Column("kind", "Kind", "kind", "kind"),
        Column("format", "Format", "format", "format"),
        Column("size", "Size", "virtual_size", "virtual_size", number=True),
        Column("takes", "Takes", "allocated", "allocated", number=True, absent=-1),
        Column("target", "Target", value="target", shown=False),
        Column("type", "Type", value=type_of, shown=False),
        Column("save", "Save", value=lambda disk: "yes" if is_saved(disk) else "no", shown=False),
        Column("datastore", "Datastore", "datastore__name", "datastore.name"),
        Column("owner", "Owner", "vm__owner__username", "vm.owner.username"),
        Column("since", "Since", "created_at", "created_at"),
    )


def visible_disk(request: Request, pk: int) -> Disk:
    return visible(request, Disk, "vm__owner", "image", "datastore", "host", pk=pk)


def move_form(request: Request, disk: Disk) -> PlaceForm:
    data = request.POST if request.method == "POST" else None
    return PlaceForm(data, user=request.user, types=ANYWHERE, without=disk.datastore_id)


def save_form(request: Request, disk: Disk) -> SaveForm:
    data = request.POST if request.method == "POST" else None
    return SaveForm(data, user=request.user, initial={"datastore": disk.datastore_id})


def resize_form(request: Request) -> LargerDiskForm:
    return LargerDiskForm(request.POST if request.method == "POST" else None)


def host_form(request: Request, disk: Disk) -> HostOfDiskForm | None:
    """Return the form for another host; None: all hosts see the disk, or there is no other."""
    form = HostOfDiskForm(request.POST if request.method == "POST" else None, user=request.user, disk=disk)
    return form if form.has_hosts else None


def give_form(request: Request, disk: Disk) -> TakerForm:
    data = request.POST if request.method == "POST" else None
    return TakerForm(data, user=request.user, without=disk.vm_id)


def disk_page(request: Request, disk: Disk, sent: dict[str, BaseForm | None] | None = None) -> HttpResponse:
    """Show a disk; ``sent``: the form that was sent and refused, by name."""
    forms: dict[str, BaseForm | None] = sent or {
        "save": save_form(request, disk),
        "resize": resize_form(request),
        "move": move_form(request, disk),
        "host": host_form(request, disk),
        "give": give_form(request, disk),
    }
    context = {
        "object": disk,
        "path": disk_volume(disk).path,
        "forms": forms,
        "goes": what_goes(disk),
        "given_up": is_given_up(request, disk),
        "jobs": disk.jobs.visible_to(request.user).order_by("-pk")[:8],
        **notes_on(request.user, disk=disk),
        **timeline_of(request.user, disk),
        "mine": request.user.role in OWNERS,
        "can_flatten": can_flatten(disk),
        "can_reserve": request.user.role in STAFF and can_reserve(disk),
    }
    return render(request, "datastores/disk.html", context)


def is_given_up(request: Request, disk: Disk) -> bool:
    """Tell whether a deletion would not wait for the disk's host, which does not answer."""
    return request.user.role in STAFF and is_silent(disk)


def what_goes(disk: Disk) -> str:
    """Return in a sentence what is lost when the disk is deleted."""
    if is_silent(disk):
        lies = Capability.ATTACH not in driver_class(disk.datastore.kind).can
        kept = "What lies there stays, and is forgotten here." if lies else "It is not let in to the disk any more."
        return f"{disk.host} does not answer, and is given up. {kept}"
    if disk.kind == Disk.Kind.LINK:
        return "Only the link is removed: the persistent image keeps its bytes."
    if disk.image and comes_back(disk):
        return f"Its bytes replace those of the persistent image {disk.image.name}, then it goes."
    return "The disk and everything on it are gone for ever."


@roles(read=EVERYBODY)
def disk_show(request: Request, pk: int) -> HttpResponse:
    return disk_page(request, visible_disk(request, pk))


@roles(write=OWNERS)
def disk_save(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    form = save_form(request, disk)

    def act(data: dict[str, Any]) -> HttpResponse:
        params = {"name": data["name"]} | rate_limit(data)
        return started(request, start(request, "disk.save", params, disk=disk, datastore=data["datastore"]))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"save": form}))


@roles(write=OWNERS)
def disk_move(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    form = move_form(request, disk)

    def act(data: dict[str, Any]) -> HttpResponse:
        targets = {"disk": disk, "datastore": data["datastore"]}
        return started(request, start(request, "disk.move", form.params(), form.not_before(), **targets))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"move": form}))


@roles(write=OWNERS)
def disk_place(request: Request, pk: int) -> HttpResponse:
    """Use the disk on another host."""
    disk = visible_disk(request, pk)
    form = host_form(request, disk)
    if form is None:
        raise Refused(f"There is no other host on which {disk} could be used.")

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.place", form.params(), disk=disk))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"host": form}))


@roles(write=OWNERS)
def disk_reserve(request: Request, pk: int) -> HttpResponse:
    params = {"on": request.POST.get("on") == "1"}
    return started(request, start(request, "disk.reserve", params, disk=visible_disk(request, pk)))


@roles(write=OWNERS)
def disk_flatten(request: Request, pk: int) -> HttpResponse:
    return started(request, start(request, "disk.flatten", disk=visible_disk(request, pk)))


@roles(write=OWNERS)
def disk_resize(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    form = resize_form(request)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.resize", {"size": data["size"]}, disk=disk))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"resize": form}))


@roles(write=OWNERS)
def disk_give(request: Request, pk: int) -> HttpResponse:
    """Hand the disk over to another machine."""
    disk = visible_disk(request, pk)
    form = give_form(request, disk)

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, "disk.give", {"vm": data["vm"].pk}, disk=disk))

    return attempt(request, form, act, lambda: disk_page(request, disk, {"give": form}))


@roles(write=OWNERS)
def disk_delete(request: Request, pk: int) -> HttpResponse:
    disk = visible_disk(request, pk)
    if asked := ask_name(request, str(disk), what_goes(disk)):
        return asked
    params = {"lost": True} if request.POST.get("lost") == "1" else {}
    return started(request, start(request, "disk.delete", params, disk=disk))
