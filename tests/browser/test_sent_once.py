"""A form that is sent twice by hand: a double click, the back button, a second tab. One job comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.dashboard import page, product, rows
from tests.stack import Stack

__all__ = ["page", "product", "rows"]
pytestmark = pytest.mark.browser

ALREADY = "This was sent already, so it was not done again;"
JOB = re.compile(r"/jobs/[0-9a-f-]{36}/$")


@pytest.fixture
def jobs(product: Stack) -> Callable[[str], int]:
    """Counts the jobs of a kind that are about something of this name."""

    def count(kind: str) -> int:
        words = f"from datastores.models import Job; print(Job.objects.filter(kind={kind!r}).count())"
        return int(product.shell(words).splitlines()[-1])

    return count


def clone(page: Page, image: int, name: str) -> Any:
    """Open the form on an image's page, and fill it in; return its button."""
    page.goto(f"/images/{image}/")
    page.get_by_text("Clone to a new image").click()
    form = page.locator(f'form[action="/images/{image}/clone/"]')
    form.locator("input[name=name]").fill(name)
    return form.get_by_role("button", name="Clone image")


def test_a_double_click_makes_one_clone(page: Page, rows: dict[str, Any], jobs: Callable[[str], int]) -> None:
    before = jobs("image.clone")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    clone(page, rows["image"], "double").dblclick()
    page.wait_for_url(JOB)
    assert jobs("image.clone") == before + 1
    assert len(sent) == 1


def test_two_at_the_same_moment_are_led_to_the_same_job(
    page: Page, rows: dict[str, Any], jobs: Callable[[str], int]
) -> None:
    before = jobs("image.checksum")
    page.goto(f"/images/{rows['image']}/")
    led = page.locator('form[action$="/checksum/"]').evaluate("""(form) => Promise.all([1, 2, 3].map(async () => {
        const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
        return answer.url;
    }))""")
    assert len(set(led)) == 1 and JOB.search(led[0])
    assert jobs("image.checksum") == before + 1


def stay(page: Page) -> None:
    """Let nothing leave the page, which would take the forms away that wait; count what would have been sent."""
    page.evaluate("""() => {
        window.left = 0;
        addEventListener("submit", (event) => {
            if (event.target.method !== "post") return;
            event.preventDefault();
            window.left += 1;
        });
    }""")


def test_a_form_on_its_way_shows_it_without_moving_anything(page: Page, rows: dict[str, Any]) -> None:
    button = clone(page, rows["image"], "slow")
    form = page.locator('form[action$="/clone/"]')
    stay(page)
    before = button.bounding_box()
    button.click()
    expect(form).to_have_attribute("aria-busy", "true")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_be_focused()
    assert button.bounding_box() == before
    page.keyboard.press("Enter")
    assert page.evaluate("window.left") == 1
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(form).not_to_have_attribute("aria-busy", "true")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.click()
    assert page.evaluate("window.left") == 2


def test_back_and_again_leads_to_the_same_job(page: Page, rows: dict[str, Any], jobs: Callable[[str], int]) -> None:
    before = jobs("image.checksum")
    page.goto(f"/images/{rows['image']}/")
    page.get_by_role("button", name="Checksum").click()
    page.wait_for_url(JOB)
    first = page.url
    page.go_back()
    page.get_by_role("button", name="Checksum").click()
    page.wait_for_url(JOB)
    assert page.url == first
    expect(page.locator("#messages")).to_contain_text(ALREADY)
    assert jobs("image.checksum") == before + 1
    page.goto(f"/images/{rows['image']}/")
    page.reload()
    page.get_by_role("button", name="Checksum").click()
    page.wait_for_url(JOB)
    assert page.url != first


def test_two_tabs_make_one_disk(page: Page, rows: dict[str, Any], jobs: Callable[[str], int]) -> None:
    before = jobs("disk.create")
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(f"/vms/{rows['vm']}/")
        tab.locator("select[name=image]").select_option(str(rows["image"]))
    page.wait_for_timeout(2500)  # both are older than clocks may differ
    for tab in (page, other):
        tab.get_by_role("button", name="Add disk").click()
        tab.wait_for_url(JOB)
    assert page.url == other.url
    expect(other.locator("#messages")).to_contain_text(ALREADY)
    other.close()
    assert jobs("disk.create") == before + 1


def test_a_question_is_asked_once_and_its_form_waits(page: Page, rows: dict[str, Any]) -> None:
    page.goto(f"/disks/{rows['disk']}/")
    stay(page)
    button = page.locator(".head").get_by_role("button", name="Delete")
    name = page.locator('form[action$="/delete/"]').get_attribute("data-confirm-name") or ""
    button.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(name)
    dialog.get_by_role("button", name="Delete").dblclick()
    expect(dialog).to_have_count(0)
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert page.evaluate("window.left") == 1


def test_chosen_rows_are_sent_with_the_button_that_was_pressed(
    page: Page, rows: dict[str, Any], jobs: Callable[[str], int]
) -> None:
    before = jobs("image.checksum")
    page.goto("/images/")
    page.locator(f'td.pick input[value="{rows["image"]}"]').check()
    page.locator("#picked").get_by_role("button", name="Check").dblclick()
    expect(page.locator("#messages")).to_contain_text("1 image is being")
    assert jobs("image.checksum") == before + 1
