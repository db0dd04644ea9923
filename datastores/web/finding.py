"""Anything by its name, or by its number, of what a person may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django.urls import reverse

from datastores.domain.values import whole
from datastores.models import Cluster, Datastore, Host, Image, Job, User, VirtualMachine
from datastores.web.access import ADMINS, EVERYBODY, READERS, STAFF

LONGEST = 100
"""Characters of what is looked for; the rest of a longer text is left out."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing: its title, its icon, where its name is, the page of one, and who is shown it."""

    title: str
    icon: str
    model: type[Model]
    field: str
    page: str
    roles: frozenset[User.Role]
    more: Callable[[Any], str] = lambda row: row.state
    """What is said of a row beside its name."""


@dataclass(frozen=True, slots=True)
class Hit:
    url: str
    name: str
    more: str


@dataclass(frozen=True, slots=True)
class Group:
    """What was found of one kind."""

    title: str
    icon: str
    hits: list[Hit]


KINDS = (
    Kind("Hosts", "server", Host, "name", "host", READERS),
    Kind("Datastores", "hdd-stack", Datastore, "name", "datastore", READERS),
    Kind("Images", "disc", Image, "name", "image", EVERYBODY),
    Kind("Virtual machines", "pc-display", VirtualMachine, "name", "vm", EVERYBODY),
    Kind("Jobs", "list-task", Job, "title", "", EVERYBODY, lambda job: job.word),
    Kind("Clusters", "diagram-3", Cluster, "name", "cluster-edit", STAFF, lambda cluster: cluster.description),
    Kind("Users", "people", User, "username", "user-edit", ADMINS, lambda user: user.role),
)


def find(user: User, text: str, most: int) -> Iterator[Group]:
    """Yield what is called like the text, ``most`` of each kind: what begins with it first, then the newest.

    Two queries for each kind, however many rows there are.
    """
    text = text.replace("\0", "").strip()[:LONGEST]
    if not text:
        return
    for kind in KINDS:
        if user.role in kind.roles and (hits := [hit_of(kind, row) for row in rows_of(kind, user, text, most)]):
            yield Group(kind.title, kind.icon, hits)


def rows_of(kind: Kind, user: User, text: str, most: int) -> list[Any]:
    """Return the rows of one kind, those whose name begins with the text, or whose number it is, first.

    Asked for apart, each in the order of the keys: the database stops where it has found enough, and sorts nothing.
    """
    rows: Any = kind.model.objects  # type: ignore[attr-defined]
    rows = (rows.visible_to(user) if hasattr(rows, "visible_to") else rows.all()).order_by("-pk")
    number = whole(text.removeprefix("#"))
    first = Q(**{f"{kind.field}__istartswith": text}) | (Q() if number is None else Q(pk=number))
    found = list(rows.filter(first)[:most])
    within = rows.filter(**{f"{kind.field}__icontains": text}).exclude(pk__in=[row.pk for row in found])
    return (found + list(within[:most]))[:most]


def hit_of(kind: Kind, row: Any) -> Hit:
    url = reverse(kind.page, args=[row.pk]) if kind.page else row.get_absolute_url()
    return Hit(url, getattr(row, kind.field), kind.more(row))
