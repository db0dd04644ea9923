"""Anything by its name, or by its number, of what a person may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from datastores.domain.values import whole
from datastores.models import Alert, Cluster, Datastore, Drift, Host, Image, Job, User, VirtualMachine
from datastores.models.words import DRIFT, IMAGES, JOBS, Words
from datastores.web.access import ADMINS, EVERYBODY, READERS, STAFF

LONGEST = 100
"""Characters of what is looked for; the rest of a longer text is left out."""
COMMON = 300
"""What so many rows are called like is found soon by reading the newest ones."""
SHORTEST, LATELY = 3, 4000
"""A text of fewer letters is in no index of parts: it is looked for in the names of so many of the newest rows."""


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
    index: Words | None = None
    """The index of its names, and of more."""


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
    Kind("Images", "disc", Image, "name", "image", EVERYBODY, index=IMAGES),
    Kind("Virtual machines", "pc-display", VirtualMachine, "name", "vm", EVERYBODY),
    Kind("Jobs", "list-task", Job, "title", "", EVERYBODY, lambda job: job.word, JOBS),
    Kind("Clusters", "diagram-3", Cluster, "name", "cluster-edit", STAFF, lambda cluster: cluster.description),
    Kind("Alerts", "bell", Alert, "label", "alert", READERS),
    Kind("Drift", "sign-turn-right", Drift, "title", "drift", READERS, index=DRIFT),
    Kind("Users", "people", User, "username", "user-edit", ADMINS, lambda user: user.role),
)


def find(user: User, text: str, most: int) -> Iterator[Group]:
    """Yield what is called like the text, ``most`` of each kind: what begins with it first, then the newest.

    A few queries for each kind, however many rows there are.
    """
    text = text.replace("\0", "").strip()[:LONGEST]
    if not text:
        return
    for kind in KINDS:
        if user.role in kind.roles and (hits := [hit_of(kind, row) for row in rows_of(kind, user, text, most)]):
            yield Group(kind.title, kind.icon, hits)


def rows_of(kind: Kind, user: User, text: str, most: int) -> list[Any]:
    """Return the rows of one kind: the one with this number, what begins with the text, what holds it."""
    model: Any = kind.model
    rows = model.objects.visible_to(user) if hasattr(model.objects, "visible_to") else model.objects.all()
    number = whole(text.removeprefix("#"))
    found = [] if number is None else list(rows.filter(pk=number))
    keys = [key for key in keys_of(kind, rows, text) if key != number][: most - len(found)]
    told = rows.in_bulk(keys) if keys else {}
    return found + [told[key] for key in keys if key in told]


def keys_of(kind: Kind, rows: Any, text: str) -> list[int]:
    """Return the keys of the rows whose name holds the text, those that begin with it first, the newest first.

    The names are read from an index. Where a great many hold the text, these stand for all: those that are called
    exactly so, and the newest. One or two letters are in no index: the newest rows are read, and what is called so.
    """
    holding = rows.filter(**{f"{kind.field}__icontains": text}).values_list("pk", kind.field)
    if known := kind.index and kind.index.holding([text]):
        holding = holding.filter(known)
    elif len(text) < SHORTEST:
        older = Subquery(rows.order_by("-pk").values("pk")[LATELY : LATELY + 1])
        holding = holding.filter(pk__gt=Coalesce(older, 0))
    named = list(holding.order_by()[: COMMON + 1])
    if len(named) > COMMON or len(text) < SHORTEST:
        so_called = rows.filter(**{kind.field: text}).order_by("-pk").values_list("pk", kind.field)
        named = [*set(so_called[:COMMON]) | set(holding.order_by("-pk")[:COMMON])]
    begin = text.lower()
    return [key for key, _ in sorted(named, key=lambda each: (not each[1].lower().startswith(begin), -each[0]))]


def hit_of(kind: Kind, row: Any) -> Hit:
    url = reverse(kind.page, args=[row.pk]) if kind.page else row.get_absolute_url()
    return Hit(url, getattr(row, kind.field), kind.more(row))
