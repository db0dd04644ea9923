"""Make the screenshots of the documentation: ``python -m docs.screenshots``, on a lab that has done the main job."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.lab.lab import Lab
from tests.stack import Stack, running

FOLDER = Path(__file__).parent / "screenshots"
SOURCE = "/var/tmp/golden-25g.raw"  # noqa: S108 on a lab host
PAGES = {
    "overview": "/",
    "host": "/hosts/1/",
    "datastore": "/datastores/1/",
    "image": "/images/1/",
    "vms": "/vms/",
    "audit": "/audit/",
}
JOB = "from datastores.models import Job; print(Job.objects.filter(kind='{}').first().uuid)"


def main() -> None:
    lab = Lab("docs", subnet="10.77.5.0/24")
    try:
        hosts = lab.up(3, with_disks=["h1"])
        lab.make_image("h1", SOURCE)
        with tempfile.TemporaryDirectory() as data, running(Path(data)) as stack:
            do_the_main_job(stack, lab, hosts)
            photograph(stack)
    finally:
        lab.down()


def do_the_main_job(stack: Stack, lab: Lab, hosts: list) -> None:  # type: ignore[type-arg]
    rows = [
        {"name": host.name, "address": str(host.address), "port": host.port, "host_key": host.host_key}
        for host in hosts
    ]
    public = lab.key.with_suffix(".pub").read_text()
    described = {"hosts": rows, "source": SOURCE, "private_key": lab.key.read_text(), "public_key": public}
    stack.manage("demo", "--url", f"{stack.url}/", "--password", stack.password, text=json.dumps(described))


def photograph(stack: Stack) -> None:
    register, create = (stack.shell(JOB.format(kind)).strip() for kind in ("image.register", "datastore.create"))
    pages = PAGES | {"job": f"/jobs/{register}/", "plan": f"/jobs/{create}/plan/"}
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        system = Path("/usr/bin/chromium")
        browser = playwright.chromium.launch(
            executable_path=str(system) if system.exists() else None,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        for theme in ("light", "dark"):
            page = signed_in(browser, stack, theme, 1280)
            for name, path in pages.items():
                take(page, path, f"{name}-{theme}")
        phone = signed_in(browser, stack, "light", 390)
        for name in ("overview", "job", "image"):
            take(phone, pages[name], f"{name}-phone")
        browser.close()


def signed_in(browser: Browser, stack: Stack, theme: str, width: int) -> Page:
    context = browser.new_context(
        base_url=stack.url,
        viewport={"width": width, "height": 800},
        color_scheme=theme,
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto("/login/")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(stack.password)
    page.locator("main button").first.click()
    page.wait_for_url("**/")
    return page


def take(page: Page, path: str, name: str) -> None:
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
