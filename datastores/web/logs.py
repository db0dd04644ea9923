"""A job's log for the browser: ranges of lines, search, download. Blocks of lines, never single ones, are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Max, QuerySet, Sum, Window
from django.http import QueryDict

from datastores.domain.errors import BadInput
from datastores.domain.states import Level
from datastores.domain.values import whole
from datastores.jobs.view import page_of
from datastores.models import Job, JobEvent

MOST_LINES = 5000
MOST_MATCHES = 5000
CHUNK = 100
"""Entries read at once for a search; each holds up to 4,000 lines."""
PORTION = 20
"""Entries of a piece of a download, of which the server keeps a dozen for a slow reader."""


def number(given: QueryDict, name: str, default: int) -> int:
    """Return a number of the query string. Raises BadInput when it is none."""
    text = given.get(name)
    value = whole(text) if text else default
    if value is None:
        raise BadInput(f"{name} is a number.")
    return value


def narrowed(job: Job, given: QueryDict) -> tuple[QuerySet[JobEvent], bool]:
    """Return the entries that pass the filter of the query string, and whether there is one."""
    wanted: dict[str, Any] = {}
    if host := given.get("host"):
        wanted["host"] = host
    if given.get("step"):
        wanted["step"] = number(given, "step", 0)
    if level := given.get("level"):
        if level not in set(Level):
            raise BadInput(f"The level is one of {', '.join(Level)}.")
        wanted["level"] = level
    return JobEvent.objects.filter(job=job, **wanted).order_by("seq"), bool(wanted)


def extent(job: Job) -> tuple[int, int]:
    """Return (lines, seq of the last entry)."""
    last = JobEvent.objects.filter(job=job).order_by("-seq").values("seq", "first_line", "lines").first()
    return (last["first_line"] + last["lines"] - 1, last["seq"]) if last else (0, 0)


def lines(job: Job, given: QueryDict) -> dict[str, Any]:
    """Return the entries that overlap a range of lines; with a filter the range counts filtered lines.

    Where they are long, only the first of them: whoever wants the others asks for what comes after.
    """
    first = max(1, number(given, "first", 1))
    last = first + min(number(given, "count", 500), MOST_LINES) - 1
    events, filtered = narrowed(job, given)
    if filtered:
        return filtered_lines(events, first, last)
    # the entry that holds the first line; the index on (job, first_line) finds it
    start = events.filter(first_line__lte=first).aggregate(Max("first_line"))["first_line__max"] or 1
    overlapping = events.filter(first_line__gte=start, first_line__lte=last, first_line__gt=first - F("lines"))
    frames = list(page_of(overlapping.defer("data"))) if last >= first else []
    return {"total": extent(job)[0], "events": frames}


def filtered_lines(events: QuerySet[JobEvent], first: int, last: int) -> dict[str, Any]:
    """Positions are sums over the entries before: counted in the database, without their text."""
    counted = events.annotate(end=Window(Sum("lines"), order_by="seq"))
    here = counted.filter(end__gte=first, end__lte=last + F("lines") - 1).values_list("seq", "end")
    ends = dict(here) if last >= first else {}
    found = page_of(events.filter(seq__in=ends).defer("data"))
    frames = [{**frame, "at_line": ends[frame["seq"]] - frame["lines"] + 1} for frame in found]
    return {"total": events.order_by().aggregate(Sum("lines"))["lines__sum"] or 0, "events": frames}


def search(job: Job, given: QueryDict) -> dict[str, Any]:
    """Return the numbers of the lines that contain the text, upper and lower case alike."""
    text = given.get("q", "").replace("\0", "").casefold()
    if not text or "\n" in text:
        return {"matches": [], "truncated": False}
    events, _ = narrowed(job, given)
    if text.isascii():  # SQLite compares other letters by their case, so those blocks are all looked at here
        events = events.filter(text__icontains=text)
    matches: list[int] = []
    for line in matching(events, text):
        if len(matches) == MOST_MATCHES:
            return {"matches": matches, "truncated": True}
        matches.append(line)
    return {"matches": matches, "truncated": False}


def matching(events: QuerySet[JobEvent], text: str) -> Iterator[int]:
    for first, block in events.values_list("first_line", "text").iterator(chunk_size=CHUNK):
        if text in block.casefold():
            yield from (first + offset for offset, line in enumerate(block.split("\n")) if text in line.casefold())


def download(job: Job) -> Iterator[str]:
    """Yield the whole log as text, a few blocks at a time, so that its size does not matter.

    Each portion is a query of its own: a slow reader must not hold a transaction, or a cursor, open.
    """
    events, seq = JobEvent.objects.filter(job=job).order_by("seq").defer("data"), 0
    while page := list(events.filter(seq__gt=seq)[:PORTION]):
        seq = page[-1].seq
        yield "".join(as_text(event) for event in page)


def as_text(event: JobEvent) -> str:
    head = f"{event.at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {event.host or '-'} {event.level} "
    return "".join(f"{head}{line}\n" for line in event.text.split("\n"))
