"""More hosts for a datastore, or fewer, while it is in use."""

from __future__ import annotations

import pytest

from datastores.domain.errors import BadInput, Busy, CloudstoreError, Refused
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.probes import ProbeGone, ProbePresent, ProbeVisible
from datastores.jobs import control
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Disk, Host, Job, Lease, User
from datastores.services.hosts import require_unneeded
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts(db: None) -> dict[str, Host]:
    return {name: a_host(name) for name in ("nas", "kvm1", "kvm2", "kvm3")}


@pytest.fixture
def gold(hosts: dict[str, Host]) -> Datastore:
    """A shared datastore on nas, used by kvm1 and kvm2."""
    return a_datastore("gold", kind="shared", base="/srv/gold", hosts=[hosts["nas"], hosts["kvm1"], hosts["kvm2"]])


def change(admin: User, datastore: Datastore, add: list[Host] | None = None, remove: list[Host] | None = None) -> Job:
    params = {"add": [host.pk for host in add or []], "remove": [host.pk for host in remove or []]}
    return submit("datastore.hosts", user=admin, params=params, datastore=datastore)


def names(datastore: Datastore) -> list[str]:
    return list(datastore.members.order_by("position").values_list("host__name", flat=True))


def test_only_added_hosts_are_checked_and_see_the_same_bytes_as_the_storage_host(
    admin: User, gold: Datastore, hosts: dict[str, Host]
) -> None:
    job = change(admin, gold, add=[hosts["kvm3"]])
    steps = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
    token = job.uuid.hex
    assert [step.host for step in steps if isinstance(step, BaseReady)] == ["kvm3"]
    assert [step for step in steps if not isinstance(step, BaseReady)] == [
        ProbePresent("nas", "/srv/gold", token), ProbeVisible("kvm3", "/srv/gold", token),
        ProbeGone("nas", "/srv/gold", token),
    ]  # fmt: skip


def test_nothing_changes_before_the_plan_has_been_applied(admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
    job = change(admin, gold, add=[hosts["kvm3"]], remove=[hosts["kvm1"]])
    assert names(gold) == ["nas", "kvm1", "kvm2"]
    ended(job)
    assert names(gold) == ["nas", "kvm2", "kvm3"]


def test_a_plan_that_is_not_wanted_any_more_leaves_the_hosts(
    admin: User, gold: Datastore, hosts: dict[str, Host]
) -> None:
    ended(change(admin, gold, remove=[hosts["kvm1"]]), "cancelled")
    assert names(gold) == ["nas", "kvm1", "kvm2"]
    assert Datastore.objects.get().state == "ready"


def test_a_host_that_is_gone_for_good_is_taken_out_and_can_be_deleted(
    admin: User, gold: Datastore, hosts: dict[str, Host]
) -> None:
    Host.objects.filter(name="kvm1").update(state="unreachable")
    with pytest.raises(Refused, match="take it out"):
        require_unneeded(hosts["kvm1"])
    job = change(admin, gold, remove=[hosts["kvm1"]])
    assert KINDS[job.kind].plan(job) == ()
    ended(job)
    require_unneeded(hosts["kvm1"])


@pytest.mark.parametrize(
    ("add", "remove", "kind", "words"),
    [
        ((), (), BadInput, "its hosts already"),
        ((), ("nas",), BadInput, "the bytes are there"),
        (("nas",), (), BadInput, "the bytes are there"),
        (("kvm1",), (), Refused, "changed meanwhile"),
        ((), ("kvm3",), Refused, "changed meanwhile"),
        (("away",), (), Refused, r"away \(unreachable\)"),
        (("kvm3", "kvm3"), (), BadInput, "named twice"),
        (("taken",), (), Refused, "/srv/gold overlaps /srv of the datastore other"),
    ],
)
def test_what_cannot_be(
    admin: User, gold: Datastore, hosts: dict[str, Host], add: tuple[str, ...], remove: tuple[str, ...],
    kind: type[CloudstoreError], words: str,
) -> None:  # fmt: skip
    hosts |= {"away": a_host("away", state="unreachable"), "taken": a_host("taken")}
    a_datastore("other", base="/srv", hosts=[hosts["taken"]])
    with pytest.raises(kind, match=words):
        change(admin, gold, [hosts[name] for name in add], [hosts[name] for name in remove])
    assert not Job.objects.exists()


class TestMeanwhile:
    """The datastore is in use while the plan is made, and waits for a person."""

    def test_clones_are_made(self, admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
        change(admin, gold, add=[hosts["kvm3"]])
        job = submit("disk.create", user=admin, image=an_image(admin, datastore=gold), vm=a_vm(admin))
        assert not job.leases.filter(granted=False).exists()

    def test_a_second_change_is_refused(self, admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
        change(admin, gold, add=[hosts["kvm3"]])
        with pytest.raises(Busy, match="hosts of datastore gold is being changed by"):
            change(admin, gold, remove=[hosts["kvm1"]])

    def test_its_deletion_waits(self, admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
        job = change(admin, gold, add=[hosts["kvm3"]])
        waits = submit("datastore.delete", user=admin, datastore=gold)
        assert Lease.objects.filter(job=waits, granted=False).exists()
        ended(job)
        assert not Lease.objects.filter(granted=False).exists()

    def test_it_is_tried_again_only_if_it_still_can_be(
        self, admin: User, gold: Datastore, hosts: dict[str, Host]
    ) -> None:
        job = ended(change(admin, gold, add=[hosts["kvm3"]]), "failed")
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        with pytest.raises(Refused, match="changed meanwhile"):
            control.retry(job, admin)


class TestLinks:
    """A persistent image is a link in its VM's directory: on every host of the VM's datastore it has to lead there."""

    @pytest.fixture
    def linked(self, admin: User, gold: Datastore, hosts: dict[str, Host]) -> Datastore:
        """A datastore of disks on the hosts of gold; one of them is a link to an image there."""
        system = a_datastore(
            "run", kind="shared", base="/srv/run", type=Datastore.Type.SYSTEM,
            hosts=[hosts["nas"], hosts["kvm1"], hosts["kvm2"]],
        )  # fmt: skip
        a_disk(an_image(admin, datastore=gold, persistent=True), kind=Disk.Kind.LINK, datastore=system)
        return system

    def test_the_images_stay_on_all_hosts_of_the_disks(
        self, admin: User, gold: Datastore, linked: Datastore, hosts: dict[str, Host]
    ) -> None:
        with pytest.raises(Refused, match=r"Disks in run are links .* in gold, .* nowhere on kvm1"):
            change(admin, gold, remove=[hosts["kvm1"]])
        ended(change(admin, linked, remove=[hosts["kvm1"]]))
        ended(change(admin, gold, remove=[hosts["kvm1"]]))

    def test_the_disks_come_to_no_host_without_the_images(
        self, admin: User, gold: Datastore, linked: Datastore, hosts: dict[str, Host]
    ) -> None:
        with pytest.raises(Refused, match="nowhere on kvm3"):
            change(admin, linked, add=[hosts["kvm3"]])
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        ended(change(admin, linked, add=[hosts["kvm3"]]))
