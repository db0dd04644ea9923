"""Lists: the same number of queries whatever their length, and everything in the address."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import JobState
from datastores.models import Cluster, Datastore, DatastoreHost, Host, Image, Job, User, VirtualMachine
from datastores.models.audit import record
from datastores.web.lists.rows import PAGE
from tests.unit.conftest import (
    a_credential,
    a_datastore,
    a_disk,
    a_host,
    a_job,
    a_step,
    a_vm,
    an_alert,
    an_image,
    person,
    signed_in,
    text_of,
)


def images(admin: User, count: int) -> None:
    for _ in range(count):
        a_disk(an_image(admin))


def hosts(admin: User, count: int) -> None:
    for number in range(count):
        a_host(cluster=Cluster.objects.create(name=f"c{number}-{Cluster.objects.count()}"))


def datastores(admin: User, count: int) -> None:
    for _ in range(count):
        an_image(admin, datastore=a_datastore(total=10, used=1))


def jobs(admin: User, count: int) -> None:
    for _ in range(count):
        a_step(a_job(admin, "disk.create", state=JobState.RUNNING))


def machines(admin: User, count: int) -> None:
    image = an_image(admin)
    for _ in range(count):
        a_disk(image)


def people(admin: User, count: int) -> None:
    for _ in range(count):
        person(f"p{User.objects.count()}", "tenant")


def entries(admin: User, count: int) -> None:
    for _ in range(count):
        record("image.persistent", user=admin, target="x", after=True)


def credentials(admin: User, count: int) -> None:
    for _ in range(count):
        a_host(credential=a_credential())


def alerts(admin: User, count: int) -> None:
    for _ in range(count):
        an_alert(acknowledged_by=admin)


def one_tree(admin: User, count: int) -> None:
    """Everything hangs on the image that is made first."""
    image = Image.objects.order_by("pk").first() or an_image(admin, "root")
    for _ in range(count):
        a_disk(an_image(admin, parent=image))
        a_disk(image)


def one_of_each(admin: User, count: int) -> None:
    """All belongs to the host, the datastore, the machine and the job that are made first."""
    host = Host.objects.first() or a_host()
    store = Datastore.objects.first() or a_datastore(hosts=[host])
    vm = VirtualMachine.objects.first() or a_vm(admin)
    job = Job.objects.order_by("pk").first() or a_job(admin, "disk.create", state=JobState.RUNNING)
    for _ in range(count):
        DatastoreHost.objects.create(datastore=a_datastore(), host=host, position=1)
        a_disk(an_image(admin, datastore=store, real_size=1), vm)
        a_step(job)
        a_job(admin, datastore=store, vm=vm, host=host)
        record("datastore.change", user=admin, target=store)


def names_in(answer: Any) -> list[str]:
    """Return the names in the rows of a list."""
    return re.findall(r"<tr.*?<b>(.*?)</b>", text_of(answer), re.DOTALL)


def links_of(answer: Any) -> dict[str, str]:
    """Return the addresses of the pages beside it."""
    found = re.findall(r'href="(\?[^"]*)" rel="(prev|next)"', text_of(answer))
    return {rel: answer.request["PATH_INFO"] + html.unescape(address) for address, rel in found}


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("/", datastores), ("/", jobs), ("/images/", images), ("/hosts/", hosts), ("/clusters/", hosts),
        ("/datastores/", datastores), ("/jobs/", jobs), ("/vms/", machines), ("/users/", people), ("/audit/", entries),
        ("/credentials/", credentials), ("/alerts/", alerts), ("/", alerts),
        ("/images/{image}/", one_tree), ("/find/?q=image", images), ("/disks/", machines), ("/queues/", jobs),
        ("/hosts/{host}/", one_of_each), ("/datastores/{datastore}/", one_of_each), ("/vms/{vm}/", one_of_each),
        ("/jobs/{job}/", one_of_each), ("/jobs/{job}/plan/", one_of_each),
    ],
)  # fmt: skip
def test_more_rows_need_no_more_queries(admin: User, path: str, make: Any) -> None:
    client = signed_in(admin)
    make(admin, 3)
    rows: dict[str, Any] = {"image": Image, "host": Host, "datastore": Datastore, "vm": VirtualMachine, "job": Job}
    first = {name: model.objects.order_by("pk").first() for name, model in rows.items()}
    url = path.format(**{name: row and (row.uuid if name == "job" else row.pk) for name, row in first.items()})
    client.get(url)
    few = queries_of(client, url)
    make(admin, 27)
    many = queries_of(client, url)
    assert len(many) == len(few), many[-15:]


def queries_of(client: Any, url: str) -> list[str]:
    """Return what a page asks of the database, but for the settings: those are read when they are two seconds old."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return [query["sql"][:150] for query in queries if "settingssection" not in query["sql"]]


