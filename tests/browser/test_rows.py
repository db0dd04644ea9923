"""The rows of a list: read anew together, and chosen to have something done to them."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.server import LogServer
from tests.browser.test_scripts import job_message

pytestmark = pytest.mark.browser


@pytest.fixture
def table(strict_page: Page, pages: LogServer) -> Page:
    pages.reset(JobLog())
    strict_page.goto(f"{pages.url}/pages/list.html")
    expect(strict_page.locator("[data-feed-state]")).to_have_text("live")
    return strict_page


@pytest.fixture
def asked(table: Page) -> list[list[str]]:
    """The rows that were asked for, request by request."""
    found: list[list[str]] = []

    def note(url: str) -> None:
        if "rows.html" in url:
            found.append(sorted(parse_qs(urlsplit(url).query)["row"]))

    table.on("request", lambda request: note(request.url))
    return found


def tell(pages: LogServer, *keys: int) -> None:
    for key in keys:
        pages.call(pages.send(job_message(mine=False, objects=[f"disk:{key}"])))


def test_rows_that_changed_together_are_read_with_one_request(
    table: Page, pages: LogServer, asked: list[list[str]]
) -> None:
    tell(pages, 1, 2, 2, 9)
    expect(table.locator('[data-row="2"]')).to_contain_text("two, ready")
    expect(table.locator('[data-row="1"]')).to_contain_text("one, ready")
    assert asked == [["1", "2"]]


def test_news_that_come_in_one_message_are_all_heard(table: Page, pages: LogServer, asked: list[list[str]]) -> None:
    pages.call(pages.send([job_message(mine=False, objects=[f"disk:{key}"]) for key in (1, 2)]))
    expect(table.locator('[data-row="2"]')).to_contain_text("two, ready")
    assert asked == [["1", "2"]]


def test_a_server_that_answers_slowly_is_asked_less_often(
    table: Page, pages: LogServer, asked: list[list[str]]
) -> None:
    table.route("**/rows.html*", lambda route: (time.sleep(0.4), route.continue_()))
    tell(pages, 1)
    expect(table.locator('[data-row="1"]')).to_contain_text("one, ready", timeout=10_000)
    tell(pages, 2)
    table.wait_for_timeout(1500)
    assert asked == [["1"]], "five times as long as the answer took"
    expect(table.locator('[data-row="2"]')).to_contain_text("two, ready", timeout=10_000)


def test_a_row_that_is_gone_is_struck_through_and_moves_no_other(table: Page, pages: LogServer) -> None:
    row, next_one = table.locator('[data-row="3"]'), table.locator("tbody tr").last
    before = next_one.bounding_box()
    tell(pages, 3)
    expect(row).to_have_class("gone")
    expect(row).to_have_attribute("title", "It is not there any more")
    assert row.locator("input:not([disabled]), button:not([disabled])").count() == 0
    assert next_one.bounding_box() == before


def test_what_is_checked_and_what_has_the_focus_stays_so(table: Page, pages: LogServer) -> None:
    table.get_by_label("Choose one").check()
    table.get_by_role("link", name="one").focus()
    tell(pages, 1)
    expect(table.get_by_role("link", name="one, ready")).to_be_focused()
    expect(table.get_by_label("Choose one")).to_be_checked()


def test_rows_that_change_all_the_time_are_read_less_and_less_often(
    table: Page, pages: LogServer, asked: list[list[str]]
) -> None:
    for _ in range(40):
        tell(pages, 1)
        table.wait_for_timeout(100)
    assert 2 <= len(asked) <= 5, "four seconds"


def test_an_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(table: Page, pages: LogServer) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    table.route("**/rows.html*", hold)
    tell(pages, 1)
    while not waiting:
        table.wait_for_timeout(50)
    tell(pages, 1)
    table.wait_for_timeout(1500)
    assert len(waiting) == 1, "the second read waits for the first"
    for word in ("running", "ready"):
        while not waiting:
            table.wait_for_timeout(50)
        waiting.pop().fulfill(body=f'<tr data-live="disk:1" data-row="1"><td><a href="#1">one, {word}</a></td></tr>')
        expect(table.locator('[data-row="1"]')).to_contain_text(word)


def test_news_of_a_row_that_is_being_replaced_are_not_lost(
    table: Page, pages: LogServer, asked: list[list[str]]
) -> None:
    tell(pages, 1)
    expect(table.locator('[data-row="1"]')).to_contain_text("one, ready")
    tell(pages, 1)
    table.wait_for_timeout(1500)
    assert asked == [["1"], ["1"]]


def test_a_server_that_fails_leaves_the_rows_as_they_are(table: Page, pages: LogServer, complaints: list[str]) -> None:
    table.route("**/rows.html*", lambda route: route.fulfill(status=503, body="<tr data-row='1'><td>no</td></tr>"))
    with table.expect_response("**/rows.html*"):
        tell(pages, 1)
    table.wait_for_timeout(100)
    expect(table.locator('[data-row="1"]')).to_have_text("one")
    complaints.clear()


def test_chosen_rows_are_counted(table: Page) -> None:
    form = table.locator("[data-picked]")
    expect(form).to_be_hidden()
    table.get_by_label("Choose two").check()
    expect(form).to_contain_text("1 chosen")
    page = table.get_by_label("Choose all rows of this page")
    assert page.evaluate("box => box.indeterminate")
    page.check()
    expect(form).to_contain_text("4 chosen")
    page.uncheck()
    expect(form).to_be_hidden()


def test_a_range_is_chosen_with_shift(table: Page) -> None:
    table.get_by_label("Choose one").click()
    table.get_by_label("Choose three").click(modifiers=["Shift"])
    expect(table.get_by_label("Choose two")).to_be_checked()
    expect(table.get_by_label("Choose four")).not_to_be_checked()
    expect(table.locator("[data-picked]")).to_contain_text("3 chosen")


def test_all_that_match_ends_when_one_is_left_out(table: Page) -> None:
    table.get_by_label("Choose one").check()
    table.get_by_label("all 1234 that match").check()
    expect(table.locator("[data-picked]")).to_contain_text("1234 chosen")
    table.get_by_label("Choose four").uncheck()
    expect(table.get_by_label("all 1234 that match")).not_to_be_checked()
    expect(table.locator("[data-picked]")).to_contain_text("3 chosen")


def test_a_chosen_row_that_goes_is_not_counted_any_more(table: Page, pages: LogServer) -> None:
    table.get_by_label("Choose three").check()
    table.get_by_label("Choose two").check()
    tell(pages, 3)
    expect(table.locator("[data-picked]")).to_contain_text("1 chosen")


def test_a_second_press_of_the_button_does_nothing(table: Page) -> None:
    sent: list[str] = []
    table.route("**/pages/list.html", lambda route: sent.append(route.request.method) or table.wait_for_timeout(1))
    table.get_by_label("Choose one").check()
    table.get_by_role("button", name="Delete").dblclick(no_wait_after=True)
    table.wait_for_timeout(300)
    assert sent == ["POST"]
