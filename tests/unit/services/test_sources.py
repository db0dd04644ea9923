"""From where images may be registered, and what looks at them in which order."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput
from datastores.hosts.sources import SourceAllowed
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, User
from tests.unit.conftest import a_datastore, a_host

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> Host:
    return a_host("storage")


@pytest.fixture
def datastore(host: Host) -> Datastore:
    """One whose source directory holds its own base, and that of another datastore."""
    a_datastore("system", hosts=[a_host(), host], base="/srv/vms", type=Datastore.Type.SYSTEM)
    a_datastore("elsewhere", base="/srv/uploads")
    return a_datastore("images", hosts=[host], base="/srv/images", source_directories=["/srv"])


def register(datastore: Datastore, user: User, source: str) -> Job:
    return submit("image.register", user=user, datastore=datastore, params={"name": "a", "source": source})


@pytest.mark.parametrize("source", ["/srv/images/17/disk.0", "/srv/vms/17/disk.0", "/srv/images"])
def test_what_lies_in_a_datastore_of_the_host_is_somebodys(datastore: Datastore, alice: User, source: str) -> None:
    with pytest.raises(BadInput, match="which belongs to a datastore"):
        register(datastore, alice, source)


@pytest.mark.parametrize("source", ["/srv/uploads/a.raw", "/srv/images-to-come/a.raw"])
def test_what_lies_beside_the_datastores_may_be_registered(datastore: Datastore, alice: User, source: str) -> None:
    assert register(datastore, alice, source).image.source == source


def test_the_host_is_told_what_to_refuse_by_its_real_path(datastore: Datastore, alice: User) -> None:
    job = register(datastore, alice, "/srv/uploads/a.raw")
    (check,) = KINDS[job.kind].plan(job)[0].steps
    assert isinstance(check, SourceAllowed)
    assert (check.allowed, check.forbidden) == (("/srv",), ("/srv/vms", "/srv/images"))


@pytest.mark.parametrize(("format_", "opened"), [("qcow2", ["open the copy"]), ("raw", []), ("iso", [])])
def test_qemu_img_opens_the_copy_only_after_it_was_inspected(
    datastore: Datastore, alice: User, format_: str, opened: list[str]
) -> None:
    params = {"name": "a", "source": "/srv/uploads/a", "format": format_}
    job = submit("image.register", user=alice, datastore=datastore, params=params)
    stages = [stage.title for stage in KINDS[job.kind].plan(job)]
    assert stages == ["check the path", "inspect", "copy", "inspect the copy", *opened]
