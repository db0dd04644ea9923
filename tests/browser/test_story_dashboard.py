"""Every page as people look at it: by day and by night, on a phone and on a wall, with the keyboard alone.

The whole product runs; its rows are made, and nothing is behind them. Nobody looks at a page that is not in PAGES.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.urls import resolve
from playwright.sync_api import Browser, Page, expect

from datastores.web import urls
from tests.browser.dashboard import page, product, rows, signed_in
from tests.browser.furnished import PASSWORD
from tests.stack import Stack

__all__ = ["page", "product", "rows"]
pytestmark = pytest.mark.browser

NOWHERE = "/nowhere/"
UUIDS = ("running", "failed", "planned")
PAGES = (
    "/",
    "/begin/",
    "/hosts/",
    "/hosts/new/",
    "/hosts/{host}/",
    "/hosts/{strange}/",
    "/hosts/{host}/edit/",
    "/hosts/{host}/exports/?file=/etc/exports&path=/storage",
    "/hosts/{host}/directories/",
    "/clusters/",
    "/clusters/new/",
    "/clusters/{cluster}/edit/",
    "/credentials/",
    "/credentials/new/",
    "/datastores/",
    "/datastores/new/",
    "/datastores/{datastore}/",
    "/datastores/{datastore}/measure/",
    "/advisor/",
    "/advisor/?need=live-migration&need=fewest-parts",
    "/datastores/{datastore}/edit/",
    "/datastores/{datastore}/hosts/",
    "/datastores/{limited}/",
    "/datastores/{limited}/limits/",
    "/datastores/{volume}/volume/",
    "/datastores/{nas}/luns/",
    "/datastores/{cached}/cache/",
    "/images/",
    "/images/?q=size>",
    "/images/?q=nowhere",
    "/images/register/",
    "/images/block/",
    "/images/context/",
    "/images/deleted/",
    "/images/{image}/",
    "/images/{master}/",
    "/vms/",
    "/vms/new/",
    "/vms/{vm}/",
    "/disks/",
    "/disks/{kept}/",
    "/disks/{disk}/",
    "/jobs/",
    "/jobs/{running}/",
    "/jobs/{failed}/",
    "/jobs/{planned}/",
    "/jobs/{planned}/plan/",
    "/alerts/",
    "/alerts/{alert}/",
    "/drift/",
    "/drift/{drift}/",
    "/drift/{vanished}/",
    "/audit/",
    "/audit/{entry}/",
    "/users/",
    "/users/new/",
    "/users/{user}/",
    "/users/{user}/password/",
    "/settings/",
    "/settings/approval/",
    "/settings/monitoring/",
    "/settings/branding/",
    "/settings/targets/new/",
    "/settings/targets/{target}/",
    "/account/password/",
    "/settings/retention/",
    "/settings/sources/",
    "/settings/notifications/",
    "/queues/",
    "/help/operators/",
    "/help/tenants/",
    "/help/developers/",
    "/help/architecture/",
    "/find/?q=a",
    "/find/?q=nowhere",
    NOWHERE,
)
PARTS = {
    "begin-hide", "view-save", "palette", "job-tray", "datastore-options", "datastore-bricks", "host-samples",
    "datastore-samples", "datastore-speeds", "job-lines", "job-search", "job-log", "help-index", "audit-verify",
}  # fmt: skip
"""What can be read and is no page of its own: data, files, parts of pages, and what leads on to a page."""
AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHECK = """
async (rules) => {
  const found = await axe.run(document, { runOnly: rules, preload: false, resultTypes: ["violations"] });
  const why = (node) => node.failureSummary.split("\\n")[1] ?? "";
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 4).map((node) => `${id}: ${node.target.join(" ")} ${node.html.slice(0, 160)} ${why(node)}`));
}
"""
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
TABLET = {"width": 768, "height": 1024}
WALL = {"width": 3840, "height": 2160}


def axe(page: Page) -> list[str]:
    """Return what is wrong with the page as it is now."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    found: list[str] = page.evaluate(CHECK, RULES)
    return found


