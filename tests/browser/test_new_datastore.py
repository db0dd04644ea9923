"""The form of a new datastore in a real browser: what it asks for follows what is chosen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.test_charts import admin, origin, site
from tests.unit.conftest import _no_redis, a_host

__all__ = ["_no_redis", "admin", "origin", "site"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_options_come_and_go_with_others_and_what_was_typed_stays(site: Page, origin: str) -> None:
    a_host("storage")
    asked: list[Request] = []
    site.on("request", lambda request: asked.append(request) if "/datastores/options/" in request.url else None)
    site.goto(origin + "/datastores/new/")
    site.locator("input[name=kind][value=iscsi]").check(force=True)
    group, dataset = site.locator("[name=options-iscsi-group_name]"), site.locator("[name=options-iscsi-dataset]")
    expect(group).to_have_value("vg-one")
    expect(dataset).to_have_count(0)
    site.locator("[name=options-iscsi-portal]").fill("10.9.9.9")
    site.locator("[name=options-iscsi-secret]").fill("Abcdefgh12345678")
    backing = site.locator("[name=options-iscsi-backing]")
    backing.focus()
    backing.select_option("zfs")
    expect(dataset).to_have_value("")
    expect(group).to_have_count(0)
    expect(site.locator("[name=options-iscsi-portal]")).to_have_value("10.9.9.9")
    expect(backing).to_be_focused()
    assert not any("Abcdefgh" in request.url for request in asked)
    site.locator("input[name=kind][value=zfs]").check(force=True)
    clients = site.locator("[name=options-zfs-clients]")
    expect(site.locator("[name=options-zfs-dataset]")).to_be_visible()
    expect(clients).to_have_count(0)
    site.locator("[name=options-zfs-exported]").check()
    expect(clients).to_be_visible()
    site.locator("[name=options-zfs-exported]").uncheck()
    expect(clients).to_have_count(0)
