"""The main job as a person does it: from an empty installation to instant clones, in a browser, on real hosts.

The tests are chapters of one story and run in order; nothing is mocked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.person import STEP_SECONDS, add_host_by_key, button, field, open_image, succeeded, window
from tests.lab.lab import Lab
from tests.stack import Stack, running

pytestmark = [pytest.mark.browser, pytest.mark.lab]

SOURCE = "/var/tmp/golden-25g.raw"
DATASTORES = [
    ("xfs", "fast-xfs", "/srv/xfs/images"),
    ("btrfs", "fast-btrfs", "/srv/btrfs/images"),
    ("qcow2", "overlays", "/srv/xfs/overlays"),
    ("shared", "shared-dir", "/srv/btrfs/shared"),
]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> Iterator[Stack]:
    lab.host("h1").run(["rm", "-rf", *(base for _, _, base in DATASTORES)], check=True)  # of an earlier run
    lab.make_image("h1", SOURCE)
    with running(tmp_path_factory.mktemp("story")) as stack:
        yield stack


@pytest.fixture(scope="module")
def page(browser: Browser, browser_context_args: dict[str, object], product: Stack) -> Iterator[Page]:
    yield from window(browser, browser_context_args, product)


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def on_host(lab: Lab, *argv: str) -> str:
    done = lab.host("h1").run(list(argv), check=True)
    return done.stdout.strip()


def test_the_admin_signs_in_and_is_guided_to_the_first_host(page: Page, product: Stack) -> None:
    page.goto("/")
    expect(page).to_have_url(re.compile("/login/"))
    field(page, "Username").fill("admin")
    field(page, "Password").fill(product.password)
    button(page, "Sign in")
    expect(page.locator("main")).to_contain_text("first host")


def test_a_host_is_added_with_a_password_that_is_used_once(page: Page, lab: Lab) -> None:
    page.goto("/hosts/new/")
    field(page, "Name").fill("h1")
    field(page, "Address").fill(lab.host("h1").address)
    field(page, "Account").fill("admin1")
    field(page, "Password, once").fill("admin-pass")
    page.locator("main form button.btn-primary").last.click()
    expect(page.locator("h1")).to_contain_text("h1")


def test_its_key_is_shown_compared_and_pinned(page: Page, lab: Lab) -> None:
    button(page, "Read its keys")
    known = on_host(lab, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    expect(page.locator("main")).to_contain_text(known)
    button(page, "Pin")
    expect(page.get_by_role("button", name="Onboard")).to_be_visible()


def test_onboarding_is_watched_live(page: Page) -> None:
    button(page, "Onboard")
    expect(page).to_have_url(re.compile("/jobs/"))
    succeeded(page)
    expect(page.locator("[data-log-window]")).to_contain_text("already so")


def test_the_facts_of_the_host_are_shown(page: Page) -> None:
    page.goto("/hosts/")
    page.get_by_role("link", name="h1", exact=True).first.click()
    for fact in ("Debian GNU/Linux 12", "/srv/btrfs", "xfs", "qemu-img", "/etc/sudoers.d/cloudstore-admin1"):
        expect(page.locator("main")).to_contain_text(fact)


def test_the_installed_key_works_and_the_password_is_forgotten(page: Page, product: Stack) -> None:
    button(page, "Read again")
    succeeded(page)
    code = "from datastores.models import Host; print(repr(Host.objects.get().first_password))"
    assert product.shell(code).strip() == "''"


def test_another_host_is_added_with_a_key(page: Page, lab: Lab) -> None:
    add_host_by_key(page, lab, "h2")


def make_datastore(page: Page, kind: str, name: str, base: str) -> None:
    page.goto("/datastores/new/")
    page.locator(f"input[name=kind][value={kind}]").check(force=True)
    field(page, "Name").fill(name)
    field(page, "Base path").fill(base)
    field(page, "Storage host").select_option(label="h1")
    page.locator("main form button.btn-primary").last.click()
    page.wait_for_url(re.compile("/jobs/[^/]+/plan/$"))
    expect(page.locator("h1")).to_contain_text("awaiting approval", timeout=STEP_SECONDS)  # by itself


@pytest.mark.parametrize(
    ("kind", "name", "base"),
    DATASTORES,
)
def test_a_datastore_is_planned_looked_at_and_applied(page: Page, lab: Lab, kind: str, name: str, base: str) -> None:
    make_datastore(page, kind, name, base)
    expect(page.locator("main")).to_contain_text(base)
    assert lab.host("h1").run(["test", "-e", base]).returncode == 1, "nothing has changed before it is applied"
    button(page, "Apply")
    page.wait_for_url(re.compile("/jobs/[^/]+/$"))
    succeeded(page)
    assert on_host(lab, "stat", "-c", "%F", base) == "directory"


@pytest.mark.parametrize("datastore", ["fast-xfs", "fast-btrfs", "overlays"])
def test_a_25_gib_image_is_registered(page: Page, datastore: str) -> None:
    page.goto("/images/register/")
    field(page, "Datastore").select_option(label=datastore)
    field(page, "Name").fill(f"golden-{datastore}")
    field(page, "Source path").fill(SOURCE)
    page.locator("main form button.btn-primary").last.click()
    succeeded(page)
    open_image(page, f"golden-{datastore}")
    expect(page.locator("main")).to_contain_text("25 GiB")
    expect(page.locator("main")).to_contain_text("800 MiB")


def test_a_path_outside_the_allowed_directories_is_refused_in_plain_words(page: Page) -> None:
    page.goto("/images/register/")
    field(page, "Datastore").select_option(label="fast-xfs")
    field(page, "Name").fill("stolen")
    field(page, "Source path").fill("/etc/passwd")
    page.locator("main form button.btn-primary").last.click()
    expect(page.locator("main")).to_contain_text("not below /var/tmp")


@pytest.mark.parametrize(("datastore", "kind"), [("fast-xfs", "clone"), ("fast-btrfs", "clone"), ("overlays", "clone")])
def test_ten_vms_get_a_disk_each_in_an_instant(page: Page, lab: Lab, datastore: str, kind: str) -> None:
    open_image(page, f"golden-{datastore}")
    field(page, "New virtual machine").fill(f"vm-{datastore}")
    field(page, "How many").fill("10")
    button(page, "Create disks")
    page.wait_for_url(re.compile("/jobs/"))
    page.goto("/vms/")
    page.get_by_role("link", name=f"vm-{datastore}-10", exact=True).first.click()
    disk = page.locator("#disks tbody tr")
    expect(disk).to_contain_text("ready", timeout=STEP_SECONDS)
    expect(disk).to_contain_text(kind)
    path = disk.locator("td.mono").last.inner_text()
    assert re.search(r"/\d+/disk\.0$", path)
    assert on_host(lab, "stat", "-c", "%F", path) == "regular file"


def test_a_persistent_image_serves_one_vm_at_a_time(page: Page, lab: Lab) -> None:
    page.goto("/images/block/")
    field(page, "Datastore").select_option(label="fast-xfs")
    field(page, "Name").fill("data")
    field(page, "Size").fill("64 MiB")
    field(page, "File system").select_option("ext4")
    page.get_by_text("Persistent", exact=True).click()
    page.locator("main form button.btn-primary").last.click()
    succeeded(page)
    open_image(page, "data")
    field(page, "New virtual machine").fill("db-1")
    button(page, "Create disks")
    succeeded(page)
    open_image(page, "data")
    field(page, "New virtual machine").fill("db-2")
    button(page, "Create disks")
    expect(page.locator("main")).to_contain_text("one VM at a time")


def test_an_image_in_use_is_not_deleted_and_says_by_whom(page: Page) -> None:
    open_image(page, "golden-overlays")
    button(page, "Delete$")
    expect(page.locator("main")).to_contain_text("vm-overlays-1")
    expect(page.locator("main")).to_contain_text("cannot be deleted")


def test_an_image_is_cloned_renamed_resized_and_snapshotted(page: Page) -> None:
    open_image(page, "golden-fast-xfs")
    page.get_by_text("Clone to a new image").click()
    field(page, "Name of the new image").fill("copy")
    button(page, "Clone image$")
    succeeded(page)
    open_image(page, "copy")
    page.get_by_text("Rename", exact=True).first.click()
    field(page, "New name").fill("web base")
    button(page, "Rename$")
    expect(page.locator("h1")).to_contain_text("web base")
    page.get_by_text("Make larger").click()
    field(page, "New size").fill("30 GiB")
    button(page, "Resize$")
    succeeded(page)
    open_image(page, "web base")
    expect(page.locator("main")).to_contain_text("30 GiB")
    field(page, "Name of the snapshot").fill("before update")
    button(page, "Take snapshot")
    succeeded(page)
    open_image(page, "web base")
    button(page, "Revert to it")
    succeeded(page)


def test_its_checksum_is_that_of_the_file(page: Page, lab: Lab) -> None:
    open_image(page, "data")
    button(page, "Checksum")
    succeeded(page)
    open_image(page, "data")
    shown = page.locator("#facts code").inner_text()
    [path] = on_host(lab, "find", "/srv/xfs/images", "-maxdepth", "1", "-size", "65536k", "-name", "*.raw").split()
    assert on_host(lab, "sha256sum", path).split()[0] == shown


def open_disk(page: Page, vm: str) -> None:
    page.goto("/vms/")
    page.get_by_role("link", name=vm, exact=True).first.click()
    page.get_by_role("link", name="disk.0", exact=True).click()


def test_a_disk_is_saved_as_an_image_only_when_its_vm_is_off(page: Page) -> None:
    page.goto("/vms/")
    page.get_by_role("link", name="db-1", exact=True).first.click()
    button(page, "^stopped$")
    open_disk(page, "db-1")
    field(page, "Name of the image").fill("saved")
    button(page, "Save")
    expect(page.locator("main")).to_contain_text("clean shutdown")
    page.goto("/vms/")
    page.get_by_role("link", name="db-1", exact=True).first.click()
    button(page, "^off$")
    open_disk(page, "db-1")
    field(page, "Name of the image").fill("saved")
    button(page, "Save")
    succeeded(page)


def test_a_disk_moves_to_another_datastore(page: Page, lab: Lab) -> None:
    open_disk(page, "vm-fast-xfs-1")
    field(page, "To datastore").select_option(label="shared-dir")
    button(page, "Move")
    succeeded(page)
    open_disk(page, "vm-fast-xfs-1")
    expect(page.locator("main")).to_contain_text("/srv/btrfs/shared/")


def test_a_disk_is_deleted_with_its_name_typed(page: Page, lab: Lab) -> None:
    open_disk(page, "vm-fast-btrfs-1")
    path = re.search(r"/srv/btrfs/images/\d+/disk\.0", page.locator("main").inner_text())
    assert path
    button(page, "Delete$")
    succeeded(page)
    assert lab.host("h1").run(["test", "-e", path[0]]).returncode == 1


def test_a_finished_clone_can_be_taken_back(page: Page) -> None:
    page.goto("/jobs/?kind=disk.create")
    page.get_by_role("link", name=re.compile("vm-fast-btrfs-9 disk.0")).first.click()
    button(page, "Undo")
    expect(page.locator("[data-job-state]")).to_contain_text("undone", timeout=STEP_SECONDS)
    expect(page.locator("[data-log-window]")).to_contain_text("undone")


def test_every_action_left_its_audit_entry_and_the_chain_is_sound(page: Page, product: Stack) -> None:
    page.goto("/audit/")
    for word in ("admin", "made the virtual machine db-1", "/saved: succeeded"):
        expect(page.locator("main")).to_contain_text(word)
    assert "all sound" in product.manage("audit", "verify")


def test_capacity_is_measured_by_itself(page: Page) -> None:
    page.goto("/datastores/")
    expect(page.locator("main")).to_contain_text("40", timeout=STEP_SECONDS)


def test_database_and_hosts_agree_in_the_end(page: Page, lab: Lab, product: Stack) -> None:
    code = """
from datastores.models import Disk, Image, Job, Lease
from datastores.services.placing import disk_volume, driver_of, image_volume
print(*[image_volume(image, driver_of(image.datastore)).path for image in Image.objects.filter(state="ready")])
print(*[disk_volume(disk).path for disk in Disk.objects.filter(state="ready")])
print(Lease.objects.count(), Job.objects.exclude(ended_at=None).count() == Job.objects.count())
"""
    images, disks, leases = product.shell(code).strip().splitlines()
    assert leases == "0 True"
    found = on_host(lab, "find", "/srv/xfs", "/srv/btrfs", "-name", "*.raw", "-o", "-name", "*.qcow2", "-o",
                    "-name", "disk.*").split()  # fmt: skip
    found = [path for path in found if "/images/" in path or "/overlays/" in path or "/shared/" in path]
    assert sorted(found) == sorted([*images.split(), *disks.split()])
