"""Views of lists that a person keeps under a name."""

from __future__ import annotations

from django.http import Http404, HttpResponse, QueryDict
from django.urls import resolve

from datastores.domain.errors import BadInput, Refused
from datastores.models import SavedView
from datastores.web.access import EVERYBODY, Request, one_of, roles
from datastores.web.acting import done
from datastores.web.errors import came_from
from datastores.web.lists.rows import Rows

MOST_VIEWS = 50
"""Of one list."""


@roles(write=EVERYBODY)
def view_save(request: Request) -> HttpResponse:
    """Keep what is chosen over a list; under a name that there is already, in its place."""
    path, name = request.POST.get("path", ""), request.POST.get("name", "").replace("\0", "").strip()
    found = rows_at(path)
    if not 0 < len(name) <= 60:
        raise BadInput("Give the view a name of at most 60 characters.")
    query = found.address_of(path, QueryDict(request.POST.get("query", ""))).view
    if not query or len(query) > 2000:
        raise BadInput("There is nothing to keep: filter, sort or choose columns first." if not query else
                       "That is too long to be kept.")  # fmt: skip
    mine = SavedView.objects.filter(user=request.user, list=found.name)
    if mine.exclude(name=name).count() >= MOST_VIEWS:
        raise Refused(f"There are {MOST_VIEWS} views of this list already. Forget one first.")
    SavedView.objects.update_or_create(user=request.user, list=found.name, name=name, defaults={"query": query})
    return done(request, f"The view {name} is kept.", f"{path}?{query}")


def rows_at(path: str) -> type[Rows]:
    """Return the list at an address. :raises BadInput: there is none."""
    try:
        view = getattr(resolve(path).func, "view_class", None)
    except Http404:
        view = None
    if not isinstance(view, type) or not issubclass(view, Rows):
        raise BadInput("Views are kept of lists only.")
    return view


@roles(write=EVERYBODY)
def view_delete(request: Request, pk: int) -> HttpResponse:
    saved = one_of(SavedView.objects.all(), user=request.user, pk=pk)
    saved.delete()
    return done(request, f"The view {saved} is forgotten.", came_from(request))
