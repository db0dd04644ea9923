"""Refusals as the person sees them: on the page they came from, in the partial, or as JSON."""

from __future__ import annotations

import http
from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from datastores.domain.errors import BadInput, CloudstoreError
from datastores.models import User
from datastores.web.access import NotThere, Rule, wants_json
from datastores.web.gone import what_became_of


class OperatorErrorMiddleware:
    """Turns a CloudstoreError that a view did not show at a form into an answer for the person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED and not wants_json(request):
            # the address of a form, which is there to be sent to, perhaps loaded again after a refusal
            return render(request, "405.html", {"above": page_above(request)}, status=response.status_code)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotThere):
            return not_there(request, exception)
        if not isinstance(exception, CloudstoreError):
            return None
        status, error = 400 if isinstance(exception, BadInput) else 409, str(exception)
        if wants_json(request):
            return JsonResponse({"error": error}, status=status)
        if getattr(request, "htmx", False):
            return refused_part(request, error, status)
        if request.method == "POST":
            messages.error(request, error)
            return HttpResponseRedirect(came_from(request))
        return render(request, "datastores/refused.html", {"error": error}, status=status)


def refused_part(request: HttpRequest, error: str, status: int) -> HttpResponse:
    """Answer a part of a page that asked by a message above it."""
    response = render(request, "datastores/_refused.html", {"error": error}, status=status)
    response["HX-Retarget"], response["HX-Reswap"], response["HX-Reselect"] = "#messages", "innerHTML", ".note"
    return response


def not_there(request: HttpRequest, missed: NotThere) -> HttpResponse:
    """Answer who asked for a row that is not there: with the way to others, and what became of it.

    That is looked up for a press and for a part of an open page, and not for whoever walks through numbers.
    """
    words = ""
    had_it = request.method == "POST" or getattr(request, "htmx", False)
    if had_it and missed.row and isinstance(request.user, User):
        words = what_became_of(missed.row, request.user)
    status = http.HTTPStatus.NOT_FOUND
    if wants_json(request):
        return JsonResponse({"error": f"It is not there, or not yours. {words}".strip()}, status=status)
    if getattr(request, "htmx", False):
        # a part of a page, read again; a 404 is not shown by it: that may be a whole page
        error = f"This is not there any more, or not yours. {words}".strip()
        return refused_part(request, error, http.HTTPStatus.GONE)
    listed = f"/{request.path.split('/')[1]}/"
    return render(request, "404.html", {"became": words, "list": listed if can_be_read(listed) else ""}, status=status)


def came_from(request: HttpRequest) -> str:
    """Return the page with the button: the referrer if it is ours, else the nearest page at or above this address."""
    referrer = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(referrer, {request.get_host()}, require_https=request.is_secure()):
        return referrer
    return request.path if can_be_read(request.path) else page_above(request)


def can_be_read(path: str) -> bool:
    """Tell whether there is a page at the address."""
    try:
        rule: Rule | None = getattr(resolve(path).func, "rule", None)
    except Http404:
        return False
    return bool(rule and rule.read)


def page_above(request: HttpRequest) -> str:
    """Return the nearest page above this address."""
    path = request.path
    while path.count("/") > 2:
        path = path.rstrip("/").rpartition("/")[0] + "/"
        if can_be_read(path):
            return path
    return reverse("overview")
