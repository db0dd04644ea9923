"""One page of many rows, found by where the last one ended: as fast on page 20,000 as on the first."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

COUNTED = 1_000
"""What was asked for is counted up to so many; then the page says "more than"."""
KEY = "page_key"
MOST_PK = 1 << 62


@dataclass(frozen=True, slots=True)
class Order:
    """``column`` and then the primary key, both in the same direction. ``absent``: what NULL counts as."""

    column: str
    descending: bool = False
    absent: Any = None

    def keyed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with what they are ordered by."""
        key = F(self.column) if self.absent is None else Coalesce(self.column, Value(self.absent))
        return rows.annotate(**{KEY: key})

    def sorted(self, rows: QuerySet[Any], *, backwards: bool = False) -> QuerySet[Any]:
        sign = "-" if self.descending != backwards else ""
        return rows.order_by(f"{sign}{KEY}", f"{sign}pk")

    def beyond(self, place: Place, *, backwards: bool) -> Q:
        """Return what finds the rows that come after the place (before it: ``backwards``)."""
        way = "lt" if self.descending != backwards else "gt"
        # the first half alone lets the database begin at the right place of its index
        return Q(**{f"{KEY}__{way}e": place.key}) & (Q(**{f"{KEY}__{way}": place.key}) | Q(**{f"pk__{way}": place.pk}))


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in an order."""

    key: Any
    pk: int

    def encode(self) -> str:
        key = {"t": self.key.isoformat()} if isinstance(self.key, datetime) else self.key
        return base64.urlsafe_b64encode(json.dumps([key, self.pk]).encode()).decode().rstrip("=")


def decode(text: str) -> Place | None:
    """Return the place that an address names; None: it names none."""
    try:
        key, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(key, dict):
            key = datetime.fromisoformat(key["t"])
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError):
        return None
    is_key = isinstance(key, str | int | float | datetime) and "\0" not in str(key)  # which PostgreSQL cannot hold
    return Place(key, pk) if is_key and type(pk) is int and abs(pk) <= MOST_PK else None


@dataclass(frozen=True, slots=True)
class Page:
    """``places``: of its rows. ``previous`` and ``next``: addresses of the pages beside it, "" where there is none.

    ``count``: rows of all pages, up to ``most`` and one more.
    """

    places: Sequence[Place] = ()
    previous: str = ""
    next: str = ""
    count: int = 0
    most: ClassVar[int] = COUNTED

    @property
    def is_counted(self) -> bool:
        return self.count <= COUNTED


def page_of(rows: QuerySet[Any], order: Order, size: int, *, after: str = "", before: str = "") -> Page:
    """Return the page after one place, or before another; the first one when an address names none that there is."""
    keyed = order.keyed(rows).values_list(KEY, "pk")
    place = decode(after or before)
    backwards = place is not None and not after
    found = _found(keyed, order, size, place, backwards=backwards)
    if place is not None and (not found or (backwards and len(found) < size)):  # the first page is a whole one
        backwards, place = False, None
        found = _found(keyed, order, size)
    has_more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    return Page(
        found,
        previous=found[0].encode() if found and (has_more if backwards else place) else "",
        next=found[-1].encode() if found and (has_more or backwards) else "",
        count=counted(rows) if place is not None or has_more else len(found),
    )


def counted(rows: QuerySet[Any]) -> int:
    """Return how many rows there are; one more than is counted when there are still more."""
    return rows.order_by().values("pk")[: COUNTED + 1].count()


def _found(
    keyed: QuerySet[Any], order: Order, size: int, place: Place | None = None, *, backwards: bool = False
) -> list[Place]:
    """Return the places from there on, one more than a page has; none when the column cannot have such a value."""
    try:
        if place is not None:
            keyed = keyed.filter(order.beyond(place, backwards=backwards))
        return [Place(*row) for row in order.sorted(keyed, backwards=backwards)[: size + 1]]
    except (ValueError, TypeError, OverflowError, ValidationError):
        return []
