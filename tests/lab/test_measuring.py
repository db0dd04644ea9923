"""Datastores are measured on real hosts: with fio, with dd, and where nothing can be written."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

from datastores.domain.errors import Cancelled, Refused
from datastores.domain.plan import Plan, Stage
from datastores.drivers.registry import make_driver
from datastores.hosts.throughput import Throughput, ThroughputKnown
from datastores.hosts.trials import RootWrites, TrialsSwept
from datastores.services.measurements import trial
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.fixtures import SUITE
from tests.lab.lab import Lab
from tests.lab.places import names_in, on, told
from tests.lab.test_approved_plans import approved

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base
TOKEN = "0d5c5e4e"


@pytest.fixture(scope="module")
def fitted(lab: Lab) -> Iterator[str]:
    """The name of a host that has fio, and disks."""
    [host] = lab.up(1, first=41, suite=SUITE, packages="tools", with_disks=["h41"])
    yield host.name
    lab.down([host.name])


def measuring(host: str, base: str, size: int = 64 * MIB, seconds: int = 1) -> Plan:
    """The plan of ``datastore.measure`` for one host."""
    driver = make_driver("shared", host=host, base=base, options={"owner": "admin1", "group": "ops"})
    return (
        Stage("can it be written to?", trial(driver, host, TOKEN)),
        Stage("measure", (ThroughputKnown(host, base, TOKEN, size, seconds),)),
        Stage("clean up", (TrialsSwept(host, base, TOKEN),)),
    )


def measured(hosts: Hosts, host: str, base: str) -> Throughput:
    plan = measuring(host, base)
    run = hosts.run(plan)
    steps = [step for stage in plan for step in stage.steps]
    [facts] = [run.facts[number] for number, step in enumerate(steps) if isinstance(step, ThroughputKnown)]
    assert isinstance(facts, Throughput)
    assert nothing_is_left(hosts, host, base)
    return facts


def nothing_is_left(hosts: Hosts, host: str, base: str) -> bool:
    return told(hosts, "find", base, "/run", "-maxdepth", "1", "-name", f"*{TOKEN}*", name=host) == ""


@on("/srv/btrfs", "/srv/xfs", "/srv/plain")
def test_dd_tells_how_fast_a_file_is_written_and_read(hosts: Hosts, base: str) -> None:
    figures = measured(hosts, "h1", base).figures
    assert figures
    assert (figures.tool, figures.size, figures.write_iops) == ("dd", 64 * MIB, None)
    assert figures.write_rate > MIB < figures.read_rate
    assert names_in(hosts, base) == set()


def test_fio_tells_of_small_blocks_and_latencies_too(hosts: Hosts, fitted: str) -> None:
    for base in ("/srv/btrfs", "/srv/xfs"):
        found = measured(hosts, fitted, base)
        figures = found.figures
        assert figures and figures.direct and re.match(r"fio-3\.", figures.tool)
        assert figures.write_iops and figures.read_iops
        assert figures.write_p50 and figures.write_p99 and figures.write_p50 <= figures.write_p99
        assert figures.read_p50 and figures.read_p99 and figures.read_p50 <= figures.read_p99
        assert not found.ground.network and f"/srv/{found.ground.fstype}" == base


@on("/srv/xfs")
def test_what_root_may_not_write_says_how_to_let_it(hosts: Hosts, base: str) -> None:
    told(hosts, "chattr", "+i", base)
    try:
        with pytest.raises(Refused, match=r"Operation not permitted.*no_root_squash.*a\+rwx for directories"):
            hosts.run(measuring("h1", base))
    finally:
        told(hosts, "chattr", "-i", base)
    assert nothing_is_left(hosts, "h1", base)


def test_a_read_only_file_system_and_a_full_one_are_told_apart(hosts: Hosts) -> None:
    told(hosts, "mount", "-o", "remount,ro", "/srv/small")
    try:
        with pytest.raises(Refused, match="read-only"):
            hosts.run(measuring("h1", "/srv/small"))
        with pytest.raises(Refused, match="Read-only file system"):
            hosts.run([RootWrites("h1", "/srv/small", TOKEN)])
    finally:
        told(hosts, "mount", "-o", "remount,rw", "/srv/small")
    with pytest.raises(Refused, match="takes at most a tenth of that"):
        hosts.run(measuring("h1", "/srv/small"))
    assert nothing_is_left(hosts, "h1", "/srv/small")


def test_a_test_that_is_cancelled_leaves_nothing(hosts: Hosts, fitted: str) -> None:
    began = threading.Event()
    diary = Diary(before_action=lambda action: began.set() if "fio" in str(action.do) else None)
    polls = iter(range(1000))
    with pytest.raises(Cancelled):
        hosts.run(measuring(fitted, "/srv/xfs", 512 * MIB, 60), diary=diary,
                  cancelled=lambda: began.is_set() and next(polls) > 6)  # fmt: skip
    assert began.is_set()
    assert nothing_is_left(hosts, fitted, "/srv/xfs")
    assert hosts.lab.host(fitted).run(["pgrep", "-x", "fio"]).returncode == 1


@on("/srv/xfs")
def test_the_plan_that_was_shown_is_what_is_done(hosts: Hosts, base: str) -> None:
    approved(hosts, *measuring("h1", base))
    assert nothing_is_left(hosts, "h1", base)


@on("/srv/xfs")
def test_what_a_dead_worker_left_is_swept(hosts: Hosts, base: str) -> None:
    step = ThroughputKnown("h1", base, TOKEN, 64 * MIB, 1)
    told(hosts, "touch", *step.left("measure"))
    swept = TrialsSwept("h1", base, TOKEN)
    assert hosts.needs(swept) == [True]
    hosts.run([swept])
    assert nothing_is_left(hosts, "h1", base)
