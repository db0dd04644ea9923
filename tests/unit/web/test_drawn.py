"""Rows that many people read again: drawn once, and never of anything but what they say now."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from django.template.loader import get_template
from django.urls import get_resolver

from datastores.models import Datastore, Disk, Image, Job, Lease, User, VirtualMachine
from datastores.web.lists import drawn
from datastores.web.lists.drawn import Drawings, contents
from datastores.web.lists.rows import Rows
from datastores.web.views.images import ImageList
from tests.unit.conftest import a_job, an_image, person, signed_in, text_of

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that were drawn, by their templates."""
    names: list[str] = []
    find = drawn.get_template

    def get(name: str) -> Any:
        names.append(name)
        return find(name)

    monkeypatch.setattr(drawn, "get_template", get)
    monkeypatch.setattr("datastores.web.lists.rows.drawings", Drawings())
    return names


def row(user: User, image: Image, columns: str = "") -> str:
    address = f"/images/?columns={columns}&row={image.pk}"
    return text_of(signed_in(user).get(address, headers={"HX-Request": "true"}))


def test_a_row_is_drawn_once_for_all_who_are_shown_the_same(
    admin: User, operator: User, alice: User, made: list[str]
) -> None:
    image = an_image(alice, "golden")
    assert row(admin, image) == row(operator, image)
    assert len(made) == 1


def test_a_row_read_anew_is_the_row_of_the_page(admin: User, alice: User, auditor: User) -> None:
    image = an_image(alice, HOSTILE)
    for user in (admin, alice, auditor):
        assert row(user, image).strip() in text_of(signed_in(user).get("/images/"))
        assert HOSTILE not in row(user, image)


def test_who_can_choose_no_rows_is_shown_none_to_choose(admin: User, auditor: User) -> None:
    image = an_image(admin, "golden")
    assert 'name="pk"' in row(admin, image)
    assert 'name="pk"' not in row(auditor, image)
    assert 'name="pk"' in row(admin, image)


def test_what_was_drawn_for_one_is_not_shown_to_another_who_may_not_see_it(admin: User, bob: User, alice: User) -> None:
    image = an_image(bob, "golden")
    assert "golden" in row(admin, image)
    assert row(alice, image) == ""
    assert "golden" in row(bob, image)


def test_each_choice_of_columns_is_drawn_by_itself(admin: User) -> None:
    image = an_image(admin, "golden")
    assert "<b>golden</b>" in row(admin, image, "id,name")
    assert "<b>golden</b>" not in row(admin, image, "id,state")


def test_whatever_changes_is_shown_at_once(admin: User, alice: User) -> None:
    image = an_image(admin, "golden")
    seen = [row(admin, image)]

    def changed() -> bool:
        seen.append(row(admin, image))
        return seen[-1] not in seen[:-1]

    Image.objects.filter(pk=image.pk).update(name="silver")
    assert changed()
    Image.objects.filter(pk=image.pk).update(owner=alice)
    assert changed()
    User.objects.filter(pk=alice.pk).update(username="alicia")
    assert changed(), "a row beside it"
    Datastore.objects.filter(pk=image.datastore_id).update(name="elsewhere")
    assert changed()
    machine = VirtualMachine.objects.create(name="web", owner=alice)
    Disk.objects.create(vm=machine, number=0, image=image, datastore=image.datastore, kind="clone", format="raw")
    assert changed(), "the number of its disks"
    job = a_job(admin, title="Resize", image=image)
    Lease.objects.create(job=job, resource=f"image:{image.pk}", exclusive=True, granted=True)
    assert changed(), "the job that works on it"
    Job.objects.filter(pk=job.pk).update(title="Grow")
    assert changed()


def test_only_so_many_are_kept(admin: User, alice: User, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "KEPT", 2)
    images = [an_image(alice, f"golden-{number}") for number in range(3)]
    for image in images:
        row(admin, image)
    row(admin, images[2])
    assert len(made) == 3
    row(admin, images[0])
    assert len(made) == 4


def test_many_threads_draw_the_same(admin: User) -> None:
    images = [an_image(admin, f"golden-{number}") for number in range(20)]
    for image in images:
        image.work, image.disk_count = None, 0
    drawings, texts = Drawings(), []

    def draw() -> None:
        shown = {column.key: column for column in ImageList.columns}
        texts.append(drawings.draw("datastores/_image_row.html", images, shown, offered=True))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 8 and len(set(texts)) == 1 and texts[0].count("<tr") == 20


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(TypeError, match="object in a row"):
        contents([object()])
    assert contents([1, {"a": [2]}]) == contents([1, {"a": [2]}]) != contents([1, {"a": [3]}])


def test_a_template_that_shows_who_looks_is_not_drawn_for_all() -> None:
    assert get_resolver().url_patterns  # imports all lists
    shared = {each for each in Rows.__subclasses__() if each.same_for_all}
    assert {each.name for each in shared} == {"images", "jobs", "machines", "disks"}
    for each in shared:
        text = get_template(each.row_template).template.source
        assert not re.findall(r"csrf_token|request|user\.(?!username)|\bnow\b|perms", text), each


def test_a_person_who_is_new_is_shown_rows_too(admin: User) -> None:
    image = an_image(admin, "golden")
    assert row(admin, image) == row(person("new", User.Role.OPERATOR), image)
