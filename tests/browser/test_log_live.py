"""The log window and the job page while the job runs: following, reconnecting, progress."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.page import count, open_job, settled, small
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser


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


def test_a_hundred_reconnects_lose_and_repeat_nothing(
    strict_page: Page, pages: LogServer, complaints: list[str]
) -> None:
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
    complaints.clear()  # Chromium reports each cut connection
    assert seqs == list(range(101, len(pages.log.events) + 1))
    assert "\n".join(texts).split("\n") == pages.log.texts()[1000:]
    assert settled(strict_page)[-1] == 61_000


def test_frames_out_of_turn_make_it_ask_again(strict_page: Page, pages: LogServer) -> None:
    open_job(strict_page, pages, small(), live=True)
    expect(strict_page.locator("[data-log-state]")).to_have_text("live")
    seen = pages.log.events[-1].frame()
    ahead = {**seen, "seq": seen["seq"] + 5, "first": 1041, "text": "from nowhere", "lines": 1}
    pages.call(pages.send({"type": "events", "events": [seen], "seq": seen["seq"], "total": 1000}))
    strict_page.wait_for_timeout(900)
    assert pages.asked_after == [100], "what was seen before is no reason to ask again"
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
    job: dict[str, Any] = {"type": "job", "state": "running", "state_label": "running", "state_tone": "run"}
    job |= {"icon": "arrow-repeat"} | {
        "steps": 17,
        "steps_done": 12,
        "bytes_done": 61 << 30,
        "bytes_total": 117 << 30,
        "eta": 240,
    }
    lane = {"host": "kvm-09", "state": "done", "tone": "ok", "icon": "check2"}
    step = {"index": 7, "state": "changed", "tone": "ok", "icon": "check2", "seconds": 0.031}
    pages.call(pages.send(job | {"can_cancel": True, "lanes": [lane], "changed": [step]}))
    expect(strict_page.locator("[data-job-count]")).to_have_text("12 of 17 steps, 61.0 of 117 GiB")
    expect(strict_page.locator("[data-job-eta]")).to_have_text("about 4 min left")
    expect(strict_page.locator('[data-lane="kvm-09"] .st.ok')).to_have_text("done")
    expect(strict_page.locator('[data-log-step="7"] .x')).to_have_text("31 ms")
    expect(strict_page.locator('[data-log-step="7"] .bi-check2.ic-ok')).to_be_visible()
    pages.call(pages.send(job | {"eta": None, "silent": ["kvm-08"]}))
    expect(strict_page.locator("[data-job-eta]")).to_have_text("kvm-08: no answer")
    ended = {"state": "succeeded", "state_label": "succeeded", "state_tone": "ok", "icon": "check2", "eta": None}
    pages.call(pages.send(job | ended | {"steps_done": 17, "bytes_done": 117 << 30, "can_cancel": False}))
    expect(strict_page.locator("[data-job-state]")).to_have_text("succeeded")
    expect(strict_page.locator("[data-job-count]")).to_have_text("17 of 17 steps")
    expect(strict_page.locator("[data-job-cancel]")).to_be_hidden()
    expect(strict_page.locator("[data-log-follow]")).to_be_hidden()
    pages.call(pages.close(1000))
    expect(strict_page.locator("[data-log-state]")).to_have_text("ended")


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
