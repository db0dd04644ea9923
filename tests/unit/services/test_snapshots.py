"""What is known of an image after a snapshot of it was taken, deleted, or gone back to."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.states import ObjectState
from datastores.hosts.overlays import OverlayTemplateKept
from datastores.hosts.qemu_img import ImageInfo
from datastores.hosts.reflinks import RevertFacts
from datastores.hosts.snapshots import SnapshotFacts
from datastores.hosts.stages import steps_of
from datastores.jobs import control
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Image, Job, User
from datastores.services.snapshots import lost_by_revert, lost_snapshots
from tests.unit.conftest import GIB, a_datastore, an_image
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
SHA = "f" * 64
INSIDE = {"qcow2": "", "shared": "", "xfs": SHA, "btrfs": SHA}
"""What is known of the bytes after a snapshot, by kind: some keep it in the image's own file."""


def an_image_in(kind: str, user: User, **fields: Any) -> Image:
    return an_image(user, datastore=a_datastore(kind=kind), format="qcow2", sha256=SHA, **fields)


def reverted(user: User, image: Image, size: int) -> Image:
    """Return the image after a job that found it so large when it was done."""
    snapshot = image.snapshots.create(name="before", state=ObjectState.READY)
    job = submit("snapshot.revert", user=user, image=image, snapshot=snapshot)
    first, *others = steps_of(KINDS[job.kind].plan(Job.objects.get(pk=job.pk)))
    facts = RevertFacts({}, size) if INSIDE[image.datastore.kind] else SnapshotFacts({}, ImageInfo("qcow2", size))
    ended(job, result=[(first, facts), *((step, None) for step in others)])
    image.refresh_from_db()
    return image


@pytest.mark.parametrize("kind", INSIDE)
def test_an_image_is_as_large_as_its_snapshot_was(alice: User, kind: str) -> None:
    image = reverted(alice, an_image_in(kind, alice, virtual_size=2 * GIB), GIB)
    assert (image.virtual_size, image.sha256, image.state) == (GIB, "", ObjectState.READY)


def test_clones_are_made_with_an_overlay_of_the_size_that_the_image_has_again(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2")
    snapshot = image.snapshots.create(name="before", state=ObjectState.READY)
    job = submit("snapshot.revert", user=alice, image=image, snapshot=snapshot)
    revert, template = KINDS[job.kind].plan(Job.objects.get(pk=job.pk))
    assert revert.title == "revert"
    assert [type(step) for step in template.steps] == [OverlayTemplateKept]


@pytest.mark.parametrize(("kind", "left"), [("zfs", ["oldest", "before"]), ("xfs", ["oldest", "before", "younger"])])
def test_snapshots_that_a_way_back_destroys_are_named_before_and_gone_after(
    alice: User, kind: str, left: list[str]
) -> None:
    image = an_image_in(kind, alice, virtual_size=GIB)
    _, before, _ = (image.snapshots.create(name=name, state="ready") for name in ("oldest", "before", "younger"))
    words = lost_by_revert(before, image.snapshots.all())
    assert ("taken after it: younger." in words) == (kind == "zfs")
    job = submit("snapshot.revert", user=alice, image=image, snapshot=before)
    first, *others = steps_of(KINDS[job.kind].plan(Job.objects.get(pk=job.pk)))
    ended(job, result=[(first, RevertFacts({}, GIB)), *((step, None) for step in others)])
    assert list(image.snapshots.values_list("name", flat=True)) == left


def test_snapshots_in_zfs_are_lost_also_where_it_is_served_by_iscsi(alice: User) -> None:
    for options, lost in (({"backing": "zfs", "dataset": "tank/luns"}, ["younger"]), ({"backing": "xfs"}, [])):
        image = an_image(alice, datastore=a_datastore(kind="iscsi", options=options))
        before, _ = (image.snapshots.create(name=name, state=ObjectState.READY) for name in ("before", "younger"))
        assert [each.name for each in lost_snapshots(before, image.snapshots.all())] == lost


@pytest.mark.parametrize(("lossy", "left"), [(True, ["before"]), (False, ["before", "after", "last"])])
def test_snapshots_that_were_destroyed_on_the_way_are_forgotten_though_it_went_no_further(
    alice: User, lossy: bool, left: list[str]
) -> None:
    image = an_image(alice, datastore=a_datastore(kind="zfs", base="/tank/one"))
    before, *_ = [image.snapshots.create(name=name, state=ObjectState.READY) for name in ("before", "after", "last")]
    job = submit("snapshot.revert", user=alice, image=image, snapshot=before)
    KINDS[job.kind].broken_off(Job.objects.get(pk=job.pk), "dataset is busy", lossy=lossy)
    image.refresh_from_db()
    assert list(image.snapshots.order_by("pk").values_list("name", flat=True)) == left
    assert (image.state, image.error) == (ObjectState.READY, "dataset is busy")


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_nothing_is_known_of_an_image_that_may_have_been_reverted(alice: User, how: str) -> None:
    image = an_image_in("xfs", alice)
    snapshot = image.snapshots.create(name="before", state=ObjectState.READY)
    ended(submit("snapshot.revert", user=alice, image=image, snapshot=snapshot), how)
    image.refresh_from_db()
    assert (image.sha256, image.state) == ("", ObjectState.READY)


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize(("kind", "sha256"), INSIDE.items())
def test_a_snapshot_inside_the_file_changes_its_bytes(alice: User, kind: str, sha256: str, how: str) -> None:
    image = an_image_in(kind, alice)
    ended(submit("snapshot.create", user=alice, params={"name": "s"}, image=image), how)
    assert Image.objects.get().sha256 == sha256
    Image.objects.update(sha256=SHA)
    snapshot = image.snapshots.first() or image.snapshots.create(name="s", state=ObjectState.READY)
    ended(submit("snapshot.delete", user=alice, image=Image.objects.get(), snapshot=snapshot), how)
    assert Image.objects.get().sha256 == sha256


def test_a_snapshot_that_is_taken_back_changes_the_bytes_again(alice: User) -> None:
    image = an_image_in("qcow2", alice)
    job = done("snapshot.create", alice, {"name": "s"}, image=image)
    Image.objects.update(sha256=SHA)
    control.undo(job, alice)
    ended(job, "undone")
    assert Image.objects.get().sha256 == ""
