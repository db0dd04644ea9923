"""Long lines of the log, broken on demand: every line can still be reached, and the choice is remembered."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.page import open_job, settled, small
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

WORDS = "and so it goes on and on, /a/path/without/any/blank" * 12


def long_lines(lines: int) -> JobLog:
    """Return a log whose every third line is many times as long as the window is wide."""
    log = JobLog()
    for first in range(1, lines + 1, 50):
        log.add(
            [f"line {n} of it{' ' + WORDS if n % 3 == 0 else ''}" for n in range(first, min(first + 50, lines + 1))]
        )
    return log


def wrap(page: Page) -> None:
    page.locator("[data-log-wrap]").click()
    expect(page.locator("[data-log-wrap]")).to_have_attribute("aria-pressed", "true")


def seen(page: Page) -> list[tuple[int, float, float]]:
    """Return (number, top, bottom) of the rows that are at least partly in sight, once nothing is on its way."""
    page.wait_for_timeout(260)
    expect(page.locator(".log-sheet .wait")).to_have_count(0)
    rows: list[list[Any]] = page.evaluate(
        """() => { const view = document.querySelector("[data-log-window]").getBoundingClientRect();
        return [...document.querySelectorAll(".log-sheet .line")].map((line) => [line, line.getBoundingClientRect()])
          .filter(([, box]) => box.bottom > view.top + 1 && box.top < view.bottom - 1)
          .map(([line, box]) => [Number(line.dataset.number), box.top - view.top, box.bottom - view.top]); }"""
    )
    for above, below in itertools.pairwise(rows):
        assert below[0] == above[0] + 1
        assert below[1] == pytest.approx(above[2], abs=1), "rows neither overlap nor leave room"
    return [(number, top, bottom) for number, top, bottom in rows]


def height(page: Page) -> float:
    return float(page.evaluate("document.querySelector('[data-log-window]').clientHeight"))


def scroll_to(page: Page, share: float) -> None:
    page.evaluate(
        "(share) => { const view = document.querySelector('[data-log-window]');"
        " view.scrollTop = share * (view.scrollHeight - view.clientHeight); }",
        share,
    )


def test_lines_are_broken_and_nothing_is_cut_off(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, long_lines(40), "#L3")
    assert strict_page.evaluate("(v => v.scrollWidth > v.clientWidth)(document.querySelector('[data-log-window]'))")
    wrap(strict_page)
    rows = {number: bottom - top for number, top, bottom in seen(strict_page)}
    assert rows[3] > 60 and rows[3] % 20 == 0
    assert rows[2] == rows[4] == 20
    assert not strict_page.evaluate("(v => v.scrollWidth > v.clientWidth)(document.querySelector('[data-log-window]'))")


@pytest.mark.parametrize("lines", [5, 40, 499, 500, 501, 2000])
def test_both_ends_can_be_reached(strict_page: Page, pages: LogServer, lines: int) -> None:
    open_job(strict_page, pages, long_lines(lines))
    wrap(strict_page)
    scroll_to(strict_page, 1)
    number, _, bottom = seen(strict_page)[-1]
    assert number == lines and bottom <= height(strict_page) + 1
    scroll_to(strict_page, 0)
    number, top, _ = seen(strict_page)[0]
    assert number == 1 and top == pytest.approx(0, abs=1)


@pytest.mark.parametrize("lines", [400, 2000])
def test_the_scroll_bar_stands_for_the_whole_log(strict_page: Page, pages: LogServer, lines: int) -> None:
    open_job(strict_page, pages, long_lines(lines))
    wrap(strict_page)
    passed: set[int] = set()
    for step in range(21):
        scroll_to(strict_page, step / 20)
        numbers = [number for number, _, _ in seen(strict_page)]
        assert numbers[0] - lines / 20 <= lines * step / 20 <= numbers[-1] + lines / 20
        passed |= set(numbers)
    assert {1, lines} <= passed


@pytest.mark.parametrize(("lines", "line"), [(400, 1), (400, 222), (400, 400), (3000, 1), (3000, 1500), (3000, 3000)])
def test_the_line_of_the_address_is_in_sight(strict_page: Page, pages: LogServer, lines: int, line: int) -> None:
    open_job(strict_page, pages, long_lines(lines))
    wrap(strict_page)
    open_job(strict_page, pages, long_lines(lines), f"#L{line}")
    expect(strict_page.locator("[data-log-wrap]")).to_have_attribute("aria-pressed", "true")
    tops = {number: (top, bottom) for number, top, bottom in seen(strict_page)}
    assert line in tops
    assert -1 <= tops[line][0] < height(strict_page)
    assert strict_page.locator(".log-sheet .marked").get_attribute("data-number") == str(line)


def test_a_million_lines_stay_a_screenful_in_the_page(strict_page: Page, pages: LogServer) -> None:
    log = JobLog()
    log.grow(1_000_000)
    open_job(strict_page, pages, log)
    wrap(strict_page)
    for share in (0.5, 1.0, 0.0):
        scroll_to(strict_page, share)
        numbers = [number for number, _, _ in seen(strict_page)]
        assert numbers[len(numbers) // 2] == pytest.approx(share * 1_000_000, abs=1000)
        assert strict_page.locator(".log-sheet .line").count() < 120


@pytest.mark.parametrize("lines", [30, 498, 900])
def test_what_comes_is_followed(strict_page: Page, pages: LogServer, lines: int) -> None:
    log = long_lines(lines)
    open_job(strict_page, pages, log, live=True)
    wrap(strict_page)
    for number in range(lines + 1, lines + 8):
        pages.call(pages.ring(partial(log.add, [f"line {number} of it {WORDS}"])))
        strict_page.wait_for_timeout(120)
    expect(strict_page.locator("[data-log-count]")).to_have_text(f"{lines + 7} lines, following", timeout=10_000)
    number, _, bottom = seen(strict_page)[-1]
    assert number == lines + 7
    assert bottom == pytest.approx(height(strict_page), abs=2)


def test_the_choice_can_be_taken_back(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(300), "#L150")
    wrap(strict_page)
    strict_page.locator("[data-log-wrap]").click()
    expect(strict_page.locator("[data-log-wrap]")).to_have_attribute("aria-pressed", "false")
    assert settled(strict_page)
    strict_page.reload()
    expect(strict_page.locator("[data-log-wrap]")).to_have_attribute("aria-pressed", "false")


class TestTheFilter:
    def test_host_step_and_level_narrow_together(self, strict_page: Page, pages: LogServer) -> None:
        open_job(strict_page, pages, small(800))
        clear = strict_page.locator("[data-log-clear]")
        expect(clear).to_be_hidden()
        step = strict_page.get_by_label("Step", exact=True)
        step.select_option(label="kvm-07: PERSISTENT is mounted")
        expect(strict_page.locator('[data-log-step="4"]')).to_have_attribute("aria-pressed", "true")
        strict_page.get_by_label("Level", exact=True).select_option("warning")
        strict_page.get_by_label("Host", exact=True).select_option("one-san-01")
        address = strict_page.evaluate("location.search")
        assert sorted(address[1:].split("&")) == ["host=one-san-01", "level=warning", "step=4"]
        clear.click()
        expect(clear).to_be_hidden()
        expect(strict_page.locator("[data-log-count]")).to_have_text("800 lines")
        expect(strict_page.locator('[data-log-step="4"]')).to_have_attribute("aria-pressed", "false")
        assert strict_page.evaluate("location.search") == ""

    def test_steps_that_come_later_are_offered_and_the_filter_stays(self, strict_page: Page, pages: LogServer) -> None:
        open_job(strict_page, pages, small(800), "?step=3")
        expect(strict_page.locator('[data-log-step="3"]')).to_have_attribute("aria-pressed", "true")
        strict_page.evaluate(
            """() => { const lane = document.querySelector('[data-lane="kvm-09"]');
            lane.dataset.lane = "kvm-10";
            const step = document.querySelector('[data-log-step="3"]').cloneNode(true);
            step.setAttribute("aria-pressed", "false");
            document.querySelector('[data-log-step="3"]').replaceWith(step);
            const late = step.cloneNode(true);
            late.dataset.logStep = "9";
            lane.append(late);
            lane.dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true })); }"""
        )
        expect(strict_page.locator('[data-log-step="3"]')).to_have_attribute("aria-pressed", "true")
        assert "kvm-10" in strict_page.get_by_label("Host", exact=True).inner_text()
        assert "kvm-10: directory 104" in strict_page.get_by_label("Step", exact=True).inner_text()
        expect(strict_page.get_by_label("Step", exact=True)).to_have_value("3")
