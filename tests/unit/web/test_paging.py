"""Page after page: each row once, in the order that was asked for, whatever the column holds."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from datastores.models import Cluster, Host, User
from datastores.models.audit import record
from datastores.web.lists import rows as lists
from datastores.web.lists.paging import Place, decode
from datastores.web.urls import urlpatterns
from tests.unit.conftest import a_credential, a_datastore, a_disk, a_host, a_job, a_vm, an_image, person, signed_in
from tests.unit.web.test_lists import links_of

pytestmark = pytest.mark.django_db
LISTS = {
    f"/{pattern.pattern}": pattern.callback.view_class
    for pattern in urlpatterns
    if issubclass(getattr(pattern.callback, "view_class", object), lists.Rows)
}
SORTS = [(path, column.key) for path, view in LISTS.items() for column in view.columns if column.order]


@pytest.fixture
def client(admin: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An admin who looks at pages of three rows, where much is equal and some is not known."""
    monkeypatch.setattr(lists, "PAGE", 3)
    for number in range(8):
        cluster = Cluster.objects.create(name=f"c{number}") if number % 2 else None
        read = timezone.now() - timedelta(hours=number // 3)
        host = a_host(cluster=cluster, clock_skew=number / 8 if number % 3 else None, credential=a_credential())
        Host.objects.filter(pk=host.pk).update(facts_at=read if number % 2 else None)
        datastore = a_datastore(cluster=cluster, total=number // 2, hosts=[host])
        owner = person(f"p{number}", "tenant")
        image = an_image(owner, f"i{number // 2}", datastore=datastore, persistent=number < 3, real_size=number % 2)
        a_disk(image, a_vm(owner)) if number % 2 else a_vm(owner)
        a_job(admin, ended_at=timezone.now())
        record("image.persistent", user=admin, target="x", after=True)
    return signed_in(admin)


def keys(answer: Any) -> list[int]:
    return [row.pk for row in answer.context["rows"]]


@pytest.mark.parametrize(("path", "column"), SORTS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_forth_and_back(client: Client, path: str, column: str, sign: str) -> None:
    answer = client.get(f"{path}?sort={sign}{column}")
    pages = [keys(answer)]
    while following := links_of(answer).get("next"):
        answer = client.get(following)
        pages.append(keys(answer))
        assert len(pages) < 30
    seen = [key for page in pages for key in page]
    rows = LISTS[path].model.objects.all()
    assert sorted(seen) == sorted(rows.values_list("pk", flat=True))
    assert all(len(page) == 3 for page in pages[:-1])
    back = [keys(answer)]
    while before := links_of(answer).get("prev"):
        answer = client.get(before)
        back.append(keys(answer))
        assert len(back) < 30
    assert [key for page in reversed(back) for key in page][-len(seen):] == seen  # fmt: skip
    assert back[-1] == pages[0]


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "bnVsbA", Place("a", 1 << 80).encode(), Place(None, 1).encode(), Place({"t": 1}, 1).encode(),
               Place([1], 1).encode(), Place("a\0", 1).encode(), Place("\ud800", 1).encode(), Place(1e400, 1).encode()],
)  # fmt: skip
@pytest.mark.parametrize("sort", ["id", "name", "since", "size", "persistent"])
def test_a_place_that_there_is_not_is_the_first_page(client: Client, cursor: str, sort: str) -> None:
    first = keys(client.get(f"/images/?sort={sort}"))
    for way in ("after", "before"):
        answer = client.get("/images/", {"sort": sort, way: cursor})
        assert answer.status_code == 200
        assert decode(cursor) is not None or keys(answer) == first


def test_a_file_holds_all_pages_with_the_chosen_columns(client: Client, admin: User) -> None:
    an_image(admin, "=cmd()")
    asked = "/images/?sort=name&columns=name,size&q=-name:i0&file="
    answer = client.get(f"{asked}csv")
    assert answer["Content-Disposition"] == 'attachment; filename="images.csv"'
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0] == ["name", "size"]
    assert [name for name, _ in rows[1:]] == ["'=cmd()", "i1", "i1", "i2", "i2", "i3", "i3"]
    found = json.loads(b"".join(client.get(f"{asked}json").streaming_content))
    assert found[0] == {"name": "=cmd()", "size": 25 << 30}
    assert len(found) == 7


def test_a_file_of_a_filter_that_cannot_be_read_is_none(client: Client) -> None:
    answer = client.get("/images/?q=nam:x&file=csv")
    assert (answer.status_code, answer.content) == (400, b"There is no field nam. Did you mean name? To search for the "
                                                         b"text itself, put it into quotes.")  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_every_list_becomes_a_file(client: Client, path: str, kind: str) -> None:
    view = LISTS[path]
    every = ",".join(column.key for column in view.columns)
    content = b"".join(client.get(f"{path}?columns={every}&file={kind}").streaming_content).decode()
    heads = [column.key for column in view.columns if column.value]
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(content)))
        assert rows[0] == heads
        assert len(rows) == 1 + view.model.objects.count()
    else:
        assert all(list(row) == heads for row in json.loads(content))


@pytest.mark.parametrize("path", LISTS)
def test_every_example_of_a_filter_can_be_read(client: Client, path: str) -> None:
    for name, field in LISTS[path].fields.items():
        assert field.example.startswith(name)
        answer = client.get(path, {"q": field.example})
        assert answer.context["refused"] is None, answer.context["refused"]


def test_a_tenant_exports_only_what_is_hers(client: Client) -> None:
    tenant = User.objects.get(username="p1")
    rows = json.loads(b"".join(signed_in(tenant).get("/images/?file=json").streaming_content))
    assert {row["owner"] for row in rows} == {"p1"}
