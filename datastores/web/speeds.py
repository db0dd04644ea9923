"""Measured speeds as pages show them: the newest of each host, how they changed, and those of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from datastores.domain.throughput import MIB
from datastores.models import Datastore, Measurement

SHOWN = 12
HOSTS = 4
"""Lines of a chart that can be told apart."""
POINTS = 400
NEWEST_OF_KIND = 200
"""Measurements of a kind that are looked through for the newest of each datastore and host."""


def known(datastore: Datastore) -> QuerySet[Measurement]:
    return Measurement.objects.filter(datastore=datastore).order_by("-at", "-pk")


def speed_columns(datastore: Datastore) -> dict[str, Any]:
    """Return what was measured as a chart takes it: for each host a line for writing and one for reading, in MiB/s."""
    rows = list(reversed(known(datastore)[:POINTS]))
    names = list(dict.fromkeys(row.host_name for row in reversed(rows)))[:HOSTS]
    times = [row.at.timestamp() for row in rows]
    figures = [
        {
            "name": f"{way}-{number}",
            "label": f"{words}, {name}",
            "unit": "MiB/s",
            "values": [round(getattr(row, f"{way}_rate") / MIB, 1) if row.host_name == name else None for row in rows],
        }
        for number, name in enumerate(names)
        for way, words in (("write", "Written"), ("read", "Read"))
    ]
    now = timezone.now().timestamp()
    since = min(times, default=now) - 3600
    return {"span": "all", "since": round(since), "until": round(now), "at": [round(at) for at in times],
            "figures": figures}  # fmt: skip


def chart_names(datastore: Datastore) -> str:
    """Return the names of the lines of the chart, as its place in the page wants them; "": there is none to draw."""
    measured = Counter(known(datastore)[:POINTS].values_list("host_name", flat=True))
    hosts = list(measured)[:HOSTS]
    if max((measured[host] for host in hosts), default=0) < 2:
        return ""  # points, and no line
    return " ".join(f"{way}-{number}" for number in range(len(hosts)) for way in ("write", "read"))


def newest(rows: Iterable[Measurement]) -> list[Measurement]:
    """Return the first of the rows for each datastore and host; the rows are the newest first."""
    found: dict[tuple[str, str], Measurement] = {}
    for row in rows:
        found.setdefault((row.datastore_name, row.host_name), row)
    return list(found.values())


AVERAGED = ("write_rate", "read_rate", "write_iops", "read_iops", "write_p99", "read_p99")


def of_kinds(kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return for each kind that was measured the medians of its newest figures, and what they were measured on."""
    found = {}
    for kind in kinds:
        rows = newest(Measurement.objects.filter(kind=kind).order_by("-at", "-pk")[:NEWEST_OF_KIND])
        if rows:
            found[kind] = {"at": rows[0].at, "rows": rows, **medians(rows)}
    return found


def medians(rows: Sequence[Measurement]) -> dict[str, float | None]:
    values = {name: [value for row in rows if (value := getattr(row, name)) is not None] for name in AVERAGED}
    return {name: median(known) if known else None for name, known in values.items()}


def bars(title: str, unit: str, found: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return a chart of bars: for each kind one of each column (words by name). Rates in MiB/s, latencies in ms."""
    scale = {"MiB/s": MIB, "ms": 1000}.get(unit, 1)
    labels = [kind for kind, figures in found.items() if any(figures[name] is not None for name in columns)]
    series = [
        {"label": words, "values": [scaled(found[kind][name], scale) for kind in labels]}
        for name, words in columns.items()
    ]
    return {"title": title, "unit": unit, "labels": labels, "series": series}


def scaled(value: float | None, scale: int) -> float | None:
    return None if value is None else round(value / scale, 2)
