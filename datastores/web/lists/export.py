"""A list as a file: the rows and columns that the page shows, all pages of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse

CHUNK = 2000
FORMULA = "=+-@\t\r"
"""What makes a spreadsheet read a text as a formula (OWASP, CSV injection)."""


class _Echo:
    def write(self, line: str) -> str:
        return line


def plain(value: Any) -> Any:
    """Return the value as JSON knows it: moments in ISO 8601, everything else that is not a number as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def cell(value: Any) -> Any:
    value = plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple(FORMULA)) else value


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(heads)
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def as_json(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        text = json.dumps(dict(zip(heads, map(plain, row), strict=True)), ensure_ascii=False)
        yield f"{',' if number else ''}\n{text}"
    yield "\n]\n"


Writer = Callable[[Sequence[str], Iterable[Sequence[Any]]], Iterator[str]]
WRITERS: dict[str, tuple[str, Writer]] = {"csv": ("text/csv", as_csv), "json": ("application/json", as_json)}


def export(name: str, kind: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """Return a download that is written row by row."""
    content_type, writer = WRITERS[kind]
    disposition = f'attachment; filename="{name}.{kind}"'
    return StreamingHttpResponse(
        writer(heads, rows),
        content_type=f"{content_type}; charset=utf-8",
        headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
    )
