"""What is around every page, in the running product: palette, keys, drawer, tray, notifications."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.dashboard import page, product, rows
from tests.browser.furnished import HOSTILE
from tests.stack import Stack

__all__ = ["page", "product", "rows"]
pytestmark = pytest.mark.browser

PALETTE, OPTION, CHOSEN = "dialog.palette[open]", ".palette [role=option]", ".palette [aria-selected=true]"


@pytest.fixture
def at(page: Page, rows: dict[str, Any]) -> Iterator[Any]:
    """Go to a page; it must not have complained when the test ends."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if "Security Policy" in message.text else None)

    def go(address: str = "/images/") -> Page:
        page.goto(address.format(**rows))
        expect(page.locator("html[data-keys]")).to_have_count(1)
        return page

    yield go
    page.unroute_all()
    page.evaluate("localStorage.clear()")
    assert heard == []


# The palette


def test_a_thing_is_found_and_opened_without_the_mouse(at: Any, rows: dict[str, Any]) -> None:
    page = at("/hosts/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Find or do anything")
    expect(field).to_be_focused()
    page.keyboard.type("debian")
    expect(page.locator(CHOSEN)).to_have_text(re.compile("debian-12"))
    chosen = page.locator(CHOSEN).get_attribute("id")
    assert field.get_attribute("aria-activedescendant") == chosen
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/images/{rows['image']}/$"))


def test_the_arrows_go_round_and_escape_goes_back(at: Any) -> None:
    page = at("/hosts/")
    page.get_by_role("button", name="Ctrl K: find or do anything").click()
    expect(page.locator(OPTION).first).to_be_visible()
    expect(page.locator(CHOSEN)).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(PALETTE)).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(page.locator(OPTION).last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(page.locator(OPTION).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator(PALETTE)).to_have_count(0)
    expect(page.get_by_role("button", name="Ctrl K: find or do anything")).to_be_focused()


def test_names_are_text(at: Any) -> None:
    page = at()
    page.keyboard.press("Control+k")
    page.keyboard.type("<img")
    expect(page.locator(OPTION).first).to_contain_text(HOSTILE)
    assert page.locator(".palette img").count() == 0


def test_the_buttons_of_the_page_are_offered_and_still_ask(at: Any) -> None:
    page = at("/hosts/{host}/")
    page.keyboard.press("Control+k")
    page.keyboard.type("dele")
    expect(page.locator(OPTION)).to_have_text(["Delete"])
    expect(page.locator(CHOSEN)).to_have_count(0)  # what destroys is never chosen by itself
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("Delete the host kvm-00?")
    page.keyboard.press("Control+k")
    expect(page.locator(PALETTE)).to_have_count(0)  # a question comes first
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/hosts/"))


def test_the_right_arrow_offers_what_can_be_done_to_what_was_found(at: Any, rows: dict[str, Any]) -> None:
    page = at("/hosts/")
    page.keyboard.press("Control+k")
    page.keyboard.type("debian")
    expect(page.locator(CHOSEN)).to_have_text(re.compile("debian-12"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")  # in the middle of the words it only goes through them
    expect(page).to_have_url(re.compile("/hosts/$"))
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(f"/images/{rows['image']}/$"))
    page.keyboard.type("rename")
    page.keyboard.press("Enter")
    expect(page.locator("details[open] input[name=name]")).to_be_focused()


def test_a_form_of_the_page_is_opened(at: Any) -> None:
    page = at("/images/{image}/")
    page.keyboard.press("Control+k")
    page.keyboard.type("rename")
    page.keyboard.press("Enter")
    expect(page.locator("details[open] input[name=name]:focus, details[open] input:focus")).to_have_count(1)


def test_what_was_opened_last_comes_first_and_is_forgotten_at_sign_out(at: Any) -> None:
    at("/images/{image}/")
    at("/vms/{vm}/")
    page = at()
    page.keyboard.press("Control+k")
    expect(page.locator(OPTION).nth(0)).to_have_text("web-1")
    expect(page.locator(OPTION).nth(1)).to_have_text("debian-12")
    page.keyboard.press("Escape")
    page.locator("[data-sign-out]").evaluate(
        "form => { form.addEventListener('submit', (event) => event.preventDefault()); form.requestSubmit(); }"
    )
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('recent'))") == []


def test_a_late_answer_to_an_older_question_is_dropped(at: Any) -> None:
    page = at()
    held: list[Route] = []

    def answer(route: Route) -> None:
        if route.request.url.endswith("q=a"):
            held.append(route)
        else:
            hit = {"url": "/vms/", "name": "the right one", "more": ""}
            route.fulfill(json={"groups": [{"title": "Images", "icon": "disc", "hits": [hit]}]})

    page.route("**/find/palette/*", answer)
    page.keyboard.press("Control+k")
    page.keyboard.type("a")
    page.wait_for_timeout(400)
    page.keyboard.type("b")
    expect(page.locator(OPTION)).to_contain_text(["the right one"])
    for route in held:
        route.abort()
    page.wait_for_timeout(200)
    expect(page.locator(".palette .said")).to_have_text("")
    expect(page.locator(OPTION)).to_contain_text(["the right one"])


@pytest.mark.parametrize("status, words", [(None, "The server does not answer."), (502, "answered with 502")])
def test_when_nothing_can_be_looked_up_it_says_so(at: Any, status: int | None, words: str) -> None:
    page = at()
    page.route("**/find/palette/*", lambda route: route.fulfill(status=status) if status else route.abort())
    page.keyboard.press("Control+k")
    page.keyboard.type("zzz")
    expect(page.locator(".palette .said")).to_contain_text("Nothing could be looked up. ")
    expect(page.locator(".palette .said")).to_contain_text(words)


def test_what_is_not_there_is_said(at: Any) -> None:
    page = at()
    page.keyboard.press("Control+k")
    page.keyboard.type("nowhere to be found")
    expect(page.locator(".palette .said")).to_have_text("Nothing that you may see has that in its name.")
    expect(page.locator(".palette input")).to_have_attribute("aria-expanded", "false")


# Keys


def test_two_keys_lead_to_a_page(at: Any) -> None:
    page = at()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("/hosts/$"))


