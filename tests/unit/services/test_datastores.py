"""What the plan of a new datastore shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from datastores.domain.errors import BadInput, Busy, NotConnected, Refused
from datastores.domain.plan import Action, Change, Command
from datastores.domain.states import EventKind, HostState, JobState
from datastores.domain.volumes import Capacity
from datastores.hosts.filesystems import BaseFacts, BaseReady
from datastores.hosts.mounts import FstabLinePresent, MountAbsent, MountPresent
from datastores.hosts.probes import ProbeGone, ProbePresent, ProbeVisible
from datastores.jobs import control
from datastores.jobs.codec import encode_change
from datastores.jobs.kinds import KINDS
from datastores.jobs.steps import approval_of
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, User
from datastores.services.datastores import Measure, remember_capacity, remember_measure, remember_unmeasured
from datastores.services.hosts import change_host
from datastores.services.placing import driver_of, image_volume
from tests.unit.conftest import a_datastore, a_disk, a_host, a_job, a_step, an_image, write_log
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db


def planned(admin: User, kind: str, count: int, **options: object) -> Job:
    hosts = [a_host(f"h{number}").pk for number in range(count)]
    params = {"name": "ds", "kind": kind, "type": "image", "base": "/srv/ds", "hosts": hosts, "options": options}
    return submit("datastore.create", user=admin, params=params)


def nfs(admin: User, hosts: list[Host], name: str, kind: str = "nfs", **options: object) -> Job:
    params = {"name": name, "kind": kind, "type": "image", "base": f"/srv/{name}", "options": options}
    return submit("datastore.create", user=admin, params=params | {"hosts": [host.pk for host in hosts]})


def test_what_clients_see_of_one_server_is_one_tree(admin: User) -> None:
    hosts = [a_host("h0"), a_host("h1")]
    nfs(admin, hosts, "plain")
    with pytest.raises(Refused, match="not find /srv/plain any more"):
        nfs(admin, hosts, "root", fsid="0")
    nfs(admin, hosts[::-1], "elsewhere", fsid="0")
    with pytest.raises(Refused, match="h1: /srv/elsewhere has fsid=0"):
        nfs(admin, hosts[::-1], "hidden")
    assert {row.name for row in Datastore.objects.all()} == {"plain", "elsewhere"}


def test_two_of_one_server_are_exported_by_files_of_their_own(admin: User) -> None:
    hosts = [a_host("h0"), a_host("h1")]
    nfs(admin, hosts, "a-b")
    with pytest.raises(Refused, match="h0 would export /srv/a/b by the file of /srv/a-b"):
        a_b = {"name": "nested", "kind": "nfs", "type": "image", "base": "/srv/a/b", "options": {}}
        submit("datastore.create", user=admin, params=a_b | {"hosts": [host.pk for host in hosts]})


def test_data_sets_that_are_exported_are_in_the_same_tree(admin: User) -> None:
    hosts = [a_host("h0"), a_host("h1")]
    nfs(admin, hosts, "tank", "zfs", dataset="tank/one")
    nfs(admin, hosts, "root", fsid="0")
    with pytest.raises(Refused, match="/srv/root has fsid=0"):
        nfs(admin, hosts, "two", "zfs", dataset="tank/two", exported=True)
    nfs(admin, hosts[::-1], "two", "zfs", dataset="tank/two", exported=True)
    with pytest.raises(Refused, match="not find /srv/two any more"):
        nfs(admin, hosts[::-1], "hides", fsid="0")


def test_what_others_export_from_a_server_is_neither_hidden_nor_hides(admin: User) -> None:
    theirs = a_host("h0", facts={"exports": [{"path": "/etc/exports", "text": "/srv/mine 10.0.0.0/24(rw,fsid=0)\n"}]})
    with pytest.raises(Refused, match="h0: /srv/mine has fsid=0"):
        nfs(admin, [theirs], "plain")
    with pytest.raises(Refused, match="not find /srv/mine"):
        nfs(admin, [theirs], "root", fsid="0")


def test_a_new_one_is_not_mounted_soft_but_an_older_one_goes_on(admin: User) -> None:
    with pytest.raises(BadInput, match="soft mount"):
        nfs(admin, [a_host("h0"), a_host("h1")], "soft", mount="rw,_netdev,soft")
    old = a_datastore("old", hosts=[a_host("h2")], kind="nfs", options={"mount": "rw,_netdev,soft"})
    assert driver_of(old)


def change_address(host: Host, address: str) -> None:
    host = Host.objects.get(pk=host.pk)
    host.address = address
    change_host(host, host.version, ["address"])


def mounts_of(datastore: Datastore, host: str) -> list[str]:
    """Return what a host is to mount, and what is to be unmounted there when the datastore goes."""
    driver = driver_of(Datastore.objects.get(pk=datastore.pk))
    steps = [*driver.keeps(host), *driver.deactivate(host)]
    return [step.source for step in steps if isinstance(step, FstabLinePresent | MountPresent | MountAbsent)]


@pytest.mark.parametrize("remembered", [True, False])
def test_what_a_host_mounts_outlives_a_new_address_of_the_server(admin: User, remembered: bool) -> None:
    """Datastores of before it was remembered have nothing noted: then it is noted just before it changes."""
    hosts = [a_host("h0", address="10.9.0.1"), a_host("h1")]
    datastore = ended(nfs(admin, hosts, "served")).datastore
    assert [member.mounted_from for member in datastore.members.all()] == ["", "10.9.0.1:/srv/served"]
    if not remembered:
        datastore.members.update(mounted_from="")
    change_address(hosts[0], "10.9.0.99")
    assert mounts_of(datastore, "h1") == ["10.9.0.1:/srv/served"] * 3


def test_a_host_that_is_added_mounts_from_the_address_of_now(admin: User) -> None:
    hosts = [a_host("h0", address="10.9.0.1"), a_host("h1")]
    datastore = ended(nfs(admin, hosts, "served")).datastore
    change_address(hosts[0], "10.9.0.99")
    more = a_host("h2")
    job = submit("datastore.hosts", user=admin, datastore=datastore, params={"add": [more.pk], "remove": []})
    planned = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
    assert [step.source for step in planned if isinstance(step, MountPresent)] == ["10.9.0.99:/srv/served"]
    ended(job)
    assert mounts_of(datastore, "h2") == ["10.9.0.99:/srv/served"] * 3
    assert mounts_of(datastore, "h1") == ["10.9.0.1:/srv/served"] * 3


def test_all_hosts_of_a_shared_one_are_shown_to_see_the_same_directory(admin: User) -> None:
    job = planned(admin, "shared", 3)
    probes = [step for stage in KINDS[job.kind].plan(job)[2:] for step in stage.steps]
    token = job.uuid.hex
    assert probes == [
        ProbePresent("h0", "/srv/ds", token),
        ProbeVisible("h1", "/srv/ds", token),
        ProbeVisible("h2", "/srv/ds", token),
        ProbeGone("h0", "/srv/ds", token),
    ]
    assert KINDS[job.kind].plan(job) == KINDS[job.kind].plan(Job.objects.get())


@pytest.mark.parametrize(("kind", "count"), [("shared", 1), ("xfs", 2)])
def test_where_nothing_is_shared_nothing_is_probed(admin: User, kind: str, count: int) -> None:
    job = planned(admin, kind, count)
    steps = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
    assert not any(isinstance(step, ProbePresent | ProbeVisible) for step in steps)


def test_a_new_one_is_measured_by_what_was_read_of_its_directory(admin: User) -> None:
    job = planned(admin, "xfs", 1)
    base = BaseReady("h0", "/srv/ds")
    ended(job, result=[(base, BaseFacts(None, capacity=Capacity(100, 40, 50)))])
    datastore = Datastore.objects.get()
    assert (datastore.state, datastore.total, datastore.used, datastore.free) == ("ready", 100, 40, 50)
    assert datastore.measured_at


def test_only_cleaning_up_needs_no_approval(admin: User) -> None:
    job = a_job(admin, "datastore.create", state=JobState.QUEUED)
    wanted = Change("make it", (Action(Command(("mkdir", "/srv/ds"))),))
    a_step(job, change=encode_change(wanted))
    a_step(job, change=None)
    approves = approval_of(job)
    assert approves(0, wanted)
    assert not approves(1, wanted)
    assert approves(1, Change("clean up", (Action(Command(("rm", "/srv/ds/p")), scratch=True, harmless=True),)))
    assert approves(1, Change("derived", (Action(Command(("touch", "/srv/ds/p"))),), follows=True))
    assert not approves(1, Change("write", (Action(Command(("touch", "/srv/ds/p")), scratch=True),)))


def test_measuring_changes_only_the_images_whose_size_has_changed(admin: User, django_assert_num_queries: Any) -> None:
    datastore = a_datastore("gold")
    images = [an_image(admin, datastore=datastore, real_size=size) for size in (1, 2, 3)]
    away = an_image(admin, datastore=datastore, real_size=4, state="deleting")
    driver = driver_of(datastore)
    seen = zip([*images, away], (1, 20, None, 40), strict=True)
    volumes = tuple(replace(image_volume(image, driver), allocated=size) for image, size in seen if size is not None)
    with django_assert_num_queries(5) as asked:
        remember_measure(datastore, Measure(Capacity(100, 40, 50), volumes))
    assert sum("UPDATE" in query["sql"] and "image" in query["sql"] for query in asked.captured_queries) == 1
    assert list(datastore.images.order_by("pk").values_list("real_size", flat=True)) == [1, 20, 3, 4]


class TestWhatIsOnItsWayThere:
    """A thing that moves belongs to its old datastore until it has arrived."""

    @pytest.fixture
    def hosts(self, admin: User) -> list[Host]:
        return [a_host("nas")]

    @pytest.fixture
    def created(self, admin: User, hosts: list[Host]) -> Job:
        params = {"name": "to", "kind": "shared", "type": "image", "base": "/srv/to", "hosts": [hosts[0].pk]}
        return ended(submit("datastore.create", user=admin, params=params))

    @pytest.fixture(params=["image.move", "disk.move"])
    def move(self, request: pytest.FixtureRequest, admin: User, hosts: list[Host], created: Job) -> Job:
        image = an_image(admin, datastore=a_datastore("from", kind="shared", base="/srv/from", hosts=hosts))
        target = {"image": image} if request.param == "image.move" else {"disk": a_disk(image)}
        return submit(request.param, user=admin, datastore=created.datastore, **target)

    def test_keeps_it_from_being_deleted(self, admin: User, created: Job, move: Job) -> None:
        with pytest.raises(Refused, match=rf"Job {move.pk} \(Move .* is to put something into to"):
            submit("datastore.delete", user=admin, datastore=created.datastore)

    def test_keeps_its_creation_from_being_taken_back(self, admin: User, created: Job, move: Job) -> None:
        with pytest.raises(Refused, match="is to put something into to"):
            control.undo(created, admin)
        ended(move, "cancelled")
        control.undo(created, admin)

    def test_cannot_set_out_any_more_when_its_creation_is_being_taken_back(
        self, admin: User, created: Job, hosts: list[Host]
    ) -> None:
        control.undo(created, admin)
        image = an_image(admin, datastore=a_datastore("from", kind="shared", base="/srv/from", hosts=hosts))
        with pytest.raises(Busy, match="Datastore to is being changed"):
            submit("image.move", user=admin, image=image, datastore=created.datastore)


def test_its_creation_is_tried_again_only_on_hosts_that_can_be_used(admin: User) -> None:
    job = ended(planned(admin, "shared", 1), "failed")
    Host.objects.update(maintenance=True)
    with pytest.raises(Refused, match="maintenance"):
        control.retry(job, admin)


class TestWhatWentWrong:
    """A datastore says so until it is put right, and nothing else wipes it away."""

    @pytest.fixture
    def datastore(self, admin: User) -> Datastore:
        return a_datastore("gold")

    def error_of(self, datastore: Datastore) -> str:
        return Datastore.objects.get(pk=datastore.pk).error

    def test_a_deletion_that_is_not_wanted_any_more_is_no_error(self, datastore: Datastore, admin: User) -> None:
        ended(submit("datastore.delete", user=admin, datastore=datastore), "cancelled")
        datastore.refresh_from_db()
        assert (datastore.state, datastore.error) == ("ready", "")

    def test_measuring_does_not_wipe_away_why_a_deletion_failed(self, datastore: Datastore, admin: User) -> None:
        ended(submit("datastore.delete", user=admin, datastore=datastore), "failed")
        remember_capacity(datastore, Capacity(100, 40, 50))
        assert self.error_of(datastore) == "it broke"
        remember_unmeasured(datastore, NotConnected("h1 does not answer."))
        assert self.error_of(datastore) == "it broke"

    def test_asking_again_does(self, datastore: Datastore, admin: User) -> None:
        ended(submit("datastore.delete", user=admin, datastore=datastore), "failed")
        ended(submit("datastore.delete", user=admin, datastore=datastore), "cancelled")
        assert self.error_of(datastore) == ""

    def test_that_it_could_not_be_measured_is_said_until_it_could(self, datastore: Datastore) -> None:
        remember_unmeasured(datastore, NotConnected("h1 is silent."))
        remember_unmeasured(datastore, NotConnected("h1 does not answer."))
        assert self.error_of(datastore) == "It could not be measured: h1 does not answer."
        remember_capacity(datastore, Capacity(100, 40, 50))
        assert self.error_of(datastore) == ""


class TestDeletion:
    @pytest.fixture
    def nfs(self) -> Datastore:
        return a_datastore(
            "gold", kind="nfs", base="/srv/gold", hosts=[a_host(name) for name in ("nas", "kvm1", "kvm2")]
        )

    def hosts_of_its_plan(self, admin: User, datastore: Datastore) -> list[str]:
        job = submit("datastore.delete", user=admin, datastore=datastore)
        return list(dict.fromkeys(step.host for stage in KINDS[job.kind].plan(job) for step in stage.steps))

    def test_all_is_taken_back_and_the_storage_host_comes_last(self, admin: User, nfs: Datastore) -> None:
        assert self.hosts_of_its_plan(admin, nfs) == ["kvm1", "kvm2", "nas"]

    def test_a_storage_host_that_is_gone_for_good_is_not_waited_for(self, admin: User, nfs: Datastore) -> None:
        Host.objects.filter(name="nas").update(state=HostState.UNREACHABLE)
        job = submit("datastore.delete", user=admin, datastore=nfs)
        steps = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
        assert {step.host for step in steps} == {"kvm1", "kvm2"}
        assert {step.lost for step in steps if isinstance(step, MountAbsent)} == {True}, "unmounting would wait for it"

    def test_what_is_to_be_done_stays_the_same_while_a_host_comes_back(self, admin: User, nfs: Datastore) -> None:
        Host.objects.filter(name="kvm1").update(state=HostState.UNREACHABLE)
        job = submit("datastore.delete", user=admin, datastore=nfs)
        Host.objects.update(state=HostState.READY)
        assert {step.host for stage in KINDS[job.kind].plan(job) for step in stage.steps} == {"kvm2", "nas"}


@pytest.mark.parametrize(
    ("kind", "options", "refused"),
    [
        ("lvm", {}, True),
        ("iscsi", {"prefix": "lv-one-more-"}, True),
        ("iscsi", {"prefix": "lv-lio-"}, False),
        ("iscsi", {"group_name": "vg-two"}, False),
        ("iscsi", {"backing": "files"}, False),
    ],
)
def test_two_in_one_volume_group_name_their_volumes_apart(
    admin: User, kind: str, options: dict[str, Any], refused: bool
) -> None:
    host = a_host()
    a_datastore("first", kind="iscsi", hosts=[host])
    params = {"name": "second", "kind": kind, "type": "image", "base": "/srv/second", "hosts": [host.pk]}
    if refused:
        with pytest.raises(Refused, match="begin with lv-one- in vg-one for first"):
            submit("datastore.create", user=admin, params=params | {"options": options})
    else:
        submit("datastore.create", user=admin, params=params | {"options": options})
    submit(
        "datastore.create", user=admin, params=params | {"options": options, "name": "third", "hosts": [a_host().pk]}
    )


def test_one_is_taken_back_only_from_the_hosts_that_its_job_knows(admin: User) -> None:
    job = ended(planned(admin, "nfs", 2))
    a_step(job, machine=Host.objects.get(name="h0"))
    write_log(job, "$ set", kind=EventKind.ACTION_STARTED)
    ended(submit("datastore.hosts", user=admin, params={"add": [a_host().pk], "remove": []}, datastore=job.datastore))
    with pytest.raises(Refused, match="The hosts of ds were changed since"):
        control.undo(job, admin)


def test_nor_from_bricks_that_it_does_not_know(admin: User) -> None:
    hosts = [a_host(f"h{number}") for number in range(4)]
    made_of = [{"host": host.pk, "path": "/bricks/ds"} for host in hosts[:3]]
    params = {"name": "ds", "kind": "gluster", "type": "image", "base": "/srv/ds", "bricks": made_of,
              "hosts": [host.pk for host in hosts], "options": {"forced": True}}  # fmt: skip
    job = ended(submit("datastore.create", user=admin, params=params))
    KINDS[job.kind].check_undo(job)
    job.datastore.bricks.filter(position=2).update(host=hosts[3], peer=hosts[3].address)
    with pytest.raises(Refused, match="The bricks of ds were changed since"):
        KINDS[job.kind].check_undo(job)


def test_a_host_does_not_come_while_one_is_taken_back(admin: User) -> None:
    job = ended(planned(admin, "nfs", 2))
    a_step(job, machine=Host.objects.get(name="h0"))
    write_log(job, "$ set", kind=EventKind.ACTION_STARTED)
    submit("datastore.hosts", user=admin, params={"add": [a_host().pk], "remove": []}, datastore=job.datastore)
    with pytest.raises(Busy, match="Host list of datastore ds is being changed by"):
        control.undo(job, admin)
