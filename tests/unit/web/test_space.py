"""What images and disks really take is shown wherever their size is, and said to be unknown where it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from datastores.domain.states import ObjectState
from datastores.hosts.copies import CopyFacts, FileCopied
from datastores.hosts.inodes import Inode
from datastores.models import Datastore, Disk, Image, User
from datastores.services.placing import disk_volume
from datastores.services.space import note_copied
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db
UNKNOWN = "not known yet"
ROW = {"headers": {"HX-Request": "true"}}


def gold(**fields: Any) -> Datastore:
    now = timezone.now() + timedelta(seconds=1)
    fields = {"total": 1000 * GIB, "used": 100 * GIB, "free": 900 * GIB, "measured_at": now} | fields
    return a_datastore("gold", **fields)


def row(user: User, path: str, pk: int, **choice: str) -> str:
    return text_of(signed_in(user).get(path, {"row": str(pk)} | choice, **ROW))  # type: ignore[arg-type]


def test_the_page_of_a_disk_says_what_it_takes_and_since_when(admin: User) -> None:
    disk = a_disk(an_image(admin, datastore=gold(kind="xfs")), allocated=7 * GIB, shared=3 * GIB)
    Disk.objects.update(allocated_at=timezone.now())
    page = text_of(signed_in(admin).get(f"/disks/{disk.pk}/"))
    assert "7 GiB, up to 3 GiB of it shared with its image, seen <time" in page
    assert UNKNOWN not in page


def test_of_a_disk_that_nobody_has_looked_at_nothing_is_claimed(admin: User) -> None:
    disk = a_disk(an_image(admin, datastore=gold()))
    for page in (text_of(signed_in(admin).get(f"/disks/{disk.pk}/")), row(admin, "/disks/", disk.pk)):
        assert UNKNOWN in page


def test_a_link_takes_what_its_image_takes(admin: User) -> None:
    disk = a_disk(an_image(admin, datastore=gold(), persistent=True), kind=Disk.Kind.LINK)
    assert "What its image takes" in text_of(signed_in(admin).get(f"/disks/{disk.pk}/"))
    assert "with its image" in row(admin, "/disks/", disk.pk)


def test_disks_are_found_by_what_they_take(admin: User) -> None:
    image = an_image(admin, datastore=gold())
    full = a_disk(image, virtual_size=10 * GIB, allocated=9 * GIB)
    a_disk(image, virtual_size=10 * GIB, allocated=GIB)
    a_disk(image, virtual_size=10 * GIB)
    page = text_of(signed_in(admin).get("/disks/", {"q": "takes>80%"}))
    assert f'data-row="{full.pk}"' in page
    assert page.count('data-row="') == 1
    assert page.index("9 GiB") > 0
    listed = text_of(signed_in(admin).get("/disks/", {"sort": "-takes"}))
    assert listed.index("9 GiB") < listed.index("1 GiB") < listed.index(UNKNOWN)


def test_an_image_that_was_never_measured_is_not_said_to_take_nothing(admin: User) -> None:
    store = gold()
    image = an_image(admin, datastore=store, real_size=0)
    assert "0 B" in row(admin, "/images/", image.pk)
    Datastore.objects.update(measured_at=timezone.now() - timedelta(days=1))
    assert UNKNOWN in row(admin, "/images/", image.pk)
    assert UNKNOWN in text_of(signed_in(admin).get(f"/images/{image.pk}/"))
    Image.objects.update(real_size=3 * GIB)
    assert "3 GiB" in row(admin, "/images/", image.pk)


class TestADatastore:
    def test_says_what_its_images_and_disks_take_and_of_how_many_that_is_not_known(self, admin: User) -> None:
        store = gold(kind="xfs")
        image = an_image(admin, datastore=store, virtual_size=10 * GIB, real_size=4 * GIB)
        a_disk(image, virtual_size=10 * GIB, allocated=6 * GIB, shared=4 * GIB)
        a_disk(image, virtual_size=10 * GIB)
        page = text_of(signed_in(admin).get(f"/datastores/{store.pk}/"))
        assert "<dt>Images take</dt><dd>4 GiB</dd>" in page
        assert "<dt>Disks take</dt><dd>2 GiB; of 1 it is not known yet</dd>" in page
        assert "24 GiB more promised" in page  # 6 of the image, 8 and 10 of the disks
        cells = row(admin, "/datastores/", store.pk, columns="name,takes,promised")
        assert "10 % used, 2 % more promised" in row(admin, "/datastores/", store.pk)
        for words in ("2 GiB", "1 not known yet", "24 GiB"):
            assert words in cells, words

    def test_is_found_by_what_its_disks_take_and_what_is_promised(self, admin: User) -> None:
        store = gold(total=100 * GIB)
        a_disk(an_image(admin, datastore=store, virtual_size=GIB), virtual_size=90 * GIB, allocated=20 * GIB)
        for query, found in (("takes>19G", 1), ("takes>21G", 0), ("promised>50%", 1), ("promised>90%", 0)):
            page = text_of(signed_in(admin).get("/datastores/", {"q": query}))
            assert page.count('data-row="') == found, query


def test_the_overview_counts_what_is_written_once(admin: User) -> None:
    store = gold()
    image = an_image(admin, datastore=store, virtual_size=100 * GIB, real_size=100 * GIB)
    a_disk(image, kind=Disk.Kind.COPY, virtual_size=100 * GIB, allocated=100 * GIB)
    page = text_of(signed_in(admin).get("/"))
    assert "0 B more promised to images and disks</div>" in page
    a_disk(image, kind=Disk.Kind.COPY, virtual_size=100 * GIB)
    page = text_of(signed_in(admin).get("/"))
    assert "100 GiB more promised to images and disks; what 1 disk takes is not known yet" in page


def test_no_row_takes_a_query_of_its_own(admin: User) -> None:
    store = gold()
    client, image = signed_in(admin), an_image(admin, datastore=store)

    def queries() -> list[int]:
        found = []
        for path in ("/disks/", "/images/", "/datastores/", f"/datastores/{store.pk}/", "/"):
            with CaptureQueriesContext(connection) as seen:
                client.get(path)
            found.append(len(seen))
        return found

    a_disk(image)
    queries()
    before = queries()
    for _ in range(20):
        a_disk(an_image(admin, datastore=store), allocated=GIB)
    assert queries() == before


class TestACopy:
    """What a full copy takes is known at once: it was looked at when it was verified."""

    def disk(self, admin: User) -> Disk:
        image = an_image(admin, datastore=gold(hosts=[a_host("h1")], state=ObjectState.READY))
        return a_disk(image, kind=Disk.Kind.COPY, allocated=1, shared=1)

    def test_is_noted_with_the_job_that_made_it(self, admin: User) -> None:
        disk = self.disk(admin)
        path = disk_volume(disk).path
        file = Inode(path, 0o100660, 25 * GIB, 3 * GIB, "1:2", 1, "root", "root", "0660", "1.000000000")
        note_copied(disk, [(FileCopied("h1", "/srv/a", path), CopyFacts({path: file}, {}))])
        disk.refresh_from_db()
        assert (disk.allocated, disk.shared) == (3 * GIB, 0)
        assert disk.allocated_at

    def test_is_not_known_when_an_earlier_attempt_made_it(self, admin: User) -> None:
        disk = self.disk(admin)
        note_copied(disk, [])
        disk.refresh_from_db()
        assert (disk.allocated, disk.allocated_at) == (None, None)
