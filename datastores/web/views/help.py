"""The guides, in the product."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from datastores.models import User
from datastores.web.access import EVERYBODY, STAFF, Request, roles
from datastores.web.guides import GUIDES, page_of


@roles(read=EVERYBODY)
def index(request: Request) -> HttpResponse:
    """Lead to the guide of the person's role."""
    return redirect("help", "tenants" if request.user.role == User.Role.TENANT else "operators")


@roles(read=EVERYBODY)
def guide(request: Request, guide: str) -> HttpResponse:
    if guide not in GUIDES or GUIDES[guide].url != "help":
        raise Http404
    return show(request, guide)


@roles(read=STAFF)
def staff_guide(request: Request, name: str) -> HttpResponse:
    return show(request, name)


def show(request: Request, name: str) -> HttpResponse:
    others = [each for each in GUIDES.values() if each.url == "help" or request.user.role in STAFF]
    page = {"page": page_of(GUIDES[name]), "guide": GUIDES[name], "guides": others}
    return render(request, "datastores/guide.html", page)
