"""An image that clones need is deleted: one of them takes its place, and the rows say so."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput, Busy, Refused, Unsupported
from datastores.hosts.stages import steps_of
from datastores.hosts.tgt_targets import TargetGone
from datastores.hosts.zfs_promotion import ClonePromoted, MasterGone
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Image, Job, User
from datastores.services.promotions import heirs_of
from tests.unit.conftest import a_datastore, a_disk, an_image, signed_in, text_of
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db


@pytest.fixture
def tank(db: None) -> Datastore:
    return a_datastore(kind="zfs", options={"dataset": "tank/cloud"})


@pytest.fixture
def master(alice: User, tank: Datastore) -> Image:
    return an_image(alice, "debian", datastore=tank)


def overlay(owner: User, of: Image, name: str) -> Image:
    return an_image(owner, name, datastore=of.datastore, parent=of)


def promote(user: User, image: Image, heir: str) -> Job:
    return submit("image.promote", user=user, image=image, params={"heir": heir})


def test_an_image_takes_the_place_of_the_one_it_was_cloned_from(alice: User, master: Image) -> None:
    heir, other = overlay(alice, master, "web"), overlay(alice, master, "db")
    clone, copy = a_disk(master), a_disk(master, kind=Disk.Kind.COPY)
    assert heirs_of(master, alice) == {f"image:{other.pk}": "image db", f"image:{heir.pk}": "image web"}
    job = promote(alice, master, f"image:{heir.pk}")
    pair = f"tank/cloud/images/{master.uuid}", f"tank/cloud/images/{heir.uuid}"
    host = master.datastore.members.get().host.name
    assert steps_of(KINDS[job.kind].plan(job)) == [ClonePromoted(host, *pair), MasterGone(host, *pair)]
    assert job.title == "Let web take the place of debian"
    with pytest.raises(Busy):
        submit("image.delete", user=alice, image=heir)
    ended(job)
    assert not Image.objects.filter(pk=master.pk).exists()
    for row in (heir, other, clone, copy):
        row.refresh_from_db()
    assert (heir.parent, other.parent, clone.image, copy.image) == (None, heir, heir, None)
    with pytest.raises(Refused, match="is needed by"):
        submit("image.delete", user=alice, image=heir)


def test_what_lies_in_zfs_is_a_clone_also_where_it_is_served_by_iscsi(alice: User) -> None:
    for backing, heirs in (("zfs", 1), ("xfs", 0)):
        options = {"backing": "zfs", "dataset": "tank/luns"} if backing == "zfs" else {"backing": backing}
        image = an_image(alice, datastore=a_datastore(kind="iscsi", options=options))
        disk = a_disk(image)
        assert list(heirs_of(image, alice)) == [f"disk:{disk.pk}"] * heirs
        if heirs:
            with pytest.raises(Refused, match="is needed by"):
                submit("image.delete", user=alice, image=image)
            kinds = [
                type(step) for step in steps_of(KINDS["image.promote"].plan(promote(alice, image, f"disk:{disk.pk}")))
            ]
            assert kinds == [TargetGone, ClonePromoted, MasterGone]


def test_a_clone_of_a_clone_is_one_of_the_first_then(alice: User, master: Image) -> None:
    middle = overlay(alice, master, "middle")
    heir = overlay(alice, middle, "heir")
    ended(promote(alice, middle, f"image:{heir.pk}"))
    heir.refresh_from_db()
    assert heir.parent == master


def test_a_disk_takes_its_place_when_nothing_else_needs_the_image(alice: User, master: Image) -> None:
    disk = a_disk(master)
    second = a_disk(master)
    assert heirs_of(master, alice) == {}
    with pytest.raises(BadInput, match="cannot take the place of debian"):
        promote(alice, master, f"disk:{disk.pk}")
    second.delete()
    ended(promote(alice, master, f"disk:{disk.pk}"))
    disk.refresh_from_db()
    assert (disk.kind, disk.image) == (Disk.Kind.COPY, None)


def test_the_disk_of_a_clone_of_an_image_is_a_disk_of_that_image_then(alice: User, master: Image) -> None:
    middle = overlay(alice, master, "middle")
    disk = a_disk(middle)
    ended(promote(alice, middle, f"disk:{disk.pk}"))
    disk.refresh_from_db()
    assert (disk.kind, disk.image) == (Disk.Kind.CLONE, master)


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_nothing_has_changed_when_it_was_not_done(alice: User, master: Image, how: str) -> None:
    heir = overlay(alice, master, "web")
    ended(promote(alice, master, f"image:{heir.pk}"), how)
    heir.refresh_from_db(), master.refresh_from_db()
    assert (heir.parent, master.state, heir.state) == (master, "ready", "ready")


def test_what_others_own_is_not_offered_and_not_taken(alice: User, bob: User, master: Image) -> None:
    theirs = overlay(bob, master, "theirs")
    assert heirs_of(master, alice) == {}
    with pytest.raises(BadInput):
        promote(alice, master, f"image:{theirs.pk}")


def test_what_cannot_take_its_place(alice: User, master: Image) -> None:
    heir = overlay(alice, master, "web")
    for wrong in ("image:999", "vm:1", "", "image:x"):
        with pytest.raises(BadInput):
            promote(alice, master, wrong)
    Image.objects.filter(pk=heir.pk).update(state="changing")
    with pytest.raises(Refused, match="web is changing"):
        promote(alice, master, f"image:{heir.pk}")
    files = an_image(alice, datastore=a_datastore(kind="qcow2"))
    with pytest.raises(Unsupported, match="cannot replace their image"):
        promote(alice, files, f"image:{overlay(alice, files, 'on files').pk}")


def test_a_clone_that_is_gone_meanwhile_takes_no_place(alice: User, master: Image) -> None:
    heir = overlay(alice, master, "web")
    job = promote(alice, master, f"image:{heir.pk}")
    heir.delete()
    with pytest.raises(Refused, match="no clone of it any more"):
        KINDS[job.kind].check_still(job)


def test_it_is_offered_where_the_image_cannot_be_deleted(alice: User, master: Image) -> None:
    browser, address = signed_in(alice), f"/images/{master.pk}/"
    assert "let a clone take its place" not in text_of(browser.get(address))
    heir = overlay(alice, master, "web")
    assert "One of them may take its place" in text_of(browser.get(address))
    sent = {"heir": f"image:{heir.pk}"}
    assert "Are you sure?" in text_of(browser.post(f"{address}promote/", sent))
    browser.post(f"{address}promote/", sent | {"confirm_name": "debian"})
    assert Job.objects.get().params["heir"] == f"image:{heir.pk}"
