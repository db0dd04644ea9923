"""Memory of an installation that nobody uses: web, workers and queue, a minute after their start.

The queue is measured where it is one of the product's processes, which is without ``REDIS_URL``; ``DB=postgres`` brings
a server of its own for each of both, and only web and workers are measured there.

PSS counts a page that several processes share once in all (the workers are forked from one loaded process); RSS counts
it once per process, so its sum says more than is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.figures import Figure
from bench.site import Site

SETTLE = 60
GOAL = 300
"""MB for all three; what is without the queue has none."""


def measure(site: Site) -> list[Figure]:
    time.sleep(5 if site.quick else SETTLE)
    stack = site.stack
    programs = measured(os.environ)
    trees = {name: list(tree(stack.pid_of(name))) for name in programs}
    shares = {name: sum(memory(pid, "Pss") for pid in pids) for name, pids in trees.items()}
    rss = sum(memory(pid, "Rss") for pids in trees.values() for pid in pids)
    launchers = [supervisor := parent(stack.pid_of("web")), parent(supervisor)]
    told = ", ".join(f"{name} {shares[name]:.0f} ({len(trees[name])} processes)" for name in programs)
    beside = sum(memory(pid, "Pss") for pid in launchers)
    return [
        figure_of(programs, sum(shares.values()), told),
        Figure(name="the same as RSS", value=rss, unit="MB", remark="shared pages counted again and again"),
        Figure(name="supervisord and the waiting `cloudstore up`, PSS", value=beside, unit="MB"),
    ]


def measured(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the programs that are the product's own."""
    return ("web", "workers") if environment.get("REDIS_URL") else ("web", "workers", "redis")


def figure_of(programs: Sequence[str], value: float, remark: str) -> Figure:
    if "redis" in programs:
        return Figure(name="web, workers and queue, PSS", value=value, unit="MB", goal=GOAL, remark=remark)
    return Figure(name="web and workers, PSS", value=value, unit="MB", remark=f"{remark}; queue and database apart")


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that it started."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from tree(int(child))


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def memory(pid: int, what: str) -> float:
    """Return "Pss" or "Rss" of a process in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / 1e6