def test_rows_are_walked_and_opened(at: Any) -> None:
    page = at()
    links = page.locator("main table.t tbody tr td a").evaluate_all("links => links.map((link) => link.pathname)")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.pathname") == links[1]
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{links[1]}$"))


def test_a_slash_goes_to_the_filter_of_a_list_or_to_find(at: Any) -> None:
    page = at()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter", exact=True)).to_be_focused()
    page.keyboard.type("gh?j")
    expect(page.get_by_label("Filter", exact=True)).to_have_value("gh?j")  # keys are letters where one types
    expect(page).to_have_url(re.compile("/images/$"))
    page = at("/images/{image}/")
    page.keyboard.press("/")
    expect(page.get_by_label("Find", exact=True)).to_be_focused()


def test_with_a_modifier_a_key_is_the_browsers(at: Any) -> None:
    page = at()
    page.keyboard.press("g")
    page.keyboard.press("Alt+h")
    page.keyboard.press("Control+j")
    page.wait_for_timeout(300)
    expect(page).to_have_url(re.compile("/images/$"))


def test_keys_can_be_switched_off_and_on_again(at: Any) -> None:
    page = at()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet).to_contain_text("Datastores")
    sheet.get_by_role("switch", name="Keys of one character").click()
    page.keyboard.press("Escape")
    page = at()
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_timeout(300)
    expect(page).to_have_url(re.compile("/images/$"))
    expect(sheet).to_have_count(0)
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Keys").click()
    sheet.get_by_role("switch").click()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(sheet).to_be_visible()


def test_a_log_keeps_its_own_keys(at: Any) -> None:
    page = at("/jobs/{running}/")
    lines = page.locator("[data-log-window]")
    expect(lines).to_contain_text("59 % copied")
    page.keyboard.press("/")
    expect(page.get_by_label("Search the log")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_timeout(300)
    expect(page).to_have_url(re.compile("/jobs/.+"))
    expect(lines).to_contain_text("cp --sparse=always")
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile("/hosts/$"))


# The drawer of a phone


def test_on_a_phone_the_navigation_is_a_drawer(at: Any) -> None:
    page = at()
    page.set_viewport_size({"width": 390, "height": 844})
    side = page.get_by_role("navigation", name="Main")
    expect(side).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(side.get_by_role("link", name="Virtual machines")).to_be_visible()
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(side).to_be_visible()


# The tray


