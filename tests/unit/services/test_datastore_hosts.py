"""More hosts for a datastore, or fewer, while it is in use."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput, Busy, CloudstoreError, Refused
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.probes import ProbeGone, ProbePresent, ProbeVisible
from datastores.jobs import control
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import AuditEntry, Datastore, Disk, Host, Job, Lease, User
from datastores.services.drift_scope import Scope
from datastores.services.hosts import require_unneeded
from datastores.services.managed import statements
from datastores.services.placing import hosts_of
from tests.unit.conftest import a_datastore, a_disk, a_drift, a_host, a_vm, an_image
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


def test_the_hosts_are_named_wherever_the_job_is_told_of(admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
    job = change(admin, gold, add=[hosts["kvm3"]], remove=[hosts["kvm1"]])
    assert job.title == "Datastore gold: add kvm3, take out kvm1"
    asked = AuditEntry.objects.get(action="datastore.hosts").detail["params"]
    assert (asked["added"], asked["removed"]) == (["kvm3"], ["kvm1"])


def test_what_is_mounted_is_unmounted_but_on_hosts_that_do_not_answer(admin: User, hosts: dict[str, Host]) -> None:
    members = [hosts["nas"], hosts["kvm1"], hosts["kvm2"]]
    store = a_datastore("mounted", kind="nfs", base="/srv/mounted", hosts=members)
    Host.objects.filter(name="kvm1").update(state="unreachable")
    job = change(admin, store, remove=members[1:])
    stages = KINDS[job.kind].plan(job)
    assert [(stage.title, {step.host for step in stage.steps}) for stage in stages] == [
        ("hosts that do not use it any more", {"kvm2"}),
        ("storage host", {"nas"}),
    ]


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
        with pytest.raises(Busy, match="Host list of datastore gold is being changed by"):
            change(admin, gold, remove=[hosts["kvm1"]])

    def test_its_deletion_waits(self, admin: User, gold: Datastore, hosts: dict[str, Host]) -> None:
        job = change(admin, gold, add=[hosts["kvm3"]])
        waits = submit("datastore.delete", user=admin, datastore=gold)
        assert Lease.objects.filter(job=waits, granted=False).exists()
        with pytest.raises(Refused, match="gold is deleting"):
            KINDS[job.kind].check_still(job)
        ended(job, "failed")
        assert not Lease.objects.filter(granted=False).exists()

    def test_it_is_tried_again_only_if_it_still_can_be(
        self, admin: User, gold: Datastore, hosts: dict[str, Host]
    ) -> None:
        job = ended(change(admin, gold, add=[hosts["kvm3"]]), "failed")
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        with pytest.raises(Refused, match="changed meanwhile"):
            control.retry(job, admin)

    def test_it_is_tried_again_on_the_same_host_also_when_that_was_renamed(
        self, admin: User, gold: Datastore, hosts: dict[str, Host]
    ) -> None:
        job = ended(change(admin, gold, add=[hosts["kvm3"]]), "failed")
        Host.objects.filter(name="kvm3").update(name="kvm3-old")
        a_host("kvm3")
        control.retry(job, admin)
        job = Job.objects.get(pk=job.pk)
        assert job.title == "Datastore gold: add kvm3-old"
        assert {step.host for stage in KINDS[job.kind].plan(job) for step in stage.steps} == {"nas", "kvm3-old"}

    @pytest.mark.parametrize("kind", ["datastore.hosts", "datastore.delete"])
    def test_a_datastore_that_somebody_deleted_is_said_to_be_gone(
        self, admin: User, gold: Datastore, hosts: dict[str, Host], kind: str
    ) -> None:
        key = gold.pk
        Datastore.objects.all().delete()
        gold.pk = key
        params = {"add": [hosts["kvm3"].pk], "remove": []}
        with pytest.raises(Refused, match="gone"):
            submit(kind, user=admin, params=params, datastore=gold)
        assert not Job.objects.exists()


class TestWhatCameFirst:
    """The plan waits for a person, and what it was made for may have changed when it is carried out."""

    def test_two_datastores_do_not_come_to_share_files_on_a_host(self, admin: User, hosts: dict[str, Host]) -> None:
        above = a_datastore("above", kind="shared", base="/srv", hosts=[hosts["nas"]])
        below = a_datastore("below", kind="shared", base="/srv/b", hosts=[a_host("nas2")])
        first, second = (change(admin, datastore, add=[hosts["kvm3"]]) for datastore in (above, below))
        ended(first)
        with pytest.raises(Refused, match="/srv/b overlaps /srv of the datastore above"):
            KINDS[second.kind].check_still(second)
        with pytest.raises(Refused, match="overlaps"):
            ended(second)

    def test_nor_do_an_old_and_a_new_one(self, admin: User, hosts: dict[str, Host]) -> None:
        job = change(admin, a_datastore("above", kind="shared", base="/srv", hosts=[hosts["nas"]]), add=[hosts["kvm3"]])
        params = {"name": "new", "kind": "shared", "type": "image", "base": "/srv/c", "hosts": [hosts["kvm3"].pk]}
        submit("datastore.create", user=admin, params=params)
        with pytest.raises(Refused, match="overlaps /srv/c of the datastore new"):
            ended(job)

    def test_who_looked_before_somebody_else_was_faster_is_told(
        self, admin: User, gold: Datastore, hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stale = Datastore.objects.get(pk=gold.pk)
        hosts_of(stale)
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        with pytest.raises(Refused, match="changed meanwhile"):
            change(admin, stale, add=[hosts["kvm3"]])

    def test_what_was_begun_for_it_can_still_be_judged_and_taken_back(
        self, admin: User, gold: Datastore, hosts: dict[str, Host]
    ) -> None:
        job = change(admin, gold, add=[hosts["kvm3"]])
        before = KINDS[job.kind].plan(job)
        Host.objects.filter(name="kvm3").update(maintenance=True)
        with pytest.raises(Refused, match="maintenance"):
            KINDS[job.kind].check_still(job)
        assert KINDS[job.kind].plan(job) == before


class TestATransfer:
    """It goes over a host that sees both datastores, and stays on that one."""

    @pytest.fixture
    def move(self, admin: User, hosts: dict[str, Host]) -> Job:
        """A move over kvm2, the only host of both datastores."""
        source = a_datastore(
            "from", kind="shared", base="/srv/from", hosts=[hosts["nas"], hosts["kvm1"], hosts["kvm2"]]
        )
        target = a_datastore("to", kind="shared", base="/srv/to", hosts=[a_host("nas2"), hosts["kvm2"]])
        return submit("image.move", user=admin, image=an_image(admin, datastore=source), datastore=target)

    def test_goes_on_over_its_host_when_another_could_carry_it_too(
        self, admin: User, move: Job, hosts: dict[str, Host]
    ) -> None:
        before = KINDS[move.kind].plan(move)
        ended(change(admin, Datastore.objects.get(name="to"), add=[hosts["kvm1"]]))
        assert KINDS[move.kind].plan(Job.objects.get(pk=move.pk)) == before

    def test_goes_on_over_its_host_when_that_is_taken_out_and_keeps_it(
        self, admin: User, move: Job, hosts: dict[str, Host]
    ) -> None:
        before = KINDS[move.kind].plan(move)
        for name in ("from", "to"):
            ended(change(admin, Datastore.objects.get(name=name), remove=[hosts["kvm2"]]))
        assert KINDS[move.kind].plan(Job.objects.get(pk=move.pk)) == before
        with pytest.raises(Refused, match="cannot be deleted now"):
            require_unneeded(hosts["kvm2"])

    def test_goes_over_another_when_it_is_tried_again(self, admin: User, move: Job, hosts: dict[str, Host]) -> None:
        ended(move, "failed")
        ended(change(admin, Datastore.objects.get(name="to"), add=[hosts["kvm1"]]))
        ended(change(admin, Datastore.objects.get(name="from"), remove=[hosts["kvm2"]]))
        control.retry(Job.objects.get(pk=move.pk), admin)
        assert Job.objects.get(pk=move.pk).params["host"] == "kvm1"

    @pytest.mark.parametrize("kind", ["disk.create", "disk.save", "disk.move"])
    def test_of_each_kind_holds_its_host(self, admin: User, hosts: dict[str, Host], kind: str) -> None:
        source = a_datastore("from", kind="shared", base="/srv/from", hosts=[hosts["nas"], hosts["kvm1"]])
        target = a_datastore("to", kind="shared", base="/srv/to", hosts=[a_host("nas2"), hosts["kvm1"]])
        image = an_image(admin, datastore=source)
        targets = {"disk.create": {"image": image, "vm": a_vm(admin)}}.get(kind) or {"disk": a_disk(image)}
        job = submit(kind, user=admin, params={"name": "saved"}, datastore=target, **targets)
        assert job.leases.filter(resource=f"host:{hosts['kvm1'].pk}", exclusive=False).exists()
        assert {step.host for stage in KINDS[kind].plan(job)[:1] for step in stage.steps} == {"kvm1"}


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

    def test_also_when_the_link_was_made_while_the_plan_waited(
        self, admin: User, gold: Datastore, linked: Datastore, hosts: dict[str, Host]
    ) -> None:
        Disk.objects.all().delete()
        job = change(admin, gold, remove=[hosts["kvm1"]])
        image = an_image(admin, datastore=gold, persistent=True)
        submit("disk.create", user=admin, image=image, vm=a_vm(admin), datastore=linked)
        with pytest.raises(Refused, match="nowhere on kvm1"):
            ended(job)

    def test_also_when_both_datastores_are_changed_at_once(
        self, admin: User, gold: Datastore, linked: Datastore, hosts: dict[str, Host]
    ) -> None:
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        more, fewer = change(admin, linked, add=[hosts["kvm3"]]), change(admin, gold, remove=[hosts["kvm3"]])
        ended(more)
        with pytest.raises(Refused, match="nowhere on kvm3"):
            ended(fewer)

    def test_the_disks_come_to_no_host_without_the_images(
        self, admin: User, gold: Datastore, linked: Datastore, hosts: dict[str, Host]
    ) -> None:
        with pytest.raises(Refused, match="nowhere on kvm3"):
            change(admin, linked, add=[hosts["kvm3"]])
        ended(change(admin, gold, add=[hosts["kvm3"]]))
        ended(change(admin, linked, add=[hosts["kvm3"]]))


@pytest.mark.parametrize("kind", ["directory.move", "drift.repair", "datastore.measure"])
def test_hosts_stay_while_something_is_done_there(
    admin: User, gold: Datastore, hosts: dict[str, Host], kind: str
) -> None:
    """Other jobs on the datastore go on."""
    drift = a_drift(host=hosts["kvm1"], datastore=gold, key=drift_key(gold, hosts["kvm1"]))
    asked: dict[str, dict[str, Any]] = {
        "directory.move": {"params": {"path": "/var/lib/one", "name": "one"}, "host": hosts["kvm1"]},
        "drift.repair": {"params": {"drift": drift.pk}},
        "datastore.measure": {"params": {"hosts": [hosts["kvm1"].pk]}},
    }
    job = submit(kind, user=admin, **({"datastore": gold} | asked[kind]))
    removal = change(admin, gold, remove=[hosts["kvm1"]])
    assert removal.leases.filter(granted=False).exists(), "it waits for the other"
    ended(job, "cancelled")
    with pytest.raises(Busy, match="Host list of datastore gold is being changed"):
        submit(kind, user=admin, **({"datastore": gold} | asked[kind]))


def test_a_host_that_is_off_does_not_keep_the_others_from_being_measured(
    admin: User, gold: Datastore, hosts: dict[str, Host]
) -> None:
    keys = [hosts["kvm1"].pk, hosts["kvm2"].pk]
    Host.objects.filter(name="kvm2").update(state="unreachable")
    job = submit("datastore.measure", user=admin, datastore=gold, params={"hosts": keys})
    assert KINDS[job.kind].leaves_out(job) == {"kvm1": True, "kvm2": True}
    ended(job, "cancelled")
    for state in ("unreachable", "quarantined"):  # all are off; one must not be spoken to
        Host.objects.filter(name="kvm1").update(state=state)
        with pytest.raises(Refused, match=rf"kvm1 \({state}\)"):
            submit("datastore.measure", user=admin, datastore=gold, params={"hosts": keys})


def drift_key(datastore: Datastore, host: Host) -> str:
    """Return the key of what is kept true of the datastore on the host, first of all."""
    managed = next(statements(Scope(Host.objects.filter(pk=host.pk), datastore.pk)))
    return managed.key(managed.steps[0])
