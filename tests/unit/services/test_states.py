"""What failed, or was never made, is not offered for use because something else was tried with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.domain.states import ObjectState
from datastores.jobs import control
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Disk, Host, Image, Job, User, VirtualMachine
from datastores.services import vms
from datastores.services.vms import create_vm, delete_vm
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import done, ended

pytestmark = pytest.mark.django_db
READY, ERROR = ObjectState.READY, ObjectState.ERROR


@pytest.mark.parametrize("kind", ["image.checksum", "image.resize", "snapshot.create", "image.move"])
def test_an_image_that_failed_can_only_be_deleted(alice: User, kind: str) -> None:
    image = an_image(alice, state=ERROR)
    params = {"size": 30 * GIB, "name": "s"}
    with pytest.raises(Refused, match="is error"):
        submit(kind, user=alice, params=params, image=image, datastore=a_datastore(hosts=[a_host()]))
    assert Image.objects.get().state == ERROR


@pytest.mark.parametrize("state", [READY, ERROR])
@pytest.mark.parametrize(("how", "error"), [("failed", "it broke"), ("cancelled", "before")])
def test_an_image_that_was_not_deleted_is_what_it_was(alice: User, state: str, how: str, error: str) -> None:
    image = an_image(alice, state=state, error="before")
    job = submit("image.delete", user=alice, image=image)
    assert Image.objects.get().state == ObjectState.DELETING
    ended(job, how)
    image.refresh_from_db()
    assert (image.state, image.error) == (state, error)


@pytest.mark.parametrize("state", [READY, ERROR])
@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_disk_that_was_not_deleted_is_what_it_was(alice: User, state: str, how: str) -> None:
    disk = a_disk(an_image(alice), state=state)
    ended(submit("disk.delete", user=alice, disk=disk), how)
    disk.refresh_from_db()
    assert disk.state == state


def test_a_disk_that_was_never_made_is_not_moved(alice: User) -> None:
    host = a_host()
    disk = a_disk(an_image(alice, datastore=a_datastore(hosts=[host])), state=ERROR)
    with pytest.raises(Refused, match="is error"):
        submit("disk.move", user=alice, disk=disk, datastore=a_datastore(hosts=[host]))


def test_a_checksum_leaves_the_state_alone(alice: User) -> None:
    image = an_image(alice)
    job = submit("image.checksum", user=alice, image=image)
    assert Image.objects.get().state == READY
    Image.objects.update(state=ERROR)
    ended(job, "failed")
    assert Image.objects.get().state == ERROR


def test_a_deletion_that_is_tried_again_comes_back_to_the_state_of_that_time(alice: User) -> None:
    image = an_image(alice, state=ERROR)
    job = ended(submit("image.delete", user=alice, image=image), "failed")
    Image.objects.update(state=READY)  # it was registered again meanwhile
    control.retry(job, alice)
    ended(job, "failed")
    assert Image.objects.get().state == READY


def test_what_was_asked_for_is_checked_again_when_it_is_tried_again(alice: User) -> None:
    image = an_image(alice)
    resize = ended(submit("image.resize", user=alice, params={"size": 30 * GIB}, image=image), "failed")
    disk = a_disk(image, a_vm(alice, "web"), kind=Disk.Kind.LINK)
    with pytest.raises(Refused, match="cannot be resized, it is needed by: VM web"):
        control.retry(resize, alice)
    removal = ended(submit("disk.delete", user=alice, disk=disk), "failed")
    VirtualMachine.objects.update(state=VirtualMachine.State.RUNNING)
    with pytest.raises(Refused, match="web is running"):
        control.retry(removal, alice)


@pytest.mark.parametrize("kind", ["image.create", "image.clone", "disk.save", "disk.create"])
def test_what_could_not_be_made_waits_for_the_end_of_the_maintenance(alice: User, kind: str) -> None:
    datastore = a_datastore()
    image = an_image(alice, datastore=datastore)
    about = {
        "image.create": {"datastore": datastore},
        "image.clone": {},
        "disk.save": {"disk": a_disk(image)},
        "disk.create": {"image": image, "vm": a_vm(alice)},
    }[kind]
    params = {"name": "new", "size": GIB, "format": "raw", "source": image.pk}
    job = ended(submit(kind, user=alice, params=params, **about), "failed")
    Host.objects.update(maintenance=True)
    with pytest.raises(Refused, match="is in maintenance"):
        control.retry(job, alice)
    job.refresh_from_db()
    assert (job.state, (job.disk if kind == "disk.create" else job.image).state) == ("failed", ERROR)
    Host.objects.update(maintenance=False)
    control.retry(job, alice)


def test_a_moved_image_is_ready_in_its_new_place(alice: User) -> None:
    host = a_host()
    image = an_image(alice, datastore=a_datastore(hosts=[host]))
    target = a_datastore(hosts=[host])
    done("image.move", alice, image=image, datastore=target)
    image.refresh_from_db()
    assert (image.state, image.datastore) == (READY, target)


def test_an_image_is_not_moved_away_from_its_snapshots(alice: User) -> None:
    host = a_host()
    image = an_image(alice, "gold", datastore=a_datastore(hosts=[host]))
    image.snapshots.create(name="before", state=READY)
    with pytest.raises(Refused, match=r"gold cannot be moved with its snapshots \(before\)\. Delete them first"):
        submit("image.move", user=alice, image=image, datastore=a_datastore(hosts=[host]))


def test_a_machine_that_got_a_disk_meanwhile_is_not_forgotten(alice: User) -> None:
    vm = a_vm(alice, "web")
    a_disk(an_image(alice), vm)
    with pytest.raises(Refused, match=r"web still has 1 disk\. "):
        delete_vm(vm, alice)


def test_a_name_that_another_machine_got_meanwhile(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = vms.in_turn

    @contextlib.contextmanager
    def after_somebody_else() -> Iterator[None]:
        with turn():
            a_vm(alice, "web")
            yield

    monkeypatch.setattr(vms, "in_turn", after_somebody_else)
    with pytest.raises(BadInput, match="is a virtual machine web already"):
        create_vm("web", alice)


@pytest.mark.parametrize(
    ("params", "busy", "is_left"),
    [({"with_vm": True}, {}, False), ({}, {}, True), ({"with_vm": True}, {"state": "running"}, True)],
    ids=["made with it", "there before", "started meanwhile"],
)
def test_a_machine_that_was_made_for_a_disk_goes_with_it(
    alice: User, params: dict[str, Any], busy: dict[str, str], is_left: bool
) -> None:
    job = submit("disk.create", user=alice, params=params, image=an_image(alice), vm=create_vm("web", alice))
    VirtualMachine.objects.update(**busy)
    ended(job, "cancelled")
    assert VirtualMachine.objects.exists() is is_left


def test_that_it_went_is_not_said_of_somebody_who_did_not_do_it(alice: User) -> None:
    vm = create_vm("web", alice)
    job = submit("disk.create", user=alice, params={"with_vm": True}, image=an_image(alice), vm=vm, address="10.9.9.9")
    ended(job, "undone")
    entry = AuditEntry.objects.get(action="vm.delete")
    assert (entry.actor_name, entry.address, entry.job_uuid) == ("cloudstore", "", job.uuid)


def test_a_machine_with_another_disk_stays(alice: User) -> None:
    vm = create_vm("web", alice)
    job = submit("disk.create", user=alice, params={"with_vm": True}, image=an_image(alice), vm=vm)
    a_disk(an_image(alice), vm)
    ended(job, "cancelled")
    assert VirtualMachine.objects.exists()


# What cannot come back


def broken_off(job: Job, *, lossy: bool) -> None:
    KINDS[job.kind].broken_off(Job.objects.get(pk=job.pk), "it broke", lossy=lossy)


@pytest.mark.parametrize(("lossy", "state"), [(True, "error"), (False, "ready")])
def test_an_image_or_disk_of_which_something_was_destroyed_can_only_be_deleted(
    alice: User, lossy: bool, state: str
) -> None:
    image = an_image(alice)
    broken_off(submit("image.delete", user=alice, image=image), lossy=lossy)
    disk = a_disk(an_image(alice, "other"), a_vm(alice))
    broken_off(submit("disk.delete", user=alice, disk=disk), lossy=lossy)
    for row in (Image.objects.get(pk=image.pk), Disk.objects.get()):
        assert (row.state, row.error) == (state, "it broke")


@pytest.mark.parametrize("lossy", [True, False])
def test_what_was_copied_whole_is_in_its_new_place_also_when_the_old_one_could_not_be_removed(
    alice: User, lossy: bool
) -> None:
    host = a_host()
    here, target = a_datastore("here", hosts=[host]), a_datastore("there", hosts=[host])
    image = an_image(alice, datastore=here)
    broken_off(submit("image.move", user=alice, image=image, datastore=target), lossy=lossy)
    disk = a_disk(an_image(alice, "other", datastore=here), a_vm(alice))
    broken_off(submit("disk.move", user=alice, disk=disk, datastore=target), lossy=lossy)
    for row in (Image.objects.get(pk=image.pk), Disk.objects.get()):
        assert (row.datastore, row.state, row.error) == (target, "ready", "it broke")
