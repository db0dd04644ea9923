"""A list page: the rows that its address asks for, and what can be done to many of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.views.generic import View

from datastores.domain.errors import BadInput, Refused
from datastores.domain.values import whole
from datastores.models import SavedView
from datastores.web.access import Request
from datastores.web.lists.acts import MOST_AT_ONCE, Act, Outcome, answer, ask, counted, do_all
from datastores.web.lists.address import Address
from datastores.web.lists.columns import Column, Filter
from datastores.web.lists.drawn import drawings
from datastores.web.lists.export import CHUNK, WRITERS, export
from datastores.web.lists.fields import Field, Text
from datastores.web.lists.paging import Page, page_of
from datastores.web.lists.query import BadQuery, condition
from datastores.web.lists.work import work_on

PAGE = 50


class Rows(View):
    """A list page. ``?row=<id>``, once or more, from a script: these rows anew, those that are still there.
    ``?file=csv``: all rows as a file. What is posted is to be done to the rows that were chosen.
    """

    request: Request
    model: ClassVar[Any]
    name: ClassVar[str]
    """Of the list's files, and of the views of it that people keep."""
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
    noun: ClassVar[str] = "row,rows"
    """What one row is called, and what many are."""
    acts: ClassVar[tuple[Act, ...]] = ()
    """What can be done to many rows at once."""
    most_at_once: ClassVar[int] = MOST_AT_ONCE
    same_for_all: ClassVar[bool] = False
    """Whether the row's template shows the row, and nothing of who looks at it or of the time."""
    resource: ClassVar[str] = ""
    """What leases and news of jobs call a row ("image"), so that it shows the job that works on it, and the list says
    that rows were added; "": no job works on them."""

    def rows(self) -> QuerySet[Any]:
        """Return what the person may see."""
        rows: QuerySet[Any] = self.model.objects.visible_to(self.request.user)
        return rows

    def dressed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with everything that the database knows and one shows."""
        return rows.select_related(*self.related).defer(*self.unread).annotate(**self.figures)

    def completed(self, rows: list[Any]) -> list[Any]:
        """Return some rows, of a page or a part of a file, with what no expression can tell of them."""
        return rows

    def get(self, request: Request) -> HttpResponseBase:
        keys = [key for key in map(whole, request.GET.getlist("row")) if key is not None]
        if request.htmx and keys:
            return self._some(keys[:PAGE])
        if request.GET.get("file") in WRITERS:
            return self._file(request.GET["file"])
        return self._page()

    def post(self, request: Request) -> HttpResponseBase:
        """Do something to many rows.

        :raises CloudstoreError: nothing was chosen, or too much, or not what the person saw.
        """
        act = next((each for each in self.offered if each.name == request.POST.get("act")), None)
        if act is None:
            raise BadInput("That cannot be done to these rows.")
        rows = self.picked()
        if act.lost and (asked := ask(request, act, rows, self.noun)):
            return asked
        return answer(request, act, [*do_all(request, act, rows), *self.missing(rows)], self.noun)

    def picked(self) -> Sequence[Any]:
        """Return the rows that were chosen; all that match when these are as many as the person saw."""
        asked = self.request.POST
        rows = self._all_as_seen(asked["all"]) if asked.get("all") else self._of_keys(asked.getlist("pk"))
        found = list(rows.select_related(*self.related).order_by("pk")[: MOST_AT_ONCE + 1])
        if not found:
            raise Refused("None of these rows is there any more." if asked.getlist("pk") else "Choose rows first.")
        if len(found) > MOST_AT_ONCE:
            raise Refused(f"At most {counted(MOST_AT_ONCE, self.noun)} at once. Narrow the list.")
        return found

    def missing(self, found: Sequence[Any]) -> list[Outcome]:
        """Return what became of the chosen rows that were not found: of one of somebody else it is told the same."""
        asked = [] if self.request.POST.get("all") else map(whole, self.request.POST.getlist("pk"))
        gone = {key for key in asked if key is not None} - {row.pk for row in found}
        one = self.noun.partition(",")[0]
        return [Outcome(key, f"{one} {key}", refused="It is not there any more.") for key in sorted(gone)]

    def _of_keys(self, keys: Sequence[str]) -> QuerySet[Any]:
        return self.rows().filter(pk__in=[whole(key) for key in keys[: MOST_AT_ONCE + 1]])

    def _all_as_seen(self, seen: str) -> QuerySet[Any]:
        try:
            rows = self.found()
        except BadQuery as error:
            raise BadInput(str(error)) from error
        if (count := rows.count()) != whole(seen):
            raise Refused(f"{counted(count, self.noun)} match now, which is not what you saw. Look again.")
        return rows

    def newest(self) -> int:
        """Return the key of the newest row that the person may see; 0: there is none."""
        return self.rows().order_by("-pk").values_list("pk", flat=True).first() or 0

    def row_context(self, keys: Sequence[int]) -> dict[str, Any]:
        """Return what a template needs for the rows of these keys, in their order."""
        rows = self.dressed(self.rows()).in_bulk(keys) if keys else {}
        work = work_on(self.resource, rows, self.request.user) if self.resource and rows else {}
        for key, row in rows.items():
            row.work = work.get(key)
        shown = self.completed([rows[key] for key in keys if key in rows])
        return {"rows": shown, "row_template": self.row_template, "view": self, "shown": self.address.shown}

    def _some(self, keys: Sequence[int]) -> HttpResponse:
        context = self.row_context(keys)
        if not self.same_for_all:
            return render(self.request, "datastores/_rows.html", context)
        offered = bool(self.offered)
        return HttpResponse(drawings.draw(self.row_template, context["rows"], context["shown"], offered=offered))

    def _page(self) -> HttpResponse:
        asked, refused, page = self.request.GET, None, Page()
        newest = self.newest() if self.resource else 0  # before the rows: none comes up in between unnoticed
        try:
            page = page_of(
                self.found(), self.address.sort.order, PAGE,
                after=asked.get("after", ""), before=asked.get("before", ""),
            )  # fmt: skip
        except BadQuery as error:
            refused = error
        context = self.row_context([place.pk for place in page.places]) | {"refused": refused, "newest": newest}
        return render(self.request, self.template_name, context | self.context(page))

    def _file(self, kind: str) -> HttpResponseBase:
        try:
            found = self.found()
        except BadQuery as error:
            return HttpResponseBadRequest(str(error), content_type="text/plain; charset=utf-8")
        columns = [column for column in self.address.chosen_columns if column.value]
        order = self.address.sort.order
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
        needed = {self.address.sort.column.order, *columns_of(wanted)} & self.figures.keys()
        return self.rows().annotate(**{name: self.figures[name] for name in needed}).filter(wanted)

    @cached_property
    def address(self) -> Address:
        return self.address_of(self.request.path, self.request.GET)

    @classmethod
    def address_of(cls, path: str, asked: QueryDict) -> Address:
        return Address(path, asked, cls.columns, cls.filters, cls.default_sort)

    @cached_property
    def offered(self) -> Sequence[Act]:
        """What this person may do to rows."""
        return [act for act in self.acts if self.request.user.role in act.roles]

    def saved_views(self) -> QuerySet[SavedView]:
        return SavedView.objects.filter(user=self.request.user, list=self.name)

    @property
    def placeholder(self) -> str:
        examples = [field.example for field in self.fields.values()][:3]
        return f"Text, or {' '.join(examples)}" if examples else "Text"

    def select_boxes(self) -> Sequence[Filter]:
        """Return the select boxes that this person is shown."""
        return self.filters

    def context(self, page: Page) -> dict[str, Any]:
        asked = self.request.GET
        return {
            "address": self.address,
            "page": page,
            "narrowed": self.address.narrowed,
            "chosen": [(each, asked.get(each.name, "")) for each in self.select_boxes()],
        }


def columns_of(wanted: Q) -> Iterator[str]:
    """Yield the names that a condition begins its lookups with."""
    for child in wanted.children:
        if isinstance(child, Q):
            yield from columns_of(child)
        elif isinstance(child, tuple):
            yield child[0].split("__")[0]
