"""The log window showing text that wishes it harm."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.page import open_job
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

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
    distinct = "(all) => [...new Set(all.map((one) => one.localName))].sort()"
    names = hostile.locator(".log-sheet *").evaluate_all(distinct)
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
    codes = "(all) => all.map((one) => one.dataset.code)"
    marks = line.locator(".ctl").evaluate_all(codes)
    assert marks == ["U+202E", "U+2066", "U+2069"]
    # Nothing is turned round: "admin" still stands to the right of "access".
    left, right = line.locator(".text").evaluate("""(text) => [...text.childNodes].filter((node) => node.data)
      .filter((node) => /access|admin/.test(node.data))
      .map((node) => { const range = new Range(); range.selectNode(node); return range; })
      .map((range) => range.getBoundingClientRect().left)""")
    assert left < right
    number = list(HOSTILE).index("nul and bell") + 1
    marks = hostile.locator(f'[data-number="{number}"] .ctl').evaluate_all(codes)
    assert marks == ["␀", "␇", "␍"]


def test_absurd_lines_do_not_freeze_the_page(hostile: Page) -> None:
    assert hostile.locator(".log-sheet *").count() < 5000
    expect(hostile.locator(".log-sheet .cut")).to_have_text(" … 9991808 more characters, see the download")
    began = time.monotonic()
    hostile.keyboard.press("G")
    hostile.keyboard.press("g")
    hostile.wait_for_timeout(50)
    assert time.monotonic() - began < 1
