"""Memory of an installation that nobody uses: web, workers and queue, a minute after their start.

PSS counts a page that several processes share once in all (the workers are forked from one loaded process); RSS counts
it once per process, so its sum says more than is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from bench.site import Site
from tests.stack import Stack

SETTLE = 60
PROGRAMS = ("web", "workers", "redis")


def measure(site: Site) -> list[Figure]:
    time.sleep(5 if site.quick else SETTLE)
    stack = Stack(site.url, site.data, dict(os.environ), process=None)  # type: ignore[arg-type]
    trees = {name: list(tree(stack.pid_of(name))) for name in PROGRAMS}
    shares = {name: sum(memory(pid, "Pss") for pid in pids) for name, pids in trees.items()}
    rss = sum(memory(pid, "Rss") for pids in trees.values() for pid in pids)
    launchers = [supervisor := parent(stack.pid_of("web")), parent(supervisor)]
    told = ", ".join(f"{name} {shares[name]:.0f} ({len(trees[name])} processes)" for name in PROGRAMS)
    beside = sum(memory(pid, "Pss") for pid in launchers)
    return [
        Figure(name="web, workers and queue, PSS", value=sum(shares.values()), unit="MB", goal=300, remark=told),
        Figure(name="the same as RSS", value=rss, unit="MB", remark="shared pages counted again and again"),
        Figure(name="supervisord and the waiting `cloudstore up`, PSS", value=beside, unit="MB"),
    ]


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
