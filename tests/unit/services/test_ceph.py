"""Datastores whose kind needs a secret, and has no links: Ceph."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import AnyStep
from datastores.hosts.ceph_files import CephKeyringPresent
from datastores.hosts.rbd_clones import RbdClonesPrepared, RbdFlattened
from datastores.hosts.rbd_links import RbdImageLinked, RbdImageUnlinked
from datastores.hosts.rbd_trash import RbdImageRestored
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Datastore, DeletedImage, Disk, Image, Job, User
from datastores.services.placing import disk_volume, image_volume
from tests.unit.conftest import a_datastore, a_host, a_vm, an_image, signed_in
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db

KEY = "AQBzWmJlAAAAABAAcT4xcn9gkQe3FwE2l0y3LA=="
OTHER = "AQBzWmJlAAAAABAAcT4xcn9gkQe3FwE2l0y3LQ=="


@pytest.fixture
def pool(db: None) -> Datastore:
    return a_datastore(kind="ceph", secret=KEY)


def planned(job: Job) -> list[AnyStep]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]


def asked(admin: User, secret: str) -> Job:
    params = {"name": "rbd", "kind": "ceph", "type": "image", "base": "/var/lib/one", "hosts": [a_host("h1").pk],
              "options": {}, "secret": secret}  # fmt: skip
    return submit("datastore.create", user=admin, params=params)


def test_the_key_is_encrypted_and_neither_in_the_job_nor_in_the_audit_trail(admin: User) -> None:
    job = asked(admin, KEY)
    assert Datastore.objects.get().secret == KEY
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM datastores_datastore")
        assert KEY not in cursor.fetchone()[0]
    assert "secret" not in Job.objects.get().params
    assert KEY not in json.dumps([entry.detail for entry in AuditEntry.objects.all()])
    assert any(isinstance(step, CephKeyringPresent) and step.key == KEY for step in planned(job))


def test_a_wrong_key_makes_no_datastore(admin: User) -> None:
    with pytest.raises(BadInput, match="no key of Ceph"):
        asked(admin, "hunter2")
    assert not Datastore.objects.exists()


def test_the_disk_of_a_persistent_image_is_the_image_and_outlives_the_disk(alice: User, pool: Datastore) -> None:
    image = an_image(alice, datastore=pool, persistent=True)
    job = submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    assert [type(step) for step in planned(job)] == [RbdImageLinked]
    disk = ended(job).disk
    assert disk is not None and disk.kind == Disk.Kind.LINK
    assert disk_volume(disk) == image_volume(image)
    deleted = submit("disk.delete", user=alice, disk=disk)
    assert [type(step) for step in planned(deleted)] == [RbdImageUnlinked, RbdClonesPrepared]


def test_a_clone_is_flattened_once_and_needs_its_image_no_more(alice: User, pool: Datastore) -> None:
    image = an_image(alice, datastore=pool)
    disk = ended(submit("disk.create", user=alice, image=image, vm=a_vm(alice))).disk
    with pytest.raises(Refused, match="is needed by"):
        submit("image.delete", user=alice, image=image)
    browser = signed_in(alice)
    assert "Flatten disk" in browser.get(f"/disks/{disk.pk}/").content.decode()
    browser.post(f"/disks/{disk.pk}/flatten/")
    job = Job.objects.get(kind="disk.flatten")
    assert [type(step) for step in planned(job)] == [RbdFlattened]
    ended(job)
    disk.refresh_from_db()
    assert disk.kind == Disk.Kind.COPY
    assert "Flatten disk" not in browser.get(f"/disks/{disk.pk}/").content.decode()
    with pytest.raises(Refused, match="nothing to be flattened"):
        submit("disk.flatten", user=alice, disk=disk)
    submit("image.delete", user=alice, image=image)


@pytest.mark.parametrize("where", ["image", "disk"])
def test_a_link_never_crosses_kinds_that_have_none(alice: User, pool: Datastore, where: str) -> None:
    files = a_datastore(kind="shared", hosts=[member.host for member in pool.members.all()], options={})
    source, target = (pool, files) if where == "image" else (files, pool)
    image = an_image(alice, datastore=source, persistent=True)
    with pytest.raises(Refused, match="have no links to each other"):
        submit("disk.create", user=alice, image=image, vm=a_vm(alice), datastore=target)


def test_formats_that_a_pool_does_not_hold_are_refused_when_they_are_asked_for(alice: User, pool: Datastore) -> None:
    params = {"name": "data", "size": 1 << 30, "format": "qcow2"}
    with pytest.raises(BadInput, match="Ceph datastores hold raw and iso images, no qcow2"):
        submit("image.create", user=alice, params=params, datastore=pool)


def test_a_new_key_is_taken_and_not_shown(admin: User, pool: Datastore) -> None:
    browser, address = signed_in(admin), f"/datastores/{pool.pk}/edit/"
    shown = browser.get(address).content.decode()
    assert 'type="password"' in shown and KEY not in shown
    sent = {"name": pool.name, "version": 0, "source_directories": ""}
    assert browser.post(address, {**sent, "secret": "hunter2"}).status_code == 200
    assert Datastore.objects.get().secret == KEY
    assert browser.post(address, {**sent, "secret": OTHER}).status_code == 302
    assert Datastore.objects.get().secret == OTHER
    entry = AuditEntry.objects.get(action="datastore.change")
    assert entry.detail["after"]["key"] == "replaced" and OTHER not in json.dumps(entry.detail)
    assert browser.post(address, {**sent, "version": 1}).status_code == 302
    assert Datastore.objects.get().secret == OTHER
    for page in (f"/datastores/{pool.pk}/", "/datastores/"):
        assert OTHER not in browser.get(page).content.decode()


# What can be brought back


@pytest.fixture
def keeping(db: None) -> Datastore:
    """A datastore that keeps deleted images for a week."""
    return a_datastore(kind="ceph", secret=KEY, options={"trash_days": 7})


def deleted(alice: User, datastore: Datastore) -> Image:
    image = an_image(alice, "gold", datastore=datastore, sha256="a" * 64, persistent=True)
    done("image.delete", alice, image=image)
    return image


def test_a_deleted_image_comes_back_as_what_it_was(alice: User, keeping: Datastore) -> None:
    before = deleted(alice, keeping)
    kept = DeletedImage.objects.get()
    assert timedelta(days=6) < kept.until - timezone.now() <= timedelta(days=7)
    job = submit("image.restore", user=alice, params={"deleted": kept.pk})
    assert [type(step) for step in planned(job)] == [RbdImageRestored, RbdClonesPrepared]
    ended(job)
    after = Image.objects.get()
    assert {name: getattr(after, name) for name in DeletedImage.KEPT} == {
        name: getattr(before, name) for name in DeletedImage.KEPT
    }
    assert after.state == "ready" and not DeletedImage.objects.exists()


def test_what_could_not_be_brought_back_can_be_asked_for_again(alice: User, keeping: Datastore) -> None:
    deleted(alice, keeping)
    kept = DeletedImage.objects.get()
    ended(submit("image.restore", user=alice, params={"deleted": kept.pk}), "failed")
    assert not Image.objects.exists()
    done("image.restore", alice, {"deleted": kept.pk})
    assert Image.objects.get().state == "ready"


def test_an_image_that_was_brought_back_and_is_deleted_by_the_undo_can_be_brought_back_again(
    alice: User, keeping: Datastore
) -> None:
    deleted(alice, keeping)
    job = done("image.restore", alice, {"deleted": DeletedImage.objects.get().pk})
    KINDS[job.kind].undone(Job.objects.get(pk=job.pk))
    assert DeletedImage.objects.get().name == "gold" and not Image.objects.exists()


def test_nothing_comes_back_whose_time_is_over_or_that_is_not_ones_own(
    alice: User, bob: User, keeping: Datastore
) -> None:
    deleted(alice, keeping)
    kept = DeletedImage.objects.get()
    with pytest.raises(Refused, match="Nothing is left"):
        submit("image.restore", user=bob, params={"deleted": kept.pk})
    with pytest.raises(BadInput, match="an image gold"):
        an_image(alice, "gold", datastore=keeping)
        submit("image.restore", user=alice, params={"deleted": kept.pk})
    Image.objects.all().delete()
    DeletedImage.objects.update(until=timezone.now())
    with pytest.raises(Refused, match="Nothing is left"):
        submit("image.restore", user=alice, params={"deleted": kept.pk})


def test_where_an_image_goes_at_once_nothing_is_remembered(alice: User, pool: Datastore) -> None:
    deleted(alice, a_datastore(kind="xfs"))
    deleted(alice, a_datastore(kind="ceph", secret=KEY, options={"trash_days": 0}))
    assert not DeletedImage.objects.exists()


def test_the_page_offers_what_is_ones_own(alice: User, bob: User, keeping: Datastore) -> None:
    deleted(alice, keeping)
    assert "Bring back gold" in signed_in(alice).get("/images/deleted/").content.decode()
    assert "Nothing to bring back" in signed_in(bob).get("/images/deleted/").content.decode()
