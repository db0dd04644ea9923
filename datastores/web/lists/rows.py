"""A list page: what it is searched and sorted by, which columns it has, all of it in the address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import render
from django.views.generic import View

from datastores.domain.values import whole
from datastores.web.access import Request
from datastores.web.lists.export import CHUNK, WRITERS, export
from datastores.web.lists.fields import Field, Text
from datastores.web.lists.paging import Order, Page, page_of
from datastores.web.lists.query import BadQuery, condition

PAGE = 50
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


class Rows(View):
    """A list page. ``?row=<id>`` from htmx gives that one row anew, or nothing when it is gone; ``?file=csv``: all."""

    request: Request
    model: ClassVar[Any]
    name: ClassVar[str]
    """Of the list's address, and of its files."""
    template_name: ClassVar[str]
    row_template: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    search: ClassVar[Field] = Text(("name",), "name")
    """What a word without a field is looked for in."""
    fields: ClassVar[Mapping[str, Field]] = {}
    filters: ClassVar[tuple[Filter, ...]] = ()
    default_sort: ClassVar[str]
    """The key of a column, with "-" before it for the largest first."""

    related: ClassVar[tuple[str, ...]] = ()
    """Rows beside it that a row shows."""
    figures: ClassVar[Mapping[str, Any]] = {}
    """What a row shows beside its columns, by name: expressions. They are computed for the rows of a page, and for all
    only when these are sorted or filtered by them."""
    unread: ClassVar[tuple[str, ...]] = ()
    """Large columns that no row shows."""

    def rows(self) -> QuerySet[Any]:
        """Return what the person may see."""
        rows: QuerySet[Any] = self.model.objects.visible_to(self.request.user)
        return rows

    def dressed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with everything that is shown of one."""
        return rows.select_related(*self.related).defer(*self.unread).annotate(**self.figures)

    def completed(self, rows: list[Any]) -> list[Any]:
        """Return some rows, of a page or a part of a file, with what no expression can tell of them."""
        return rows

    def get(self, request: Request) -> HttpResponseBase:
        row = whole(request.GET.get("row", ""))
        if request.htmx and row is not None:
            found = self.dressed(self.rows().filter(pk=row)).first()
            found = self.completed([found])[0] if found else None
            return render(request, self.row_template, {"object": found, "view": self, "shown": self.shown})
        if request.GET.get("file") in WRITERS:
            return self._file(request.GET["file"])
        return self._page()

    def _page(self) -> HttpResponse:
        asked, refused, page = self.request.GET, None, Page()
        try:
            page = page_of(
                self.found(), self.sort.order, PAGE, after=asked.get("after", ""), before=asked.get("before", "")
            )
        except BadQuery as error:
            refused = error
        keys = [place.pk for place in page.places]
        rows = self.dressed(self.rows()).in_bulk(keys) if keys else {}
        context = {"refused": refused, "rows": self.completed([rows[key] for key in keys if key in rows])}
        return render(self.request, self.template_name, self.context(page) | context)

    def _file(self, kind: str) -> HttpResponseBase:
        try:
            found = self.found()
        except BadQuery as error:
            return HttpResponseBadRequest(str(error), content_type="text/plain; charset=utf-8")
        columns = [column for column in self.chosen_columns if column.value]
        order = self.sort.order
        rows = self.dressed(order.sorted(order.keyed(found))).iterator(CHUNK)
        parts = iter(lambda: list(islice(rows, CHUNK)), [])
        lines = ([column.of(row) for column in columns] for part in parts for row in self.completed(part))
        return export(self.name, kind, [column.key for column in columns], lines)

    def found(self) -> QuerySet[Any]:
        """Return the rows that the address asks for. :raises BadQuery: what was typed cannot be read."""
        asked = self.request.GET
        wanted = condition(asked.get("q", ""), self.fields, self.search)
        for found in self.filters:
            value = asked.get(found.name, "")
            if value in dict(found.choices):
                wanted &= Q(**{found.field or found.name: value})
        needed = {self.sort.column.order, *columns_of(wanted)} & self.figures.keys()
        return self.rows().annotate(**{name: self.figures[name] for name in needed}).filter(wanted)

    @cached_property
    def sort(self) -> Sort:
        """What the rows are sorted by: as the address says, or as the list is by itself."""
        sortable = {column.key: column for column in self.columns if column.order}
        asked = self.request.GET.get("sort", "")
        chosen = asked if asked.removeprefix("-") in sortable else self.default_sort
        return Sort(sortable[chosen.removeprefix("-")], chosen.startswith("-"))

    @cached_property
    def chosen_columns(self) -> Sequence[Column]:
        asked = set(",".join(self.request.GET.getlist("columns")).split(","))
        chosen = [column for column in self.columns if column.key in asked or not column.label]
        return chosen if any(column.label for column in chosen) else [column for column in self.columns if column.shown]

    @property
    def choosable(self) -> Sequence[Column]:
        return [column for column in self.columns if column.label]

    @property
    def kept_by_filter(self) -> Sequence[tuple[str, str]]:
        """What another filter leaves as it is in the address."""
        return [(name, value) for name, value in self._asked() if name in {"sort", "columns"}]

    @property
    def kept_by_columns(self) -> Sequence[tuple[str, str]]:
        """What another choice of columns leaves as it is."""
        return [(name, value) for name, value in self._asked() if name not in {"columns", "file", "row"}]

    def _asked(self) -> Sequence[tuple[str, str]]:
        return [(name, value) for name, values in self.request.GET.lists() for value in values]

    @property
    def placeholder(self) -> str:
        examples = [field.example for field in self.fields.values()][:3]
        return f"Text, or {' '.join(examples)}" if examples else "Text"

    @property
    def shown(self) -> dict[str, Column]:
        return {column.key: column for column in self.chosen_columns}

    @property
    def columns_asked(self) -> str:
        """The end of an address that asks for a row with the same columns."""
        return f"&columns={','.join(self.shown)}" if self.request.GET.get("columns") else ""

    def select_boxes(self) -> Sequence[Filter]:
        """Return the select boxes that this person is shown."""
        return self.filters

    def context(self, page: Page) -> dict[str, Any]:
        asked = self.request.GET
        return {
            "view": self,
            "shown": self.shown,
            "page": page,
            "narrowed": any(asked.get(name) for name in ("q", *(each.name for each in self.filters))),
            "chosen": [(each, asked.get(each.name, "")) for each in self.select_boxes()],
            "row_template": self.row_template,
        }


def columns_of(wanted: Q) -> Iterator[str]:
    """Yield the names that a condition begins its lookups with."""
    for child in wanted.children:
        if isinstance(child, Q):
            yield from columns_of(child)
        elif isinstance(child, tuple):
            yield child[0].split("__")[0]


@dataclass(frozen=True, slots=True)
class Sort:
    """A column that the rows are sorted by, and in which direction."""

    column: Column
    descending: bool

    @property
    def order(self) -> Order:
        return Order(self.column.order, self.descending, self.column.absent)
