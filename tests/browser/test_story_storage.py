"""Shared storage as a person provisions, uses and removes it: GlusterFS over three bare hosts, in a browser.

The tests are chapters of one story and run in order; nothing is mocked. At its end the hosts are as they began: the
difference of all of /etc is shown.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.person import STEP_SECONDS, add_host_by_key, button, field, open_image, succeeded, window
from tests.lab.lab import Lab
from tests.stack import Stack, running

pytestmark = [pytest.mark.browser, pytest.mark.lab]

HOSTS = ("h1", "h2", "h3")
BASE = "/srv/pool"
BRICK = "/srv/xfs/brick"
SOURCE = "/var/tmp/golden.raw"
LONG = 4 * STEP_SECONDS
"""For the job that makes a pool of hosts."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, storage_lab: Lab) -> Iterator[Stack]:
    storage_lab.make_image("h1", SOURCE)
    with running(tmp_path_factory.mktemp("storage")) as stack:
        yield stack


@pytest.fixture(scope="module")
def page(browser: Browser, browser_context_args: dict[str, object], product: Stack) -> Iterator[Page]:
    yield from window(browser, browser_context_args, product)


def told(lab: Lab, name: str, *argv: str) -> str:
    return lab.host(name).run(argv, check=True).stdout


def etc_of(lab: Lab) -> dict[str, list[str]]:
    """Return, by host, all of /etc in lines: each file with owner, mode and checksum, each link with where it leads."""
    listing = ("find", "/etc", "-xdev", "-printf", r"%p %y %u:%g %m %l\n")
    sums = ("find", "/etc", "-xdev", "-type", "f", "-exec", "sha256sum", "{}", "+")
    return {name: sorted((told(lab, name, *listing) + told(lab, name, *sums)).splitlines()) for name in HOSTS}


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return what has changed, by host, as a diff without context."""
    return {
        name: [line for line in difflib.unified_diff(before[name], after[name], lineterm="", n=0) if line[0] != "@"][2:]
        for name in HOSTS
    }


@pytest.fixture(scope="module")
def began(page: Page, product: Stack, storage_lab: Lab) -> dict[str, list[str]]:
    """/etc of the onboarded hosts, before any storage is provisioned."""
    page.goto("/")
    field(page, "Username").fill("admin")
    field(page, "Password").fill(product.password)
    button(page, "Sign in")
    for name in HOSTS:
        add_host_by_key(page, storage_lab, name)
    return etc_of(storage_lab)


def described(page: Page) -> Locator:
    """Fill in the form of the volume but for its bricks. Return where these are written."""
    page.goto("/datastores/new/")
    page.locator("input[name=kind][value=gluster]").check(force=True)
    field(page, "Name").fill("pool")
    field(page, "Base path").fill(BASE)
    field(page, "Storage host").select_option(label="h1")
    for name in HOSTS[1:]:
        page.get_by_label(name, exact=True).check()
    return page.locator("textarea[name$=bricks]")


def apply(page: Page) -> None:
    """Approve the plan as soon as it is there, and see it carried out."""
    page.wait_for_url(re.compile("/jobs/[^/]+/plan/$"))
    expect(page.locator("h1")).to_contain_text("awaiting approval", timeout=LONG)
    button(page, "Apply")
    page.wait_for_url(re.compile("/jobs/[^/]+/$"))
    expect(page.locator("[data-job-state]")).to_contain_text("succeeded", timeout=LONG)


def test_a_volume_over_three_hosts_is_planned(page: Page, began: dict[str, list[str]], storage_lab: Lab) -> None:
    bricks = described(page)
    bricks.fill("\n".join(f"{name}:{BRICK}" for name in HOSTS[:2]))
    bricks.blur()
    expect(page.locator("#bricks-said")).to_contain_text("takes its bricks 3 at a time")
    bricks.fill("\n".join(f"{name}:{BRICK}" for name in HOSTS))
    bricks.blur()
    expect(page.locator("#bricks-said")).to_contain_text("of each 3 bricks one may fail")
    page.locator("main form button.btn-primary").last.click()
    page.wait_for_url(re.compile("/jobs/[^/]+/plan/$"))
    expect(page.locator("h1")).to_contain_text("awaiting approval", timeout=LONG)
    assert differences(began, etc_of(storage_lab)) == {name: [] for name in HOSTS}, "a plan changes nothing"


def test_the_plan_is_applied_and_every_host_sees_the_same_volume(page: Page, storage_lab: Lab) -> None:
    button(page, "Apply")
    page.wait_for_url(re.compile("/jobs/[^/]+/$"))
    expect(page.locator("[data-job-state]")).to_contain_text("succeeded", timeout=LONG)
    for name in HOSTS:
        assert told(storage_lab, name, "findmnt", "-n", "-o", "FSTYPE", BASE).strip() == "fuse.glusterfs"
    told(storage_lab, "h2", "touch", f"{BASE}/seen")
    assert told(storage_lab, "h3", "ls", f"{BASE}/seen")
    told(storage_lab, "h2", "rm", f"{BASE}/seen")


def test_an_image_is_registered_and_cloned_and_seen_from_every_host(page: Page, storage_lab: Lab) -> None:
    page.goto("/images/register/")
    field(page, "Datastore").select_option(label="pool")
    field(page, "Name").fill("golden")
    field(page, "Source path").fill(SOURCE)
    page.locator("main form button.btn-primary").last.click()
    expect(page.locator("[data-job-state]")).to_contain_text("succeeded", timeout=LONG)
    open_image(page, "golden")
    field(page, "New virtual machine").fill("web")
    field(page, "How many").fill("3")
    button(page, "Create disks")
    page.wait_for_url(re.compile("/jobs/"))
    for number in (1, 2, 3):
        page.goto("/vms/")
        page.get_by_role("link", name=f"web-{number}", exact=True).first.click()
        disk = page.locator("#disks tbody tr")
        expect(disk).to_contain_text("ready", timeout=STEP_SECONDS)
        path = disk.locator("td.mono").last.inner_text()
        assert '"backing-filename"' in told(storage_lab, f"h{number}", "qemu-img", "info", "--output=json", path)


def test_it_is_not_taken_away_while_something_is_stored_in_it(page: Page) -> None:
    page.goto("/datastores/")
    page.get_by_role("link", name="pool", exact=True).first.click()
    button(page, "Delete$")
    expect(page.locator("main")).to_contain_text("still holds 1 images and 3 VM disks")


def test_disks_and_image_are_deleted(page: Page) -> None:
    for number in (1, 2, 3):
        page.goto("/vms/")
        page.get_by_role("link", name=f"web-{number}", exact=True).first.click()
        page.get_by_role("link", name="disk.0", exact=True).click()
        button(page, "Delete")
        succeeded(page)
    open_image(page, "golden")
    button(page, "Delete$")
    succeeded(page)


def test_it_is_unprovisioned_and_the_hosts_end_as_they_began(
    page: Page, began: dict[str, list[str]], storage_lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    made = etc_of(storage_lab)
    page.goto("/jobs/?kind=datastore.create")
    page.get_by_role("link", name="Create datastore pool").first.click()
    button(page, "Undo")
    expect(page.locator("[data-job-state]")).to_contain_text("undone", timeout=LONG)
    after = etc_of(storage_lab)
    with capsys.disabled():
        for name in HOSTS:
            there, left = differences(began, made)[name], differences(began, after)[name] or ["as it began"]
            shown = [f"\n/etc of {name}, provisioned:", *there, f"/etc of {name}, unprovisioned:", *left, ""]
            sys.stdout.write("\n  ".join(shown))
    assert differences(began, after) == {name: [] for name in HOSTS}
    for name in HOSTS:
        assert told(storage_lab, name, "findmnt", "-n", "-l", "-o", "TARGET").split().count(BASE) == 0
        assert storage_lab.host(name).run(["test", "-e", BRICK]).returncode == 1
        assert told(storage_lab, name, "systemctl", "show", "-P", "ActiveState", "glusterd").strip() == "inactive"


def test_made_again_and_deleted_it_leaves_the_daemon_and_nothing_else(
    page: Page, began: dict[str, list[str]], storage_lab: Lab
) -> None:
    bricks = described(page)
    bricks.fill("\n".join(f"{name}:{BRICK}" for name in HOSTS))
    bricks.blur()
    page.locator("main form button.btn-primary").last.click()
    apply(page)
    page.goto("/datastores/")
    page.get_by_role("link", name="pool", exact=True).first.click()
    button(page, "Delete$")
    apply(page)
    after = etc_of(storage_lab)
    for name in HOSTS:
        told(storage_lab, name, "systemctl", "disable", "--now", "glusterd")
    left = [line for lines in differences(began, after).values() for line in lines]
    assert [line for line in left if "glusterd.service" not in line] == []
