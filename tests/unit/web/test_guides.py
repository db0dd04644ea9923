"""The guides: in the product, whole, and true where the code can tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.urls import reverse

from datastores.domain.alert_rules import RULES
from datastores.drivers.registry import DRIVERS
from datastores.jobs.approval import default_of
from datastores.jobs.kinds import KINDS
from datastores.models import User
from datastores.services.notifications import EVENTS
from datastores.services.settings import SECTIONS as SETTINGS
from datastores.web import guides
from datastores.web.access import STAFF
from datastores.web.guides import GUIDES, PICTURES, SECTIONS, Guide, page_of, section_url, slug
from datastores.web.lists.rows import Rows
from datastores.web.urls import urlpatterns
from tests.unit.conftest import an_image, signed_in, text_of

ROOT = Path(django_settings.BASE_DIR)
TARGET = re.compile(r"\]\(([^)\s]+)\)")
IN_STAFF_ONLY = {"developers", "architecture"}
LISTS = {entry.callback.view_class.name: entry.callback.view_class for entry in urlpatterns
         if issubclass(getattr(entry.callback, "view_class", object), Rows)}  # fmt: skip
CALLED = {"machines": "Virtual machines"}
"""Lists that the guide calls otherwise than their files are called."""
all_guides = pytest.mark.parametrize("guide", GUIDES.values(), ids=lambda guide: guide.name)


def operators() -> str:
    return GUIDES["operators"].file.read_text()


def section(title: str) -> str:
    """Return the text under a heading of the guide for operators, up to the next one of its level."""
    text = operators()
    level, start = next((found[1], found.end()) for found in re.finditer(rf"^(#+) {title}$", text, re.MULTILINE))
    rest = text[start:]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def column(title: str, number: int = 0) -> list[str]:
    """Return the cells of a column of the first table in a section, without its head."""
    table = re.search(r"^\|.*\n\|-.*\n((?:\|.*\n)+)", section(title), re.MULTILINE)
    assert table, f"{title} has no table"
    return [line.strip("| ").split(" | ")[number] for line in table[1].splitlines()]


def words(cells: list[str]) -> list[str]:
    return [found for cell in cells for found in re.findall(r"`([^`]+)`", cell)]


# In the product


@all_guides
def test_a_guide_is_a_page_with_its_contents(operator: User, guide: Guide) -> None:
    page = text_of(signed_in(operator).get(guide.address))
    headings = page_of(guide).sections
    assert len(headings) >= 2 or guide.name == "deployment"
    for heading in headings:
        assert f'<h2 id="{heading.id}">' in page and f'<a href="#{heading.id}">' in page


@pytest.mark.parametrize("name", sorted(IN_STAFF_ONLY))
def test_what_is_for_those_who_run_the_cloud_is_offered_to_them_only(
    alice: User, auditor: User, operator: User, name: str
) -> None:
    for person in (alice, auditor):
        client = signed_in(person)
        assert client.get(f"/help/{name}/").status_code == 403
        assert f'href="/help/{name}/"' not in text_of(client.get("/help/operators/"))
    assert operator.role in STAFF and signed_in(operator).get(f"/help/{name}/").status_code == 200


@pytest.mark.parametrize("name", ["nothing", "screenshots", "benchmarks"])
def test_only_guides_are_shown(admin: User, name: str) -> None:
    assert signed_in(admin).get(f"/help/{name}/").status_code == 404


def test_everybody_begins_with_the_guide_for_their_role(admin: User, alice: User) -> None:
    assert signed_in(alice).get("/help/").url == "/help/tenants/"
    assert signed_in(admin).get("/help/").url == "/help/operators/"


def test_a_guide_is_made_anew_when_its_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = a_guide(tmp_path, monkeypatch, "# One\n\ntext\n")
    assert page_of(guide).title == "One" and page_of(guide) is page_of(guide)
    guide.file.write_text("# Two\n\ntext\n")
    os.utime(guide.file, (1, 1))
    assert page_of(guide).title == "Two"


# Rendering


def a_guide(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Guide:
    guide = Guide("x", "X", "guide/x.md")
    (folder / "guide").mkdir(exist_ok=True)
    (folder / PICTURES).mkdir(exist_ok=True)
    monkeypatch.setattr(guides, "documents", lambda: folder)
    monkeypatch.setitem(GUIDES, "x", guide)
    guide.file.write_text(text)
    guides._page.cache_clear()
    return guide


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "[a](javascript:alert(1))",
        "![<b>](../screenshots/missing.png)",
        "![a](https://elsewhere.example/x.png)",
        "![a](../../static/favicon.svg)",
        "```\n<b>\n```",
        '[a](x"onclick=alert(1))',
    ],
)
def test_nothing_but_text_our_pictures_and_links_come_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    html = page_of(a_guide(tmp_path, monkeypatch, f"# T\n\n{text}\n")).html
    assert not re.search(r'<(script|img|b)\b|href="javascript|" ?onclick', html)


def test_headings_with_the_same_words_have_ids_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(a_guide(tmp_path, monkeypatch, "# T\n\n## Do `it`, now\n\n### Do it now\n\n## Do it now\n"))
    assert [heading.id for heading in page.headings] == ["do-it-now", "do-it-now-1", "do-it-now-2"]
    assert [heading.text for heading in page.sections] == ["Do it, now", "Do it now"]


def test_a_picture_is_shown_by_day_and_by_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = a_guide(tmp_path, monkeypatch, "# T\n\n![Words](../screenshots/p-light.png)\n")
    for name in ("p-light.png", "p-dark.png"):
        head = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (1280).to_bytes(4, "big") + (800).to_bytes(4, "big")
        (tmp_path / PICTURES / name).write_bytes(head)
    html = page_of(guide).html
    assert re.findall(r'<img class="(\w*)" src="/static/screenshots/([^"]+)"', html) == [
        ("day", "p-light.png"),
        ("night", "p-dark.png"),
    ]
    assert html.count('alt="Words" width="1280" height="800"') == 2


def test_a_picture_that_was_not_collected_yet_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise ValueError(f"Missing staticfiles manifest entry for {name!r}")

    monkeypatch.setattr(guides, "static", missing)
    assert guides.picture(f"{PICTURES}/overview-light.png", "The <overview>") == "The &lt;overview&gt;"


def test_a_link_to_another_guide_leads_to_its_page() -> None:
    html = page_of(GUIDES["developers"]).html
    assert f'href="{reverse("help-architecture")}"' in html
    assert f'href="{reverse("help", args=["monitoring"])}#metrics"' in html
    assert ".md" not in "".join(re.findall(r'href="([^"]*)"', html))


# Whole


def headings_of(file: Path) -> set[str]:
    return {slug(line.lstrip("# ").replace("`", "")) for line in file.read_text().splitlines() if line[:1] == "#"}


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *(each.file for each in GUIDES.values())], ids=lambda file: file.name
)
def test_every_link_and_picture_leads_somewhere(file: Path) -> None:
    broken = []
    for target in TARGET.findall(file.read_text()):
        path, _, place = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.is_file() or (place and place not in headings_of(there)):
            broken.append(target)
    assert broken == []


def test_pictures_are_where_the_product_shows_them_from() -> None:
    for guide in GUIDES.values():
        wanted = len(re.findall(r"!\[", guide.file.read_text()))
        assert len(re.findall(r'<img class="(?:day|)"', page_of(guide).html)) == wanted, guide.name


def test_every_help_link_leads_to_a_heading() -> None:
    headings = {heading.id for heading in page_of(GUIDES["operators"]).headings}
    assert set(SECTIONS.values()) - headings == set()
    assert set(SECTIONS) - {pattern.name for pattern in urlpatterns} == set()


def test_every_list_has_a_help_link(admin: User) -> None:
    lists = [entry.name for entry in urlpatterns if entry.name and entry.name.endswith("-list")]
    assert len(lists) >= len(LISTS) > 10
    for name in lists:
        page = text_of(signed_in(admin).get(reverse(name)))
        assert f'class="ask-guide" href="/help/operators/#{SECTIONS[name]}"' in page, name


def test_a_tenant_is_led_to_their_own_guide_where_it_has_the_section(alice: User, admin: User) -> None:
    assert section_url(alice, "image-list") == "/help/tenants/#images"
    assert section_url(alice, "image-register") == "/help/operators/#register-an-image"
    assert section_url(admin, "image-list") == "/help/operators/#images"
    assert section_url(admin, "logout") == ""


def test_a_page_of_a_thing_has_its_help_link(admin: User) -> None:
    image = an_image(admin)
    assert 'href="/help/operators/#images"' in text_of(signed_in(admin).get(f"/images/{image.pk}/"))


# True


def test_every_field_of_every_list_is_in_the_guide() -> None:
    named = dict(zip(column("All fields"), column("All fields", 1), strict=True))
    for name, view in LISTS.items():
        if view.fields:
            told = words([named[CALLED.get(name, name.capitalize())]])
            values = {word for field in view.fields.values() for word in getattr(field, "words", ())}
            assert [word for word in told if word not in values] == list(view.fields), name


def test_everything_that_can_be_done_to_many_is_in_the_guide() -> None:
    told = dict(zip(column("Many at once"), column("Many at once", 1), strict=True))
    real = {CALLED.get(name, name.capitalize()): ", ".join(act.label for act in view.acts)
            for name, view in LISTS.items() if view.acts}  # fmt: skip
    assert told == real


def test_every_kind_of_job_is_in_the_guide() -> None:
    rows = zip(words(column("Kinds of jobs")), column("Kinds of jobs", 2), column("Kinds of jobs", 3), strict=True)
    real = [
        (kind, ("yes" if default_of(case) == "after approval" else "no") if case.can_wait else "never",
         "yes" if case.can_undo else "no")
        for kind, case in KINDS.items()
    ]  # fmt: skip
    assert list(rows) == real


def test_every_kind_of_datastore_is_in_the_guide() -> None:
    assert set(words(column("Datastores"))) == set(DRIVERS)


def test_every_alert_rule_is_in_the_guide_with_its_severity() -> None:
    told = dict(zip(words(column("Alerts")), column("Alerts", 1), strict=True))
    assert told == {rule.name: rule.severity.value for rule in RULES.values()}


def test_every_section_of_the_settings_and_every_event_is_in_the_guide() -> None:
    assert column("Settings") == [each.title for each in SETTINGS.values()]
    assert words(column("Notifications")) == list(EVENTS)
