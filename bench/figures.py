"""Figures, their goals and peers, and how they are written down."""

from __future__ import annotations

import ast
import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/results.json"
PAGE = ROOT / "docs/benchmarks.md"
MORE_IS_BETTER = ("/s", "x")
"""Endings of units of which more is better; of any other less is."""
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
DATABASES = (SQLITE, POSTGRESQL)
"""What an installation may be measured on, in the order of the tables. A row that does not say is of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. ``peer``: what the thing called ``against`` takes for the same, in the same unit."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    peer: float | None = None
    against: str = ""
    remark: str = ""

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith(MORE_IS_BETTER)

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer, or than the goal when there is no peer; below 1: worse."""
        other = self.goal if self.peer is None else self.peer
        if not other or not self.value:
            return None
        return self.value / other if self.more_is_better else other / self.value

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None: it has none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal

    def row(self) -> dict[str, Any]:
        """Return the figure as it stands in results.json."""
        return {**asdict(self), "value": round(self.value, 3), "ratio": self.ratio and round(self.ratio, 3)}


def stored() -> list[dict[str, Any]]:
    """Return the rows of the last run; none when there was no run yet."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def store(benchmark: str, figures: Sequence[Figure], *, on: str, order: Sequence[str]) -> None:
    """Replace the rows of one benchmark on this database, keep the others, and write the page anew from all of them."""
    fresh = [{**figure.row(), "benchmark": benchmark, "database": database(), "on": on} for figure in figures]
    rows = sorted(
        merged(stored(), fresh), key=lambda row: (order.index(row["benchmark"]), DATABASES.index(database_of(row)))
    )
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.write_text(page(rows))


def merged(rows: Sequence[dict[str, Any]], fresh: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fresh rows, and of the others those of another benchmark or another database."""
    replaced = {(row["benchmark"], database_of(row)) for row in fresh}
    return [row for row in rows if (row["benchmark"], database_of(row)) not in replaced] + list(fresh)


def database() -> str:
    """Return which database the installations that are started from here have."""
    return POSTGRESQL if os.environ.get("DATABASE_URL", "").startswith("postgres") else SQLITE


def database_of(row: dict[str, Any]) -> str:
    """Return what a stored row was measured on."""
    return str(row.get("database", SQLITE))


def describe_machine() -> str:
    """Return when and on what this runs, in one line."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    debian = next(
        line.partition("=")[2].strip('"')
        for line in Path("/etc/os-release").read_text().splitlines()
        if line.startswith("PRETTY_NAME")
    )
    return (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {len(cpu)} x {cpu[0]}, {memory:.0f} GiB; {debian}, "
        f"Linux {platform.release()}, Python {platform.python_version()}; load before it {os.getloadavg()[0]:.2f}, "
        f"a million squares in {reference():.0f} ms"
    )


def reference() -> float:
    """Return how long this processor takes now for a million squares in Python, in milliseconds.

    Where others share the processor that changes from minute to minute, and every figure with it.
    """
    return 1000 * statistics.median(timed_squares() for _ in range(9))


def timed_squares() -> float:
    started = time.perf_counter()
    sum(number * number for number in range(1_000_000))
    return time.perf_counter() - started


def table(figures: Iterable[Figure]) -> str:
    """Return the figures for a terminal."""
    rows = [("figure", "value", "goal", "ratio", "remark"), *(cells(figure.row()) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in (1, 2, 3)), row[4]]
        ).rstrip()
        for row in rows
    )


def cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return what a table says of a row: name, value, goal with the verdict, ratio, remark."""
    figure = Figure(**{name: row[name] for name in Figure.__slots__})
    goal = ""
    if figure.goal is not None:
        sign = ">=" if figure.more_is_better else "<="
        goal = f"{sign} {number(figure.goal)}: {'met' if figure.met else 'MISSED'}"
    ratio = ""
    if figure.ratio is not None:
        beside = f"{figure.against} ({number(figure.peer)} {figure.unit})" if figure.peer is not None else "the goal"
        ratio = f"{number(figure.ratio)} x {beside}"
    return figure.name, f"{number(figure.value)} {figure.unit}".strip(), goal, ratio, figure.remark


def number(value: float) -> str:
    """Return a number with three digits that matter: 0.0123, 4.56, 789, 12,345."""
    if not value or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEAD = """# Benchmarks

Written by `make bench` (`ONLY=clone`: one of them; `DB=postgres`: on PostgreSQL and a system Redis), which is
`python -m bench [names]`; the same rows are in `bench/results.json`. Do not edit: change `bench/` and run it again.

**How to read it.** Every figure comes from the running product (web, workers, queue and database as `make run` starts
them) and from real hosts: namespaces of the same machine with a systemd and sshd of their own (`tests/lab`).
Controller, hosts, peers and, where there is one, the browser share its processors, and the network between them is
memory: a real network adds its round trips to us and to each peer alike. The peer of a figure is measured in the same
run. *Ratio* says how many times better than the peer a figure is or, where there is no peer, than the goal; below 1 is
worse. Nothing here is a test: a goal that is missed says so, and fails nothing.

Where other tenants share the processors of the machine, times grow with what those do. So the newer tables say how
long a fixed loop ("a million squares") took just before: about 46 ms when this machine has its processors to itself.
"""


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Return docs/benchmarks.md."""
    parts = [HEAD]
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        about = ast.get_docstring(ast.parse((ROOT / f"bench/{name}.py").read_text()))
        parts.append(f"## {name}\n\n{about}\n")
        of_this = [row for row in rows if row["benchmark"] == name]
        of_each = ([row for row in of_this if database_of(row) == each] for each in DATABASES)
        parts += [measured(name, found) for found in of_each if found]
    return "\n".join(parts)


def measured(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of one benchmark on one database, and how to have it again."""
    where = database_of(rows[0])
    command = f"make bench ONLY={name}" + " DB=postgres" * (where == POSTGRESQL)
    lines = [" | ".join(("", *cells(row), "")).strip() for row in rows]
    head = "| figure | value | goal | ratio | remark |\n|---|---|---|---|---|"
    return f"{where}: `{command}`. Measured {rows[0]['on']}.\n\n{head}\n" + "\n".join(lines) + "\n"
