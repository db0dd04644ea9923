"""What is promised: counted once, and only where bytes may still come."""

from __future__ import annotations

import pytest

from datastores.models import Disk, User
from datastores.services.promises import promised
from tests.unit.conftest import GIB, a_datastore, a_disk, an_image

pytestmark = pytest.mark.django_db


def test_images_and_disks_may_grow_by_what_is_not_written_yet(admin: User) -> None:
    store, other = a_datastore(), a_datastore()
    image = an_image(admin, datastore=store, virtual_size=25 * GIB, real_size=5 * GIB)
    a_disk(image)
    an_image(admin, datastore=other, virtual_size=GIB, real_size=2 * GIB)
    assert promised() == {store.pk: 45 * GIB, other.pk: 0}
    assert promised(store.pk) == {store.pk: 45 * GIB}


def test_what_a_disk_takes_already_is_promised_no_more(admin: User) -> None:
    store = a_datastore()
    image = an_image(admin, datastore=store, virtual_size=25 * GIB, real_size=25 * GIB)
    a_disk(image, kind=Disk.Kind.COPY, allocated=25 * GIB)
    a_disk(image, kind=Disk.Kind.COPY, allocated=10 * GIB)
    assert promised() == {store.pk: 15 * GIB}


def test_a_disk_with_more_than_its_size_takes_nothing_from_what_the_others_may_grow_by(admin: User) -> None:
    store = a_datastore()
    image = an_image(admin, datastore=store, virtual_size=10 * GIB, real_size=11 * GIB)
    a_disk(image, allocated=12 * GIB)
    a_disk(image, allocated=GIB)
    assert promised() == {store.pk: 9 * GIB}


def test_blocks_that_a_clone_shares_with_its_image_may_still_be_written_anew(admin: User) -> None:
    store = a_datastore(kind="xfs")
    image = an_image(admin, datastore=store, virtual_size=10 * GIB, real_size=10 * GIB)
    a_disk(image, allocated=10 * GIB, shared=10 * GIB)
    assert promised() == {store.pk: 10 * GIB}


def test_a_link_is_its_image_and_promises_nothing_more(admin: User) -> None:
    store = a_datastore()
    image = an_image(admin, datastore=store, virtual_size=100 * GIB, real_size=100 * GIB, persistent=True)
    a_disk(image, kind=Disk.Kind.LINK)
    assert promised()[store.pk] == 0


def test_nothing_is_promised_where_nothing_is(admin: User) -> None:
    assert promised(a_datastore().pk) == {}
