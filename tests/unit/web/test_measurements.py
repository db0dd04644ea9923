"""Datastores are measured: the plan, the rows that are kept, the pages that show them, and the advisor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.errors import BadInput, Busy, Refused
from datastores.domain.throughput import MIB, Figures
from datastores.drivers.registry import DRIVERS
from datastores.hosts.filesystems import BaseReady
from datastores.hosts.packages import PackageInstalled
from datastores.hosts.throughput import Ground, Throughput, ThroughputKnown
from datastores.hosts.trials import RootWrites, TrialsSwept
from datastores.jobs.kinds import KINDS
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, Measurement, User
from datastores.services.measurements import measured_on
from tests.unit.conftest import a_datastore, a_host, signed_in, text_of
from tests.unit.services.conftest import ended

pytestmark = pytest.mark.django_db
LOCAL = Figures("fio-3.33", True, 256 * MIB, 900 * MIB, 1200 * MIB, 8000.0, 9000.0, 155.0, 5000.0, 90.0, 400.0)
SLOW = Figures("dd", False, 256 * MIB, 110 * MIB, 112 * MIB)


@pytest.fixture
def shared(db: None) -> Datastore:
    nics = {"nics": [{"name": "eth0", "speed": 10000, "state": "up"}, {"name": "eth1", "speed": 0, "state": "up"}]}
    hosts = [a_host("nas"), a_host("kvm1", facts=nics), a_host("kvm2")]
    return a_datastore("gold", kind="shared", base="/srv/gold", hosts=hosts, options={"owner": "one", "group": "cloud"})


def asked(user: User, datastore: Datastore, **params: Any) -> Job:
    hosts = [host.pk for host in measured_on(datastore)]
    return submit("datastore.measure", user=user, datastore=datastore, params={"hosts": hosts, **params})


def steps_of(job: Job) -> list[list[Any]]:
    return [list(stage.steps) for stage in KINDS[job.kind].plan(job)]


def a_measurement(datastore: Datastore, figures: Figures = LOCAL, **fields: Any) -> Measurement:
    known = {name: getattr(figures, name) for name in figures.__dataclass_fields__}
    values = {"datastore_name": datastore.name, "host_name": "kvm1", "kind": datastore.kind, "at": timezone.now(),
              "network": False, "fstype": "xfs", "hardware": "an SSD"}  # fmt: skip
    return Measurement.objects.create(datastore=datastore, **(values | known | fields))


def test_one_host_after_another_is_tried_measured_and_swept(operator: User, shared: Datastore) -> None:
    job = asked(operator, shared)
    tokens = {name: f"{job.uuid.hex}000{number}" for number, name in enumerate(("nas", "kvm1", "kvm2"))}
    first, *tests, last = steps_of(job)
    assert [type(step) for step in first] == [BaseReady, RootWrites] * 3
    assert first[1] == RootWrites("nas", "/srv/gold", tokens["nas"], "one", "cloud", "0660")
    assert first[2] == BaseReady("kvm1", "/srv/gold", "/srv/gold"), "on a client it has to be mounted"
    assert tests == [[ThroughputKnown(name, "/srv/gold", token)] for name, token in tokens.items()]
    assert last == [TrialsSwept(name, "/srv/gold", token) for name, token in tokens.items()]


def test_all_at_once_and_with_fio_when_that_is_wanted(operator: User, shared: Datastore) -> None:
    _, tools, tests, _ = steps_of(asked(operator, shared, together=True, install=True, size=64 * MIB, seconds=3))
    assert tools[0] == PackageInstalled("nas", "fio")
    assert [(step.host, step.size, step.seconds) for step in tests] == [
        (name, 64 * MIB, 3) for name in ("nas", "kvm1", "kvm2")
    ]


def test_trying_to_write_is_enough_when_nothing_else_is_wanted(operator: User, shared: Datastore) -> None:
    job = asked(operator, shared, only_try=True)
    assert {type(step) for stage in steps_of(job) for step in stage} == {BaseReady, RootWrites, TrialsSwept}
    assert job.title == "Try to write into gold on nas, kvm1 and kvm2"
    ended(job)
    assert not Measurement.objects.exists()


def test_what_was_measured_is_kept_with_the_hardware_in_words(operator: User, shared: Datastore) -> None:
    job = asked(operator, shared)
    found = {"nas": (LOCAL, Ground("xfs", "RAID1, X100 (SSD, nvme, 1 TiB)")), "kvm1": (SLOW, Ground("nfs4")),
             "kvm2": (SLOW, Ground("nfs4"))}  # fmt: skip
    results = [
        (ThroughputKnown(name, "/srv/gold", "a"), Throughput(None, figures, ground, 1))
        for name, (figures, ground) in found.items()
    ]
    ended(job, result=results)
    rows = {row.host_name: row for row in Measurement.objects.all()}
    assert (rows["nas"].network, rows["nas"].hardware) == (False, "RAID1, X100 (SSD, nvme, 1 TiB)")
    assert rows["kvm1"].hardware == "over the network (eth0 10 Gbit/s) from nas: RAID1, X100 (SSD, nvme, 1 TiB)"
    assert rows["kvm2"].hardware.startswith("over the network (speed not known) from nas")
    assert rows["kvm1"].write_iops is None and rows["nas"].write_p99 == 5000.0


def test_figures_outlive_what_they_are_of(operator: User, shared: Datastore) -> None:
    a_measurement(shared)
    Datastore.objects.all().delete()
    row = Measurement.objects.get()
    assert (row.datastore, row.datastore_name, row.kind) == (None, "gold", "shared")


def test_two_measurements_at_once_would_disturb_each_other(operator: User, shared: Datastore) -> None:
    asked(operator, shared)
    with pytest.raises(Busy, match="Speed of datastore gold is being changed"):
        asked(operator, shared)


def test_hosts_that_cannot_be_used_or_do_not_see_it_are_refused(operator: User) -> None:
    hosts = [a_host("nas"), a_host("kvm1")]
    local = a_datastore("local", kind="xfs", hosts=hosts)
    assert [host.name for host in measured_on(local)] == ["nas"]
    with pytest.raises(Exception, match="no directory on kvm1"):
        submit("datastore.measure", user=operator, datastore=local, params={"hosts": [hosts[1].pk]})
    with pytest.raises(BadInput, match="at least one host"):
        submit("datastore.measure", user=operator, datastore=local, params={"hosts": []})
    Host.objects.filter(name="nas").update(maintenance=True)
    with pytest.raises(Refused, match="in maintenance"):
        submit("datastore.measure", user=operator, datastore=local, params={"hosts": [hosts[0].pk]})


def test_a_size_beyond_the_bounds_becomes_no_job(operator: User, shared: Datastore) -> None:
    with pytest.raises(BadInput, match="16 MiB to 4 GiB"):
        asked(operator, shared, size=1 << 40)
    assert not Job.objects.exists()


def test_the_form_asks_for_it(operator: User, shared: Datastore) -> None:
    client = signed_in(operator)
    Host.objects.filter(name="kvm2").update(maintenance=True)
    page = text_of(client.get(f"/datastores/{shared.pk}/measure/"))
    assert "kvm1" in page and "kvm2" not in page
    hosts = list(Host.objects.filter(name__in=["nas", "kvm1"]).values_list("pk", flat=True))
    client.post(f"/datastores/{shared.pk}/measure/", {"hosts": hosts, "size": "64", "seconds": "2", "together": "on"})
    job = Job.objects.get()
    assert job.params["size"] == 64 * MIB and job.params["together"] and not job.params["only_try"]


def test_the_page_of_a_datastore_shows_what_was_measured(auditor: User, operator: User, shared: Datastore) -> None:
    assert "Not measured yet" in text_of(signed_in(auditor).get(f"/datastores/{shared.pk}/"))
    a_measurement(shared, at=timezone.now() - timedelta(days=2))
    a_measurement(shared, SLOW, host_name="kvm2", network=True)
    page = text_of(signed_in(operator).get(f"/datastores/{shared.pk}/"))
    for words in ("900 MiB/s", "8,000", "155 µs", "5.0 ms", "fio-3.33", "through the page cache", "an SSD"):
        assert words in page
    assert page.index("110 MiB/s") < page.index("900 MiB/s"), "the newest first"
    assert "data-figures" not in page.partition('id="speeds"')[2], "a point for each host is no line"
    a_measurement(shared, at=timezone.now() - timedelta(days=1))
    page = text_of(signed_in(operator).get(f"/datastores/{shared.pk}/"))
    assert 'data-figures="write-0 read-0 write-1 read-1"' in page
    answer = signed_in(operator).get(f"/datastores/{shared.pk}/speeds/").json()
    assert [figure["label"] for figure in answer["figures"]] == [
        "Written, kvm2", "Read, kvm2", "Written, kvm1", "Read, kvm1",
    ]  # fmt: skip
    assert answer["figures"][0]["values"] == [None, None, 110.0]
    assert answer["figures"][2]["values"] == [900.0, 900.0, None]


def test_the_advisor_without_figures_says_what_to_do(operator: User, auditor: User, shared: Datastore) -> None:
    page = text_of(signed_in(operator).get("/advisor/"))
    assert "Nothing was measured yet" in page and f"/datastores/{shared.pk}/measure/" in page
    assert "/measure/" not in text_of(signed_in(auditor).get("/advisor/"))


def test_the_advisor_compares_the_newest_figures_of_each_kind(operator: User, shared: Datastore) -> None:
    a_measurement(shared, SLOW, at=timezone.now() - timedelta(days=1))
    a_measurement(shared, LOCAL)
    a_measurement(shared, SLOW, host_name="kvm2")
    page = text_of(signed_in(operator).get("/advisor/"))
    assert "505 MiB/s" in page, "the median of the newest of two hosts"
    assert page.count("not measured") == len(DRIVERS) - 1
    assert page.count("data-bars=") == 3


def test_the_advisor_orders_by_what_is_needed_and_says_why(operator: User) -> None:
    page = text_of(signed_in(operator).get("/advisor/?need=live-migration&need=instant-clones&need=nonsense"))
    assert page.index('id="kind-qcow2"') < page.index('id="kind-xfs"') < page.index('id="kind-shared"')
    assert "VMs migrate live when all hosts see it" in page and "every disk is a full copy" in page


@pytest.mark.parametrize("kind", DRIVERS)
def test_every_kind_says_what_it_is_like(kind: str) -> None:
    character = DRIVERS[kind].character
    assert character.parts
    words = (character.simplicity, character.performance, character.redundancy, character.capacity)
    assert all(0 < len(each) <= 70 for each in words), words


def test_the_list_and_the_form_lead_to_the_advisor(admin: User) -> None:
    a_host()
    for address in ("/datastores/", "/datastores/new/"):
        assert 'href="/advisor/"' in text_of(signed_in(admin).get(address))
