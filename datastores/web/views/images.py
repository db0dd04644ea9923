"""Images: lists, their page, and new ones."""

from __future__ import annotations

from typing import Any, ClassVar

from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import render
from django.views.generic import DetailView

from datastores.domain.states import JobState, ObjectState
from datastores.domain.volumes import Capability, Format
from datastores.models import Datastore, Disk, Image, Job, User, words
from datastores.services.caching import keeps_copies
from datastores.services.dependants import dependants, require_unneeded
from datastores.services.placing import driver_of
from datastores.services.promotions import can_promote, heirs_of
from datastores.services.snapshots import lost_by_revert
from datastores.services.viewers import listed
from datastores.web.access import EVERYBODY, OWNERS, Request, roles, visible
from datastores.web.acting import start, started
from datastores.web.dependants import independent_disks, tree
from datastores.web.drift import notes_on
from datastores.web.forms.base import attempt
from datastores.web.forms.images import (
    BlockForm,
    ContextForm,
    DisksForm,
    HeirForm,
    ImageNameForm,
    PlacedForm,
    PlaceForm,
    RegisterForm,
    RenameForm,
    ResizeForm,
    SnapshotForm,
)
from datastores.web.lists.acts import Act
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.fields import Anywhere, Choice, Flag, Moment, Number, Owning, Size, Text, Worded
from datastores.web.lists.rows import Rows
from datastores.web.lists.sums import count_of
from datastores.web.timeline import timeline_of

WAYS: dict[str, tuple[str, str, type[PlacedForm], str]] = {
    "register": ("Register image", "image.register", RegisterForm, "upload"),
    "block": ("New data block", "image.create", BlockForm, "plus-lg"),
    "context": ("New context CD", "image.context", ContextForm, "disc"),
}
"""How an image comes to be: title, kind of job, form, icon."""


NAMED = {
    "datastore": Owning(Datastore.objects.all(), "datastore", Text(("name",), "datastore:gold")),
    "owner": Owning(User.objects.all(), "owner", Text(("username",), "owner:alice")),
}


def delete_image(request: Request, image: Image) -> Job:
    require_unneeded(image, request.user, "deleted")
    return start(request, "image.delete", image=image)


@roles(read=EVERYBODY, write=OWNERS)
class ImageList(Rows):
    model = Image
    noun = "image,images"
    resource = "image"
    acts = (
        Act("check", "Compute checksums", "hash", lambda request, image: start(request, "image.checksum", image=image),
            "are being read"),
        Act("delete", "Delete", "trash", delete_image, "are being deleted",
            lost="The images and their bytes are gone for ever, with their snapshots. Disks that are copies stay."),
    )  # fmt: skip
    template_name = "datastores/image_list.html"
    row_template = "datastores/_image_row.html"
    same_for_all = True
    related = ("datastore", "owner")
    figures: ClassVar = {"disk_count": count_of(Disk.objects.all(), "image")}
    name = "images"
    search = Anywhere((Worded(words.IMAGES.parts, "debian", words.IMAGES), *NAMED.values()), "debian")
    fields = {
        "name": Worded(("name",), "name:debian", words.IMAGES),
        "state": Choice("state", {state.value: state.value for state in ObjectState}, "state:error"),
        "type": Choice("type", {value.lower(): value for value in Image.Type.values}, "type:os"),
        "format": Choice("format", {each.value: each.value for each in Format}, "format:qcow2"),
        "persistent": Flag("persistent", "persistent:yes"),
        "datastore": NAMED["datastore"],
        "size": Size("virtual_size", "size>100G"),
        "real": Size("real_size", "real>50%", whole="virtual_size"),
        "disks": Number("disk_count", "disks:0", int),
        "owner": NAMED["owner"],
        "since": Moment("created_at", "since<7d"),
    }
    default_sort = "-id"
    filters = (
        Filter("type", "type", tuple(Image.Type.choices)),
        Filter("state", "state", tuple((state.value, state.value) for state in ObjectState)),
        Filter("format", "format", tuple((each.value, each.value) for each in Format)),
    )
    columns = (
        Column("id", "ID", "pk", "pk", number=True),
        Column("name", "Name", "name", "name"),
        Column("state", "State", "state", "state"),
        Column("type", "Type", "type", "type"),
        Column("format", "Format", "format", "format"),
        Column("persistent", "Persistent", "persistent", "persistent"),
        Column("datastore", "Datastore", "datastore__name", "datastore.name"),
        Column("size", "Size", "virtual_size", "virtual_size", number=True),
        Column("real", "Real", "real_size", "real_size", number=True),
        Column("disks", "Disks", "disk_count", "disk_count", number=True),
        Column("owner", "Owner", "owner__username", "owner.username"),
        Column("since", "Since", "created_at", "created_at"),
        Column("source", "Source", value="source", shown=False),
        Column("sha256", "SHA-256", value="sha256", shown=False),
    )


