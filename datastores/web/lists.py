"""Lists: search, filters, sorting and paging, all in the address."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.views.generic import ListView

from datastores.domain.values import whole
from datastores.web.access import Request

PAGE = 50


@dataclass(frozen=True, slots=True)
class Column:
    """A head of a table; ``order`` is the field to sort by, "" when it cannot be sorted."""

    label: str
    order: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """A select box over a list: rows whose ``field`` has the chosen value."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...]
    field: str = ""


class Rows(ListView):
    """A list page. ``?row=<id>`` from htmx gives that one row anew, or nothing when it is gone."""

    request: Request
    model: Any
    columns: ClassVar[tuple[Column, ...]]
    search: ClassVar[tuple[str, ...]] = ("name",)
    filters: ClassVar[tuple[Filter, ...]] = ()
    default_order: ClassVar[str] = "pk"
    row_template: ClassVar[str]
    paginate_by = PAGE

    def rows(self) -> QuerySet[Any]:
        """Return what the person may see, with everything that a row shows."""
        rows: QuerySet[Any] = self.model.objects.visible_to(self.request.user)
        return rows

    def get_queryset(self) -> QuerySet[Any]:
        asked = self.request.GET
        wanted = Q()
        for found in self.filters:
            value = asked.get(found.name, "")
            if value in dict(found.choices):
                wanted &= Q(**{found.field or found.name: value})
        for word in asked.get("q", "").replace("\0", "").split():
            wanted &= self.matching(word)
        return self.rows().filter(wanted).order_by(*self._order())

    def matching(self, word: str) -> Q:
        """Return what finds the rows that say the word."""
        return functools.reduce(operator.or_, (Q(**{f"{field}__icontains": word}) for field in self.search))

    def _order(self) -> tuple[str, ...]:
        asked = self.request.GET.get("sort", "")
        sortable = {column.order for column in self.columns if column.order}
        return (asked, "pk") if asked.removeprefix("-") in sortable else (self.default_order,)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        row = whole(request.GET.get("row", ""))
        if not request.htmx or row is None:
            return super().get(request, *args, **kwargs)
        self.object_list = self.rows().filter(pk=row)
        self.template_name = self.row_template
        return self.render_to_response({"object": self.object_list.first(), "view": self, "refresh": True})

    def get_paginate_by(self, queryset: QuerySet[Any]) -> int:
        return self.paginate_by

    def paginate_queryset(self, queryset: Any, page_size: int) -> Any:
        """An address with a page that is not there (any more) shows the nearest one."""
        paginator = self.get_paginator(queryset, page_size)
        page = paginator.get_page(self.request.GET.get("page", "1"))
        return paginator, page, page.object_list, page.has_other_pages()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET
        narrowed = any(asked.get(name) for name in ("q", *(found.name for found in self.filters)))
        chosen = [(found, asked.get(found.name, "")) for found in self.filters]
        return super().get_context_data(**kwargs) | {
            "narrowed": narrowed,
            "chosen": chosen,
            "sort": asked.get("sort", ""),
            "row_template": self.row_template,
        }
