"""The log window over a million lines: opening, scrolling, searching, filtering, linking, copying."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.page import count, open_job, settled, small
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

MILLION = 1_000_000


@pytest.fixture(scope="session")
def million() -> JobLog:
    log = JobLog()
    log.grow(MILLION)
    return log


def test_a_million_lines_open_with_a_screenful_in_the_page(
    strict_page: Page, pages: LogServer, million: JobLog
) -> None:
    open_job(strict_page, pages, million)
    expect(count(strict_page)).to_have_text("1,000,000 lines")
    assert strict_page.locator(".log-sheet .line").count() < 120
    assert strict_page.locator(".log-sheet").get_attribute("aria-rowcount") == "1000000"
    assert settled(strict_page)[0] == 1


@pytest.mark.parametrize("line", [1, 2, 499, 500, 501, 399_999, 400_001, 654_321, 999_500, 999_999, 1_000_000])
def test_every_line_can_be_reached(strict_page: Page, pages: LogServer, million: JobLog, line: int) -> None:
    open_job(strict_page, pages, million, f"#L{line}")
    numbers = settled(strict_page)
    assert line in numbers
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert strict_page.locator(".log-sheet .marked").get_attribute("data-number") == str(line)


def test_the_scroll_bar_stands_for_the_whole_log(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    for share in (0.25, 0.5, 0.9, 1.0, 0.1, 0.0):
        strict_page.evaluate(
            "(share) => { const view = document.querySelector('[data-log-window]');"
            " view.scrollTop = share * (view.scrollHeight - view.clientHeight); }",
            share,
        )
        numbers = settled(strict_page)
        assert numbers[len(numbers) // 2] == pytest.approx(share * MILLION, abs=0.001 * MILLION)
        assert numbers[0] == 1 if share == 0 else numbers[-1] <= MILLION
    strict_page.evaluate("document.querySelector('[data-log-window]').scrollTop = 1e9")
    assert settled(strict_page)[-1] == MILLION


def test_the_wheel_moves_line_by_line_even_where_the_bar_is_scaled(
    strict_page: Page, pages: LogServer, million: JobLog
) -> None:
    open_job(strict_page, pages, million, "#L700000")
    before = settled(strict_page)
    strict_page.locator("[data-log-window]").hover()
    for _ in range(5):
        strict_page.mouse.wheel(0, 60)
        strict_page.wait_for_timeout(30)
    after = settled(strict_page)
    assert after[0] - before[0] == 15
    for _ in range(5):
        strict_page.mouse.wheel(0, -60)
        strict_page.wait_for_timeout(30)
    assert settled(strict_page)[0] == before[0]


def test_the_wheel_reaches_both_ends(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    for start, wheel, last in (("#L999700", 400, MILLION), ("#L300", -400, 1)):
        open_job(strict_page, pages, million, start)
        strict_page.reload()  # a new address in the same page is only a jump
        settled(strict_page)
        strict_page.locator("[data-log-window]").hover()
        for _ in range(60):
            strict_page.mouse.wheel(0, wheel)
            strict_page.wait_for_timeout(10)
        assert last in settled(strict_page)


def test_keys_go_to_both_ends(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    strict_page.keyboard.press("G")
    assert settled(strict_page)[-1] == MILLION
    strict_page.keyboard.press("g")
    assert settled(strict_page)[0] == 1
    strict_page.locator("[data-log-window]").focus()
    strict_page.keyboard.press("End")
    assert settled(strict_page)[-1] == MILLION
    strict_page.keyboard.press("Home")
    assert settled(strict_page)[0] == 1
    strict_page.keyboard.press("End")
    assert settled(strict_page)[-1] == MILLION
    strict_page.keyboard.press("PageUp")
    assert settled(strict_page)[-1] < MILLION


def test_what_is_kept_in_memory_is_bounded(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    bar = "(share) => { const view = document.querySelector('[data-log-window]'); view.scrollTop = share * 8e6; }"
    for place in range(80):
        strict_page.evaluate(bar, place / 80)
        settled(strict_page)
    assert strict_page.locator(".log-sheet .line").count() < 120
    assert len(pages.asked_first) < 250
    asked = pages.asked_first.count(1)
    strict_page.keyboard.press("g")
    assert settled(strict_page)[0] == 1
    assert pages.asked_first.count(1) == asked + 1, "the beginning had been forgotten, and was read again"


def test_of_a_slow_server_only_what_is_looked_at_is_asked(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    settled(strict_page)
    pages.delay = 1.0
    bar = "(share) => { const view = document.querySelector('[data-log-window]'); view.scrollTop = share * 8e6; }"
    for place in range(1, 40):
        strict_page.evaluate(bar, place / 40)
        strict_page.wait_for_timeout(20)
    expect(strict_page.locator(".log-sheet .wait").first).to_contain_text("…")
    began = time.monotonic()
    expect(strict_page.locator(".log-sheet .wait")).to_have_count(0)
    assert time.monotonic() - began < 2.5, "the last place must not queue behind those passed by"
    assert settled(strict_page)[0] == pytest.approx(975_000, abs=1000)


def test_search_goes_from_match_to_match(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    strict_page.keyboard.press("/")
    strict_page.keyboard.type("LINE 4242")
    found = strict_page.locator("[data-log-found]")
    expect(found).to_have_text("1 of 111")
    assert 4242 in settled(strict_page)
    expect(strict_page.locator(".log-sheet .found")).to_have_attribute("data-number", "4242")
    assert strict_page.evaluate("CSS.highlights.get('log-hit').size") > 0
    strict_page.keyboard.press("Enter")
    expect(found).to_have_text("2 of 111")
    assert 42_420 in settled(strict_page)
    strict_page.keyboard.press("Escape")
    strict_page.keyboard.press("N")
    strict_page.keyboard.press("N")
    expect(found).to_have_text("111 of 111")
    assert 424_299 in settled(strict_page)
    strict_page.locator("[data-log-next]").click()
    expect(found).to_have_text("1 of 111")
    strict_page.locator("[data-log-search] input").fill("copy")
    expect(found).to_have_text(re.compile(r"of 1000\+"))
    strict_page.locator("[data-log-search] input").fill("no such words")
    expect(found).to_have_text("not found")


def test_a_filter_shows_only_its_lines_with_their_own_numbers(
    strict_page: Page, pages: LogServer, million: JobLog
) -> None:
    open_job(strict_page, pages, million)
    strict_page.locator('[data-log-filter="host"]').select_option("kvm-08")
    expect(count(strict_page)).to_have_text("250,000 lines of the filter")
    assert "host=kvm-08" in strict_page.url
    assert settled(strict_page)[0] == 51
    expect(strict_page.locator(".log-sheet .on").first).to_have_text("kvm-08")
    strict_page.keyboard.press("G")
    assert settled(strict_page)[-1] == 999_900
    strict_page.locator('[data-log-filter="level"]').select_option("warning")
    expect(count(strict_page)).to_have_text("0 lines of the filter")
    strict_page.locator('[data-log-filter="host"]').select_option("")
    expect(count(strict_page)).to_have_text("50,000 lines of the filter")
    strict_page.reload()
    expect(count(strict_page)).to_have_text("50,000 lines of the filter")
    assert settled(strict_page)[0] == 951


def test_a_step_filters_the_log_and_back(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million, "#L700123")
    step = strict_page.locator('[data-log-step="3"]')
    step.click()
    expect(step).to_have_attribute("aria-pressed", "true")
    expect(count(strict_page)).to_have_text("125,000 lines of the filter")
    near = settled(strict_page)
    assert near[0] < 700_123 + 400
    assert near[-1] > 700_123 - 400
    step.click()
    expect(step).to_have_attribute("aria-pressed", "false")
    expect(count(strict_page)).to_have_text("1,000,000 lines")


def test_search_within_a_filter_finds_the_place(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million, "?step=1")
    strict_page.keyboard.press("/")
    strict_page.keyboard.type("line 60010")
    expect(strict_page.locator("[data-log-found]")).to_have_text("1 of 1")
    assert 60_010 in settled(strict_page)
    expect(strict_page.locator(".log-sheet .found")).to_have_attribute("data-number", "60010")


def test_live_lines_pass_through_the_filter(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), "?host=kvm-07", live=True)
    expect(count(strict_page)).to_have_text("250 lines of the filter, following")
    pages.call(pages.pour(4000, 5000))
    wanted = sum(event.lines for event in pages.log.events if event.host == "kvm-07")
    expect(count(strict_page)).to_have_text(f"{wanted:,} lines of the filter, following")
    last = [event for event in pages.log.events if event.host == "kvm-07"][-1]
    assert settled(strict_page)[-1] == last.first + last.lines - 1


def test_a_line_has_an_address(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million, "#L500000")
    settled(strict_page)
    strict_page.locator(".ln a", has_text="500002").click()
    assert strict_page.url.endswith("#L500002")
    strict_page.locator(".ln a", has_text="500006").click(modifiers=["Shift"])
    assert strict_page.url.endswith("#L500002-L500006")
    expect(strict_page.locator(".log-sheet .marked")).to_have_count(5)
    strict_page.reload()
    expect(strict_page.locator(".log-sheet .marked")).to_have_count(5)
    assert 500_002 in settled(strict_page)
    strict_page.keyboard.press("j")
    expect(strict_page.locator(".log-sheet .marked")).to_have_attribute("data-number", "500003")
    assert strict_page.url.endswith("#L500003")


def test_copied_lines_carry_no_numbers(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    strict_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_job(strict_page, pages, million, "#L10-L12")
    settled(strict_page)
    copy = strict_page.locator("[data-log-copy]")
    expect(copy).to_have_text("copy 3 lines")
    copy.click()
    expect(copy).to_have_text("copied")
    wanted = "\n".join(million.texts()[9:12])
    assert strict_page.evaluate("navigator.clipboard.readText()") == f"{wanted}\n"
    strict_page.evaluate("""() => {
      const text = (n) => document.querySelector(`[data-number="${n}"] .text`).firstChild;
      getSelection().setBaseAndExtent(text(10), 5, text(12), 7);
    }""")
    strict_page.keyboard.press("Control+c")
    strict_page.wait_for_timeout(50)
    ten, eleven, twelve = wanted.split("\n")
    assert strict_page.evaluate("navigator.clipboard.readText()") == f"{ten[5:]}\n{eleven}\n{twelve[:7]}"


def test_a_server_in_trouble_is_named_and_got_over(
    strict_page: Page, pages: LogServer, million: JobLog, complaints: list[str]
) -> None:
    open_job(strict_page, pages, million)
    pages.broken = True
    strict_page.keyboard.press("G")
    expect(count(strict_page)).to_have_text("The log cannot be read (the server answered 502); trying again.")
    pages.broken = False
    expect(count(strict_page)).to_have_text("1,000,000 lines", timeout=10_000)
    assert settled(strict_page)[-1] == MILLION
    complaints.clear()  # Chromium reports the 502
