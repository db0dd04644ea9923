"""The small scripts every page has: theme, copying, asking before, times, the feed."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.log_window.joblog import JobLog
from tests.browser.log_window.server import LogServer

pytestmark = pytest.mark.browser

NAME = "persistent_data"


@pytest.fixture
def gallery(strict_page: Page, pages: LogServer) -> Page:
    pages.reset(JobLog())
    strict_page.goto(f"{pages.url}/pages/gallery.html")
    expect(strict_page.locator("[data-feed-state]")).to_have_text("live")
    return strict_page


def job_message(**changes: object) -> dict[str, object]:
    message: dict[str, object] = {
        "type": "job",
        "uuid": "0b5c",
        "title": "Clone debian-12",
        "url": "/jobs/0b5c/",
        "state": "succeeded",
        "tone": "ok",
        "icon": "check2",
        "ended": True,
        "mine": True,
        "objects": ["disk:17"],
    }
    return message | changes


# Theme ---------------------------------------------------------------------------------------------------------


def test_the_theme_follows_the_system_until_one_is_chosen(gallery: Page) -> None:
    html, switch = gallery.locator("html"), gallery.locator("[data-theme-switch]")
    gallery.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-bs-theme", "dark")
    gallery.emulate_media(color_scheme="light")
    expect(html).to_have_attribute("data-bs-theme", "light")
    expect(switch).to_have_attribute("aria-label", "Theme: auto")
    switch.click()
    expect(switch).to_have_attribute("aria-label", "Theme: light")
    switch.click()
    expect(html).to_have_attribute("data-bs-theme", "dark")
    gallery.reload()
    expect(html).to_have_attribute("data-bs-theme", "dark")
    expect(switch.locator(".bi-moon-stars")).to_be_visible()


def test_a_dark_page_never_flashes_white(strict_page: Page, pages: LogServer) -> None:
    strict_page.emulate_media(color_scheme="dark")
    strict_page.add_init_script("""
      new MutationObserver((_, self) => {
        if (!document.body) return;
        self.disconnect();
        window.atFirst = document.documentElement.dataset.bsTheme;
      }).observe(document, { childList: true, subtree: true });
    """)
    strict_page.goto(f"{pages.url}/pages/overview.html")
    assert strict_page.evaluate("window.atFirst") == "dark"


# Copying -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [True, False], ids=["TLS", "plain http"])
def test_commands_are_copied(gallery: Page, secure: bool) -> None:
    gallery.context.grant_permissions(["clipboard-read", "clipboard-write"])
    read = gallery.evaluate_handle("navigator.clipboard")
    if not secure:
        gallery.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    button = gallery.locator(".empty .cmdline .copy")
    button.click()
    expect(button).to_have_attribute("aria-label", "Copied")
    assert read.evaluate("(one) => one.readText()") == "cloudstore datastore create --kind shared"
    expect(button).to_have_attribute("aria-label", "Copy", timeout=4000)
    gallery.locator("#shell").click()
    expect(gallery.locator("#shell.done")).to_be_visible()
    assert read.evaluate("(one) => one.readText()") == "exportfs -r"
    assert gallery.locator(".fingerprint .copy").count() == 1


# Asking before -------------------------------------------------------------------------------------------------


def test_destroying_wants_the_name_typed(gallery: Page, complaints: list[str]) -> None:
    gallery.locator("#destroy").click()
    dialog = gallery.get_by_role("dialog", name=f"Destroy {NAME}")
    yes, name = dialog.get_by_role("button", name=f"Destroy {NAME}"), dialog.get_by_role("textbox")
    expect(name).to_be_focused()
    expect(yes).to_be_disabled()
    name.fill(NAME.upper())
    expect(yes).to_be_disabled()
    name.press("Enter")
    expect(dialog).to_be_visible()
    name.fill(NAME)
    name.press("Enter")
    gallery.wait_for_url("**/sent?**")
    assert f"confirm_name={NAME}" in gallery.url
    complaints.clear()  # nothing is there to be sent to


def test_escape_keeps_everything_as_it_is(gallery: Page) -> None:
    for leave in ("Escape", "Keep as it is"):
        gallery.locator("#destroy").click()
        if leave == "Escape":
            gallery.keyboard.press("Escape")
        else:
            gallery.get_by_role("button", name=leave).click()
        expect(gallery.get_by_role("dialog")).to_have_count(0)
        expect(gallery.locator("#destroy")).to_be_focused()
        assert gallery.url.endswith("/gallery.html")


def test_a_plain_question_starts_at_the_safe_answer(strict_page: Page, pages: LogServer, complaints: list[str]) -> None:
    pages.reset(JobLog())
    pages.log.grow(100)
    strict_page.goto(f"{pages.url}/job/")
    cancel = strict_page.get_by_role("button", name="Cancel and undo")
    cancel.click()
    expect(strict_page.get_by_text("Stop the job and undo its 4 changes?")).to_be_visible()
    expect(strict_page.get_by_role("button", name="Keep as it is")).to_be_focused()
    strict_page.keyboard.press("Enter")
    expect(strict_page.get_by_role("dialog")).to_have_count(0)
    assert strict_page.url.endswith("/job/")
    cancel.click()
    strict_page.get_by_role("dialog").get_by_role("button", name="Cancel and undo").click()
    strict_page.wait_for_url("**/cancelled**")
    complaints.clear()  # nothing is there to be sent to


# Times ---------------------------------------------------------------------------------------------------------


def test_times_are_relative_and_move_on(strict_page: Page, pages: LogServer) -> None:
    strict_page.clock.install(time="2026-11-21T05:00:42Z")
    strict_page.goto(f"{pages.url}/pages/gallery.html")
    past = strict_page.locator("#past")
    expect(past).to_have_text(re.compile(r"^4\d s ago$"))
    assert "2026" in (past.get_attribute("title") or "")
    strict_page.clock.run_for(25_000)
    expect(past).to_have_text("1 min ago")
    strict_page.clock.run_for(3 * 3600 * 1000)
    expect(past).to_have_text("3 h ago")
    expect(strict_page.locator("dd time")).to_have_text(re.compile(r"\bJan\b.*2026"))  # more than a week ago: the day


# The feed ------------------------------------------------------------------------------------------------------


def test_the_feed_counts_and_refreshes_rows(gallery: Page, pages: LogServer) -> None:
    row = gallery.locator('[data-live="disk:17"]')
    asked: list[str] = []
    gallery.on("request", lambda request: asked.append(request.url) if "row.html" in request.url else None)
    for running in (3, 2, 1):
        pages.call(pages.send(job_message(ended=False)))
        pages.call(pages.send({"type": "count", "running": running}))
    expect(gallery.locator("[data-running]")).to_have_text("1 job under way")
    expect(row).to_contain_text("3 GiB")
    assert len(asked) == 1, "a burst of messages is one reading"
    pages.call(pages.send(job_message(ended=False, objects=["disk:1"])))
    pages.call(pages.send({"type": "count", "running": 0}))
    expect(gallery.locator("[data-running].none")).to_have_text("no jobs under way")
    gallery.wait_for_timeout(500)
    assert len(asked) == 1, "somebody else's row is left alone"


def test_the_feed_says_when_jobs_cannot_be_handed_over(gallery: Page, pages: LogServer) -> None:
    gallery.evaluate("document.body.insertAdjacentHTML('beforeend', '<p data-queue-silent hidden>Redis is away</p>')")
    note = gallery.locator("[data-queue-silent]")
    for answers in (False, True):
        pages.call(pages.send({"type": "count", "running": 0, "queue": answers}))
        expect(note).to_be_visible(visible=not answers)


def test_a_list_of_jobs_says_how_many_it_does_not_show(gallery: Page, pages: LogServer) -> None:
    gallery.evaluate("""document.body.insertAdjacentHTML("beforeend",
        '<div data-new-jobs hidden><b></b> changed</div><p data-live="job:known"></p>')""")
    note = gallery.locator("[data-new-jobs]")
    pages.call(pages.send(job_message(uuid="known", ended=False)))
    pages.call(pages.send(job_message(uuid="old", replay=True)))
    expect(note).to_be_hidden()
    for uuid in ("a", "a", "b"):
        pages.call(pages.send(job_message(uuid=uuid, ended=False)))
    expect(note).to_have_text("2 other jobs changed")


def test_a_list_says_how_many_rows_were_added(gallery: Page, pages: LogServer) -> None:
    gallery.evaluate("""document.body.insertAdjacentHTML("beforeend",
        '<div data-new-rows="disk" data-newest="9" data-noun="disk,disks" hidden><b></b> added</div>' +
        '<p data-live="disk:12"></p>')""")
    note = gallery.locator("[data-new-rows]")
    pages.call(pages.send(job_message(objects=["disk:9", "disk:12", "vm:40", "image:10"])))
    pages.call(pages.send(job_message(uuid="of all", objects=[])))
    gallery.wait_for_timeout(300)
    expect(note).to_be_hidden()
    pages.call(pages.send(job_message(objects=["image:10", "disk:10"], ended=False)))
    expect(note).to_have_text("Another disk was added")
    for number in (10, 11, 100):
        pages.call(pages.send(job_message(objects=[f"disk:{number}"])))
    expect(note).to_have_text("3 disks were added")


@pytest.fixture
def overview(gallery: Page) -> Locator:
    """Something that shows all jobs, and counts how often it was read again."""
    gallery.evaluate("""() => {
        const all = document.createElement("div");
        all.dataset.live = "jobs";
        all.textContent = "0";
        all.addEventListener("live", () => { all.textContent = Number(all.textContent) + 1; });
        document.body.append(all);
    }""")
    return gallery.locator('[data-live="jobs"]')


def test_what_shows_something_of_all_jobs_is_read_again_now_and_then(overview: Locator, pages: LogServer) -> None:
    for number in range(30):
        pages.call(pages.send(job_message(uuid=str(number), ended=False)))
    expect(overview).to_have_text("1", timeout=10_000)


def test_in_a_hidden_tab_it_is_read_again_when_it_is_looked_at_if_anything_changed(
    gallery: Page, overview: Locator, pages: LogServer
) -> None:
    def look(*, away: bool) -> None:
        gallery.evaluate(
            """(away) => {
            Object.defineProperty(document, "hidden", { get: () => away, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
            away,
        )

    for _ in range(2):
        look(away=True)
        look(away=False)
    look(away=True)
    pages.call(pages.send(job_message(ended=False)))
    gallery.wait_for_timeout(3000)
    expect(overview).to_have_text("0")
    look(away=False)
    expect(overview).to_have_text("1")


def test_what_is_being_pressed_stays_where_it_is(gallery: Page, overview: Locator, pages: LogServer) -> None:
    gallery.evaluate("""document.querySelector('[data-live="jobs"]').dataset.live = "disk:5";
        document.body.insertAdjacentHTML("afterbegin", '<a id="pressed" href="#x">press</a>')""")
    counted = gallery.locator('[data-live="disk:5"]')
    gallery.locator("#pressed").hover()
    gallery.mouse.down()
    pages.call(pages.send(job_message(objects=["disk:5"], ended=False)))
    gallery.wait_for_timeout(1000)
    expect(counted).to_have_text("0")
    gallery.mouse.up()
    expect(counted).to_have_text("1")


def test_my_finished_jobs_are_told(gallery: Page, pages: LogServer) -> None:
    toasts = gallery.locator("[data-toasts] .note")
    pages.call(pages.send(job_message(mine=False)))
    pages.call(pages.send(job_message(uuid="evil", url="https://evil.example/")))
    pages.call(
        pages.send(job_message(uuid="bad", title="<b>Copy</b> one", state="failed", tone="bad", icon="x-circle"))
    )
    expect(toasts).to_have_count(1)
    expect(toasts).to_have_class("note bad")
    expect(toasts).to_contain_text("<b>Copy</b> one failed")
    assert toasts.locator("a").get_attribute("href") == f"{pages.url}/jobs/0b5c/"
    toasts.get_by_role("button", name="Dismiss").click()
    expect(toasts).to_have_count(0)


def test_an_end_is_told_once_however_often_it_is_heard(gallery: Page, pages: LogServer) -> None:
    toasts = gallery.locator("[data-toasts] .note")
    for _ in range(3):
        pages.call(pages.send(job_message()))
    gallery.wait_for_timeout(300)
    expect(toasts).to_have_count(1)
    pages.call(pages.send(job_message(ended=False)))
    pages.call(pages.send(job_message()))
    expect(toasts).to_have_count(2)  # it was tried again


@pytest.fixture
def told(strict_page: Page, pages: LogServer) -> Page:
    """A page whose clock is the test's, with room for three notes."""
    pages.reset(JobLog())
    strict_page.clock.install()
    strict_page.goto(f"{pages.url}/pages/gallery.html")
    expect(strict_page.locator("[data-feed-state]")).to_have_attribute("data-state", "live")
    return strict_page


def end_jobs(pages: LogServer, count: int, **changes: object) -> None:
    for _ in range(count):
        pages.call(pages.send(job_message(uuid=str(uuid4()), **changes)))


FAILED = {"state": "failed", "tone": "bad", "icon": "x-lg"}
SINGLE, COUNTING = "[data-toasts] .note:not([data-more])", "[data-toasts] .note[data-more]"


def test_many_jobs_that_end_are_counted_in_one_note(told: Page, pages: LogServer) -> None:
    end_jobs(pages, 300)
    counting = told.locator(COUNTING)
    expect(counting).to_contain_text("and 297 more jobs succeeded")
    expect(counting).to_have_count(1)
    expect(told.locator(SINGLE)).to_have_count(3)
    assert counting.locator("a").get_attribute("href") == "/jobs/"
    told.clock.run_for(6_000)
    end_jobs(pages, 1)
    expect(counting).to_contain_text("and 298 more jobs succeeded")
    told.clock.run_for(6_000)
    expect(told.locator(SINGLE)).to_have_count(0)
    expect(counting).to_have_count(1)
    told.clock.run_for(3_000)
    expect(counting).to_have_count(0)


def test_a_failure_stays_whatever_goes_well_after_it(told: Page, pages: LogServer) -> None:
    end_jobs(pages, 1, title="Copy one", **FAILED)
    end_jobs(pages, 40)
    expect(told.locator(COUNTING)).to_contain_text("and 38 more jobs succeeded")
    told.clock.run_for(60_000)
    expect(told.locator("[data-toasts] .note")).to_have_count(1)
    expect(told.locator("[data-toasts] .note")).to_contain_text("Copy one failed")


def test_a_failure_takes_the_place_of_what_went_well(told: Page, pages: LogServer) -> None:
    end_jobs(pages, 3)
    end_jobs(pages, 1, title="Copy one", **FAILED)
    expect(told.locator(f"{SINGLE}.bad")).to_contain_text("Copy one failed")
    expect(told.locator(f"{SINGLE}.ok")).to_have_count(2)
    expect(told.locator(COUNTING)).to_contain_text("and 1 more job succeeded")


def test_failures_that_do_not_fit_are_counted_until_they_are_dismissed(told: Page, pages: LogServer) -> None:
    end_jobs(pages, 15, **FAILED)
    end_jobs(pages, 2, **FAILED | {"state": "errored"})
    end_jobs(pages, 5)
    told.clock.run_for(60_000)
    counting = told.locator(COUNTING)
    expect(counting).to_have_count(1)
    expect(counting).to_contain_text("and 12 more jobs failed, 2 more jobs errored")
    links = [link.get_attribute("href") for link in counting.locator("a").all()]
    assert links == ["/jobs/?state=failed", "/jobs/?state=errored"]
    counting.get_by_role("button", name="Dismiss").click()
    expect(counting).to_have_count(0)
    expect(told.locator(SINGLE)).to_have_count(3)


def test_after_a_gap_what_is_in_sight_is_read_again(gallery: Page, pages: LogServer) -> None:
    gallery.locator('[data-live="disk:17"]').scroll_into_view_if_needed()
    pages.call(pages.drop())
    expect(gallery.locator("[data-feed-state]")).to_have_attribute("data-state", "lost")
    expect(gallery.locator("[data-feed-state]")).to_be_visible()
    expect(gallery.locator('[data-live="disk:17"]')).to_contain_text("3 GiB", timeout=10_000)
    expect(gallery.locator("[data-feed-state]")).to_be_hidden()


def test_silence_is_noticed(strict_page: Page, pages: LogServer) -> None:
    """A connection that died without a word is given up and made anew."""
    pages.reset(JobLog())
    strict_page.clock.install()
    strict_page.goto(f"{pages.url}/pages/gallery.html")
    state = strict_page.locator("[data-feed-state]")
    expect(state).to_have_attribute("data-state", "live")
    pages.mute = True
    strict_page.clock.run_for(5_000)
    expect(state).to_have_attribute("data-state", "live")
    strict_page.clock.run_for(15_000)
    pages.mute = False
    strict_page.clock.run_for(2_000)
    expect(state).to_have_attribute("data-state", "live")
    assert pages.connections == 2