def test_the_tray_shows_what_runs_and_cancels_it(at: Any, rows: dict[str, Any]) -> None:
    page = at()
    page.locator("[data-running]").click()
    tray = page.locator("[data-tray-job]", has_text="Move")
    expect(tray).to_contain_text("1 of 3 steps, 9 GiB of 25 GiB")
    expect(page).to_have_url(re.compile("/images/$"))
    tray.get_by_role("button", name="Cancel and undo").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("taken back in the opposite order")
    dialog.get_by_role("button", name="Keep as it is").click()
    page.locator("[data-running]").click()
    expect(tray.get_by_role("link", name=re.compile("^Move"))).to_have_attribute("href", f"/jobs/{rows['running']}/")
    tray.get_by_role("button", name="Cancel and undo").click()
    dialog.get_by_role("button", name="Cancel and undo").click()
    expect(page).to_have_url(re.compile(f"/jobs/{rows['running']}/"))
    expect(page.locator("main")).to_contain_text("asked to stop")
    page.locator("[data-running]").click()
    expect(tray).to_contain_text("running, asked to stop")
    expect(tray.get_by_role("button")).to_have_count(0)


def test_the_tray_is_read_again_when_a_job_changes_and_only_while_it_is_open(at: Any, product: Stack) -> None:
    page = at()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/jobs/tray/" in request.url else None)
    end_a_job(product)
    expect(page.locator("[data-toasts] .note")).to_contain_text("succeeded")
    page.wait_for_timeout(3000)
    assert asked == []
    page.locator("[data-running]").click()
    expect(page.locator("[data-tray-job]")).to_have_count(2)
    end_a_job(product)
    page.wait_for_timeout(4000)
    assert len(asked) == 2
    page.route("**/jobs/tray/", lambda route: route.abort())
    page.keyboard.press("Escape")
    page.locator("[data-running]").click()
    expect(page.locator("[data-tray-jobs]")).to_contain_text("the server does not answer")


# Notifications

RECORDER = """
(() => {
  window.told = [];
  class Recorder extends EventTarget {
    static permission = "granted";
    static requestPermission = async () => "granted";
    constructor(title, options) { super(); this.title = title; this.tag = options.tag; window.told.push(this); }
    close() { this.closed = true; }
  }
  window.Notification = Recorder;
})();
"""
AWAY = "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })"


def end_a_job(product: Stack) -> None:
    product.shell("from tests.browser.furnished import end_a_job; end_a_job()")


@pytest.fixture
def tabs(page: Page, rows: dict[str, Any]) -> Iterator[list[Page]]:
    """Three tabs of one person; what they notify of is in ``told``."""
    page.goto("about:blank")
    tabs = [page.context.new_page() for _ in range(3)]
    for tab in tabs:
        tab.add_init_script(RECORDER)
        tab.goto("/images/")
        expect(tab.locator("[data-feed-state]")).to_have_attribute("data-state", "live")
    yield tabs
    tabs[0].evaluate("localStorage.clear()")
    for tab in tabs:
        tab.close()


def told(tabs: list[Page]) -> int:
    """Return how many notifications all tabs have made, some time after there was something to tell."""
    tabs[0].wait_for_timeout(2500)
    return sum(tab.evaluate("told.length") for tab in tabs)


def switch(tab: Page, words: str) -> None:
    tab.get_by_role("button", name="Account").click()
    tab.get_by_role("button", name=words).click()


def test_notifications_come_once_and_only_when_nobody_looks(tabs: list[Page], product: Stack) -> None:
    end_a_job(product)
    assert told(tabs) == 0, "nobody asked for them"
    switch(tabs[0], "Notify me of my jobs")
    end_a_job(product)
    assert told(tabs) == 0, "somebody looks"
    for tab in tabs:
        tab.evaluate(AWAY)
    end_a_job(product)
    assert told(tabs) == 1, "one of three tabs"
    switch(tabs[1], "Notifications of my jobs are on")
    end_a_job(product)
    assert told(tabs) == 1, "switched off in all tabs"


def test_a_notification_opens_the_job_and_leaves_its_page_alone(tabs: list[Page], product: Stack) -> None:
    switch(tabs[0], "Notify me of my jobs")
    for tab in tabs:
        tab.evaluate(AWAY)
    end_a_job(product)
    assert told(tabs) == 1
    teller = next(tab for tab in tabs if tab.evaluate("told.length"))
    assert teller.evaluate("told[0].title") == f"Clone {HOSTILE}: succeeded"
    with teller.context.expect_page() as opened:
        teller.evaluate("told[0].dispatchEvent(new Event('click'))")
    expect(opened.value).to_have_url(re.compile("/jobs/.+"))
    expect(teller).to_have_url(re.compile("/images/$"))
    opened.value.close()
