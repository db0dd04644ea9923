"""What every page owes its reader: contrast, a visible focus, room on a phone, nothing against the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.log_window.joblog import LEVELS, JobLog
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
PAGES = ("job/", *(f"pages/{name}.html" for name in ("gallery", "login", "overview", "plan", "preflight")))

LOW_CONTRAST = """
() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {  // what the eye gets: the colours laid over each other
    paint.fillStyle = "white"; paint.fillRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest("script, :disabled, option")) continue;
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ground = over(grounds);
    const [a, b] = [light(over([...grounds, getComputedStyle(element).color])), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const what = `${element.className || element.localName}: ${node.data.trim().slice(0, 30)}`;
    if (ratio < 4.5) low.push(`${what} ${ratio.toFixed(2)}`);
  }
  return [...new Set(low)];
}
"""


def colourful() -> JobLog:
    log = JobLog()
    for level in LEVELS:
        log.add([f"a line of level {level}"], level=level)
    log.add(["facts   3 reads"], kind="facts")
    log.add([f"\x1b[{code}mcolour {code}\x1b[0m" for code in (*range(30, 38), *range(90, 98), *range(40, 48))])
    log.add([f"\x1b[{code}mcolour {code}\x1b[0m" for code in (*range(100, 108), "31;42", "38;5;17", "38;2;90;0;0")])
    return log


def visit(page: Page, server: LogServer, address: str) -> None:
    server.reset(colourful())
    hash_ = "#L2-L3" if address == "job/" else ""
    page.goto(f"{server.url}/{address}{hash_}")
    if address == "job/":
        expect(page.locator(".log-sheet .marked")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_text_has_contrast(strict_page: Page, pages: LogServer, address: str, scheme: Any) -> None:
    strict_page.emulate_media(color_scheme=scheme)
    strict_page.set_viewport_size({"width": 1440, "height": 2600})
    visit(strict_page, pages, address)
    assert strict_page.evaluate(LOW_CONTRAST) == []


@pytest.mark.parametrize("address", PAGES)
def test_nothing_sticks_out_on_a_phone(strict_page: Page, pages: LogServer, address: str, tmp_path: Path) -> None:
    strict_page.set_viewport_size({"width": 390, "height": 844})
    visit(strict_page, pages, address)
    assert strict_page.evaluate("document.documentElement.scrollWidth") <= 390
    for target in strict_page.locator(".side a, button:visible").all():
        assert target.evaluate("(one) => Boolean(one.textContent.trim() || one.getAttribute('aria-label'))")
    strict_page.screenshot(path=tmp_path / "phone.png", full_page=True)


@pytest.mark.parametrize("height", [900, 200], ids=["whole", "with a scroll bar"])
def test_a_big_number_stays_inside_its_entry(strict_page: Page, pages: LogServer, height: int) -> None:
    strict_page.set_viewport_size({"width": 1440, "height": height})
    visit(strict_page, pages, "pages/gallery.html")
    entry = strict_page.locator(".side a", has_text="Virtual machines")
    outside = entry.evaluate("""(entry) => {
      entry.classList.add("on");
      const number = entry.querySelector(".n");
      number.textContent = "12,345";
      return number.getBoundingClientRect().right - (entry.getBoundingClientRect().right - 8); }""")
    assert outside <= 0.5
    label = entry.locator("span").first
    assert label.evaluate("(label) => label.scrollWidth <= label.clientWidth"), "the words are not cut"


@pytest.mark.parametrize("address", PAGES)
def test_the_focus_is_always_seen(strict_page: Page, pages: LogServer, address: str) -> None:
    visit(strict_page, pages, address)
    visited = 0
    for _ in range(60):
        strict_page.keyboard.press("Tab")
        seen = strict_page.evaluate("""() => { const at = document.activeElement; const style = getComputedStyle(at);
          if (at === document.body) return null;
          const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
          return [ring || style.boxShadow !== "none", at.outerHTML.slice(0, 80)]; }""")
        if seen is None:
            break
        visited += 1
        assert seen[0], seen[1]
    assert visited > 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(page: Page, pages: LogServer, tmp_path: Path, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for address in PAGES:
        visit(page, pages, address)
        picture = page.screenshot(path=tmp_path / f"{scheme}-{Path(address).stem}.png", full_page=True)
        assert len(picture) > 10_000


def test_pages_keep_to_the_policy() -> None:
    """No style attribute and no script in any page of the tests: they are the patterns the templates follow."""
    for file in (*HERE.glob("pages/*.html"), *HERE.glob("log_window/*.html")):
        text = file.read_text()
        assert " style=" not in text, file
        assert " on" not in {part[:3] for part in text.split('"') if part.endswith("=")}, file
        assert "<script>" not in text, file
