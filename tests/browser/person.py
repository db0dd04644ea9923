"""What a person does in the stories: opens one window, presses buttons, fills in forms, waits for a job to end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from playwright.sync_api import Browser, Locator, Page, expect

from tests.lab.lab import Lab
from tests.stack import Stack

STEP_SECONDS = 60_000
"""Milliseconds that a job may take."""


def window(browser: Browser, arguments: dict[str, object], product: Stack) -> Iterator[Page]:
    """Open one window for a whole story; it must never complain."""
    context = browser.new_context(base_url=product.url, **arguments)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [text for text in complaints if "WebSocket" not in text] == []


def button(page: Page, name: str) -> None:
    """Press a button; where it asks, confirm, typing the name that it wants."""
    pressed = page.get_by_role("button", name=re.compile(name)).first
    wanted = pressed.evaluate("button => button.closest('form')?.dataset")
    pressed.click()
    if wanted and "confirm" in wanted:
        dialog = page.locator("dialog[open]")
        if "confirmName" in wanted:
            dialog.locator("input").fill(wanted["confirmName"])
        dialog.get_by_role("button").last.click()  # the first one keeps it as it is


def field(page: Page, label: str) -> Locator:
    return page.locator("main").get_by_label(re.compile(f"^{label}\\b")).first


def succeeded(page: Page) -> None:
    """The job page shows its end without being loaded again."""
    expect(page.locator("[data-job-state]")).to_contain_text("succeeded", timeout=STEP_SECONDS)


def open_image(page: Page, name: str) -> None:
    page.goto("/images/")
    page.get_by_role("link", name=name, exact=True).first.click()


def add_host_by_key(page: Page, lab: Lab, name: str) -> None:
    page.goto("/hosts/new/")
    field(page, "Name").fill(name)
    field(page, "Address").fill(lab.host(name).address)
    page.get_by_text("A private key of yours").click()
    page.get_by_text("Paste a private key").click()
    field(page, "Private key").fill(lab.key.read_text())
    page.locator("main form button.btn-primary").last.click()
    button(page, "Read its keys")
    button(page, "Pin")
    button(page, "Onboard")
    succeeded(page)