def complaints(page: Page) -> list[str]:
    """Return what is wrong with a page, by day and by night, on a desk and on a phone."""
    found: list[str] = []
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            expect(page.locator(f"html[data-bs-theme={scheme}]")).to_have_count(1)
            found += [f"{size['width']} {scheme} {each}" for each in axe(page)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    return found


def overhang(page: Page) -> dict[int, int]:
    """Return by how much the page is wider than the window, for windows where it is."""
    found = {}
    for size in (PHONE, TABLET, WIDE, WALL):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        found[size["width"]] = page.evaluate("document.documentElement.scrollWidth") - size["width"]
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    return {width: more for width, more in found.items() if more > 0}


def test_no_page_is_left_out() -> None:
    numbers = dict.fromkeys(re.findall(r"{(\w+)}", " ".join(PAGES)), 1) | dict.fromkeys(UUIDS, uuid4())
    looked_at = {
        resolve(address.format(**numbers).partition("?")[0]).url_name for address in PAGES if address != NOWHERE
    }
    readable = {
        pattern.name for pattern in urls.urlpatterns if (rule := getattr(pattern.callback, "rule", None)) and rule.read
    }
    assert readable - looked_at - PARTS == set()


@pytest.mark.parametrize("address", PAGES)
def test_everybody_can_read_and_work_the_page(page: Page, rows: dict[str, Any], address: str) -> None:
    answer = page.goto(address.format(**rows))
    assert answer and answer.status == (404 if address == NOWHERE else 200)
    found = complaints(page)
    assert not found, "\n".join(found)
    assert overhang(page) == {}


@pytest.mark.parametrize("name", ["the-tenant", "the-auditor"])
def test_so_can_others(
    browser: Browser, browser_context_args: dict[str, Any], product: Stack, rows: dict[str, Any], name: str
) -> None:
    page = signed_in(browser, product, browser_context_args, name, PASSWORD)
    for address in ("/", "/images/", "/jobs/"):
        page.goto(address)
        assert (address, complaints(page), overhang(page)) == (address, [], {})
    page.context.close()


def test_signing_in_is_for_everybody(browser: Browser, browser_context_args: dict[str, Any], product: Stack) -> None:
    page = browser.new_context(base_url=product.url, **browser_context_args).new_page()
    page.goto("/login/")
    assert complaints(page) == []
    page.context.close()


def test_other_windows_of_who_signed_out_are_covered(
    browser: Browser, browser_context_args: dict[str, Any], product: Stack, rows: dict[str, Any]
) -> None:
    page = signed_in(browser, product, browser_context_args, "the-tenant", PASSWORD)
    other = page.context.new_page()
    other.goto("/images/")
    expect(other.locator("[data-feed-state]")).to_have_text("live")
    page.get_by_label("Account of the-tenant").click()
    page.get_by_role("button", name="Sign out").click()
    cover = other.get_by_role("dialog", name="You are signed out")
    expect(cover).to_be_visible(timeout=10_000)
    other.keyboard.press("Escape")
    expect(cover).to_be_visible()
    cover.get_by_role("link", name="Sign in again").click()
    expect(other).to_have_url(re.compile(r"/login/\?next=/images/$"))
    page.context.close()


def test_the_table_of_the_overview_fits_into_its_card(page: Page, rows: dict[str, Any]) -> None:
    page.goto("/")
    table = page.locator("#datastores .scroll")
    expect(table).to_contain_text("pending")
    expect(table).to_contain_text("not measured yet")
    assert table.evaluate("scroll => scroll.scrollWidth - scroll.clientWidth") == 0


@pytest.mark.parametrize(
    ("address", "table"),
    [
        ("/advisor/?need=live-migration&need=fewest-parts", "[aria-label='Kinds of storage']"),
        ("/datastores/{volume}/volume/", "#bricks .scroll"),
        ("/datastores/{datastore}/", "#speeds .scroll"),
        ("/vms/{vm}/", "#disks .scroll"),
    ],
)
def test_a_table_is_in_sight_as_a_whole_on_a_small_desk(
    page: Page, rows: dict[str, Any], address: str, table: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(address.format(**rows))
    assert page.locator(table).evaluate("scroll => scroll.scrollWidth - scroll.clientWidth") == 0
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def test_images_to_be_cached_are_found_while_one_types(page: Page, rows: dict[str, Any]) -> None:
    page.goto("/datastores/{cached}/cache/".format_map(rows))
    box = page.get_by_role("checkbox", name=re.compile("alma-9, in"))
    box.check()
    page.get_by_label("Find images").fill("debian")
    expect(page.locator("#offered input")).to_have_count(2)
    expect(box).to_be_checked()
    page.get_by_label("Find images").press("Enter")  # nothing is sent by that
    expect(page.get_by_role("checkbox", name=re.compile("debian-12, in"))).not_to_be_checked()


def test_an_open_page_says_that_its_thing_was_deleted(page: Page, product: Stack, rows: dict[str, Any]) -> None:
    made = "from tests.browser.furnished import make_an_image; print(make_an_image())"
    image = product.shell(made).split()[-1]
    page.goto(f"/images/{image}/")
    expect(page.locator("[data-feed-state]")).to_have_text("live")
    counted = page.locator('[data-count="image-list"]')
    before = int(counted.inner_text())
    product.shell(f"from tests.browser.furnished import delete_the_image; delete_the_image({image})")
    expect(counted).to_have_text(str(before - 1))
    expect(page.locator("#messages")).to_contain_text("This is not there any more")
    expect(page.locator("#messages")).to_contain_text("admin asked to delete image")
    expect(page.locator("h1")).to_contain_text("passing")


def test_the_page_of_a_job_that_ended_shows_that_it_is_taken_back(
    page: Page, product: Stack, rows: dict[str, Any]
) -> None:
    uuid = product.shell("from tests.browser.furnished import end_a_job; print(end_a_job())").split()[-1]
    page.goto(f"/jobs/{uuid}/")
    expect(page.locator("[data-feed-state]")).to_have_attribute("data-state", "live")
    product.shell(f"from tests.browser.furnished import take_back; take_back('{uuid}')")
    expect(page.locator("[data-job-state]")).to_have_text("queued")
    expect(page.locator("[data-log-state]")).to_have_text("live")


def test_the_page_of_a_plan_becomes_the_plan_when_there_is_one(
    page: Page, product: Stack, rows: dict[str, Any]
) -> None:
    page.goto(f"/jobs/{rows['planning']}/plan/")
    expect(page.locator("main")).to_contain_text("The hosts are being read; the plan appears here.")
    assert complaints(page) == []
    product.shell(f"from tests.browser.furnished import make_the_plan; make_the_plan('{rows['planning']}')")
    expect(page.get_by_role("button", name="Apply 1 change")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("awaiting approval")


@pytest.mark.parametrize("address", ["/audit/", "/jobs/{planned}/plan/"])
def test_on_paper_there_is_what_the_page_says(page: Page, rows: dict[str, Any], address: str) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 720, "height": 1000})
    page.goto(address.format(**rows))
    expect(page.locator("h1")).to_be_visible()
    assert page.locator("main table.t td, main .diff").first.is_visible()
    pressed = page.locator(".side, .top, .toasts, main button, .filters input").all()
    assert pressed and not any(each.is_visible() for each in pressed)
    ground, ink = page.evaluate(
        "(({ backgroundColor, color }) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
