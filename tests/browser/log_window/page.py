"""What the tests of the log window do with its page."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.server import LogServer


def small(lines: int = 1000) -> JobLog:
    log = JobLog()
    log.grow(lines, of=10)
    return log


def open_job(page: Page, server: LogServer, log: JobLog, address: str = "", *, live: bool = False) -> None:
    server.reset(log, live=live)
    page.goto(f"{server.url}/job/{address}")
    expect(page.locator(".log-sheet .line:not(.wait)").first).to_be_visible()


def visible(page: Page) -> list[int]:
    """The numbers of the lines wholly in sight, from top to bottom; each must have come with its own text."""
    rows: list[list[Any]] = page.evaluate(
        """() => { const view = document.querySelector("[data-log-window]").getBoundingClientRect();
        return [...document.querySelectorAll(".log-sheet .line")].map((line) => [line, line.getBoundingClientRect()])
          .filter(([, box]) => box.top >= view.top - 1 && box.bottom <= view.top + view.height + 1)
          .map(([line, box]) => [Number(line.dataset.number), line.querySelector(".text").textContent, box.top]); }"""
    )
    for number, text, _ in rows:
        assert text.startswith(f"line {number} of"), (number, text)
    assert all(below[2] - above[2] == pytest.approx(20, abs=0.5) for above, below in itertools.pairwise(rows))
    return [number for number, _, _ in rows]


def settled(page: Page) -> list[int]:
    """``visible`` once nothing is on its way."""
    page.wait_for_timeout(220)
    expect(page.locator(".log-sheet .wait")).to_have_count(0)
    before: list[int] = []
    while before != (now := visible(page)):
        before = now
        page.wait_for_timeout(50)
    return now


def count(page: Page) -> Locator:
    return page.locator("[data-log-count]")