def visible_image(request: Request, pk: int) -> Image:
    return visible(request, Image, "datastore", "owner", "parent", pk=pk)


def image_forms(request: Request, image: Image) -> dict[str, BaseForm]:
    """Return the unsent forms of an image's page."""
    types = (Datastore.Type.IMAGE, Datastore.Type.FILE)
    return {
        "disks": DisksForm(user=request.user),
        "rename": RenameForm(initial={"name": image.name, "version": image.version}),
        "clone": ImageNameForm(),
        "resize": ResizeForm(),
        "snapshot": SnapshotForm(),
        "move": PlaceForm(user=request.user, types=types, without=image.datastore_id),
        "promote": heir_form(request, image),
    }


def heir_form(request: Request, image: Image) -> HeirForm:
    heirs = heirs_of(image, request.user) if can_promote(image) else {}
    return HeirForm(request.POST if "heir" in request.POST else None, heirs=heirs)


def lost_by_promotion(image: Image) -> str:
    """Return what a person is told who deletes an image whose place a clone takes."""
    count = image.snapshots.count()
    with_it = f" with {count} snapshot{'s' if count > 1 else ''}" if count else ""
    return (
        f"The image itself{with_it} is gone for ever. Its clones stay as they are: one takes its place, and the others "
        "need that one from then on."
    )


def what_is_lost(image: Image) -> str:
    """Return what a person is told who deletes the image."""
    count = image.snapshots.count()
    with_it = f" with {count} snapshot{'s' if count > 1 else ''}" if count else ""
    days = driver_of(image.datastore).days_kept
    gone = f"can be brought back for {days} day{'s' if days > 1 else ''}" if days else "are gone for ever"
    return f"The image and its bytes in {image.datastore}{with_it} {gone}. {independent_disks(image)}".rstrip()


def image_page(request: Request, image: Image, sent: dict[str, BaseForm] | None = None) -> HttpResponse:
    """Show an image; ``sent``: the form that was sent and refused, by name."""
    driver = driver_of(image.datastore)
    needing = dependants(image, request.user)
    snapshots = list(image.snapshots.select_related("image__datastore").order_by("pk"))
    jobs = image.jobs.visible_to(request.user).order_by("-pk")
    context = {
        "object": image,
        "driver": driver,
        "keeps_copies": keeps_copies(image.datastore) and not image.persistent,
        "can": {capability.name: capability in driver.capabilities(Format(image.format)) for capability in Capability},
        "pinned": driver.has_luns,
        "tree": tree(image, request.user),
        "independent": independent_disks(image),
        "broken": image.state == ObjectState.ERROR,
        "broken_by": jobs.filter(state__in=(JobState.FAILED, JobState.ERRORED)).first(),
        "lost": what_is_lost(image),
        "lost_by_promotion": lost_by_promotion(image),
        "needing": listed(needing) if needing else "",
        "snapshots": snapshots,
        "ways_back": [(row, lost_by_revert(row, snapshots)) for row in snapshots],
        "jobs": jobs[:8],
        **notes_on(request.user, image=image),
        **timeline_of(request.user, image),
        "forms": image_forms(request, image) | (sent or {}),
        "opened": next(iter(sent), "") if sent else "",
        "sent": next(iter(sent.values())) if sent else None,
        "mine": request.user.role in OWNERS,
    }
    return render(request, "datastores/image.html", context)


@roles(read=EVERYBODY)
class ImagePage(DetailView):
    request: Request

    def get(self, request: Request, pk: int) -> HttpResponse:  # type: ignore[override]
        return image_page(request, visible_image(request, pk))


@roles(read=OWNERS, write=OWNERS)
def image_new(request: Request, way: str) -> HttpResponse:
    title, kind, form_class, icon = WAYS[way]
    form = form_class(request.POST or None, user=request.user, initial={"datastore": request.GET.get("datastore")})

    def act(data: dict[str, Any]) -> HttpResponse:
        return started(request, start(request, kind, form.params(), datastore=data["datastore"]))

    page = {"form": form, "title": title, "way": way, "ways": WAYS, "icon": icon, "name": title.lower()}
    return attempt(request, form, act, lambda: render(request, "datastores/image_form.html", page))
