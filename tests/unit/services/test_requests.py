"""What can never be done is refused when it is asked for, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Datastore, Image, Job, Snapshot, User
from tests.unit.conftest import a_vm, an_image

pytestmark = pytest.mark.django_db


def assert_nothing_is_left() -> None:
    assert not Job.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_block_that_is_too_small_for_its_file_system(alice: User, xfs: Datastore) -> None:
    params = {"name": "b", "size": 16 << 20, "format": "raw", "filesystem": "xfs"}
    with pytest.raises(BadInput, match="xfs needs at least 300 MiB"):
        submit("image.create", user=alice, params=params, datastore=xfs)
    assert not Image.objects.exists()
    assert_nothing_is_left()


def test_a_snapshot_whose_name_would_be_taken_for_a_number(alice: User, qcow2: Datastore) -> None:
    image = an_image(alice, datastore=qcow2, format="qcow2")
    with pytest.raises(BadInput, match="more than digits in its name"):
        submit("snapshot.create", user=alice, params={"name": "2026"}, image=image)
    image.refresh_from_db()
    assert (image.state, Snapshot.objects.count()) == ("ready", 0)
    assert_nothing_is_left()


@pytest.mark.parametrize("kind", ["disk.create", "image.clone"])
def test_a_clone_is_not_planned_when_it_is_asked_for(
    alice: User, xfs: Datastore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(job: Job) -> Any:
        raise AssertionError("a clone was kept waiting")

    monkeypatch.setattr(KINDS[kind], "plan", planned)
    image = an_image(alice, datastore=xfs)
    about: dict[str, Any] = {"image": image, "vm": a_vm(alice)} if kind == "disk.create" else {}
    submit(kind, user=alice, params={"name": "copy", "source": image.pk}, **about)


def test_every_other_kind_is(alice: User) -> None:
    assert {kind for kind, case in KINDS.items() if not case.checks_plan} == {"disk.create", "image.clone"}
