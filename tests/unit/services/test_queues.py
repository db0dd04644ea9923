"""What copies bytes waits in the queue of copies; what is made at once does not wait behind it."""

from __future__ import annotations

import pytest

from datastores.jobs import submit as submit_module
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import hand_over, submit
from datastores.models import Disk, User
from tests.unit.conftest import GIB, a_datastore, a_vm, an_image

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("kind", "name"), [("xfs", "interactive"), ("qcow2", "interactive"), ("shared", "transfer")])
def test_clones(alice: User, kind: str, name: str) -> None:
    image = an_image(alice, datastore=a_datastore(kind=kind))
    disk = submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    clone = submit("image.clone", user=alice, params={"name": "clone", "source": image.pk})
    assert [KINDS[job.kind].queue_of(job) for job in (disk, clone)] == [name, name]


def test_a_link_to_an_image_that_could_only_be_copied(alice: User) -> None:
    image = an_image(alice, datastore=a_datastore(kind="shared"), persistent=True)
    job = submit("disk.create", user=alice, image=image, vm=a_vm(alice))
    assert job.disk.kind == Disk.Kind.LINK
    assert KINDS[job.kind].queue_of(job) == "interactive"


@pytest.mark.parametrize(("filesystem", "name"), [("", "interactive"), ("ext4", "transfer")])
def test_data_blocks(alice: User, filesystem: str, name: str) -> None:
    params = {"name": "block", "size": GIB, "filesystem": filesystem}
    job = submit("image.create", user=alice, params=params, datastore=a_datastore())
    assert KINDS[job.kind].queue_of(job) == name


def test_a_job_is_handed_to_the_queue_of_its_work(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    class Queue:
        def __init__(self, name: str) -> None:
            names.append(name)

        def enqueue(self, *arguments: object, **options: object) -> None:
            pass

    monkeypatch.setattr(submit_module, "queue", Queue)
    image = an_image(alice, datastore=a_datastore(kind="shared"))
    hand_over([submit("disk.create", user=alice, image=image, vm=a_vm(alice))])
    assert names == ["transfer"]
