"""Whose session is over while a form is open signs in again and comes back to the page with the form."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

READING = ("GET", "HEAD")


class SignInRequired(LoginRequiredMiddleware):
    """After signing in, who had sent a form gets its page again: the form's own address can only be sent to."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseRedirect:
        if request.method in READING:
            answer: HttpResponseRedirect = super().handle_no_permission(request, view_func)
            return answer
        return redirect_to_login(page_before(request))


def page_before(request: HttpRequest) -> str:
    """Return the path of the page from which the request came; the overview when that is not one of ours."""
    page = request.META.get("HTTP_REFERER", "")
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure()):
        return "/"
    parts = urlsplit(page)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
