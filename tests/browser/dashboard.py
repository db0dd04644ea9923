"""The product with rows of every kind, and people who are signed in: fixtures for those who import them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.stack import Stack, running


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("dashboard"), CLOUDSTORE_MONITOR_SECONDS="86400") as stack:
        stack.supervisor.supervisor.stopProcess("workers")  # nobody asks hosts that are not there
        yield stack


@pytest.fixture(scope="module")
def rows(product: Stack) -> dict[str, Any]:
    answer = product.shell("from tests.browser.furnished import main; main()")
    rows: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return rows


def signed_in(browser: Browser, stack: Stack, args: dict[str, Any], name: str, password: str) -> Page:
    page = browser.new_context(base_url=stack.url, **args).new_page()
    page.goto("/login/")
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("main button").click()
    page.wait_for_url(f"{stack.url}/")
    return page


@pytest.fixture(scope="module")
def page(
    browser: Browser, browser_context_args: dict[str, Any], product: Stack, rows: dict[str, Any]
) -> Iterator[Page]:
    """An admin's window."""
    page = signed_in(browser, product, browser_context_args, "admin", product.password)
    yield page
    page.context.close()
