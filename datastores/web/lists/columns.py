"""What a list is made of: columns, select boxes, and the order of its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from datastores.web.lists.paging import Order

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""What a moment that never was is sorted as."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list.

    ``order``: the database column to sort by, "" when it cannot be sorted; ``absent``: what NULL counts as there.
    ``value``: where a file finds it in the row, "" when it has none. ``shown``: without having been chosen.
    """

    key: str
    label: str
    order: str = ""
    value: str | Callable[[Any], Any] = ""
    number: bool = False
    shown: bool = True
    absent: Any = None

    def of(self, row: Any) -> Any:
        if callable(self.value):
            return self.value(row)
        return attrgetter(self.value)(row)


@dataclass(frozen=True, slots=True)
class Filter:
    """A select box over a list: rows whose ``field`` has the chosen value."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...]
    field: str = ""


@dataclass(frozen=True, slots=True)
class Sort:
    """A column that the rows are sorted by, and in which direction."""

    column: Column
    descending: bool

    @property
    def order(self) -> Order:
        return Order(self.column.order, self.descending, self.column.absent)
