"""What disks really take: seen by the scan for drift, kept on their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from datastores.models import Disk, Image, Lease, User
from datastores.services import space
from datastores.services.promises import promised
from datastores.services.space import note
from tests.unit.conftest import GIB, a_datastore, a_disk, a_job, an_image
from tests.unit.jobs.drifting import MIB, Site, a_site, scanned

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return a_site(tmp_path, monkeypatch)


def stored(site: Site, image: Image, *, written: int, **fields: Any) -> Disk:
    """Return a disk whose sparse file holds so many bytes."""
    disk = a_disk(image, virtual_size=image.virtual_size, **fields)
    path = site.base / str(disk.vm_id) / f"disk.{disk.number}"
    path.parent.mkdir()
    path.touch(mode=0o660)
    path.write_bytes(b"x" * written)
    with path.open("r+b") as file:
        file.truncate(disk.virtual_size)
    return disk


def test_a_scan_knows_what_a_disk_takes_and_when(site: Site, admin: User) -> None:
    image = site.image(admin, real_size=MIB)
    disk = stored(site, image, written=MIB // 4, kind=Disk.Kind.COPY)
    assert promised() == {site.store.pk: MIB}
    before = timezone.now()
    assert scanned() == {}
    disk.refresh_from_db()
    assert (disk.allocated, disk.shared) == (MIB // 4, 0)
    assert disk.allocated_at and disk.allocated_at >= before
    assert promised() == {site.store.pk: MIB - MIB // 4}


def test_a_fully_written_copy_is_counted_once(site: Site, admin: User) -> None:
    stored(site, site.image(admin, real_size=MIB), written=MIB, kind=Disk.Kind.COPY)
    scanned()
    assert promised() == {site.store.pk: 0}


def test_it_takes_no_further_read_of_the_host(site: Site, admin: User) -> None:
    image = site.image(admin)
    for _ in range(5):
        stored(site, image, written=1)
    scanned()
    assert len([argv for argv in site.shell("h1").ran if "-ignore_readdir_race" in argv]) == 1


def test_a_link_has_no_bytes_of_its_own(site: Site, admin: User) -> None:
    disk = a_disk(site.image(admin, persistent=True), kind=Disk.Kind.LINK)
    link = site.base / str(disk.vm_id) / "disk.0"
    link.parent.mkdir()
    link.symlink_to(site.file(disk.image))
    scanned()
    disk.refresh_from_db()
    assert disk.allocated is None


def test_nothing_is_noted_of_a_disk_that_is_not_there_or_on_which_a_job_works(site: Site, admin: User) -> None:
    image = site.image(admin)
    a_disk(image)
    held = stored(site, image, written=1)
    job = a_job(admin, "disk.delete", disk=held)
    Lease.objects.create(job=job, resource=f"disk:{held.pk}", exclusive=True)
    scanned()
    assert set(Disk.objects.values_list("allocated", flat=True)) == {None}


def test_what_a_disk_took_stays_known_while_its_host_is_away(site: Site, admin: User) -> None:
    disk = stored(site, site.image(admin), written=MIB)
    scanned()
    site.shell("h1").away = True
    scanned()
    disk.refresh_from_db()
    assert disk.allocated == MIB


def test_disks_are_noted_some_at_a_time_and_outside_of_the_turn(
    site: Site, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = site.image(admin)
    for _ in range(5):
        stored(site, image, written=1)
    portions: list[int] = []

    def noted(places: Any, seen: Any, at: Any) -> None:
        assert not connection.in_atomic_block
        portions.append(len(places))
        note(places, seen, at)

    monkeypatch.setattr(space, "NOTED_AT_ONCE", 2)
    monkeypatch.setattr(space, "note", noted)
    scanned()
    assert portions == [2, 2, 1]
    assert not Disk.objects.filter(allocated=None).exists()


class TestSharedBlocks:
    """A clone by reflink refers to the blocks of its image: they are taken once."""

    def disk(self, admin: User, kind: str = "xfs", **fields: Any) -> Disk:
        store = a_datastore(kind=kind)
        return a_disk(an_image(admin, datastore=store, virtual_size=10 * GIB, real_size=4 * GIB), **fields)

    def noted(self, disk: Disk, allocated: int) -> tuple[int | None, int]:
        place = disk.pk, disk.datastore_id
        note([place], {place: allocated}, timezone.now())
        disk.refresh_from_db()
        return disk.allocated, disk.shared

    def test_as_many_as_the_image_has_may_be_shared(self, admin: User) -> None:
        disk = self.disk(admin)
        assert self.noted(disk, 6 * GIB) == (6 * GIB, 4 * GIB)
        assert self.noted(disk, GIB) == (GIB, GIB)

    @pytest.mark.parametrize("kind", ["shared", "qcow2"])
    def test_an_overlay_or_a_copy_shares_none(self, admin: User, kind: str) -> None:
        assert self.noted(self.disk(admin, kind), 6 * GIB) == (6 * GIB, 0)

    def test_a_full_copy_shares_none_on_a_file_system_with_reflinks(self, admin: User) -> None:
        assert self.noted(self.disk(admin, kind=Disk.Kind.COPY), 6 * GIB) == (6 * GIB, 0)

    def test_what_was_known_of_it_stays_when_the_image_is_deleted(self, admin: User) -> None:
        disk = self.disk(admin)
        self.noted(disk, 6 * GIB)
        disk.image.delete()
        disk = Disk.objects.get(pk=disk.pk)
        assert self.noted(disk, 7 * GIB) == (7 * GIB, 4 * GIB)

    def test_what_was_seen_later_stays(self, admin: User) -> None:
        disk = self.disk(admin)
        place, begun = (disk.pk, disk.datastore_id), timezone.now()
        self.noted(disk, 6 * GIB)
        note([place], {place: GIB}, begun)
        disk.refresh_from_db()
        assert disk.allocated == 6 * GIB

    def test_a_disk_that_was_moved_meanwhile_is_left_out(self, admin: User) -> None:
        disk = self.disk(admin)
        note([(disk.pk, disk.datastore_id + 1)], {(disk.pk, disk.datastore_id + 1): GIB}, timezone.now())
        disk.refresh_from_db()
        assert disk.allocated is None


def test_the_queries_do_not_grow_with_the_disks(admin: User, django_assert_num_queries: Any) -> None:
    image = an_image(admin)
    places = [(disk.pk, disk.datastore_id) for disk in (a_disk(image) for _ in range(50))]
    with django_assert_num_queries(5):
        note(places, {place: number for number, place in enumerate(places)}, timezone.now())
