"""The log window in a real browser: a million lines, a live stream, hostile text."""

from __future__ import annotations

import itertools
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

MILLION = 1_000_000
FIRST_LINE_SHOWN = """
() => new MutationObserver((_, observer) => {
  if (!document.querySelector(".log-sheet .line:not(.wait)")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => (document.documentElement.dataset.shownAfter = performance.now())));
}).observe(document, { childList: true, subtree: true })
"""


@pytest.fixture(scope="session")
def million() -> JobLog:
    log = JobLog()
    log.grow(MILLION)
    return log


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
    page.wait_for_timeout(50)
    return visible(page)


def count(page: Page) -> Locator:
    return page.locator("[data-log-count]")


def run(page: Page) -> None:
    """Set off nothing; let the page breathe for a frame or two."""
    page.wait_for_timeout(50)


# A million lines -----------------------------------------------------------------------------------------------


def test_a_million_lines_open_within_a_second(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    strict_page.add_init_script(f"({FIRST_LINE_SHOWN})()")
    open_job(strict_page, pages, million)  # once to warm the browser up
    times = []
    for _ in range(3):
        strict_page.reload()
        html = strict_page.locator("html[data-shown-after]")  # waiting for a function would need eval
        times.append(float(html.get_attribute("data-shown-after") or "inf"))
    print(f"first lines of a million shown after {sorted(times)} ms")  # noqa: T201 the figure is the point
    assert min(times) < 1000
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
    strict_page.keyboard.press("PageUp")
    assert settled(strict_page)[-1] < MILLION


def test_what_is_kept_in_memory_is_bounded(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    strict_page.evaluate("""async () => {
      const view = document.querySelector("[data-log-window]");
      for (let at = 0; at < 150; at += 1) {
        view.scrollTop = (at * view.scrollHeight) / 150;
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }""")
    settled(strict_page)
    strict_page.keyboard.press("g")
    assert settled(strict_page)[0] == 1
    assert strict_page.locator(".log-sheet .line").count() < 120


# Live ----------------------------------------------------------------------------------------------------------


def test_it_follows_five_thousand_lines_a_second(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    expect(count(strict_page)).to_have_text("1,000 lines, following")
    frames = strict_page.evaluate("window.probe.frames")
    pouring = pages.start_call(pages.pour(20_000, 5000))
    began = time.monotonic()
    while not pouring.done():
        strict_page.wait_for_timeout(250)
        shown = int(strict_page.locator(".log-sheet .line").last.get_attribute("data-number") or 0)
        assert pages.log.total - shown < 2500, "the window is more than half a second behind"
    pouring.result()
    seconds = time.monotonic() - began
    rate = (strict_page.evaluate("window.probe.frames") - frames) / seconds
    print(f"20,000 lines in {seconds:.1f} s, {rate:.0f} frames a second")  # noqa: T201 the figure is the point
    expect(count(strict_page)).to_have_text("21,000 lines, following")
    assert settled(strict_page)[-1] == 21_000
    assert rate > 15
    assert strict_page.locator(".log-sheet .line").count() < 120


def test_scrolling_up_stops_following_and_f_returns(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    follow = strict_page.locator("[data-log-follow]")
    expect(follow).to_have_attribute("aria-pressed", "true")
    strict_page.locator("[data-log-window]").hover()
    strict_page.mouse.wheel(0, -300)
    expect(follow).to_have_attribute("aria-pressed", "false")
    before = settled(strict_page)
    pages.call(pages.pour(2000, 5000))
    expect(count(strict_page)).to_have_text("3,000 lines")
    assert settled(strict_page) == before, "the reader's place must not move"
    strict_page.keyboard.press("f")
    expect(follow).to_have_attribute("aria-pressed", "true")
    assert settled(strict_page)[-1] == 3000
    strict_page.mouse.wheel(0, -300)
    settled(strict_page)
    follow.click()
    assert settled(strict_page)[-1] == 3000


def test_a_hundred_reconnects_lose_and_repeat_nothing(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    pouring = pages.start_call(pages.pour(60_000, 1000))
    chance = random.Random(7)
    for drop in range(1, 101):
        while pages.connections < drop:
            strict_page.wait_for_timeout(10)
        strict_page.wait_for_timeout(chance.randint(0, 120))
        pages.call(pages.drop())
    pouring.result(120)
    expect(count(strict_page)).to_have_text("61,000 lines, following", timeout=20_000)
    seqs, texts = strict_page.evaluate("[window.probe.seqs, window.probe.texts]")
    assert pages.connections == 101
    strict_page.complaints.clear()  # type: ignore[attr-defined]  Chromium reports each cut connection
    assert seqs == list(range(101, len(pages.log.events) + 1))
    assert "\n".join(texts).split("\n") == pages.log.texts()[1000:]
    assert settled(strict_page)[-1] == 61_000


def test_frames_out_of_turn_make_it_ask_again(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    expect(strict_page.locator("[data-log-state]")).to_have_text("live")
    seen = pages.log.events[-1].frame()
    ahead = {**seen, "seq": seen["seq"] + 5, "first": 1041, "text": "from nowhere", "lines": 1}
    pages.call(pages.send({"type": "events", "events": [seen], "seq": seen["seq"], "total": 1000}))
    pages.call(pages.send({"type": "events", "events": [ahead], "seq": ahead["seq"], "total": 1041}))
    pages.call(pages.pour(100, 1000))
    expect(count(strict_page)).to_have_text("1,100 lines, following")
    assert settled(strict_page)[-1] == 1100
    assert pages.asked_after == [100, 100]


def test_the_state_of_the_connection_is_shown(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    state = strict_page.locator("[data-log-state]")
    expect(state).to_have_text("live")
    pages.call(pages.drop())
    expect(state).to_have_attribute("data-state", "lost")
    expect(state).to_have_text("live", timeout=10_000)
    pages.call(pages.close(4403))
    expect(state).to_have_text("you may no longer see this")
    opened = pages.connections
    strict_page.wait_for_timeout(2500)
    assert pages.connections == opened, "a refused page must not come back"


def test_the_job_is_kept_up_to_date(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    expect(strict_page.locator("[data-log-state]")).to_have_text("live")
    job = {"type": "job", "state": "running", "state_label": "running", "state_tone": "run", "icon": "arrow-repeat"}
    job |= {"steps": 17, "steps_done": 12, "bytes_done": 61 << 30, "bytes_total": 117 << 30, "eta": 240}
    lane = {"host": "kvm-09", "state": "done", "tone": "ok", "icon": "check2"}
    step = {"index": 7, "state": "changed", "tone": "ok", "icon": "check2", "seconds": 0.031}
    pages.call(pages.send(job | {"can_cancel": True, "lanes": [lane], "changed": [step]}))
    expect(strict_page.locator("[data-job-count]")).to_have_text("12 of 17 steps, 61.0 of 117 GiB")
    expect(strict_page.locator("[data-job-eta]")).to_have_text("about 4 min left")
    expect(strict_page.locator('[data-lane="kvm-09"] .st.ok')).to_have_text("done")
    expect(strict_page.locator('[data-log-step="7"] .x')).to_have_text("31 ms")
    expect(strict_page.locator('[data-log-step="7"] .bi-check2.ic-ok')).to_be_visible()
    ended = {"state": "succeeded", "state_label": "succeeded", "state_tone": "ok", "icon": "check2", "eta": None}
    pages.call(pages.send(job | ended | {"steps_done": 17, "bytes_done": 117 << 30, "can_cancel": False}))
    expect(strict_page.locator("[data-job-state]")).to_have_text("succeeded")
    expect(strict_page.locator("[data-job-count]")).to_have_text("17 of 17 steps")
    expect(strict_page.locator("[data-job-cancel]")).to_be_hidden()
    expect(strict_page.locator("[data-log-follow]")).to_be_hidden()
    pages.call(pages.close(1000))
    expect(strict_page.locator("[data-log-state]")).to_have_text("ended")


# Finding one's way ---------------------------------------------------------------------------------------------


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
    run(strict_page)
    ten, eleven, twelve = wanted.split("\n")
    assert strict_page.evaluate("navigator.clipboard.readText()") == f"{ten[5:]}\n{eleven}\n{twelve[:7]}"


def test_a_server_in_trouble_is_named_and_got_over(strict_page: Page, pages: LogServer, million: JobLog) -> None:
    open_job(strict_page, pages, million)
    pages.broken = True
    strict_page.keyboard.press("G")
    expect(count(strict_page)).to_have_text("The log cannot be read (the server answered 502); trying again.")
    pages.broken = False
    expect(count(strict_page)).to_have_text("1,000,000 lines", timeout=10_000)
    assert settled(strict_page)[-1] == MILLION
    strict_page.complaints.clear()  # type: ignore[attr-defined]  Chromium reports the 502


# Hostile text --------------------------------------------------------------------------------------------------

HOSTILE = {
    "markup": "<img src=x onerror=window.hit=1><script>window.hit=1</script>",
    "entities": "&lt;b&gt; &amp;amp; \"'",
    "link": "\x1b]8;;javascript:window.hit=1\x1b\\click\x1b]8;;\x1b\\ me",
    "web link": "\x1b]8;;https://evil.example/\x07click\x1b]8;;\x07 me",
    "title": "a\x1b]0;owned\x07b",
    "unended title": "a\x1b]0;the rest is not hidden",
    "unended sequence": "a\x1b[éthe rest is not hidden",
    "cursor": "one\x1b[2J\x1b[1;1H\x1b[?25ltwo\x1bctree",
    "bidi": "access\u202e\u2066 // admin\u2069",
    "invalid": b"caf\xe9 \xff\xfe".decode("utf-8", "replace"),
    "nul and bell": "a\x00b\x07c\rd",
    "styled markup": "\x1b[31m<b onmouseover=window.hit=1>red</b>\x1b[0m",
    "256 colours": "\x1b[38;5;196mred\x1b[0m \x1b[38;2;0;0;90mdark\x1b[0m \x1b[48;2;250;240;0mon yellow\x1b[0m",
    "not a class": '\x1b[31;"onclick=1mx',
}


@pytest.fixture
def hostile(strict_page: Page, pages: LogServer) -> Page:
    log = JobLog()
    for text in HOSTILE.values():
        log.add([text], level="error", host="<i>host</i>")
    log.add(["\x00" * 8192, "\x1b[31mx" * 1300, "x" * 10_000_000, "the end"])
    open_job(strict_page, pages, log)
    return strict_page


def text_of(page: Page, name: str) -> str:
    number = list(HOSTILE).index(name) + 1
    shown = page.locator(f'[data-number="{number}"] .text').evaluate("(text) => text.textContent")
    assert isinstance(shown, str)
    return shown


def test_hostile_text_is_inert(hostile: Page) -> None:
    hostile.wait_for_timeout(200)
    assert hostile.evaluate("window.hit") is None
    assert hostile.locator(".log-sheet :is(img, script, b, i, iframe)").count() == 0
    assert hostile.locator(".log-sheet .text a").count() == 0
    names = hostile.locator(".log-sheet *").evaluate_all("(all) => [...new Set(all.map((one) => one.localName))].sort()")
    assert names == ["a", "bdi", "div", "span"]
    attributes = hostile.locator(".log-sheet .text, .log-sheet .text *").evaluate_all(
        "(all) => [...new Set(all.flatMap((one) => one.getAttributeNames()))].sort()"
    )
    assert attributes == ["class", "data-code", "role", "style"]  # style by script: colours beyond the 16


def test_hostile_text_is_readable(hostile: Page) -> None:
    assert text_of(hostile, "markup") == HOSTILE["markup"]
    assert text_of(hostile, "entities") == HOSTILE["entities"]
    assert text_of(hostile, "link") == "click me"
    assert text_of(hostile, "web link") == "click me"
    assert text_of(hostile, "title") == "ab"
    assert text_of(hostile, "unended title").endswith("the rest is not hidden")
    assert text_of(hostile, "unended sequence").endswith("the rest is not hidden")
    assert text_of(hostile, "cursor") == "onetwotree"
    assert text_of(hostile, "invalid") == "caf\ufffd \ufffd\ufffd"
    assert text_of(hostile, "styled markup") == "<b onmouseover=window.hit=1>red</b>"
    assert hostile.locator(".log-sheet .ansi-red-fg").first.inner_text() == "<b onmouseover=window.hit=1>red</b>"
    assert hostile.locator(".log-sheet .on").first.inner_text() == "<i>host</i>"


def test_direction_and_control_characters_are_shown(hostile: Page) -> None:
    line = hostile.locator(f'[data-number="{list(HOSTILE).index("bidi") + 1}"]')
    marks = line.locator(".ctl").evaluate_all("(all) => all.map((one) => one.dataset.code)")
    assert marks == ["U+202E", "U+2066", "U+2069"]
    # Nothing is turned round: "admin" still stands to the right of "access".
    left, right = line.locator(".text").evaluate("""(text) => [...text.childNodes].filter((node) => node.data)
      .filter((node) => /access|admin/.test(node.data))
      .map((node) => { const range = new Range(); range.selectNode(node); return range.getBoundingClientRect().left; })""")
    assert left < right
    number = list(HOSTILE).index("nul and bell") + 1
    marks = hostile.locator(f'[data-number="{number}"] .ctl').evaluate_all("(all) => all.map((one) => one.dataset.code)")
    assert marks == ["␀", "␇", "␍"]


def test_absurd_lines_do_not_freeze_the_page(hostile: Page) -> None:
    assert hostile.locator(".log-sheet *").count() < 5000
    expect(hostile.locator(".log-sheet .cut")).to_have_text(" … 9991808 more characters, see the download")
    began = time.monotonic()
    hostile.keyboard.press("G")
    hostile.keyboard.press("g")
    run(hostile)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(page: Page, pages: LogServer, tmp_path: Path, scheme: Any, request: pytest.FixtureRequest) -> None:
    """On the desk and on a phone: nothing sticks out sideways, and the log has room."""
    page.emulate_media(color_scheme=scheme)
    log = JobLog()
    log.add(["facts   3 reads in one round trip, 6 ms"], host="one-san-01", kind="facts")
    log.add(["$ gluster --mode=script volume create PERSISTENT replica 2 one-san-01:/bricks/p"], level="command")
    log.add(["volume create: PERSISTENT: success: please start the volume"], level="good", host="one-san-01")
    log.add(["mount: waiting for brick one-san-02 (1 of 3)"], level="warning", host="kvm-08")
    log.add(["mount.glusterfs: \x1b[31mfailed\x1b[0m to fetch the volume file"], level="error", host="kvm-08")
    log.grow(400)
    open_job(page, pages, log, "#L3-L4", live=True)
    for name, width, height in (("desk", 1440, 900), ("phone", 390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("[data-log-window]").evaluate("(log) => log.clientHeight") >= 320
        page.screenshot(path=tmp_path / f"{scheme}-{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
