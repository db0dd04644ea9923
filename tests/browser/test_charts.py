"""Charts in a real browser: drawn from what the server says, readable without seeing them, and nothing moves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from datastores.domain.values import format_size
from datastores.models import Datastore, DatastoreSample, Host, HostSample, User
from datastores.models.samples import DAILY, FINE, HOURLY
from tests.unit.conftest import GIB, _no_redis, a_datastore, a_host, an_image, person, signed_in
from tests.unit.web.test_hosts import facts

__all__ = ["_no_redis"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DRAWN = ".chart .uplot canvas"
COLOUR = """
() => {
  const canvas = document.querySelector(".chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Map();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 255) {
      const key = `${data[at]},${data[at + 1]},${data[at + 2]}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
  }
  return [...seen].sort((a, b) => b[1] - a[1]).slice(0, 12).map(([key]) => key);
}
"""
WHERE = """
() => {
  const canvas = document.querySelector(".chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const across = [];
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] === 14 && data[at + 1] === 124 && data[at + 2] === 134) across.push((at / 4) % canvas.width);
  }
  return Math.min(...across) / canvas.width;
}
"""
"""How far to the right the accent colour begins, in light colours."""
SHIFT = """
() => new Promise((done) => {
  let moved = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) moved += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(moved), 300);
})
"""


def moments(resolution: int, count: int) -> Iterator[tuple[int, datetime]]:
    end = timezone.now() - timedelta(seconds=60)
    for number in range(count):
        yield number, end - timedelta(seconds=resolution * (count - 1 - number))


def sampled(host: Host, resolution: int = FINE, count: int = 200) -> None:
    """Samples of a host that works by day."""
    HostSample.objects.bulk_create(
        HostSample(
            host=host, at=at, resolution=resolution, latency=2 + math.sin(number / 9),
            load=abs(math.sin(number / 40)) * 6,
            memory_total=64 * GIB, memory_used=round((30 + 10 * math.sin(number / 30)) * GIB),
            root_total=40 * GIB, root_used=12 * GIB + number * 9_000_001,
        )
        for number, at in moments(resolution, count)
    )  # fmt: skip


def grown(datastore: Datastore, resolution: int = HOURLY, count: int = 700) -> None:
    """Samples of a datastore into which something is copied every day."""
    DatastoreSample.objects.bulk_create(
        DatastoreSample(
            datastore=datastore, at=at, resolution=resolution, total=datastore.total,
            used=(datastore.used or 0) - (count - number) * GIB // 2, promised=900 * GIB,
        )
        for number, at in moments(resolution, count)
    )  # fmt: skip


@pytest.fixture
def admin(transactional_db: None) -> User:
    return person("anna", User.Role.ADMIN)


@pytest.fixture
def site(page: Page, live_server: Any, admin: User) -> Page:
    """The product without workers, and the admin signed in."""
    name = django_settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": signed_in(admin).cookies[name].value, "url": live_server.url}])
    page.goto(f"{live_server.url}/login/")
    return page


@pytest.fixture
def host(site: Page) -> Host:
    host = a_host("kvm-01", facts=facts())
    sampled(host)
    return host


@pytest.fixture
def origin(live_server: Any) -> str:
    url: str = live_server.url
    return url


def figures(page: Page, number: int) -> list[list[str]]:
    """Open the table of a chart and return its rows."""
    details = page.locator("details.figures").nth(number)
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(details.locator("tbody tr").first).to_be_visible()
    rows: list[list[str]] = details.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def test_a_chart_is_drawn_and_its_table_agrees(site: Page, host: Host, origin: str) -> None:
    broken: list[str] = []
    site.on("pageerror", lambda error: broken.append(str(error)))
    site.on("console", lambda said: broken.append(said.text) if "Content Security" in said.text else None)
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(DRAWN)).to_have_count(4)
    rows = figures(site, 0)
    stored = list(host.samples.order_by("-at").values_list("root_used", "root_total"))
    assert [row[1:] for row in rows] == [[format_size(used), format_size(total)] for used, total in stored]
    chart = site.locator(".chart").first
    words = chart.get_attribute("aria-label") or ""
    assert f"Root file system. Now: Used {format_size(stored[0][0])}, Size 40 GiB" in words
    expect(chart.locator(".u-legend")).to_contain_text(format_size(stored[0][0]))
    assert broken == []


def test_it_takes_the_colours_of_the_theme_at_once(site: Page, host: Host, origin: str) -> None:
    site.emulate_media(color_scheme="light")
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(DRAWN)).to_have_count(4)
    assert "14,124,134" in site.evaluate(COLOUR)
    site.emulate_media(color_scheme="dark")
    expect(site.locator("html")).to_have_attribute("data-bs-theme", "dark")
    expect(site.locator(DRAWN)).to_have_count(4)
    assert "63,182,193" in site.evaluate(COLOUR)


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_moves_when_it_is_drawn(site: Page, host: Host, origin: str, width: int) -> None:
    site.set_viewport_size({"width": width, "height": 4000})
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(DRAWN)).to_have_count(4)
    assert site.evaluate(SHIFT) < 0.01
    assert site.locator("#charts").evaluate("charts => charts.getBoundingClientRect().right") <= width
    fits = "charts => charts.every(chart => chart.scrollHeight <= chart.clientHeight)"
    assert site.locator(".chart").evaluate_all(fits)


def test_it_follows_the_width_of_the_window(site: Page, host: Host, origin: str) -> None:
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(DRAWN)).to_have_count(4)
    site.set_viewport_size({"width": 500, "height": 900})
    site.wait_for_function("document.querySelector('.chart .uplot').clientWidth < 480")
    assert site.evaluate("document.documentElement.scrollWidth") <= 500


def test_another_span_is_another_address(site: Page, host: Host, origin: str) -> None:
    sampled(host, HOURLY, 300)
    site.goto(f"{origin}/hosts/{host.pk}/")
    site.get_by_role("link", name="Week").click()
    expect(site).to_have_url(re.compile(r"\?span=week$"))
    expect(site.get_by_role("link", name="Week")).to_have_attribute("aria-current", "true")
    expect(site.locator(DRAWN)).to_have_count(4)
    assert 150 < len(figures(site, 2)) < 175


def test_without_samples_it_says_so(site: Page, host: Host, origin: str) -> None:
    HostSample.objects.all().delete()
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(".chart").nth(3)).to_have_text("No samples yet. One is taken every five minutes.")


def test_the_first_sample_stands_at_the_end_of_the_whole_span(site: Page, host: Host, origin: str) -> None:
    HostSample.objects.exclude(pk=HostSample.objects.latest("at").pk).delete()
    site.emulate_media(color_scheme="light")
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(DRAWN)).to_have_count(4)
    answer = site.evaluate("fetch(document.querySelector('.chart').dataset.chart).then((one) => one.json())")
    assert answer["until"] - answer["since"] == 24 * 3600
    assert site.evaluate(WHERE) > 0.9


def test_when_the_server_is_gone_it_says_so(site: Page, host: Host, origin: str) -> None:
    site.route("**/samples/**", lambda route: route.abort())
    site.goto(f"{origin}/hosts/{host.pk}/")
    expect(site.locator(".chart").first).to_have_text("The samples could not be loaded. Load the page again.")


def test_how_a_datastore_grows(site: Page, origin: str, admin: User) -> None:
    datastore = a_datastore("gold", total=4000 * GIB, used=1500 * GIB, free=2500 * GIB, measured_at=timezone.now())
    grown(datastore)
    grown(datastore, DAILY, 25)
    for number in range(12):
        an_image(admin, f"image-{number}", datastore=datastore, real_size=(number + 1) * GIB)
    site.goto(f"{origin}/datastores/{datastore.pk}/")
    expect(site.locator(DRAWN)).to_have_count(1)
    assert 330 < len(figures(site, 0)) < 370
    expect(site.locator(".share")).to_have_count(10)
    expect(site.locator(".share").first).to_contain_text("image-11")
