"""Measured speeds in a real browser: bars of each kind, a line for each host, kinds in the order of what is needed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from datastores.models import Datastore, Measurement
from tests.browser.test_charts import admin, origin, site
from tests.unit.conftest import _no_redis, a_datastore, a_host

__all__ = ["_no_redis", "admin", "origin", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def measured(store: Datastore, days: int, host: str, **figures: Any) -> None:
    values = {"tool": "fio-3.33", "direct": True, "network": False, "size": 256 << 20, "write_rate": 900 << 20,
              "read_rate": 1200 << 20, "write_iops": 8000.0, "read_iops": 9000.0, "write_p99": 5000.0,
              "read_p99": 400.0}  # fmt: skip
    Measurement.objects.create(
        datastore=store, datastore_name=store.name, host_name=host, kind=store.kind,
        at=timezone.now() - timedelta(days=days), **(values | figures),
    )  # fmt: skip


@pytest.fixture
def store(site: Page) -> Datastore:
    """An xfs datastore that was measured on two hosts, and a shared one that was measured with dd."""
    made = a_datastore("local", hosts=[a_host("nas")])
    for days in (2, 1):
        measured(made, days, "nas", write_rate=(900 + days) << 20)
        measured(made, days, "kvm1")
    slow = {"tool": "dd", "write_iops": None, "read_iops": None, "write_p99": None, "read_p99": None}
    measured(a_datastore("far", kind="shared"), 1, "kvm1", write_rate=110 << 20, **slow)
    return made


def test_bars_are_drawn_told_and_listed(site: Page, origin: str, store: Datastore) -> None:
    site.goto(origin + "/advisor/")
    charts = site.locator("[data-bars]")
    expect(charts).to_have_count(3)
    expect(charts.locator(".uplot canvas")).to_have_count(3)
    expect(charts.first).to_have_attribute("aria-label", re.compile("XFS: Written 90[0-9] MiB/s, Read 1,200 MiB/s"))
    expect(charts.first).to_have_attribute("aria-label", re.compile("Shared: Written 110 MiB/s"))
    expect(charts.nth(1)).not_to_have_attribute("aria-label", re.compile("Shared"))
    site.get_by_text("The figures as a table").first.click()
    rows = site.locator("details.figures").first.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("MiB/s")
    before = charts.first.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    site.emulate_media(color_scheme="dark")
    site.wait_for_function("before => document.querySelector('[data-bars] canvas').toDataURL() !== before", arg=before)


def test_kinds_come_in_the_order_of_what_is_needed(site: Page, origin: str, store: Datastore) -> None:
    site.goto(origin + "/datastores/")
    site.get_by_role("link", name="Storage advisor").click()
    site.get_by_label("Live migration").check()
    site.get_by_label("Instant clones").check()
    site.get_by_role("button", name="Order the kinds").click()
    first = site.locator("tbody tr").first
    expect(first).to_contain_text("VMs migrate live")
    expect(first).to_contain_text("clones at once")
    expect(site.get_by_label("Live migration")).to_be_checked()
    site.get_by_role("link", name="Forget the needs").click()
    expect(site.get_by_label("Live migration")).not_to_be_checked()


def test_the_page_of_a_datastore_draws_a_line_for_each_host(site: Page, origin: str, store: Datastore) -> None:
    site.goto(origin + f"/datastores/{store.pk}/")
    chart = site.locator("[data-chart*='/speeds/']")
    expect(chart.locator("canvas")).to_have_count(1)
    expect(chart.locator(".u-legend")).to_contain_text("Written, nas")
    expect(chart.locator(".u-legend")).to_contain_text("Read, kvm1")
    expect(site.locator("#speeds tbody tr")).to_have_count(4)
