"""Use cases speak of volumes: where they are and what is kept beside them, the kind of datastore says alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.db import models

from datastores.domain.states import ObjectState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import Steps
from datastores.drivers.registry import DRIVERS
from datastores.drivers.xfs import XfsDriver
from datastores.hosts.disks import DiskAbsent
from datastores.hosts.inspection import ImageIsSafe
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.sources import SourceAllowed
from datastores.hosts.stages import steps_of
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Image, Job, Snapshot, User
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.flags import FlagSet
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, slots=True)
class PoolDriver(XfsDriver):
    """A kind that names everything in another way, and does with its images what no file needs."""

    kind: ClassVar[str] = "pool"

    def image_path(self, uuid: UUID | str, format: Format) -> str:
        return f"{self.base}/images/{uuid}"

    def disk_path(self, vm: int, number: int) -> str:
        return f"{self.base}/vms/vm-{vm}-{number}"

    def import_file(self, source: str, volume: Volume) -> Steps:
        return (FlagSet(self.host, f"import {source} to {volume.path}"),)

    def checksum(self, volume: Volume) -> Steps:
        return FlagSet(self.host, "prepare"), FlagSet(self.host, f"checksum of {volume.path}")

    def delete_image(self, volume: Volume, snapshots: Sequence[str] = ()) -> Steps:
        return (FlagSet(self.host, f"delete {volume.path} with {', '.join(snapshots)}"),)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, db: None) -> Datastore:
    monkeypatch.setitem(DRIVERS, PoolDriver.kind, PoolDriver)
    return a_datastore("pool", hosts=[a_host("h1")], kind="pool", base="/srv/pool")


def planned(kind: str, user: User, params: dict[str, Any] | None = None, **targets: models.Model) -> list[Any]:
    """Return the steps of a job as the worker would plan them."""
    job = submit(kind, user=user, params=params, **targets)
    return list(steps_of(KINDS[kind].plan(Job.objects.get(pk=job.pk))))


def test_a_registered_file_is_inspected_imported_and_inspected_again(alice: User, pool: Datastore) -> None:
    steps = planned("image.register", alice, {"name": "a", "source": "/var/tmp/a.raw"}, datastore=pool)
    path = f"/srv/pool/images/{Image.objects.get().uuid}"
    allowed, source, imported, copy = steps
    assert isinstance(allowed, SourceAllowed)
    assert source == ImageIsSafe("h1", "/var/tmp/a.raw", "raw")
    assert imported == FlagSet("h1", f"import /var/tmp/a.raw to {path}")
    assert copy == ImageIsSafe("h1", path, "raw")


def test_the_checksum_is_what_the_last_step_of_the_kind_says(alice: User, pool: Datastore) -> None:
    image = an_image(alice, datastore=pool)
    job = submit("image.checksum", user=alice, image=image)
    prepare, compute = steps_of(KINDS[job.kind].plan(job))
    assert compute == FlagSet("h1", f"checksum of /srv/pool/images/{image.uuid}")
    ended(job, result=[(prepare, ""), (compute, "ab" * 32)])
    image.refresh_from_db()
    assert image.sha256 == "ab" * 32


def test_an_image_is_deleted_with_its_snapshots(alice: User, pool: Datastore) -> None:
    image = an_image(alice, datastore=pool)
    for name in ("one", "two"):
        Snapshot.objects.create(image=image, name=name, state=ObjectState.READY)
    wanted = FlagSet("h1", f"delete /srv/pool/images/{image.uuid} with one, two")
    assert planned("image.delete", alice, image=image) == [wanted]


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_no_file_of_a_deleted_image_is_left_on_the_host(alice: User, kind: str) -> None:
    image = an_image(alice, datastore=a_datastore(kind=kind, hosts=[a_host("h1")], base="/srv/ds"))
    Snapshot.objects.create(image=image, name="before update", state=ObjectState.READY)
    path = f"/srv/ds/{image.uuid}.raw"
    assert planned("image.delete", alice, image=image) == [
        DiskAbsent("h1", f"{path}.snap/before update", "/srv/ds"),
        DiskAbsent("h1", f"{path}.sha256", "/srv/ds"),
        DiskAbsent("h1", path, "/srv/ds"),
    ]


def test_a_moved_image_leaves_nothing_in_the_old_place(alice: User, pool: Datastore) -> None:
    image = an_image(alice, datastore=pool)
    target = a_datastore(hosts=[pool.hosts.get()])
    *_, removed = planned("image.move", alice, image=image, datastore=target)
    assert removed == FlagSet("h1", f"delete /srv/pool/images/{image.uuid} with ")


def test_a_disk_is_where_the_kind_puts_it(alice: User, pool: Datastore) -> None:
    vm, image = a_vm(alice), an_image(alice, datastore=pool)
    (made,) = planned("disk.create", alice, image=image, vm=vm)
    assert isinstance(made, ReflinkExists)
    assert (made.source, made.target) == (f"/srv/pool/images/{image.uuid}", f"/srv/pool/vms/vm-{vm.pk}-0")


@pytest.mark.parametrize("kind", [Disk.Kind.CLONE, Disk.Kind.LINK])
def test_a_disk_is_deleted_where_the_kind_put_it(alice: User, pool: Datastore, kind: str) -> None:
    disk = a_disk(an_image(alice, datastore=pool, persistent=True), kind=kind)
    assert planned("disk.delete", alice, disk=disk) == [
        DiskAbsent("h1", f"/srv/pool/vms/vm-{disk.vm_id}-0", "/srv/pool")
    ]


def test_a_persistent_disk_is_a_link_where_the_kind_puts_it(alice: User, pool: Datastore) -> None:
    vm, image = a_vm(alice), an_image(alice, datastore=pool, persistent=True)
    (made,) = planned("disk.create", alice, image=image, vm=vm)
    assert made.path == f"/srv/pool/vms/vm-{vm.pk}-0"


def test_a_disk_moves_from_where_one_kind_puts_it_to_where_the_other_does(alice: User, pool: Datastore) -> None:
    disk = a_disk(an_image(alice, datastore=pool))
    target = a_datastore(hosts=[pool.hosts.get()], base="/srv/files")
    copied, removed = planned("disk.move", alice, disk=disk, datastore=target)
    old = f"/srv/pool/vms/vm-{disk.vm_id}-0"
    assert (copied.source, copied.target, removed.path) == (old, f"/srv/files/{disk.vm_id}/disk.0", old)


def test_a_saved_disk_is_read_where_the_kind_put_it(alice: User, pool: Datastore) -> None:
    disk = a_disk(an_image(alice, datastore=pool))
    (copied,) = planned("disk.save", alice, {"name": "saved"}, disk=disk)
    assert copied.source == f"/srv/pool/vms/vm-{disk.vm_id}-0"


def test_planning_a_clone_takes_one_query(alice: User, xfs: Datastore, django_assert_num_queries: Any) -> None:
    job = submit("disk.create", user=alice, image=an_image(alice, datastore=xfs), vm=a_vm(alice))
    job = Job.objects.select_related("image__datastore", "disk__datastore").get(pk=job.pk)
    with django_assert_num_queries(1):  # the hosts of the datastore
        KINDS[job.kind].plan(job)
