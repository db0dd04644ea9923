"""The pages of a large cloud, as its admin reads them: first pages and deep ones, sorted, filtered, searched.

2,500 hosts, 20,000 virtual machines, 100,000 images, 100,000 jobs, 1,000,000 audit entries, 20,000 alerts and as many
differences, and no host behind them. The workers and the schedule are stopped, for they would ask these hosts
meanwhile: what is measured is a page, and not what happens beside it. Each address is read once before it counts, then
a few times; the time is that of the whole answer over HTTP.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import chain

from bench.figures import Figure
from bench.seed import Size, seed
from bench.site import Site, timed
from datastores.management.visitor import Visitor
from datastores.web.lists.paging import Place

TIMES = 5
GOAL, OVERVIEW_GOAL, PALETTE_GOAL = 100, 150, 50
WORDS = (
    "kvm12",
    "ds01",
    "debian",
    "debian-4711",
    "web",
    "eb-47",
    "clone",
    "k",
    "zq",
    "4711",
    "nowhere",
    "no+such+name",
)
"""What is looked for: common and rare, from the beginning and from the middle of names, and what there is not."""
OPENNEBULA = 780
"""Milliseconds for a list of 20,000 virtual machines, as its makers publish (the quickest of theirs)."""


def addresses(size: Size) -> dict[str, Sequence[str]]:
    """Return what is read of each list."""
    deep = {name: f"after={Place(rows // 2, rows // 2).encode()}" for name, rows in (
        ("hosts", size.hosts), ("images", size.images), ("vms", size.vms), ("jobs", size.jobs), ("audit", size.entries),
    )}  # fmt: skip
    return {
        "hosts": ("", f"?sort=id&{deep['hosts']}", "?sort=-clock", "?sort=cluster", "?q=state:unreachable", "?q=kvm12"),
        "datastores": ("", "?sort=-images", "?q=tm:qcow2+free<20%25", "?q=host:kvm0001", "?q=ds1"),
        "images": (
            "", f"?{deep['images']}", "?sort=name", "?sort=datastore", "?sort=-size", "?q=state:error", "?q=disks:0",
            "?q=size>100G+-state:ready", "?q=owner:user12", "?q=debian", "?q=nowhere",
        ),
        "vms": ("", f"?{deep['vms']}", "?sort=name", "?sort=-disks", "?sort=owner", "?q=disks>2", "?q=web-12"),
        "disks": ("", f"?{deep['vms']}", "?sort=vm", "?sort=-size", "?q=datastore:ds1", "?q=web-12", "?q=nowhere"),
        "jobs": (
            "", f"?{deep['jobs']}", "?sort=job", "?sort=by", "?q=state:failed", "?q=asked:today", "?q=by:user7",
            "?q=clone", "?q=nowhere",
        ),
        "audit": (
            "", f"?{deep['audit']}", "?q=result:failed", "?q=who:user7", "?q=when:today", "?q=persistent",
            "?q=nowhere",
        ),
        "alerts": ("", "?sort=about", "?q=state:firing", "?q=severity:critical", "?q=about:ds12", "?q=nowhere"),
        "drift": ("", "?state=", "?sort=host", "?q=state:gone", "?q=host:kvm12", "?q=debian", "?q=nowhere"),
    }  # fmt: skip


def measure(site: Site) -> list[Figure]:
    site.stop_workers()
    size = Size().part(200) if site.quick else Size()
    seed(size)
    visitor = site.visitor()
    figures = [page_figure(visitor, "overview", [""], "/", OVERVIEW_GOAL)]
    for name, pages in addresses(size).items():
        figures.append(page_figure(visitor, f"list of {name}", pages, f"/{name}/", GOAL, OPENNEBULA * (name == "vms")))
    words = [f"?q={word}" for word in WORDS]
    figures.append(page_figure(visitor, "palette", words, "/find/palette/", PALETTE_GOAL))
    return [*figures, page_figure(visitor, "found things", words, "/find/", GOAL)]


def page_figure(visitor: Visitor, name: str, pages: Sequence[str], path: str, goal: float, peer: float = 0) -> Figure:
    """Return the p95 of all pages of a list, and which one is the slowest."""
    times = {page: milliseconds(visitor, path + page) for page in pages}
    slowest = max(times, key=lambda page: statistics.median(times[page]))
    every = sorted(chain.from_iterable(times.values()))
    return Figure(
        name=f"{name}, p95 of {len(pages)} pages", value=every[-(-len(every) * 95 // 100) - 1], unit="ms", goal=goal,
        peer=peer or None, against="OpenNebula's own figure" if peer else "",
        remark=f"slowest: {path}{slowest} {statistics.median(times[slowest]):.0f} ms",
    )  # fmt: skip


def milliseconds(visitor: Visitor, address: str) -> list[float]:
    visitor.get(address)
    return [1000 * timed(lambda: visitor.get(address)) for _ in range(TIMES)]
