"""A Chromium for the browser tests: the distribution's own where there is one, else the one Playwright brought."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.log_window.server import LogServer

SYSTEM_CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    args = dict(browser_type_launch_args)
    if SYSTEM_CHROMIUM.exists():
        args["executable_path"] = str(SYSTEM_CHROMIUM)
    if os.geteuid() == 0:
        args["args"] = ["--no-sandbox"]  # Chromium refuses to be root inside its sandbox
    return args


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def pages() -> Iterator[LogServer]:
    """The server of the test pages."""
    server = LogServer().start()
    yield server
    server.stop()


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser has complained of so far; a test that provokes a complaint clears it."""
    heard: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


@pytest.fixture
def strict_page(page: Page, complaints: list[str]) -> Iterator[Page]:
    """A page that must neither break the policy nor throw nor log an error."""
    yield page
    assert complaints == []
