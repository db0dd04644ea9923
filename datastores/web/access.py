"""Who may use which page: one rule at each view, and one way to a person's rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.utils.decorators import method_decorator
from django_htmx.middleware import HtmxDetails

from datastores.models import User
from datastores.models.audit import row_of

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


class NotThere(Http404):
    """A row is not there, or not for this person. ``row``: of what the trail may tell what became of it."""

    def __init__(self, row: str) -> None:
        super().__init__(row)
        self.row = row


def one_of(rows: QuerySet[M], *, about: Model | None = None, **lookup: Any) -> M:
    """Return the one row. ``about``: what tells what became of it when it is gone, unless that is the row itself.

    :raises NotThere: it is not among them.
    """
    row = rows.filter(**lookup).first()
    if row is None:
        raise NotThere(row_of(about or rows.model(pk=lookup.get("pk"))))
    return row


def visible(request: HttpRequest, model: type[M], *related: str, **lookup: Any) -> M:
    """Return the one row; 404 when it is not there or not for this person, who cannot tell which."""
    rows = model.objects.visible_to(request.user)  # type: ignore[attr-defined]
    return one_of(rows.select_related(*related), **lookup)


def client_address(request: HttpRequest) -> str:
    """Return from where the person asks, as the server in front of us says."""
    address: str = request.META.get("REMOTE_ADDR", "")
    return address[:45]


def wants_json(request: HttpRequest) -> bool:
    """Tell whether a program asks, not a browser."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
