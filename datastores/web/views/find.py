"""Find anything by its name: as a page, and as the palette asks for it."""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from datastores.web import finding
from datastores.web.access import EVERYBODY, Request, roles

SHOWN = 10
OFFERED = 6
"""Of each kind, in the palette."""


@roles(read=EVERYBODY)
def find(request: Request) -> HttpResponse:
    text = request.GET.get("q", "").replace("\0", "").strip()
    found = list(finding.find(request.user, text, SHOWN))
    return render(request, "datastores/find.html", {"find": text, "found": found})


@roles(read=EVERYBODY)
def palette(request: Request) -> JsonResponse:
    """Answer ``{"groups": [{"title", "icon", "hits": [{"url", "name", "more"}]}]}``."""
    groups = finding.find(request.user, request.GET.get("q", ""), OFFERED)
    answer = JsonResponse({"groups": [asdict(group) for group in groups]})
    answer["Cache-Control"] = "no-store"
    return answer
