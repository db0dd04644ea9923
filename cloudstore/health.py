"""For machines that watch this one: does it answer, is all there that it needs, and the figures for Prometheus."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cloudstore.readiness import shared
from datastores.web.metrics import CONTENT_TYPE, page

FORWARDED = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")
"""What a proxy adds: who asks through one is not on this machine."""


@login_not_required
@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200: this process answers. Nothing else is looked at, so that it is not restarted for what others lack."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when everything is there, else 503. Strangers learn which checks there are, and how they went."""
    checks, knows = shared.checks(), may_know(request)
    ready = all(check.ok for check in checks)
    told = {
        check.name: {"ok": check.ok, "words": check.words} if knows else {"ok": check.ok} for check in checks
    }  # fmt: skip
    return JsonResponse({"status": "ready" if ready else "not ready", "checks": told}, status=200 if ready else 503)


@login_not_required
@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures in the text format of Prometheus."""
    if may_know(request):
        return HttpResponse(page.text(), content_type=CONTENT_TYPE)
    words = "Send the token as 'Authorization: Bearer <token>'.\n"
    if not settings.METRICS_TOKEN:
        words = "Set CLOUDSTORE_METRICS_TOKEN to read this from another machine or through a proxy.\n"
    answer = HttpResponse(words, status=401, content_type="text/plain; charset=utf-8")
    answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
    return answer


def may_know(request: HttpRequest) -> bool:
    """Tell whether this is a machine of ours: one with the token or, while there is none, this one itself."""
    if settings.METRICS_TOKEN:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and constant_time_compare(given.strip(), settings.METRICS_TOKEN)
    # behind a proxy everybody comes from its address
    has_proxy = settings.HTTPS or bool(settings.CSRF_TRUSTED_ORIGINS)
    return not has_proxy and not any(name in request.headers for name in FORWARDED) and is_local(request)


def is_local(request: HttpRequest) -> bool:
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
