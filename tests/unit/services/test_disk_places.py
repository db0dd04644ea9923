"""A disk that is used on another host than before, because somebody wants it or because its host is gone."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Refused
from datastores.domain.plan import AnyStep
from datastores.domain.states import HostState
from datastores.hosts.lio import LioTargetGone
from datastores.hosts.receiving import FileReceived
from datastores.hosts.tgt_targets import TargetGone, TargetServed
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, DatastoreHost, Disk, Host, HostKey, Job, User
from datastores.services.hosts import change_host
from datastores.services.placing import members_of
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmFh5OFy+kJkYcU0Fh5Bt7DhSWyHmNMlvT4o9Uu0Y2a"


@pytest.fixture
def hosts(db: None) -> list[Host]:
    """A storage host and two others, in this order."""
    made = [a_host(name) for name in ("nas", "node1", "node2")]
    for host in made:
        HostKey.objects.create(host=host, line=f"{KEY} {host.name}", fingerprint="SHA256:x", pinned_at=host.created_at)
    return made


@pytest.fixture
def iscsi(hosts: list[Host]) -> Datastore:
    return a_datastore("luns", hosts=hosts, kind="iscsi", options={"backing": "files", "initiator": "qemu"})


@pytest.fixture
def ssh(hosts: list[Host]) -> Datastore:
    return a_datastore("local", hosts=hosts, kind="ssh")


def a_disk_on(host: Host, user: User, datastore: Datastore, **fields: Any) -> Disk:
    return a_disk(an_image(user, datastore=datastore), a_vm(user), host=host, kind="copy", **fields)


def place(disk: Disk, host: Host, user: User, **params: Any) -> Job:
    return submit("disk.place", user=user, disk=disk, params={"on": host.pk, **params})


def steps(job: Job) -> list[AnyStep]:
    return [step for stage in KINDS[job.kind].plan(Job.objects.get(pk=job.pk)) for step in stage.steps]


def silence(host: Host) -> None:
    Host.objects.filter(pk=host.pk).update(state=HostState.UNREACHABLE)


def test_what_is_attached_is_attached_elsewhere_and_no_byte_is_copied(
    alice: User, iscsi: Datastore, hosts: list[Host]
) -> None:
    _, node1, node2 = hosts
    job = place(a_disk_on(node1, alice, iscsi), node2, alice)
    assert [step.host for step in steps(job)] == ["node1", "nas", "nas", "node2"]
    ended(job)
    assert (Disk.objects.get().host, Disk.objects.get().state) == (node2, "ready")


def test_what_lies_on_a_host_is_fetched_by_the_other(alice: User, ssh: Datastore, hosts: list[Host]) -> None:
    _, node1, node2 = hosts
    job = place(a_disk_on(node1, alice, ssh), node2, alice)
    assert (job.params["sender"], job.params["host"]) == ("node1", "node2")
    assert [step.host for step in steps(job) if isinstance(step, FileReceived)] == ["node2"]
    ended(job)
    assert Disk.objects.get().host == node2


@pytest.mark.parametrize("lossy", [True, False])
def test_it_is_on_the_other_host_also_when_the_old_copy_could_not_be_removed(
    alice: User, ssh: Datastore, hosts: list[Host], lossy: bool
) -> None:
    _, node1, node2 = hosts
    job = place(a_disk_on(node1, alice, ssh), node2, alice)
    KINDS[job.kind].broken_off(Job.objects.get(), "it broke", lossy=lossy)
    disk = Disk.objects.get()
    assert (disk.host, disk.state, disk.error) == (node2, "ready", "it broke")


def test_the_disks_of_a_machine_go_one_after_the_other(alice: User, iscsi: Datastore, hosts: list[Host]) -> None:
    _, node1, node2 = hosts
    disk = a_disk_on(node1, alice, iscsi)
    a_disk(disk.image, disk.vm, host=node1, kind="copy")
    for each in Disk.objects.all():
        ended(place(each, node2, alice))
    assert {disk.host for disk in Disk.objects.all()} == {node2}


def test_it_stays_where_it_is_used_already_or_where_all_hosts_see_it(
    alice: User, iscsi: Datastore, hosts: list[Host]
) -> None:
    disk = a_disk_on(hosts[1], alice, iscsi)
    with pytest.raises(BadInput, match="used on node1 already"):
        place(disk, hosts[1], alice)
    with pytest.raises(BadInput, match="no host of luns"):
        place(disk, a_host("stranger"), alice)
    seen = a_disk(an_image(alice, datastore=a_datastore("shared", hosts=hosts)), a_vm(alice))
    with pytest.raises(BadInput, match="all of its hosts see them"):
        place(seen, hosts[1], alice)


# A host that is gone


def test_a_silent_host_keeps_its_disks_until_somebody_gives_it_up(
    alice: User, admin: User, iscsi: Datastore, hosts: list[Host]
) -> None:
    _, node1, node2 = hosts
    disk = a_disk_on(node1, alice, iscsi)
    with pytest.raises(Refused, match="node1 answers"):
        place(disk, node2, admin, lost=True)
    silence(node1)
    with pytest.raises(Refused, match="unreachable"):
        place(Disk.objects.get(), node2, admin)
    with pytest.raises(Refused, match="Only admins and operators"):
        place(disk, node2, alice, lost=True)
    job = place(disk, node2, admin, lost=True)
    cut, served, linked = steps(job)
    assert isinstance(cut, TargetGone) and cut.forced and cut.leaving == (node1.address,)
    assert isinstance(served, TargetServed) and served.initiators == (node2.address,)
    assert linked.host == "node2"


def test_a_host_that_came_back_meanwhile_is_not_given_up(
    alice: User, admin: User, iscsi: Datastore, hosts: list[Host]
) -> None:
    disk = a_disk_on(hosts[1], alice, iscsi)
    silence(hosts[1])
    job = place(disk, hosts[2], admin, lost=True)
    Host.objects.update(state=HostState.READY)
    with pytest.raises(Refused, match="node1 answers"):
        KINDS[job.kind].check_still(Job.objects.get())


def test_what_lay_on_it_is_lost_and_can_only_be_forgotten(
    alice: User, admin: User, ssh: Datastore, hosts: list[Host]
) -> None:
    disk = a_disk_on(hosts[1], alice, ssh)
    silence(hosts[1])
    with pytest.raises(Refused, match="lost with it"):
        place(disk, hosts[2], admin, lost=True)
    job = submit("disk.delete", user=admin, disk=disk, params={"lost": True})
    assert steps(job) == []
    ended(job)
    assert not Disk.objects.exists()


def test_a_deletion_takes_from_it_what_was_attached(
    alice: User, admin: User, iscsi: Datastore, hosts: list[Host]
) -> None:
    disk = a_disk_on(hosts[1], alice, iscsi)
    silence(hosts[1])
    job = submit("disk.delete", user=admin, disk=disk, params={"lost": True})
    assert {step.host for step in steps(job)} == {"nas"}
    assert steps(job)[0].forced


class TestRenamed:
    """What targets and initiators were told a host is called stays, for they keep it."""

    @pytest.fixture
    def served(self, hosts: list[Host], alice: User) -> Disk:
        """A disk that is attached to node1."""
        store = a_datastore("lio", hosts=hosts, kind="iscsi", options={"target": "lio"})
        store.members.all().delete()
        DatastoreHost.objects.bulk_create(members_of(store.pk, hosts))
        return a_disk_on(hosts[1], alice, store)

    @staticmethod
    def rename(host: Host, name: str) -> None:
        host.name = name
        change_host(host, host.version, ["name"])

    @staticmethod
    def said(disk: Disk, user: User) -> tuple[list[str], list[str]]:
        """Return what a deletion of the disk would take away, and whom it would log out."""
        job = submit("disk.delete", user=user, disk=disk)
        gone = [step for step in steps(job) if isinstance(step, LioTargetGone)]
        return sorted({step.name for step in gone}), sorted({who for step in gone for who in step.leaving})

    def test_a_target_is_found_by_its_name_after_its_host_got_another(
        self, admin: User, served: Disk, hosts: list[Host]
    ) -> None:
        self.rename(hosts[0], "storage")
        self.rename(hosts[1], "node9")
        targets, initiators = self.said(served, admin)
        begin = "iqn.2013-10.org.opennebula"
        assert targets == [f"{begin}:nas.vg-one.lv-one-{served.vm_id}-0"]
        assert f"{begin}:node1" in initiators and f"{begin}:node9" not in initiators

    def test_who_gets_the_old_name_of_another_is_called_something_else(
        self, admin: User, served: Disk, hosts: list[Host]
    ) -> None:
        self.rename(hosts[1], "node9")
        namesake = a_host("node1")
        ended(
            submit(
                "datastore.hosts", user=admin, params={"add": [namesake.pk], "remove": []}, datastore=served.datastore
            )
        )
        assert [row.peer for row in members_of(0, [namesake, hosts[1]])] == [f"node1-{namesake.pk}", "node1"]
        assert served.datastore.members.get(host=namesake).peer == f"node1-{namesake.pk}"
