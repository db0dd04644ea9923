"""How much a datastore may take, and what is kept for it and for its disks: asked for, done, taken back."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.errors import BadInput, Busy, Refused
from datastores.hosts.stages import steps_of
from datastores.hosts.zfs_clones import CloneExists
from datastores.hosts.zfs_limits import DatasetLimited, RoomReserved
from datastores.hosts.zfs_volumes import VolumeDatasetExists
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Job, User
from datastores.services.limits import limits_in_words, limits_of
from datastores.services.promises import promised
from tests.unit.conftest import GIB, a_datastore, a_disk, a_vm, an_image, signed_in, text_of
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
ROOM = GIB + 2 * 128 * (GIB >> 16) + (GIB >> 12) + (1 << 20)
"""What a disk of a GiB may come to take in records of 64 KiB."""


@pytest.fixture
def tank(db: None) -> Datastore:
    return a_datastore(kind="zfs", options={"dataset": "tank/cloud", "quota": "2T", "account": "one"})


def step_of(job: Job) -> Any:
    (step,) = steps_of(KINDS[job.kind].plan(Job.objects.get(pk=job.pk)))
    return step


def limited(admin: User, tank: Datastore, **options: Any) -> Job:
    return submit("datastore.limit", user=admin, datastore=tank, params={"options": options})


def test_a_quota_is_changed_and_changed_back_and_other_options_stay(admin: User, tank: Datastore) -> None:
    job = limited(admin, tank, quota="3T", reservation="1T", reserve=True)
    step = step_of(job)
    assert step == DatasetLimited(step.host, "tank/cloud", 3 << 40, 1 << 40)
    facts = {"used": GIB, "available": 2 * GIB, "quota": 3 << 40, "reservation": 1 << 40}
    job = ended(job, result=[(step, facts)])
    tank.refresh_from_db()
    assert tank.options == {
        "dataset": "tank/cloud", "quota": "3T", "account": "one", "reservation": "1T", "reserve": True,
    }  # fmt: skip
    assert (tank.total, tank.used, tank.free) == (3 * GIB, GIB, 2 * GIB)
    KINDS[job.kind].check_undo(job)
    KINDS[job.kind].undone(job)
    tank.refresh_from_db()
    assert tank.options == {"dataset": "tank/cloud", "quota": "2T", "account": "one"}


def test_iscsi_has_the_limits_of_what_keeps_its_bytes(admin: User) -> None:
    tank = a_datastore(kind="iscsi", options={"backing": "zfs", "dataset": "tank/luns", "quota": "2T"})
    assert limits_in_words(tank) == ["Quota 2T"]
    step = step_of(limited(admin, tank, quota="3T"))
    assert step == DatasetLimited(step.host, "tank/luns", 3 << 40, 0)
    plain = a_datastore(kind="iscsi")
    assert limits_of(plain) == {}
    with pytest.raises(BadInput, match="have no limits"):
        limited(admin, plain, quota="3T")
    page = signed_in(admin).get(f"/datastores/{tank.pk}/limits/")
    assert {"quota", "reservation", "reserve"} == set(page.context["form"].fields)
    can = [set(signed_in(admin).get(f"/datastores/{each.pk}/").context["can"]) for each in (tank, plain)]
    assert can[0] - can[1] == {"promote", "reserve"} and "attach" in can[1]


def test_what_is_asked_for_is_checked(admin: User, tank: Datastore) -> None:
    for options, words in (
        ({"quota": "much"}, "size"),
        ({"quota": "1G", "reservation": "2G"}, "more than it may take"),
        ({"quota": "2T"}, "These are its limits already"),
        ({"dataset": "tank/other"}, "no limits of their own"),
    ):
        with pytest.raises(BadInput, match=words):
            limited(admin, tank, **options)
    with pytest.raises(BadInput, match="no limits of their own"):
        limited(admin, a_datastore(kind="xfs"), quota="1T")


def test_one_changes_them_at_a_time_and_an_older_change_is_not_taken_back(admin: User, tank: Datastore) -> None:
    first = limited(admin, tank, quota="3T")
    with pytest.raises(Busy):
        limited(admin, tank, quota="4T")
    first = ended(first)
    ended(limited(admin, Datastore.objects.get(), quota="4T"))
    with pytest.raises(Refused, match="changed by another job"):
        KINDS[first.kind].check_undo(Job.objects.get(pk=first.pk))
    with pytest.raises(Refused, match="changed by another job"):
        KINDS[first.kind].check_still(Job.objects.get(pk=first.pk))


def test_new_disks_of_a_datastore_that_reserves_are_kept_room_for_and_promise_nothing(
    alice: User, tank: Datastore
) -> None:
    image = an_image(alice, datastore=tank, virtual_size=GIB, real_size=GIB)
    thin = submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    assert (thin.disk.reserved, step_of(thin).reserved) == (0, 0)
    assert promised(tank.pk) == {tank.pk: GIB}
    Datastore.objects.update(options=tank.options | {"reserve": True})
    image.refresh_from_db()
    job = submit("disk.create", user=alice, image=type(image).objects.get(), vm=a_vm(alice))
    step = step_of(job)
    assert isinstance(step, CloneExists)
    assert job.disk.reserved == step.reserved == ROOM
    assert promised(tank.pk) == {tank.pk: GIB}
    empty = submit("disk.block", user=alice, vm=a_vm(alice), datastore=Datastore.objects.get(), params={"size": GIB})
    (made,) = [step for step in steps_of(KINDS["disk.block"].plan(empty)) if isinstance(step, VolumeDatasetExists)]
    assert made.reserved == ROOM


def test_a_disk_is_kept_room_for_while_its_machine_runs_and_made_thin_again(admin: User, tank: Datastore) -> None:
    image = an_image(admin, datastore=tank, virtual_size=GIB)
    disk = a_disk(image, a_vm(admin, state="running"))
    browser, address = signed_in(admin), f"/disks/{disk.pk}/"
    assert "Keep all its room" in text_of(browser.get(address))
    browser.post(f"{address}reserve/", {"on": "1"})
    job = Job.objects.get(kind="disk.reserve")
    assert step_of(job) == RoomReserved(step_of(job).host, f"tank/cloud/var/{disk.vm_id}.{disk.number}", ROOM)
    job = ended(job)
    disk.refresh_from_db()
    assert (disk.reserved, disk.state) == (ROOM, "ready")
    assert "Keep none" in text_of(browser.get(address))
    with pytest.raises(BadInput, match="is so already"):
        submit("disk.reserve", user=admin, disk=disk, params={"on": True})
    KINDS[job.kind].check_undo(job)
    off = submit("disk.reserve", user=admin, disk=disk, params={"on": False})
    assert (step_of(off).size, off.title) == (0, f"Let {disk} take room as it is written to")
    ended(off)
    with pytest.raises(Refused, match="changed since"):
        KINDS[job.kind].check_undo(Job.objects.get(pk=job.pk))


def test_a_change_that_is_taken_back_leaves_the_disk_as_it_was(admin: User, tank: Datastore) -> None:
    disk = a_disk(an_image(admin, datastore=tank, virtual_size=GIB))
    job = ended(submit("disk.reserve", user=admin, disk=disk, params={"on": True}))
    KINDS[job.kind].undone(job)
    disk.refresh_from_db()
    assert (disk.reserved, disk.state) == (0, "ready")


def test_more_is_kept_for_a_disk_that_grows(admin: User, tank: Datastore) -> None:
    disk = a_disk(an_image(admin, datastore=tank, virtual_size=GIB), reserved=ROOM)
    job = submit("disk.resize", user=admin, disk=disk, params={"size": 2 * GIB})
    first, _ = steps_of(KINDS[job.kind].plan(job))
    assert isinstance(first, RoomReserved) and first.size > 2 * GIB
    ended(job)
    disk.refresh_from_db()
    assert disk.reserved == first.size


@pytest.mark.parametrize(("kind", "how"), [("xfs", Disk.Kind.CLONE), ("zfs", Disk.Kind.LINK)])
def test_no_room_is_kept_for_files_and_links(admin: User, kind: str, how: str) -> None:
    disk = a_disk(an_image(admin, datastore=a_datastore(kind=kind), persistent=True), kind=how)
    with pytest.raises(Refused, match="no room can be kept"):
        submit("disk.reserve", user=admin, disk=disk, params={"on": True})
    assert "Keep all its room" not in text_of(signed_in(admin).get(f"/disks/{disk.pk}/"))


def test_a_disk_that_moves_away_keeps_nothing(admin: User, tank: Datastore) -> None:
    xfs = a_datastore(kind="xfs", hosts=[tank.members.get().host])
    disk = a_disk(an_image(admin, datastore=tank, virtual_size=GIB), kind=Disk.Kind.COPY, reserved=ROOM)
    done("disk.move", admin, disk=disk, datastore=xfs)
    disk.refresh_from_db()
    assert (disk.datastore, disk.reserved) == (xfs, 0)


def test_limits_are_on_the_page_and_changed_from_there(admin: User, tank: Datastore) -> None:
    browser, address = signed_in(admin), f"/datastores/{tank.pk}/limits/"
    Datastore.objects.update(total=4 * GIB, used=GIB, free=3 * GIB)
    assert "Quota 2T" in text_of(browser.get(f"/datastores/{tank.pk}/"))
    assert 'value="2T"' in text_of(browser.get(address))
    browser.post(address, {"quota": "", "reservation": "1T", "reserve": "on"})
    job = Job.objects.get(kind="datastore.limit")
    assert job.params["options"] == {"quota": "", "reservation": "1T", "reserve": True}
    assert job.params["before"] == {"quota": "2T", "reservation": "", "reserve": False}
    other = a_datastore(kind="xfs")
    assert browser.get(f"/datastores/{other.pk}/limits/").status_code == 302
    assert "Limits</a>" not in text_of(browser.get(f"/datastores/{other.pk}/"))


def test_the_page_tells_what_is_taken(admin: User, tank: Datastore) -> None:
    address = f"/datastores/{tank.pk}/limits/"
    assert "not measured yet" in text_of(signed_in(admin).get(address))
    now = timezone.now()
    Datastore.objects.update(total=2 << 40, used=512 * GIB, free=1536 * GIB, measured_at=now)
    a_disk(an_image(admin, datastore=tank), reserved=ROOM)
    page = text_of(signed_in(admin).get(address))
    assert "512 GiB of 2 TiB" in page and "1.50 TiB free" in page and "1.01 GiB are kept free for disks" in page
    assert "such as 2 TiB" in page