def test_sorting_and_paging_are_in_the_address(admin: User) -> None:
    for number in range(PAGE + 2):
        an_image(admin, f"i{number:03}")
    client = signed_in(admin)
    first = client.get("/images/?sort=name")
    assert names_in(first) == [f"i{number:03}" for number in range(PAGE)]
    assert f"{PAGE + 2} rows" in text_of(first)
    second = client.get(links_of(first)["next"])
    assert names_in(second) == [f"i{PAGE:03}", f"i{PAGE + 1:03}"]
    assert "next" not in links_of(second)
    assert names_in(client.get(links_of(second)["prev"])) == names_in(first)
    assert "prev" not in links_of(first)
    assert names_in(client.get("/images/?sort=-name"))[0] == f"i{PAGE + 1:03}"
    for nonsense in ("sort=owner__password", "after=99999", "after=x", "before=x", "q=%00", "state=x&type=y"):
        assert client.get(f"/images/?{nonsense}").status_code == 200, nonsense


@pytest.mark.parametrize(
    "address", ["/images/?row=²", "/images/?row=1" + "0" * 30, "/audit/?day=9999-12-31", "/audit/?day=0001-01-01",
                "/audit/?day=2026-02-30", "/audit/?day=x"],
)  # fmt: skip
def test_nonsense_in_the_address_is_no_defect(admin: User, address: str) -> None:
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        with timezone.override(zone):
            assert signed_in(admin).get(address, headers={"HX-Request": "true"}).status_code == 200


def test_a_search_that_finds_nothing_says_so_and_an_empty_list_teaches(admin: User) -> None:
    client = signed_in(admin)
    assert "No image yet" in text_of(client.get("/images/"))
    an_image(admin)
    assert "Nothing matches" in text_of(client.get("/images/?q=zzz"))


@pytest.mark.parametrize("path", ["hosts", "clusters", "credentials", "datastores", "images", "vms", "jobs", "audit"])
def test_empty_lists_say_what_belongs_there(admin: User, path: str) -> None:
    assert 'class="empty"' in text_of(signed_in(admin).get(f"/{path}/"))


def test_what_points_to_nothing_is_found_by_what_it_is_not(admin: User) -> None:
    kept, orphan = a_disk(an_image(admin, "debian")), a_disk(an_image(admin, "alma"))
    orphan.image.delete()
    client = signed_in(admin)
    for query, found in (
        ("image:debian", [kept]),
        ("-image:debian", [orphan]),
        ("image!=debian", [orphan]),
        ("-debian", [orphan]),
        (f"owner:{admin.username}", [kept, orphan]),
        ("-owner:nobody", [kept, orphan]),
    ):
        page = text_of(client.get("/disks/", {"q": query, "sort": "id"}))
        assert re.findall(r'data-row="(\d+)"', page) == [str(disk.pk) for disk in found], query


def test_a_list_knows_the_newest_row_that_the_person_may_see(alice: User, bob: User) -> None:
    mine, _ = an_image(alice), an_image(bob)
    assert f'data-new-rows="image" data-newest="{mine.pk}" data-noun="image,images" hidden' in text_of(
        signed_in(alice).get("/images/?q=nowhere")
    )
    assert 'data-newest="0"' in text_of(signed_in(alice).get("/vms/"))
    assert "data-new-rows" not in text_of(signed_in(alice).get("/jobs/"))
