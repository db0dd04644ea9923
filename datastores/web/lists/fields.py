"""What a typed filter may ask of a row, and how a value is written for each kind of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Protocol

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from datastores.domain.errors import BadInput
from datastores.domain.values import parse_size
from datastores.models.words import Words

LOOKUPS = {":": "exact", "=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
OPPOSITE = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
FEW = 200
"""So many rows are named one by one: PostgreSQL finds what points to them by an index, beside another condition."""
LONGEST_AGO = timedelta(days=36500)
YEARS = 1900, 2999
_AGE = re.compile(r"^(\d{1,6})(s|m|min|h|d|w)$")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NUMBER = re.compile(r"^-?\d{1,12}(\.\d{1,6})?$")


class BadValue(Exception):
    """A field cannot have this value, or cannot be compared in this way."""


class Field(Protocol):
    """One thing that can be asked of a row. ``example``: a term that asks it."""

    @property
    def example(self) -> str: ...

    def q(self, operator: str, value: str) -> Q:
        """Return what finds the rows. ``operator``: ":", "=", "<", "<=", ">" or ">=". :raises BadValue: see there."""


def _only_equal(operator: str, what: str) -> None:
    if operator not in ":=":
        raise BadValue(f"{what} is not larger or smaller: write a colon.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text that holds the value (":") or is it ("="), in any of these columns."""

    columns: tuple[str, ...]
    example: str

    def q(self, operator: str, value: str) -> Q:
        _only_equal(operator, "A text")
        lookup = "iexact" if operator == "=" else "icontains"
        return reduce(or_, (Q(**{f"{column}__{lookup}": value}) for column in self.columns))


@dataclass(frozen=True, slots=True)
class Worded(Text):
    """A text of a table that grows large, found by the index of its words where that is quicker."""

    index: Words

    def q(self, operator: str, value: str) -> Q:
        said = Text.q(self, operator, value)
        known = self.index.holding([value])
        return known & said if known else said


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, or the beginning of just one. ``words``: what is written, and what the column holds."""

    column: str
    words: Mapping[str, str]
    example: str

    def q(self, operator: str, value: str) -> Q:
        _only_equal(operator, "One of a few words")
        wanted = value.lower()
        begun = {self.words[word] for word in self.words if word.startswith(wanted)}
        found = self.words.get(wanted) or (begun.pop() if len(begun) == 1 else None)
        if found is None:
            raise BadValue(f"{value} is none of {', '.join(self.words)}.")
        return Q(**{self.column: found})


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    column: str
    example: str
    words: ClassVar[dict[str, bool]] = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

    def q(self, operator: str, value: str) -> Q:
        _only_equal(operator, "Yes or no")
        if value.lower() not in self.words:
            raise BadValue(f"{value} is neither yes nor no.")
        return Q(**{self.column: self.words[value.lower()]})


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or what ``read`` makes of the value."""

    column: str
    example: str
    read: Callable[[str], float] = float

    def q(self, operator: str, value: str) -> Q:
        return Q(**{f"{self.column}__{LOOKUPS[operator]}": self._number(value)})

    def _number(self, value: str) -> float:
        if not _NUMBER.match(value):
            raise BadValue(f"{value} is not a number.")
        return self.read(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, written with a binary unit; where there is a column of the ``whole``, also as a share of that (20%)."""

    column: str
    example: str
    whole: str = ""

    def q(self, operator: str, value: str) -> Q:
        lookup = f"{self.column}__{LOOKUPS[operator]}"
        if self.whole and value.endswith("%"):
            if not _NUMBER.match(value[:-1]):
                raise BadValue(f"{value} is not a share, such as 20%.")
            return Q(**{lookup: F(self.whole) * float(value[:-1]) / 100.0}) & Q(**{f"{self.whole}__gt": 0})
        try:
            return Q(**{lookup: 0 if value == "0" else parse_size(value)})
        except BadInput as error:
            raise BadValue(str(error)) from error


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in the past: how long ago (``<3d``: less than that) or a day (``:2026-11-03``, ``>2026-11-03``)."""

    column: str
    example: str

    def q(self, operator: str, value: str) -> Q:
        if age := _AGE.match(value):
            if operator not in OPPOSITE:
                raise BadValue("How long ago is written with < or >, such as <3d.")
            return Q(**{f"{self.column}__{LOOKUPS[OPPOSITE[operator]]}": _ago(value, age)})
        start, end = _day(value)
        if operator in ":=":
            return Q(**{f"{self.column}__gte": start, f"{self.column}__lt": end})
        bound = end if operator in {">", "<="} else start
        return Q(**{f"{self.column}__{'gte' if operator in {'>', '>='} else 'lt'}": bound})


def _ago(value: str, age: re.Match[str]) -> datetime:
    span = timedelta(**{_UNITS[age[2]]: int(age[1])})
    if span > LONGEST_AGO:
        raise BadValue(f"{value} is too long ago.")
    return timezone.now() - span


def _day(value: str) -> tuple[datetime, datetime]:
    """Return when a day begins and ends where the installation is."""
    try:
        day = timezone.localdate() if value.lower() == "today" else parse_date(value)
    except ValueError:
        day = None
    if day is None:
        raise BadValue(f"{value} is neither an age such as 3d or 2h, nor a day such as 2026-11-03 or today.")
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise BadValue(f"{value} is too far away: the years from {YEARS[0]} to {YEARS[1]} are known here.")
    zone = timezone.get_current_timezone()
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    return start, start + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owning:
    """What the one row says that this row points to by its column ``link``; NULL points to none."""

    rows: QuerySet[Any]
    link: str
    field: Field

    @property
    def example(self) -> str:
        return self.field.example

    def q(self, operator: str, value: str) -> Q:
        found = self.rows.filter(self.field.q(operator, value)).order_by()
        keys: Any = list(found.values_list("pk", flat=True)[: FEW + 1])
        keys = keys if len(keys) <= FEW else found.values("pk")
        return Q(**{f"{self.link}__in": keys, f"{self.link}__isnull": False})  # not known, and then negated, is true


@dataclass(frozen=True, slots=True)
class Anywhere:
    """What one of several fields says."""

    fields: tuple[Field, ...]
    example: str

    def q(self, operator: str, value: str) -> Q:
        return reduce(or_, (field.q(operator, value) for field in self.fields))


@dataclass(frozen=True, slots=True)
class Linked:
    """What one of several rows says that belong to the row by their column ``link``."""

    rows: QuerySet[Any]
    link: str
    field: Field

    @property
    def example(self) -> str:
        return self.field.example

    def q(self, operator: str, value: str) -> Q:
        return Q(pk__in=self.rows.filter(self.field.q(operator, value)).order_by().values(self.link))
