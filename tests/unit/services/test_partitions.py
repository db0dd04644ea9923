"""Partitions of a volume: given to tenants, changed, and taken back."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, CloudstoreError, Refused
from datastores.domain.gluster import Brick as At
from datastores.drivers.gluster import GlusterDriver
from datastores.hosts.files import DirectoryPresent, DirectoryVacant
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.gluster_quota import DirectoryThere, QuotaLimitAbsent, QuotaLimitSet
from datastores.hosts.gluster_volumes import VolumeOptionSet
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Brick, Datastore, Job, Partition, User, VolumeReading
from datastores.services.datastores import require_empty
from datastores.services.placing import driver_of, partitions_of
from tests.unit.conftest import a_datastore, a_host
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
PATH = "/srv/disk/vms"
HOSTS = "10.0.0.1,10.0.0.2"


@pytest.fixture
def vms(db: None) -> Datastore:
    hosts = [a_host(f"h{number}", address=f"10.0.0.{number}") for number in (1, 2)]
    store = a_datastore("vms", kind="gluster", base="/srv/vms", hosts=hosts, options={"layout": "distribute"})
    for place, host in enumerate(hosts):
        Brick.objects.create(datastore=store, host=host, peer=host.address, path=PATH, position=place)
    return store


@pytest.fixture
def tina(db: None) -> User:
    return User.objects.create(username="tina", role=User.Role.TENANT)


def asked(admin: User, vms: Datastore, owner: User, name: str = "blue", **more: Any) -> Job:
    params = {"name": name, "owner": owner.pk, "size": 1 << 30, "addresses": ["10.0.0.7"], **more}
    return submit("volume.give", user=admin, params=params, datastore=vms)


def steps(job: Job, kind: type) -> list[Any]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps if isinstance(step, kind)]


def allowed(job: Job) -> str:
    [option] = [step for step in steps(job, VolumeOptionSet) if step.option == "auth.allow"]
    return str(option.value)


def test_a_partition_is_a_directory_with_a_limit_and_hosts_of_its_own(admin: User, vms: Datastore, tina: User) -> None:
    job = asked(admin, vms, tina)
    assert job.title == "Give 1 GiB as the partition blue of the volume of vms"
    [made] = steps(job, DirectoryPresent)
    [mounted] = steps(job, BaseReady)
    assert (mounted.path, mounted.mount_point) == ("/srv/vms", "/srv/vms")
    [vacant] = steps(job, DirectoryVacant)
    assert vacant.path == made.path
    [limit] = steps(job, QuotaLimitSet)
    assert (made.path, made.mode, limit.path, limit.size) == (
        "/srv/vms/partitions/blue", "0770", "/partitions/blue", 1 << 30,
    )  # fmt: skip
    told = "/(10.0.0.1|10.0.0.2),/partitions/blue(10.0.0.7)"
    assert allowed(job) == told
    assert [step.value for step in steps(job, VolumeOptionSet) if step.option == "features.soft-timeout"] == ["5"]
    ended(job)
    driver = driver_of(vms)
    assert isinstance(driver, GlusterDriver) and driver.allowed == told
    assert [str(row) for row in Partition.objects.visible_to(tina)] == ["blue of vms"]
    assert not Partition.objects.visible_to(User.objects.create(username="theo", role=User.Role.TENANT))
    with pytest.raises(Refused, match="is a partition"):
        submit("volume.unlimit", user=admin, params={"path": "/partitions/blue"}, datastore=vms)
    with pytest.raises(Refused, match="has the partitions blue"):
        require_empty(vms)
    with pytest.raises(Refused, match="has the partitions blue, which tenants have mounted"):
        submit("volume.stop", user=admin, datastore=vms)


def test_one_that_is_there_is_changed_and_its_undo_brings_back_what_it_was(
    admin: User, vms: Datastore, tina: User
) -> None:
    ended(asked(admin, vms, tina))
    job = asked(admin, vms, tina, size=2 << 30, addresses=["10.0.0.8"])
    assert steps(job, DirectoryThere) and not steps(job, DirectoryPresent) and not steps(job, DirectoryVacant)
    assert len(steps(job, VolumeOptionSet)) == 1, "how often limits are looked at is left as it is by now"
    job = ended(job)
    assert (Partition.objects.get().size, Partition.objects.get().addresses) == (2 << 30, ["10.0.0.8"])
    KINDS[job.kind].check_undo(job)
    KINDS[job.kind].undone(job)
    assert (Partition.objects.get().size, Partition.objects.get().addresses) == (1 << 30, ["10.0.0.7"])
    with pytest.raises(Refused, match="changed meanwhile"):
        KINDS[job.kind].check_undo(job)


def test_the_undo_of_one_leaves_alone_what_a_later_job_made_of_it(admin: User, vms: Datastore, tina: User) -> None:
    first, second, third = (ended(asked(admin, vms, tina, size=size << 30)) for size in (1, 5, 1))
    with pytest.raises(Refused, match="changed meanwhile"):
        KINDS[second.kind].check_undo(second)
    with pytest.raises(Refused, match="was worked on since, by job"):
        KINDS[first.kind].check_undo(first)
    for job in (third, second):
        KINDS[job.kind].check_undo(job)
        ended(job, "undone")
    KINDS[first.kind].check_undo(first)


def test_one_that_belongs_to_somebody_becomes_nobody_elses(admin: User, vms: Datastore, tina: User) -> None:
    ended(asked(admin, vms, tina))
    theo = User.objects.create(username="theo", role=User.Role.TENANT)
    with pytest.raises(Refused, match=r"blue belongs to tina\. Take it back first"):
        asked(admin, vms, theo)
    tina.delete()
    with pytest.raises(Refused, match=r"blue belongs to nobody any more\. Take it back first"):
        asked(admin, vms, theo)


@pytest.mark.parametrize(
    ("allow", "addresses"),
    [("10.0.*", "10.0.3.7"), ("*", "10.9.3.7"), ("", "10.0.0.1"), ("", "10.0.0.0/24"), ("", "*"), ("10.*", "*.7")],
)
def test_who_may_mount_all_of_it_gets_no_partition(
    admin: User, vms: Datastore, tina: User, allow: str, addresses: str
) -> None:
    Datastore.objects.filter(pk=vms.pk).update(options={**vms.options, "allow": allow})
    with pytest.raises(Refused, match="of the partition blue would get to the whole volume"):
        asked(admin, Datastore.objects.get(pk=vms.pk), tina, addresses=["10.7.7.6", addresses])


def test_a_host_of_a_partition_does_not_come_to_the_datastore(admin: User, vms: Datastore, tina: User) -> None:
    ended(asked(admin, vms, tina))
    hosts = {"add": [a_host("h7", address="10.0.0.7").pk], "remove": []}
    with pytest.raises(Refused, match=r"10\.0\.0\.7 of the partition blue would get to the whole volume"):
        submit("datastore.hosts", user=admin, params=hosts, datastore=vms)


def test_hosts_mount_partitions_of_one_owner_alone(admin: User, vms: Datastore, tina: User) -> None:
    ended(asked(admin, vms, tina))
    ended(asked(admin, vms, tina, "green", addresses=["10.0.0.7"]))
    theo = User.objects.create(username="theo", role=User.Role.TENANT)
    with pytest.raises(Refused, match=r"10\.0\.0\.\* would get to the partition blue, too"):
        asked(admin, vms, theo, "red", addresses=["10.0.9.9", "10.0.0.*"])


@pytest.mark.parametrize("kind", ["volume.give", "volume.take"])
def test_the_undo_of_one_does_not_shut_out_hosts_that_came_since(
    admin: User, vms: Datastore, tina: User, kind: str
) -> None:
    job = ended(asked(admin, vms, tina))
    if kind == "volume.take":
        job = ended(submit(kind, user=admin, params={"name": "blue"}, datastore=vms))
    KINDS[kind].check_undo(job)
    hosts = {"add": [a_host("h3", address="10.0.0.3").pk], "remove": []}
    ended(submit("datastore.hosts", user=admin, params=hosts, datastore=vms))
    job.refresh_from_db()
    with pytest.raises(Refused, match="the undo would bring the old ones back"):
        KINDS[kind].check_undo(job)


def test_a_job_that_waited_does_not_begin_with_other_hosts(admin: User, vms: Datastore, tina: User) -> None:
    job = asked(admin, vms, tina)
    Datastore.objects.filter(pk=vms.pk).update(options={**vms.options, "allow": "10.0.0.*"})
    with pytest.raises(Refused, match="were changed meanwhile"):
        KINDS[job.kind].check_still(Job.objects.get(pk=job.pk))


def test_the_undo_of_a_limit_leaves_alone_what_a_later_job_made_of_it(admin: User, vms: Datastore, tina: User) -> None:
    path = "/partitions/blue"
    limit = ended(submit("volume.quota", user=admin, params={"path": path, "size": 1 << 30}, datastore=vms))
    other = ended(submit("volume.quota", user=admin, params={"path": "/red", "size": 1 << 30}, datastore=vms))
    KINDS[limit.kind].check_undo(limit)
    ended(asked(admin, vms, tina))
    KINDS[other.kind].check_undo(other)
    with pytest.raises(Refused, match="The limit of /partitions/blue was worked on since, by job"):
        KINDS[limit.kind].check_undo(limit)


def test_one_is_taken_back_and_given_again_by_an_undo(admin: User, vms: Datastore, tina: User) -> None:
    ended(asked(admin, vms, tina))
    job = submit("volume.take", user=admin, params={"name": "blue"}, datastore=vms)
    assert allowed(job) == HOSTS
    assert [step.path for step in steps(job, QuotaLimitAbsent)] == ["/partitions/blue"]
    ended(job)
    assert not Partition.objects.exists()
    KINDS[job.kind].undone(job)
    assert Partition.objects.get().owner == tina


def test_who_may_mount_stays_when_bricks_have_come(admin: User, vms: Datastore, tina: User) -> None:
    ended(asked(admin, vms, tina))
    bricks = [{"host": vms.hosts.get(name="h2").pk, "path": "/srv/disk2/vms"}]
    job = submit("volume.add", user=admin, params={"bricks": bricks}, datastore=vms)
    assert allowed(job) == "/(10.0.0.1|10.0.0.2),/partitions/blue(10.0.0.7)"


def test_partitions_are_in_one_order_however_the_database_sorts_names(
    admin: User, vms: Datastore, tina: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, address in (("ab", "10.0.0.7"), ("a-c", "10.0.0.8")):
        ended(asked(admin, vms, tina, name, addresses=[address]))
    monkeypatch.setattr(Partition._meta, "ordering", ["-name"])
    assert [each.name for each in partitions_of(vms)] == ["a-c", "ab"]


def test_a_row_that_would_not_pass_any_more_can_be_shown() -> None:
    assert Partition(name="blue", addresses=[]).path == "/partitions/blue"


def test_it_is_known_how_it_is_mounted_and_what_it_holds_once_the_volume_was_read(
    admin: User, vms: Datastore, tina: User
) -> None:
    ended(asked(admin, vms, tina))
    row = Partition.objects.get()
    assert (row.source, row.used) == ("", None)
    seen = {"name": "srv-vms", "bricks": [{"peer": At("10.0.0.1", PATH).peer}], "limits": {row.path: [1 << 30, 4096]}}
    VolumeReading.objects.create(datastore=vms, seen=seen)
    row = Partition.objects.get()
    assert (row.source, row.used) == ("10.0.0.1:/srv-vms/partitions/blue", 4096)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"name": "a/b"}, "no name of a partition"),
        ({"addresses": []}, "which addresses"),
        ({"addresses": ["h9"]}, "no address"),
        ({"size": 5}, "less than 1 MiB"),
    ],
)
def test_what_is_no_partition_becomes_no_job(
    admin: User, vms: Datastore, tina: User, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(CloudstoreError, match=why):
        asked(admin, vms, tina, **more)


def test_an_auditor_owns_nothing(admin: User, vms: Datastore) -> None:
    with pytest.raises(BadInput, match="no account that may own"):
        asked(admin, vms, User.objects.create(username="arno", role=User.Role.AUDITOR))
    with pytest.raises(Refused, match="no partition blue"):
        submit("volume.take", user=admin, params={"name": "blue"}, datastore=vms)
