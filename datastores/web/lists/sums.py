"""What a list shows of other rows: how many there are of each, and what they come to."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce


def count_of(rows: QuerySet[Any], link: str) -> Any:
    """Return an expression: the number of ``rows`` that belong to a row by their column ``link``."""
    return _each(rows, link, Count("*"))


def sum_of(rows: QuerySet[Any], link: str, column: Any) -> Any:
    """Return an expression: the sum of a column, or of an expression, over the ``rows`` that belong to a row."""
    return _each(rows, link, Sum(column))


def _each(rows: QuerySet[Any], link: str, figure: Any) -> Any:
    groups = rows.filter(**{link: OuterRef("pk")}).order_by().values(link)
    whole = BigIntegerField()  # the difference of two would be held for a small one, beyond which nothing is found
    return Coalesce(
        Subquery(groups.annotate(figure=figure).values("figure"), output_field=whole), 0, output_field=whole
    )
