"""Datastores that keep no files are measured on real hosts, with disks that are made for it and gone afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from datastores.domain.errors import Cancelled, Refused
from datastores.domain.plan import Plan, Stage
from datastores.hosts.disk_throughput import DiskThroughputKnown, Used
from datastores.hosts.opened import Opened
from datastores.hosts.throughput import Throughput
from datastores.hosts.trials import TrialsSwept
from datastores.services.scratch_disks import disk_tests, scratch_disks, with_disks
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.kinds import RIGS, Store, set_up
from tests.lab.places import told
from tests.lab.test_approved_plans import approved

pytestmark = pytest.mark.lab
hosts, storage_hosts = places.hosts, places.storage_hosts
JOB = UUID("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b77")
SIZE = 32 * MIB


@pytest.fixture(scope="module", params=["iscsi xfs", "ceph"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    [rig] = [rig for rig in RIGS if rig.name == request.param]
    with set_up(rig, request.getfixturevalue(rig.lab)) as found:
        yield found


def tokens(store: Store) -> dict[str, str]:
    return {name: f"{JOB.hex}{number:04}" for number, name in enumerate(store.rig.hosts)}


def measuring(store: Store, seconds: int = 1) -> Plan:
    """The plan of ``datastore.measure``."""
    known, disks = tokens(store), scratch_disks(store.driver, store.rig.hosts, JOB, SIZE)
    measured = [Stage(f"measure on {test.host}", (test,)) for test in disk_tests(disks, known, seconds)]
    swept = tuple(TrialsSwept(name, store.driver.base, token) for name, token in known.items())
    return *with_disks(disks, measured), Stage("clean up", swept)


def nothing_is_left(store: Store) -> bool:
    left = [
        told(store.hosts, "find", "/run", "-maxdepth", "1", "-name", f"*{JOB.hex}*", name=name)
        for name in tokens(store)
    ]
    return not any(left) and store.names() == set()


def test_each_host_measures_a_disk_of_its_own_that_is_gone_afterwards(store: Store) -> None:
    plan = measuring(store)
    run = store.hosts.run(plan)
    steps = [step for stage in plan for step in stage.steps]
    found = {step.host: run.facts[number] for number, step in enumerate(steps) if isinstance(step, DiskThroughputKnown)}
    assert set(found) == set(store.rig.hosts)
    for host, facts in found.items():
        assert isinstance(facts, Throughput) and facts.figures and facts.ground.network
        figures = facts.figures
        print(store.rig.name, host, figures)
        assert (figures.tool, figures.direct, figures.size) == ("qemu-img bench", True, SIZE)
        assert min(figures.write_rate, figures.read_rate) > MIB // 10
        assert figures.write_iops and figures.read_iops
    assert nothing_is_left(store)


def test_the_plan_that_was_shown_is_what_is_done(store: Store) -> None:
    approved(store.hosts, *measuring(store))
    assert nothing_is_left(store)


def test_a_test_that_is_cancelled_leaves_no_disk(store: Store) -> None:
    began = threading.Event()
    diary = Diary(before_action=lambda action: began.set() if "bench" in str(action.do) else None)
    with pytest.raises(Cancelled):
        store.hosts.run(measuring(store, 120), diary=diary, cancelled=began.is_set)
    assert began.is_set()
    assert nothing_is_left(store)


def test_what_fails_on_one_host_takes_the_disks_of_all_back(store: Store) -> None:
    *stages, last = measuring(store)
    broken = DiskThroughputKnown(
        store.user,
        store.driver.base,
        "beef",
        SIZE,
        1,
        used=Used(Opened("iscsi://127.0.0.1:1/iqn.2013-10.none:x/1", "raw", SIZE)),
    )
    position = next(n for n, stage in enumerate(stages) if isinstance(stage.steps[0], DiskThroughputKnown))
    with pytest.raises(Refused, match=r"QEMU on .* failed with iscsi://127"):
        store.hosts.run((*stages[: position + 1], Stage("measure", (broken,)), *stages[position + 1 :], last))
    assert nothing_is_left(store)


@pytest.fixture(scope="module")
def device(hosts: Hosts) -> Iterator[str]:
    """A device of h1 that lies in a file, with a link to it as disks of machines have them."""
    told(hosts, "truncate", "-s", str(SIZE), "/srv/xfs/disk")
    loop = told(hosts, "losetup", "--find", "--show", "/srv/xfs/disk").strip()
    told(hosts, "ln", "-s", loop, "/srv/xfs/link:1")
    yield "/srv/xfs/link:1"
    told(hosts, "losetup", "-d", loop)
    told(hosts, "rm", "/srv/xfs/link:1", "/srv/xfs/disk")


def test_dd_measures_a_device_where_there_is_no_fio(hosts: Hosts, device: str) -> None:
    step = DiskThroughputKnown("h1", "/srv/xfs", "ab12", SIZE, 1, used=Used(Opened(device, "raw", SIZE, device=True)))
    run = hosts.there_and_back(step)
    found = run.facts[0]
    assert isinstance(found, Throughput) and found.figures and not found.ground.network
    print("loop", found)
    assert found.figures.tool == "dd" and found.figures.write_rate > MIB < found.figures.read_rate
    assert found.ground.hardware == "a file of 32 MiB as a disk"
    hosts.run([TrialsSwept("h1", "/srv/xfs", "ab12")])


def test_a_device_that_is_smaller_than_the_test_is_not_written_to(hosts: Hosts, device: str) -> None:
    for what, why in (
        (Opened(device, "raw", 2 * SIZE, device=True), "too small"),
        (Opened("/dev/null", "raw", SIZE, device=True), "no device"),
    ):
        step = DiskThroughputKnown("h1", "/srv/xfs", "ab13", what.size, 1, used=Used(what))
        with pytest.raises(Refused, match=why):
            hosts.run([step])
