"""What the address of a list says: its order and its columns, and which of it another choice leaves as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from urllib.parse import urlencode

from django.http import QueryDict

from datastores.web.lists.columns import Column, Filter, Sort


class Address:
    """The address of a list that has these columns and select boxes."""

    def __init__(
        self, path: str, asked: QueryDict, columns: Sequence[Column], filters: Iterable[Filter], default_sort: str
    ) -> None:
        self.path, self.asked = path, asked
        self.columns, self.default_sort = columns, default_sort
        self.boxes = {each.name for each in filters}

    @cached_property
    def sort(self) -> Sort:
        """What the rows are sorted by: as the address says, or as the list is by itself."""
        sortable = {column.key: column for column in self.columns if column.order}
        asked = self.asked.get("sort", "")
        chosen = asked if asked.removeprefix("-") in sortable else self.default_sort
        return Sort(sortable[chosen.removeprefix("-")], chosen.startswith("-"))

    @cached_property
    def chosen_columns(self) -> Sequence[Column]:
        asked = set(",".join(self.asked.getlist("columns")).split(","))
        chosen = [column for column in self.columns if column.key in asked or not column.label]
        return chosen if any(column.label for column in chosen) else [column for column in self.columns if column.shown]

    @cached_property
    def shown(self) -> dict[str, Column]:
        return {column.key: column for column in self.chosen_columns}

    @property
    def choosable(self) -> Sequence[Column]:
        return [column for column in self.columns if column.label]

    @property
    def narrowed(self) -> bool:
        """Whether it leaves rows out."""
        return any(self.asked.get(name) for name in ("q", *self.boxes))

    @property
    def kept_by_filter(self) -> Sequence[tuple[str, str]]:
        """What another filter leaves as it is."""
        return [pair for pair in pairs(self.asked) if pair[0] in {"sort", "columns"}]

    @property
    def kept_by_columns(self) -> Sequence[tuple[str, str]]:
        """What another choice of columns leaves as it is."""
        return [pair for pair in pairs(self.asked) if pair[0] not in {"columns", "file", "row"}]

    @property
    def rows(self) -> str:
        """Where rows are read anew, with the same columns."""
        return f"{self.path}?columns={','.join(self.shown) if self.asked.get('columns') else ''}"

    @property
    def view(self) -> str:
        """What of it is worth keeping under a name: all but the place in the list."""
        kept = {"q", "sort", "columns", *self.boxes}
        return urlencode([(name, value) for name, value in pairs(self.asked) if value and name in kept])


def pairs(asked: QueryDict) -> Sequence[tuple[str, str]]:
    return [(name, value) for name, values in asked.lists() for value in values]
