"""The frame around the pages: errors and templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.template.loader import render_to_string

from datastores.jobs.view import JOB_LOOK, STEP_LOOK
from datastores.models import Cluster, User
from datastores.services.counts import Count
from datastores.web import look
from datastores.web.alerts import ICONS
from datastores.web.context import Link
from datastores.web.forms.hosts import ClusterForm
from datastores.web.views.volumes import DEEDS
from tests.unit.conftest import (
    a_disk,
    an_image,
    signed_in,
    text_of,
)

ROOT = Path(django_settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "datastores" / "templates").rglob("*.html"))


# Errors


def test_a_refusal_returns_to_where_the_button_was(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    client = signed_in(admin)
    back = "http://testserver/vms/?q=x"
    assert client.post(f"/vms/{vm.pk}/delete/", headers={"Referer": back}).url == back
    for referrer in ("https://evil.example/", "javascript:alert(1)", ""):
        assert client.post(f"/vms/{vm.pk}/delete/", headers={"Referer": referrer}).url == f"/vms/{vm.pk}/"


def test_who_makes_the_same_as_somebody_else_at_the_same_moment_is_told(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = ClusterForm.save

    def late(form: ClusterForm) -> Cluster:
        Cluster.objects.create(name=form.cleaned_data["name"])
        return right(form)

    monkeypatch.setattr(ClusterForm, "save", late)
    response = signed_in(admin).post("/clusters/new/", {"name": "paris", "description": "typed"})
    assert "Somebody else has just made the same" in text_of(response)
    assert "typed" in response.content.decode()


def test_a_refusal_of_a_partial_goes_to_the_messages(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    response = signed_in(admin).post(f"/vms/{vm.pk}/delete/", headers={"HX-Request": "true"})
    assert response.status_code == 409
    assert response["HX-Retarget"] == "#messages"
    assert "still has 1 disk" in text_of(response)
    assert "<html" not in text_of(response)


def test_a_refusal_for_a_program_is_json(admin: User) -> None:
    vm = a_disk(an_image(admin)).vm
    response = signed_in(admin).post(f"/vms/{vm.pk}/delete/", headers={"Accept": "application/json"})
    assert (response.status_code, "still has 1 disk" in response.json()["error"]) == (409, True)


def test_pages_that_are_not_there_are_calm(admin: User) -> None:
    page = text_of(signed_in(admin).get("/nowhere/"))
    assert "There is no such page or object" in page


def test_a_role_that_may_not_is_told_who_may(operator: User) -> None:
    response = signed_in(operator).get("/users/")
    assert response.status_code == 403
    assert "An admin can change roles" in text_of(response)


# Templates


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_need_no_inline_code_and_nothing_from_elsewhere(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:|<script>|hx-on|hx-vals='js|//cdn|https?://", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_forms_that_post_carry_the_token(template: Path) -> None:
    for form in re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL):
        assert "{% csrf_token %}" in form


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_question_before_an_act_names_the_thing(template: Path) -> None:
    text = template.read_text()
    assert text.count("data-confirm=") == len(re.findall(r'data-confirm-title="[^"]*{{', text))


def test_every_icon_is_in_the_font() -> None:
    known = set(re.findall(r"\.bi-([a-z0-9-]+)::before", (ROOT / "static/vendor/bootstrap-icons.css").read_text()))
    looks = [look.OBJECT_LOOK, look.HOST_LOOK, look.VM_LOOK, look.ROLE_LOOK, look.RESULT_LOOK, JOB_LOOK, STEP_LOOK,
             look.ALERT_LOOK, look.SEVERITY_LOOK]  # fmt: skip
    used = {icon for looking in looks for _, icon in looking.values()} | {look.UNKNOWN[1], *ICONS.values()}
    for source in [*TEMPLATES, *(ROOT / "datastores/web").rglob("*.py")]:
        text = re.sub(r"{%.*?%}", " ", source.read_text())
        used |= set(re.findall(r"bi bi-([a-z0-9-]+[a-z0-9])(?=[\s\"])", text))
    used |= {deed.icon for deed in DEEDS.values()}
    used |= set(re.findall(r'link\("[^"]+", "([a-z0-9-]+)"', (ROOT / "datastores/web/context.py").read_text()))
    assert used - known == set()


def imported(module: Path) -> set[Path]:
    """Return the modules that this one imports, and what those do."""
    direct = {
        (module.parent / name).resolve() for name in re.findall(r'^import .* from "(.+)";$', module.read_text(), re.M)
    }
    return direct.union(*map(imported, direct))


def test_the_page_of_a_job_loads_all_its_modules_at_once() -> None:
    page = (ROOT / "datastores/templates/datastores/job.html").read_text()
    named = re.findall(r"""rel="modulepreload" href="{% static '(.+?)' %}""", page)
    assert {ROOT / "static" / name for name in named} == imported(ROOT / "static/js/job.js")
    assert len(named) == len(set(named))


def test_big_numbers_of_the_navigation_are_grouped() -> None:
    links = [
        Link("image-list", "Virtual machines", "pc-display", "/vms/", here=True, count=Count(12345)),
        Link("image-list", "Jobs", "x", "/jobs/", here=False),
    ]
    side = render_to_string("datastores/_side.html", {"navigation": [("Storage", links)]})
    assert '<span class="n" data-count="image-list">12,345</span>' in side
    assert side.count('class="n"') == 1
