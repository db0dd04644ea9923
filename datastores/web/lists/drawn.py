"""Rows of lists as text, drawn once for all who are shown the same.

Two hundred open lists read the same rows again whenever these change. What each may see is read from the database each
time; a row that says the same as one that was drawn before is not drawn again. Who looks is no part of it: the
template gets the row, the columns, and whether rows can be chosen, and nothing else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe

from datastores.web.lists.columns import Column

KEPT = 1000
"""Rows of which the text is kept; those that were not asked for longest go first."""
PLAIN = frozenset({str, int, float, bool, bytes, NoneType, datetime, Decimal, UUID})


@dataclass(frozen=True, slots=True)
class Choosing:
    """What a row asks of its list: whether something can be done to many rows."""

    offered: bool


class Drawings:
    """The text of rows by what they say. Safe to use from many threads."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = threading.Lock()

    def draw(self, template: str, rows: Iterable[Any], shown: Mapping[str, Column], *, offered: bool) -> SafeString:
        """Return the rows as ``template`` shows them.

        :raises TypeError: a row holds something that cannot be compared.
        """
        context = {"view": Choosing(offered), "shown": shown}
        look = (template, offered, tuple(shown))
        texts = [self._text((look, contents(row)), template, {**context, "object": row}) for row in rows]
        return mark_safe("".join(texts))  # noqa: S308 made by templates

    def _text(self, key: Hashable, template: str, context: dict[str, Any]) -> str:
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        text = get_template(template).render(context)
        with self._lock:
            self._texts[key] = text
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)
        return text


def contents(value: Any) -> Hashable:
    """Return all that a value holds, rows beside it included, so that equal contents look the same.

    :raises TypeError: it holds something of a kind that is not known here.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, Model):
        own = [(name, contents(held)) for name, held in vars(value).items() if name != "_state"]
        beside = [(name, contents(row)) for name, row in value._state.fields_cache.items()]
        return (type(value), *own, *beside)
    if isinstance(value, dict):
        return (dict, *((contents(name), contents(held)) for name, held in value.items()))
    if isinstance(value, list | tuple):
        return (list, *map(contents, value))
    if is_dataclass(value):
        return (type(value), *(contents(getattr(value, field.name)) for field in fields(value)))
    if isinstance(value, str | int):  # the words of an enumeration
        return (type(value), value.__str__())
    raise TypeError(f"{type(value).__name__} in a row that is drawn once for all")


drawings = Drawings()
