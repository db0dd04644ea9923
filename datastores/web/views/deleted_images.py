"""Images that were deleted, and can be brought back for some days."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from datastores.models import DeletedImage
from datastores.web.access import EVERYBODY, OWNERS, Request, roles, visible
from datastores.web.acting import start, started

SHOWN = 200


@roles(read=EVERYBODY)
def deleted_images(request: Request) -> HttpResponse:
    kept = DeletedImage.objects.visible_to(request.user).kept().select_related("datastore", "owner")
    context = {"rows": kept[:SHOWN], "more": max(0, kept.count() - SHOWN), "mine": request.user.role in OWNERS}
    return render(request, "datastores/deleted_images.html", context)


@roles(write=OWNERS)
def image_restore(request: Request, deleted: int) -> HttpResponse:
    kept = visible(request, DeletedImage, pk=deleted)
    return started(request, start(request, "image.restore", {"deleted": kept.pk}))
