"""Make the screenshots of the documentation: ``python -m docs.screenshots``, on a lab that has done the main job.

What they show was done on real hosts, but for the rows of ``docs.seeded``: weeks of samples, alerts, a long copy.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.lab.lab import Lab
from tests.stack import Stack, running

FOLDER = Path(__file__).parent / "screenshots"
SOURCE = "/var/tmp/golden-25g.raw"  # noqa: S108 on a lab host
BASE = "/srv/xfs/images"
VOLUME, DIRECTORY = "vms", "/var/lib/one"
PAGES = {
    "overview": "/",
    "host": "/hosts/1/",
    "datastore": "/datastores/1/",
    "image": "/images/1/",
    "vms": "/vms/",
    "disks": "/disks/",
    "alerts": "/alerts/",
    "settings": "/settings/",
    "approval": "/settings/approval/",
    "audit": "/audit/",
    "list": "/disks/?q=kind%3Aclone+size%3E10G&sort=vm",
    "views": "/disks/?q=kind%3Aclone+size%3E10G&sort=vm",
    "charts-host": "/hosts/1/?span=day",
    "charts-datastore": "/datastores/1/?span=month",
    "tray": "/datastores/",
    "palette": "/images/1/",
    "advisor": "/advisor/?need=live-migration&need=no-single-point",
    "volume": "/datastores/3/volume/",
    "measure": "/datastores/3/measure/",
    "speeds": "/datastores/3/",
    "directory": "/hosts/2/directories/",
    "directories": "/hosts/2/",
    "machine": "/vms/1/",
}
ON_A_PHONE = ("overview", "job", "image", "alerts", "list", "volume")
JOB = "from datastores.models import Job; print(Job.objects.get(title__endswith='{}', kind='{}').uuid)"
WAITS = """
import time
from datastores.models import Job
while Job.objects.filter(kind="datastore.create").order_by("pk").last().state != "awaiting approval":
    time.sleep(0.2)
"""
MEASURED = """
import time
from datastores.models import Datastore
while not (Datastore.objects.get().used or 0) > 22 << 30:
    time.sleep(0.5)
"""


def choose_rows(page: Page) -> None:
    for box in page.locator('td.pick input[name="pk"]').all()[1:5]:
        box.check()


def show_charts(page: Page) -> None:
    page.locator("#charts canvas").first.wait_for()
    page.locator("#charts").evaluate("charts => scrollTo(0, charts.getBoundingClientRect().top + scrollY - 76)")


def show_speeds(page: Page) -> None:
    page.locator("#speeds").evaluate("card => scrollTo(0, card.getBoundingClientRect().top + scrollY - 76)")


def show_directories(page: Page) -> None:
    page.locator("#directories").evaluate("card => scrollTo(0, card.getBoundingClientRect().top + scrollY - 76)")


def show_views(page: Page) -> None:
    page.locator("details.menu > summary").first.click()


def show_tray(page: Page) -> None:
    page.locator("[data-running]").click()
    page.locator("#tray [data-tray-job] progress").first.wait_for()


def show_palette(page: Page) -> None:
    page.keyboard.press("Control+K")
    page.locator("dialog.palette input").fill("clone")
    page.locator("dialog.palette [role=option]").first.wait_for()
    page.wait_for_timeout(600)  # what the server finds comes after what the page has


BEFORE: dict[str, Callable[[Page], None]] = {
    "list": choose_rows,
    "views": show_views,
    "charts-host": show_charts,
    "charts-datastore": show_charts,
    "tray": show_tray,
    "palette": show_palette,
    "speeds": show_speeds,
    "directories": show_directories,
}
"""What is done on a page before its picture is taken."""


def main() -> None:
    lab = Lab("docs", subnet="10.77.5.0/24")
    try:
        hosts = lab.up(3, packages="guide", with_disks=["h1", "h2", "h3"])
        lab.make_image("h1", SOURCE)
        with tempfile.TemporaryDirectory() as data, running(Path(data)) as stack:
            do_the_main_job(stack, lab, hosts)
            hosts[0].run(["chmod", "0777", BASE], check=True)  # by hand, as it happens
            hosts[0].run(["fallocate", "-l", "22G", "/srv/xfs/of-others"], check=True)
            stack.shell(MEASURED)
            stack.shell("from docs.seeded import main; main()")
            stack.shell(WAITS)
            hosts[1].run(["mkdir", "-p", f"{DIRECTORY}/datastores/0"], check=True)
            hosts[1].run(["fallocate", "-l", "64M", f"{DIRECTORY}/datastores/0/deployment.0"], check=True)
            stack.shell(f"from docs.provisioned import main; main({VOLUME!r}, {DIRECTORY!r})")
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
    asked = (("golden-25g", "image.register"), ("archive", "datastore.create"), (VOLUME, "datastore.create"))
    register, waiting, volume = (stack.shell(JOB.format(*which)).strip() for which in asked)
    plans = {"plan": f"/jobs/{waiting}/plan/", "plan-volume": f"/jobs/{volume}/plan/"}
    pages = PAGES | plans | {"job": f"/jobs/{register}/"}
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        system = Path("/usr/bin/chromium")
        browser = playwright.chromium.launch(
            executable_path=str(system) if system.exists() else None,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        pages["drift"] = look_for_drift(signed_in(browser, stack, "light", 1280))
        for theme in ("light", "dark"):
            page = signed_in(browser, stack, theme, 1280)
            for name, path in pages.items():
                take(page, path, f"{name}-{theme}", BEFORE.get(name))
        phone = signed_in(browser, stack, "light", 390)
        for name in ON_A_PHONE:
            take(phone, pages[name], f"{name}-phone", BEFORE.get(name))
        browser.close()


def look_for_drift(page: Page) -> str:
    """Have the hosts scanned, and return the address of the difference that was made by hand."""
    page.goto("/drift/")
    page.get_by_role("button", name="Scan now").click()
    found = page.locator("main table.t tbody a").first
    found.wait_for(timeout=90_000)
    return str(found.get_attribute("href"))


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


def take(page: Page, path: str, name: str, before: Callable[[Page], None] | None = None) -> None:
    page.goto(path)
    page.wait_for_load_state("networkidle")
    if before:
        before(page)
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
