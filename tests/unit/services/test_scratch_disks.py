"""Datastores without directories for files are measured with disks that are made for it."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.afterwards import Ended
from datastores.domain.errors import Refused, Unsupported
from datastores.domain.throughput import MIB, Figures
from datastores.hosts.disk_throughput import DiskThroughputKnown, Used
from datastores.hosts.opened import Opened
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.throughput import Ground, Throughput
from datastores.hosts.trials import TrialsSwept
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, Measurement, User
from datastores.services.measurements import measured_on
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
KEY = "AQDqbyBnAAAAABAAVRiCM0RfzLqFIpJDKf6h4A=="


@pytest.fixture
def hosts(db: None) -> list[Host]:
    return [a_host("nas"), a_host("kvm1")]


def asked(user: User, datastore: Datastore, **params: Any) -> Job:
    chosen = [host.pk for host in measured_on(datastore)]
    return submit("datastore.measure", user=user, datastore=datastore, params={"hosts": chosen, **params})


def stages_of(job: Job) -> list[tuple[str, list[str], list[str]]]:
    """Return of each stage its title, the hosts of its steps, and what these are."""
    plan = KINDS[job.kind].plan(job)
    return [
        (
            stage.title,
            [step.host for step in stage.steps],
            [type(getattr(step, "step", step)).__name__ for step in stage.steps],
        )
        for stage in plan
    ]


def measured_by(job: Job) -> list[DiskThroughputKnown]:
    steps = [step for stage in KINDS[job.kind].plan(job) for step in stage.steps]
    return [step for step in steps if isinstance(step, DiskThroughputKnown)]


def test_a_disk_for_each_host_is_made_attached_measured_detached_and_deleted(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("luns", kind="iscsi", hosts=hosts, options={"backing": "files", "chap": False})
    assert measured_on(store) == hosts
    stages = stages_of(asked(operator, store, install=True))
    assert [title for title, _, _ in stages] == [
        "create", "attach", "attach", "attach", "tools", "measure on nas", "measure on kvm1",
        "detach", "detach", "detach", "delete", "clean up",
    ]  # fmt: skip
    titles = [(title, where) for title, where, _ in stages]
    assert titles[0][1] == ["nas", "nas"], "all lie on the storage host"
    assert [where for title, where in titles if title == "attach"] == [["nas"] * 3, ["nas"], ["kvm1"] * 2]
    assert stages[4][2] == ["PackageInstalled"] * 2


def test_the_host_that_makes_the_disks_of_the_others_is_never_left_out(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("luns", kind="iscsi", hosts=hosts, options={"backing": "files", "chap": False})
    job = asked(operator, store)
    assert KINDS[job.kind].leaves_out(job) == {"nas": False, "kvm1": True}
    ended(job, "cancelled")
    alone = submit("datastore.measure", user=operator, datastore=store, params={"hosts": [hosts[1].pk]})
    assert KINDS[alone.kind].leaves_out(alone) == {"kvm1": True}


def test_what_ends_the_disks_follows_from_what_was_approved(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("luns", kind="iscsi", hosts=hosts, options={"backing": "files", "chap": False})
    plan = KINDS["datastore.measure"].plan(asked(operator, store))
    ends = [step for stage in plan if stage.title in {"detach", "delete"} for step in stage.steps]
    assert ends and all(isinstance(step, Ended) for step in ends)


def test_no_two_jobs_and_no_machine_have_disks_of_these_names(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("luns", kind="iscsi", hosts=hosts, options={"backing": "files", "chap": False})
    first = asked(operator, store)
    paths = [step.used.disk.path for step in measured_by(first)]
    ended(first, "cancelled")
    others = [step.used.disk.path for step in measured_by(asked(operator, store))]
    assert len({*paths, *others}) == 4
    numbers = [int(path.split("/")[-2]) for path in (*paths, *others)]
    assert min(numbers) >= 10**12


def test_where_qemu_logs_in_it_measures(operator: User, hosts: list[Host]) -> None:
    options = {"backing": "files", "initiator": "qemu"}
    store = a_datastore("luns", kind="iscsi", hosts=hosts, options=options, secret="abcdefghijkl", free=2000 * MIB)
    found = measured_by(asked(operator, store, size=64 * MIB, seconds=2))
    assert [step.host for step in found] == ["nas", "kvm1"]
    assert all(step.used.disk.path.startswith("iscsi://") and step.used.account for step in found)
    assert all("abcdefghijkl" not in repr(step) for step in found)
    assert {(step.size, step.seconds, step.used.over) for step in found} == {(64 * MIB, 2, "nas")}


def test_volumes_of_one_host_are_measured_there_alone(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("vols", kind="lvm", hosts=hosts)
    assert [host.name for host in measured_on(store)] == ["nas"]
    [test] = measured_by(asked(operator, store, size=64 * MIB))
    assert test.used.disk.device and test.used.over == ""
    with pytest.raises(Unsupported, match="cannot be measured on kvm1"):
        submit("datastore.measure", user=operator, datastore=store, params={"hosts": [hosts[1].pk]})


def test_images_of_a_cluster_are_measured_on_each_client(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    job = asked(operator, store)
    titles = [title for title, _, _ in stages_of(job)]
    assert titles == ["create", "measure on nas", "measure on kvm1", "delete", "clean up"], "nothing to attach"
    assert {step.used.over for step in measured_by(job)} == {"the cluster"}


def test_luns_that_others_made_are_not_overwritten_and_the_form_says_why(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("box", kind="nas", hosts=hosts, options={"portals": "10.9.0.5"})
    assert measured_on(store) == []
    page = text_of(signed_in(operator).get(f"/datastores/{store.pk}/measure/"))
    assert "Nothing can be measured here" in page and "whatever is on one would be overwritten" in page
    with pytest.raises(Unsupported, match="cloudstore makes none there"):
        submit("datastore.measure", user=operator, datastore=store, params={"hosts": [hosts[0].pk]})


def test_the_form_says_that_a_disk_is_made(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    page = text_of(signed_in(operator).get(f"/datastores/{store.pk}/measure/"))
    assert "A disk of the job is made for each host" in page


def test_a_tenth_of_what_is_free_is_taken_at_most(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY, free=1000 * MIB)
    job = asked(operator, store)
    assert [step.size for step in measured_by(job)] == [50 * MIB, 50 * MIB], "both are there at the same time"
    ended(job, "cancelled")
    Datastore.objects.update(free=640 * MIB)
    job.refresh_from_db()
    KINDS[job.kind].again(job)
    assert [step.size for step in measured_by(job)] == [32 * MIB, 32 * MIB], "there is less now"
    Datastore.objects.update(free=300 * MIB)
    job.refresh_from_db()
    with pytest.raises(Refused, match=r"by all 2 disks together.*make room there first"):
        KINDS[job.kind].again(job)


def test_where_it_is_not_known_what_is_free_disks_are_as_small_as_can_be(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    assert [step.size for step in measured_by(asked(operator, store))] == [16 * MIB, 16 * MIB]


def test_trying_makes_and_removes_a_disk_and_measures_nothing(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    job = asked(operator, store, only_try=True, install=True)
    kinds = {name for _, _, names in stages_of(job) for name in names}
    assert not {DiskThroughputKnown.__name__, PackageInstalled.__name__} & kinds
    assert TrialsSwept.__name__ in kinds


def test_figures_of_a_disk_say_over_what_it_was_reached(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    job = asked(operator, store)
    figures = Figures("qemu-img bench", True, 64 * MIB, 50 * MIB, 90 * MIB, 700.0, 2000.0)
    step = DiskThroughputKnown("kvm1", "/srv/rbd", "a", used=Used(Opened("rbd:one/x", "raw", 1), "the cluster"))
    ended(job, result=[(step, Throughput(None, figures, Ground(over="the cluster"), None))])
    row = Measurement.objects.get()
    assert row.network and row.hardware == "over the network (speed not known) from the cluster"
    assert (row.tool, row.kind, row.write_p50) == ("qemu-img bench", "ceph", None)


def test_a_job_that_has_no_figures_does_not_say_that_it_succeeded(operator: User, hosts: list[Host]) -> None:
    store = a_datastore("rbd", kind="ceph", hosts=hosts, secret=KEY)
    job = asked(operator, store)
    with pytest.raises(Refused, match="no figures"):
        ended(job)
    ended(job, "cancelled")
    ended(asked(operator, store, only_try=True))
    assert not Measurement.objects.exists()
