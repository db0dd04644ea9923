"""Two hundred people who watch one job, and one who opens a log of a million lines.

*Watching*: 200 websocket viewers of one job while a command on a host prints 500 to 5,000 lines a second, each line
with the time at which it is written. Every viewer must see every line once and in order; the age is that of each line
when it arrives at each viewer. The viewers are one process on the same machine: at the highest rate they read a million
lines a second between them, and what they cannot keep up with counts as age too. That rate is asked of 20 viewers as
well.

*Opening*: the page of a running job with a million lines. Over HTTP: the page, the lines at its end, the first message
of its socket, one after another. In Chromium, from the navigation until the first line can be read, and until the
socket is live: the first visit fills the browser's cache, the others find it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from bench import writer
from bench.alone import Alone
from bench.figures import Figure
from bench.furnish import job_for_log
from bench.log import watched
from bench.site import Site, endpoint, environment, hosts, timed
from datastores.domain.figures import percentile
from datastores.management.visitor import Visitor
from datastores.models import Job
from datastores.transport.endpoint import Endpoint

ROUNDS = ((200, 500), (200, 1000), (200, 2000), (200, 5000), (20, 5000))
"""Viewers, and lines a second."""
SECONDS = 15
LINES = 1_000_000
VISITS = 7
CHROMIUM = Path("/usr/bin/chromium")
ROW = ".log-sheet .line:not(.wait)"
LIVE = "[data-log-state][data-state=live]"


def measure(site: Site) -> list[Figure]:
    rounds, seconds = (((20, 500), (50, 1000)), 4) if site.quick else (ROUNDS, SECONDS)
    with hosts(1) as lab:
        where = endpoint(lab, lab.host("h1"))
        figures = [figure for viewers, rate in rounds for figure in watching(site, where, viewers, rate, seconds)]
        job = job_for_log("A million lines")
        lines = LINES // 10 if site.quick else LINES
        Alone(environment(), "bench.writer", "write", job.pk, where, writer.numbered(lines)).result(120)
        return [*figures, opening_by_hand(site, job, lines), *opening_in_a_browser(site, job)]


def watching(site: Site, where: Endpoint, viewers: int, rate: int, seconds: int) -> Iterator[Figure]:
    seen = watched(site, where, viewers=viewers, rate=rate, seconds=seconds)
    name = f"{viewers} viewers, {rate:,} lines/s"
    remark = f"{seconds} s; p50 {seen.age(50)}, worst {max(seen.ages):,} ms"
    yield Figure(name=f"{name}: age p99", value=seen.age(99), unit="ms", remark=remark)
    total = f"of {sum(seen.seen):,} lines seen"
    yield Figure(name=f"{name}: lost, doubled or out of order", value=seen.astray, unit="", goal=0, remark=total)


def opening_by_hand(site: Site, job: Job, lines: int) -> Figure:
    visitor = site.visitor()
    address = job.get_absolute_url()

    def work() -> None:
        visitor.get(address)
        visitor.get(f"{address}lines/?first={lines - 499}&count=500")
        with visitor.socket(f"/ws{address}?after=0") as socket:
            socket.recv(timeout=30)

    ms = [1000 * timed(work) for _ in range(VISITS)]
    remark = f"{lines:,} lines; {min(ms):.0f} to {max(ms):.0f} ms"
    return Figure(name="opening over HTTP and socket", value=percentile(ms, 50), unit="ms", goal=1000, remark=remark)


def opening_in_a_browser(site: Site, job: Job) -> list[Figure]:
    visitor, address = site.visitor(), f"{site.url}{job.get_absolute_url()}"
    options: dict[str, Any] = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    if os.geteuid() == 0:
        options["args"] = ["--no-sandbox"]  # Chromium refuses to be root inside its sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        rows, lives = zip(*visits(browser, visitor, address), strict=True)
        browser.close()
    again = percentile(list(rows[1:]), 50)
    return [
        Figure(name="opening in Chromium, first line", value=rows[0], unit="ms", goal=1000, remark="the first visit"),
        Figure(name="opening in Chromium again, first line", value=again, unit="ms", goal=1000, remark="median"),
        Figure(name="opening in Chromium again, socket live", value=percentile(list(lives[1:]), 50), unit="ms"),
    ]


def visits(browser: Browser, visitor: Visitor, address: str) -> Iterator[tuple[float, float]]:
    """Yield, for each visit, the ms until the first line can be read and until the socket is live."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    here = {"domain": "127.0.0.1", "path": "/"}
    context.add_cookies([{"name": name, "value": value, **here} for name, value in visitor.cookies.items()])  # type: ignore[typeddict-item]
    for _ in range(VISITS):
        page = context.new_page()
        started = time.monotonic()
        page.goto(address, wait_until="commit")
        page.wait_for_selector(ROW)
        row = time.monotonic()
        page.wait_for_selector(LIVE)
        yield 1000 * (row - started), 1000 * (time.monotonic() - started)
        page.close()
