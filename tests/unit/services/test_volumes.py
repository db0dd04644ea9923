"""What is done to the volume of a datastore, and what is remembered of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.alerts import findings
from datastores.domain.errors import BadInput, Busy, CloudstoreError, Refused
from datastores.domain.plan import Output
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.gluster_balance import FixLayoutDone, Rebalanced
from datastores.hosts.gluster_bricks import BrickAbsent, BrickReady
from datastores.hosts.gluster_healing import VolumeHealed
from datastores.hosts.gluster_layout import BrickReplaced, BricksAdded, BricksRemoved
from datastores.hosts.gluster_names import PeersAllowed
from datastores.hosts.gluster_pool import PeerProbed, PeerUnneeded
from datastores.hosts.gluster_quota import DirectoryThere, QuotaLimitAbsent, QuotaLimitSet
from datastores.hosts.gluster_seen import VolumeKnown
from datastores.hosts.gluster_volumes import BricksRunning
from datastores.hosts.mounts import FstabLinePresent
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Brick, Datastore, Host, Job, User, VolumeReading
from datastores.services.alert_facts import gather
from tests.unit.conftest import a_datastore, a_host, an_image
from tests.unit.hosts.test_gluster import recorded
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
PATH = "/srv/disk/vms"


@pytest.fixture
def hosts(db: None) -> dict[str, Host]:
    return {f"h{number}": a_host(f"h{number}", address=f"10.0.0.{number}") for number in range(1, 8)}


def volume(hosts: dict[str, Host], *on: str, **options: Any) -> Datastore:
    store = a_datastore("vms", kind="gluster", base="/srv/vms", hosts=list(hosts.values()), options=options)
    for place, name in enumerate(on):
        Brick.objects.create(datastore=store, host=hosts[name], peer=f"10.0.0.{name[1:]}", path=PATH, position=place)
    return store


@pytest.fixture
def copies(hosts: dict[str, Host]) -> Datastore:
    return volume(hosts, "h1", "h2", "h3")


def brick(hosts: dict[str, Host], name: str, path: str = PATH) -> dict[str, Any]:
    return {"host": hosts[name].pk, "path": path}


def old(name: str, path: str = PATH) -> dict[str, str]:
    return {"peer": f"10.0.0.{name[1:]}", "path": path}


def the(job: Job, kind: type) -> Any:
    (found,) = of(job, kind)
    return found


def of(job: Job, kind: type) -> list[Any]:
    return [step for stage in KINDS[job.kind].plan(job) for step in stage.steps if isinstance(step, kind)]


def placed(datastore: Datastore) -> list[str]:
    return [str(row) for row in Brick.objects.filter(datastore=datastore)]


class TestMoreBricks:
    @pytest.fixture
    def job(self, admin: User, copies: Datastore, hosts: dict[str, Host]) -> Job:
        params = {"bricks": [brick(hosts, name) for name in ("h4", "h5", "h6")]}
        return submit("volume.add", user=admin, params=params, datastore=copies)

    def test_their_hosts_join_the_pool_first(self, job: Job) -> None:
        stages = KINDS[job.kind].plan(job)
        assert [stage.title for stage in stages] == [
            "packages and daemons", "pool", "bricks", "names of hosts", "volume", "who may mount", "mounts",
            "look at it",
        ]  # fmt: skip
        assert [step.peer for step in of(job, PeerProbed)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
        assert {step.host for step in of(job, BrickReady)} == {"h4", "h5", "h6"}
        assert [str(each) for each in the(job, BricksAdded).bricks] == [f"10.0.0.{n}:{PATH}" for n in (4, 5, 6)]
        assert the(job, PeersAllowed).peers == tuple(f"10.0.0.{n}" for n in (2, 3, 4, 5, 6))
        lines = of(job, FstabLinePresent)
        assert len(lines) == 7 and all(line.options.endswith("10.0.0.5:10.0.0.6") for line in lines)

    def test_they_are_remembered_when_they_are_there_and_forgotten_when_that_is_undone(
        self, job: Job, copies: Datastore
    ) -> None:
        assert len(placed(copies)) == 3
        before = KINDS[job.kind].plan(job)
        ended(job)
        assert placed(copies)[3:] == [f"h{number}:{PATH}" for number in (4, 5, 6)]
        assert KINDS[job.kind].plan(Job.objects.get(pk=job.pk)) == before
        KINDS[job.kind].check_undo(Job.objects.get(pk=job.pk))
        ended(job, "undone")
        assert len(placed(copies)) == 3

    def test_nobody_else_changes_the_volume_meanwhile(self, admin: User, job: Job, copies: Datastore) -> None:
        with pytest.raises(Busy, match=r"[Vv]olume of datastore vms"):
            submit("volume.heal", user=admin, datastore=copies)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["h4"], "3, 6, 9 and so on, not 4"),
        (["h4", "h5", "h5"], "Set 2 has several bricks on h5"),
        ([], "at least one brick"),
    ],
)
def test_bricks_that_make_no_set_are_refused(
    admin: User, copies: Datastore, hosts: dict[str, Host], names: list[str], why: str
) -> None:
    params = {"bricks": [brick(hosts, name, f"{PATH}{place}") for place, name in enumerate(names)]}
    with pytest.raises(BadInput, match=why):
        submit("volume.add", user=admin, params=params, datastore=copies)


class TestFewerBricks:
    @pytest.fixture
    def six(self, hosts: dict[str, Host]) -> Datastore:
        return volume(hosts, "h1", "h2", "h3", "h4", "h5", "h6")

    def test_a_set_leaves_with_hosts_that_are_needed_for_nothing_else(self, admin: User, six: Datastore) -> None:
        params = {"bricks": [old(name) for name in ("h4", "h5", "h6")], "clear": False}
        job = submit("volume.remove", user=admin, params=params, datastore=six)
        assert len(the(job, BricksRemoved).bricks) == 3
        assert [step.peer for step in of(job, PeerUnneeded)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
        assert not of(job, BrickAbsent)
        ended(job)
        assert placed(six) == [f"h{number}:{PATH}" for number in (1, 2, 3)]

    def test_its_directories_are_deleted_only_when_that_is_asked_for(self, admin: User, six: Datastore) -> None:
        params = {"bricks": [old(name) for name in ("h4", "h5", "h6")], "clear": True}
        job = submit("volume.remove", user=admin, params=params, datastore=six)
        assert of(job, BrickAbsent)[0] == BrickAbsent("h4", PATH, True, "srv-vms")

    @pytest.mark.parametrize(
        ("names", "why"),
        [
            (("h4", "h5"), "whole sets, such as h4:/srv/disk/vms, h5:/srv/disk/vms and h6:/srv/disk/vms"),
            (("h1", "h2", "h3"), "h1, from where the volume is managed, has to keep a brick"),
            (("h1", "h2", "h3", "h4", "h5", "h6"), "all its bricks"),
            (("h7",), "is no brick of the volume any more"),
        ],
    )
    def test_what_cannot_leave(self, admin: User, six: Datastore, names: tuple[str, ...], why: str) -> None:
        params = {"bricks": [old(name) for name in names], "clear": False}
        with pytest.raises(CloudstoreError, match=why):
            submit("volume.remove", user=admin, params=params, datastore=six)


class TestAnotherBrick:
    def test_takes_the_place_of_one_whose_host_is_gone(
        self, admin: User, copies: Datastore, hosts: dict[str, Host]
    ) -> None:
        Host.objects.filter(name="h3").update(state="unreachable")
        params = {**old("h3"), "brick": brick(hosts, "h4"), "clear": True}
        job = submit("volume.replace", user=admin, params=params, datastore=copies)
        replaced = the(job, BrickReplaced)
        assert (str(replaced.old), str(replaced.new)) == (f"10.0.0.3:{PATH}", f"10.0.0.4:{PATH}")
        steps = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
        assert not [step for step in steps if step.host == "h3" or isinstance(step, PeerUnneeded)]
        ended(job)
        assert placed(copies) == [f"h{number}:{PATH}" for number in (1, 2, 4)]

    def test_is_on_another_host_than_the_rest_of_its_set(
        self, admin: User, copies: Datastore, hosts: dict[str, Host]
    ) -> None:
        params = {**old("h3"), "brick": brick(hosts, "h2", "/srv/disk/b"), "clear": False}
        with pytest.raises(BadInput, match="several bricks on h2"):
            submit("volume.replace", user=admin, params=params, datastore=copies)

    def test_keeps_the_name_that_the_pool_has_for_its_host(
        self, admin: User, copies: Datastore, hosts: dict[str, Host]
    ) -> None:
        Host.objects.filter(name="h3").update(address="192.168.0.3")
        params = {**old("h3"), "brick": brick(hosts, "h3", "/srv/disk/b"), "clear": False}
        job = submit("volume.replace", user=admin, params=params, datastore=copies)
        assert str(the(job, BrickReplaced).new) == "10.0.0.3:/srv/disk/b"


def test_bricks_that_were_changed_meanwhile_are_not_changed_again(
    admin: User, copies: Datastore, hosts: dict[str, Host]
) -> None:
    params = {**old("h3"), "brick": brick(hosts, "h4"), "clear": False}
    job = submit("volume.replace", user=admin, params=params, datastore=copies)
    Brick.objects.filter(host__name="h2").update(path="/srv/elsewhere")
    with pytest.raises(Refused, match="changed meanwhile"):
        KINDS[job.kind].check_still(Job.objects.get(pk=job.pk))


def test_a_rebalance_that_ended_before_is_not_taken_for_the_new_one(admin: User, hosts: dict[str, Host]) -> None:
    store = volume(hosts, "h1", "h2", layout="distribute")
    VolumeReading.objects.create(datastore=store, seen={"balance": {"id": "a-b"}})
    job = submit("volume.rebalance", user=admin, params={"files": True}, datastore=store)
    assert the(job, Rebalanced) == Rebalanced("h1", "srv-vms", "a-b")
    ended(job, "cancelled")
    assert of(submit("volume.rebalance", user=admin, params={"files": False}, datastore=store), FixLayoutDone)


def test_a_directory_is_looked_for_before_it_is_limited_and_the_limit_is_lifted(admin: User, copies: Datastore) -> None:
    job = submit("volume.quota", user=admin, params={"size": 1 << 30, "path": "/a"}, datastore=copies)
    assert job.title == "Limit to 1 GiB /a in the volume of vms"
    assert the(job, BaseReady).mount_point == "/srv/vms", "a directory below the mount point of what is not mounted"
    assert the(job, DirectoryThere).path == "/srv/vms/a"
    assert the(job, QuotaLimitSet).path == "/a"
    ended(job, "cancelled")
    job = submit("volume.quota", user=admin, params={"size": 1 << 30}, datastore=copies)
    assert not of(job, DirectoryThere) and the(job, QuotaLimitSet).path == "/"
    ended(job, "cancelled")
    job = submit("volume.unlimit", user=admin, params={"path": "/a"}, datastore=copies)
    assert the(job, QuotaLimitAbsent).path == "/a"


@pytest.mark.parametrize(
    ("kind", "params", "why"),
    [
        ("volume.rebalance", {"files": True}, "one set of bricks only"),
        ("volume.option", {"option": "auth.allow", "value": "*"}, "follows from the hosts"),
        ("volume.option", {"option": "ping", "value": "1"}, "no full name"),
        ("volume.option", {"option": "network.ping-timeout", "value": " "}, "empty"),
        ("volume.quota", {"size": 5}, "less than 1 MiB"),
        ("volume.quota", {"size": 1 << 30, "path": "/a,b"}, "no directory of a volume"),
        ("volume.unlimit", {"path": "a"}, "absolute"),
        ("volume.choose", {"entry": "f", "peer": "10.0.0.1", "path": PATH}, "absolute"),
        ("volume.choose", {"entry": "/f", "peer": "10.0.0.9", "path": PATH}, "no brick of vms"),
    ],
)
def test_what_cannot_be_done_becomes_no_job(
    admin: User, copies: Datastore, kind: str, params: dict[str, Any], why: str
) -> None:
    with pytest.raises(CloudstoreError, match=why):
        submit(kind, user=admin, params=params, datastore=copies)


def test_other_kinds_have_no_volume(admin: User) -> None:
    with pytest.raises(Refused, match="no volume of bricks"):
        submit("volume.heal", user=admin, datastore=a_datastore("gold", kind="qcow2"))


def test_what_was_read_is_kept_when_the_next_look_tells_nothing(admin: User, copies: Datastore) -> None:
    step = VolumeKnown("h1", "vms")
    answers: list[Output] = [recorded("gluster_seen.VolumeKnown/a-brick-off", number) for number in range(8)]
    ended(submit("volume.read", user=admin, datastore=copies), result=[(step, step.facts(answers))])
    reading = VolumeReading.objects.get()
    assert [each["online"] for each in reading.seen["bricks"]] == [True, False, True]
    ended(submit("volume.read", user=admin, datastore=copies), "failed")
    reading.refresh_from_db()
    assert (reading.error, len(reading.seen["bricks"])) == ("it broke", 3)


@pytest.mark.parametrize(("layout", "heals"), [("arbiter", 1), ("distribute", 0)])
def test_where_there_is_one_copy_of_each_file_bricks_are_only_started(
    admin: User, hosts: dict[str, Host], layout: str, heals: int
) -> None:
    job = submit("volume.heal", user=admin, datastore=volume(hosts, "h1", "h2", "h3", layout=layout))
    assert len(of(job, BricksRunning)) == 1
    assert len(of(job, VolumeHealed)) == heals


def test_nothing_is_begun_in_a_volume_that_is_stopped(admin: User, copies: Datastore) -> None:
    image = an_image(admin, datastore=copies)
    VolumeReading.objects.create(datastore=copies, seen={"state": "Stopped"}, at=timezone.now())
    for kind, row in (("image.checksum", {"image": image}), ("datastore.measure", {"datastore": copies})):
        with pytest.raises(Refused, match="GlusterFS volume of vms is stopped: nobody can read or write there"):
            submit(kind, user=admin, params={"hosts": [1]}, **row)
    submit("volume.start", user=admin, datastore=copies)
    VolumeReading.objects.update(seen={"state": "Started"})
    submit("image.checksum", user=admin, image=image)


@pytest.mark.parametrize(
    ("age", "error", "told"), [(60, "", ["h2 is away."]), (2 * 3600, "", []), (60, "It does not answer.", [])]
)
def test_what_was_wrong_with_a_volume_of_late_is_told_of(
    copies: Datastore, age: int, error: str, told: list[str]
) -> None:
    at = timezone.now() - timedelta(seconds=age)
    VolumeReading.objects.create(datastore=copies, seen={"problems": ["h2 is away."]}, at=at, error=error)
    found = findings(gather([], [], []))
    assert [each.text for each in found if each.rule.name == "volume_unwell"] == told
