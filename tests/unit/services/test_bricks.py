"""Datastores that are made of bricks: what is remembered of these, and who needs them."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain import gluster
from datastores.domain.errors import BadInput, Refused
from datastores.hosts.gluster_bricks import BrickReady
from datastores.hosts.gluster_pool import PeerUnneeded
from datastores.hosts.gluster_volumes import VolumeAbsent, VolumeExists, VolumeOptionSet
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Brick, Datastore, Host, Job, User
from datastores.services.placing import driver_of
from tests.unit.conftest import a_host
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [a_host(f"h{number}", address=f"10.0.0.{number}") for number in (1, 2, 3, 4)]


def made(admin: User, hosts: list[Host], *bricks: tuple[Host, str], **params: Any) -> Job:
    given = {
        "name": "vms", "kind": "gluster", "type": "image", "base": "/srv/vms", "hosts": [host.pk for host in hosts],
        "options": {}, "bricks": [{"host": host.pk, "path": path} for host, path in bricks],
    }  # fmt: skip
    return submit("datastore.create", user=admin, params=given | params)


def three(hosts: list[Host], path: str = "/srv/disk/vms") -> list[tuple[Host, str]]:
    return [(host, path) for host in hosts[:3]]


def steps(job: Job) -> list[Any]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]


def test_the_bricks_are_remembered_in_their_order_by_the_address_of_their_hosts(admin: User, hosts: list[Host]) -> None:
    made(admin, hosts, *reversed(three(hosts)))
    rows = Brick.objects.values_list("host__name", "peer", "path", "position")
    assert list(rows) == [
        ("h3", "10.0.0.3", "/srv/disk/vms", 0),
        ("h2", "10.0.0.2", "/srv/disk/vms", 1),
        ("h1", "10.0.0.1", "/srv/disk/vms", 2),
    ]


def test_the_plan_is_the_same_when_it_is_made_of_the_rows(admin: User, hosts: list[Host]) -> None:
    job = made(admin, hosts, *three(hosts))
    assert KINDS[job.kind].plan(job) == KINDS[job.kind].plan(Job.objects.get())
    [exists] = [step for step in steps(job) if isinstance(step, VolumeExists)]
    assert [str(brick) for brick in exists.bricks] == [f"10.0.0.{number}:/srv/disk/vms" for number in (1, 2, 3)]


def test_two_volumes_of_one_pool_have_two_names(admin: User, hosts: list[Host]) -> None:
    made(admin, hosts, *three(hosts), base="/srv/a-b")
    others = [(host, "/srv/disk/others") for host in hosts[1:]]
    for like in ({"base": "/srv/a/b"}, {"base": "/srv/c", "options": {"volume": "srv-a-b"}}):
        with pytest.raises(Refused, match="The volume srv-a-b is that of the datastore vms already"):
            made(admin, hosts[1:], *others, name="others", **like)
    made(admin, hosts[1:], *others, name="others", base="/srv/a/b", options={"volume": "another"})
    elsewhere = [a_host(f"e{number}") for number in (1, 2, 3)]
    made(admin, elsewhere, *three(elsewhere), name="elsewhere", base="/srv/a/b")


def test_the_deletion_of_one_that_was_never_made_is_of_its_own_volume(admin: User, hosts: list[Host]) -> None:
    job = ended(made(admin, hosts, *three(hosts)), "failed")
    down = submit("datastore.delete", user=admin, datastore=job.datastore)
    told = [step for step in steps(down) if isinstance(step, VolumeAbsent | PeerUnneeded)]
    assert {step.of for step in told} == {tuple(gluster.Brick(host.address, "/srv/disk/vms") for host in hosts[:3])}
    assert len(told) == 3


def test_a_host_that_is_renamed_or_moved_stays_who_the_pool_thinks_it_is(admin: User, hosts: list[Host]) -> None:
    datastore = ended(made(admin, hosts, *three(hosts))).datastore
    Host.objects.filter(name="h2").update(name="kvm2", address="192.168.0.2")
    down = driver_of(Datastore.objects.get(pk=datastore.pk)).set_up()
    [ready] = [step for step in down[2].steps if step.host == "kvm2"]
    assert isinstance(ready, BrickReady)
    [exists] = [step for step in down[3].steps if isinstance(step, VolumeExists)]
    assert str(exists.bricks[1]) == "10.0.0.2:/srv/disk/vms"


@pytest.mark.parametrize(
    ("bricks", "why"),
    [
        ([], "3, 6, 9 and so on, not 0"),
        ([(0, "/srv/disk/a"), (0, "/srv/disk/b"), (1, "/srv/disk/a")], "several bricks on h1"),
        ([(1, "/srv/disk/a"), (2, "/srv/disk/a"), (3, "/srv/disk/a")], "storage host h1 has none"),
        ([(0, "/srv/../etc"), (1, "/srv/a"), (2, "/srv/a")], "path of the brick"),
    ],
)
def test_bricks_of_which_no_volume_can_be_made_become_no_job(
    admin: User, hosts: list[Host], bricks: list[tuple[int, str]], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        made(admin, hosts, *((hosts[number], path) for number, path in bricks))
    assert not Brick.objects.exists() and not Datastore.objects.exists()


def test_what_is_known_of_the_disks_of_a_host_is_made_use_of(admin: User, hosts: list[Host]) -> None:
    Host.objects.filter(name="h3").update(facts={"file_systems": [{"target": "/srv/other"}, {"target": "/"}]})
    with pytest.raises(BadInput, match="h3:/srv/disk/vms is on the root file system"):
        made(admin, hosts, *three(hosts))
    made(admin, hosts, *three(hosts), options={"forced": True})


def test_a_brick_is_of_a_host_of_the_datastore(admin: User, hosts: list[Host]) -> None:
    with pytest.raises(BadInput, match="none of the hosts"):
        made(admin, hosts[:3], *three(hosts), (hosts[3], "/srv/disk/vms"))


def test_a_brick_has_one_datastore(admin: User, hosts: list[Host]) -> None:
    made(admin, hosts, *three(hosts))
    with pytest.raises(Refused, match="h1:/srv/disk/vms is a brick of the datastore vms"):
        made(admin, hosts, *three(hosts), name="more", base="/srv/more")


def test_other_kinds_have_none(admin: User, hosts: list[Host]) -> None:
    with pytest.raises(BadInput, match="NFS datastores have no bricks"):
        made(admin, hosts, *three(hosts), kind="nfs")


def test_a_host_with_a_brick_is_not_taken_out(admin: User, hosts: list[Host]) -> None:
    datastore = ended(made(admin, hosts, *three(hosts))).datastore
    with pytest.raises(Refused, match="h2 has bricks of vms: remove or replace them first"):
        submit("datastore.hosts", user=admin, params={"add": [], "remove": [hosts[1].pk]}, datastore=datastore)
    job = submit("datastore.hosts", user=admin, params={"add": [], "remove": [hosts[3].pk]}, datastore=datastore)
    [allowed] = [step for step in steps(job) if isinstance(step, VolumeOptionSet)]
    assert allowed.value == "10.0.0.1,10.0.0.2,10.0.0.3"


def test_a_volume_with_a_host_that_is_gone_for_good_is_given_up(admin: User, hosts: list[Host]) -> None:
    datastore = ended(made(admin, hosts, *three(hosts))).datastore
    Host.objects.filter(name="h3").update(state="unreachable")
    stages = KINDS["datastore.delete"].plan(submit("datastore.delete", user=admin, datastore=datastore))
    assert [stage.title for stage in stages] == ["nothing is stored", "hosts"]
    assert {step.host for stage in stages for step in stage.steps} == {"h1", "h2", "h4"}


def test_they_go_with_their_datastore(admin: User, hosts: list[Host]) -> None:
    datastore = ended(made(admin, hosts, *three(hosts))).datastore
    ended(submit("datastore.delete", user=admin, datastore=datastore))
    assert not Brick.objects.exists()
