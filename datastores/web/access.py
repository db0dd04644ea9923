"""Who may use which page: one rule at each view, and one way to a person's rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django_htmx.middleware import HtmxDetails

from datastores.models import User

EVERYBODY = frozenset(User.Role)
ADMINS = frozenset({User.Role.ADMIN})
STAFF = ADMINS | {User.Role.OPERATOR}
"""Those who run the cloud."""
OWNERS = STAFF | {User.Role.TENANT}
"""Those who may have images and virtual machines."""
READERS = STAFF | {User.Role.AUDITOR}
"""Those who see everything."""
INSPECTORS = ADMINS | {User.Role.AUDITOR}
NOBODY: frozenset[User.Role] = frozenset()

V = TypeVar("V")
M = TypeVar("M", bound=Model)


class Request(HttpRequest):
    """A request as our views get it: LoginRequiredMiddleware let only people through."""

    user: User
    htmx: HtmxDetails


@dataclass(frozen=True, slots=True)
class Rule:
    """The roles that may look (GET) and those that may act (POST); nobody: the method is not allowed."""

    read: frozenset[User.Role]
    write: frozenset[User.Role]

    @property
    def methods(self) -> list[str]:
        return (["GET", "HEAD"] if self.read else []) + (["POST"] if self.write else [])


def roles(*, read: frozenset[User.Role] = NOBODY, write: frozenset[User.Role] = NOBODY) -> Callable[[V], V]:
    """Decorate a view, or a class of views, with its rule; it can be read back as ``view.rule``."""
    rule = Rule(read, write)

    def decorate(view: Any) -> Any:
        if isinstance(view, type):
            return method_decorator(roles(read=read, write=write), name="dispatch")(view)

        @functools.wraps(view)
        def guarded(request: Request, *args: Any, **kwargs: Any) -> Any:
            if request.method not in rule.methods:
                return HttpResponseNotAllowed(rule.methods)
            if request.user.role not in (rule.write if request.method == "POST" else rule.read):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.rule = rule  # type: ignore[attr-defined]
        return guarded

    return decorate


def visible(request: HttpRequest, model: type[M], *related: str, **lookup: Any) -> M:
    """Return the one row; 404 when it is not there or not for this person, who cannot tell which."""
    rows = model.objects.visible_to(request.user)  # type: ignore[attr-defined]
    row: M = get_object_or_404(rows.select_related(*related), **lookup)
    return row


def client_address(request: HttpRequest) -> str:
    """Return from where the person asks, as the server in front of us says."""
    address: str = request.META.get("REMOTE_ADDR", "")
    return address[:45]


def wants_json(request: HttpRequest) -> bool:
    """Tell whether a program asks, not a browser."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
