"""An appliance, which is a target that was made by hand on h1; h2 may use it, and h3 has no business there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from datastores.domain.errors import Refused
from datastores.domain.iscsi import Lun, PinnedLun, Portal, make_chap_secret
from datastores.domain.volumes import Format, Volume
from datastores.drivers.nas import NasDriver
from datastores.drivers.registry import make_driver
from datastores.hosts import actions
from datastores.hosts.appliance_luns import Answer, LunsKnown, Met, PortalTried
from datastores.hosts.portal_guards import PortalsGuarded, PortalsOpen
from datastores.services.disk_hosts import in_order
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.kinds import as_account
from tests.lab.machine import wait_until
from tests.lab.places import told
from tests.lab.test_kinds_conform import cut_anywhere

pytestmark = pytest.mark.lab

storage_hosts = places.storage_hosts
IQN = "iqn.2004-04.com.appliance:ts-459:one"
USER, SECRET = "hypervisors", make_chap_secret()
PLACE = "/srv/plain/appliance"
BASE = "/srv/nas"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11"
SIZES = {1: 16 * MIB, 2: 24 * MIB}
CONFIGURATION = f"""
<target {IQN}>
  backing-store {PLACE}/1
  backing-store {PLACE}/2
  incominguser {USER} {SECRET}
</target>
"""


@pytest.fixture(scope="module")
def hosts(storage_hosts: Hosts) -> Iterator[Hosts]:
    told(storage_hosts, "mkdir", "-p", PLACE)
    for number, size in SIZES.items():
        told(storage_hosts, "truncate", "-s", str(size), f"{PLACE}/{number}")
    told(storage_hosts, "dd", "of=/etc/tgt/conf.d/appliance.conf", stdin=CONFIGURATION)
    told(storage_hosts, "systemctl", "restart", "tgt")
    wait_until(
        lambda: IQN in told(storage_hosts, "tgtadm", "--lld", "iscsi", "--op", "show", "--mode", "target"),
        seconds=20, otherwise="The appliance does not come up.",
    )  # fmt: skip
    yield storage_hosts
    told(storage_hosts, "rm", "-r", PLACE, "/etc/tgt/conf.d/appliance.conf")
    told(storage_hosts, "systemctl", "restart", "tgt")


def portal(hosts: Hosts) -> Portal:
    return Portal(str(hosts.lab.host("h1").address))


def store(hosts: Hosts, *, secret: str = SECRET, pinned: bool = True) -> NasDriver:
    lun = Lun(portal(hosts), IQN, 2)
    made = make_driver(
        "nas", host="h2", base=BASE, hosts=("h2",), secret=secret, luns=[PinnedLun(UUID, lun, SIZES[2])] * pinned,
        options={"portals": portal(hosts).address, "user": USER, "initiator": "qemu", "qemu_user": "nobody"},
    )  # fmt: skip
    assert isinstance(made, NasDriver)
    return made


@pytest.fixture
def nas(hosts: Hosts) -> Iterator[NasDriver]:
    driver = store(hosts)
    hosts.run(driver.set_up())
    yield driver
    hosts.run(driver.tear_down())
    assert told(hosts, "nft", "list", "tables", name="h2") == ""
    assert told(hosts, "find", "/var/lib/cloudstore/chap", "-type", "f", name="h2") == ""


@pytest.fixture(autouse=True)
def told_of_kind(request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]) -> None:
    """Note the operation for the table of kinds, which its suite cannot try: nothing is made on an appliance."""
    if marker := request.node.get_closest_marker("operation"):
        record_property("kind", "nas")
        record_property("operation", marker.args[0])


def tried(hosts: Hosts, name: str) -> Met:
    step = PortalTried(name, portal(hosts))
    return step.facts(hosts.shell(name).run_many(step.reads()))


def test_luns_are_found_with_their_sizes_by_who_knows_the_secret(hosts: Hosts, nas: NasDriver) -> None:
    step = LunsKnown("h2", portal(hosts), "", nas.account)
    found = step.facts(hosts.shell("h2").run_many(step.reads()))
    assert {(each.lun.number, each.size) for each in found if each.lun.iqn == IQN} == {*SIZES.items()}
    assert not replace(step, target="iqn.2004-04.com.appliance:other").facts(hosts.shell("h2").run_many(step.reads()))


@pytest.mark.operation("attach")
def test_a_pinned_lun_is_attached_written_to_and_left_as_it_is(hosts: Hosts, nas: NasDriver) -> None:
    volume, link = Volume(nas.image_path(UUID, Format.RAW), Format.RAW, SIZES[2]), nas.link_path(7, 0)
    attached = in_order("attach", nas.attach(volume, "h2", link))
    hosts.there_and_back(*(step for stage in attached for step in stage.steps))
    url = told(hosts, "readlink", link, name="h2").strip()
    assert nas.account
    told(hosts, "qemu-io", *as_account(url, nas.account), "-c", "write -P 7 0 1M", name="h2")
    assert told(hosts, "head", "-c", "1", f"{PLACE}/2") == "\x07"
    hosts.run(nas.detach(volume, "h2", link))
    told(hosts, "truncate", "-s", str(8 * MIB), f"{PLACE}/2")
    told(hosts, "systemctl", "restart", "tgt")
    with pytest.raises(Refused, match="somebody made another one at its place"):
        hosts.run(nas.attach(volume, "h2", link))
    told(hosts, "truncate", "-s", str(SIZES[2]), f"{PLACE}/2")
    told(hosts, "systemctl", "restart", "tgt")


@pytest.mark.operation("disks at once")
def test_machines_are_given_one_lun_after_another_side_by_side(hosts: Hosts, nas: NasDriver) -> None:
    volume = Volume(nas.image_path(UUID, Format.RAW), Format.RAW, SIZES[2])
    links = [nas.link_path(7, number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda link: hosts.run(nas.attach(volume, "h2", link)), links))
    assert {told(hosts, "readlink", link, name="h2") for link in links} == {f"{nas.pinned(volume).lun.url}\n"}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda link: hosts.run(nas.detach(volume, "h2", link)), links))
    assert told(hosts, "find", BASE, "-mindepth", "1", name="h2") == ""


@pytest.mark.operation("crash")
def test_a_worker_that_dies_between_any_two_actions_is_followed_by_one_that_completes_it(
    hosts: Hosts, nas: NasDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "is_short", lambda action: False)
    volume = Volume(nas.image_path(UUID, Format.RAW), Format.RAW, SIZES[2])

    def attached(number: int) -> None:
        link = nas.link_path(number, 0)
        assert told(hosts, "readlink", link, name="h2").strip() == nas.pinned(volume).lun.url
        hosts.run(nas.detach(volume, "h2", link))

    assert cut_anywhere(hosts, lambda number: nas.attach(volume, "h2", nas.link_path(number, 0)), attached) > 0

    def guarded(number: int) -> None:
        assert tried(hosts, "h3").answer is Answer.SILENT
        hosts.run(nas.open_other("h3"))

    assert cut_anywhere(hosts, lambda number: nas.guard_other("h3"), guarded) > 0


def test_only_root_and_qemu_get_to_the_portal_from_a_host_that_may(hosts: Hosts, nas: NasDriver) -> None:
    connect = f"exec 3<>/dev/tcp/{portal(hosts).address}/3260"
    host = hosts.lab.host("h2")
    assert host.run(["bash", "-c", connect]).returncode == 0
    assert host.run(["runuser", "-u", "nobody", "--", "bash", "-c", connect]).returncode == 0
    assert host.run(["runuser", "-u", "daemon", "--", "bash", "-c", connect]).returncode != 0


def test_a_host_that_has_no_business_there_is_kept_from_it_there_and_back(hosts: Hosts, nas: NasDriver) -> None:
    assert tried(hosts, "h3").answer is Answer.ANSWERS
    hosts.there_and_back(*nas.guard_other("h3"))
    assert tried(hosts, "h3").answer is Answer.SILENT and tried(hosts, "h2").answer is not Answer.SILENT
    hosts.there_and_back(*nas.open_other("h3"))
    assert tried(hosts, "h3").answer is Answer.ANSWERS
    assert told(hosts, "nft", "list", "tables", name="h3") == ""


def test_rules_are_loaded_again_when_somebody_took_them_away_and_at_boot(hosts: Hosts, nas: NasDriver) -> None:
    (step,) = (step for step in nas.activate("h2") if isinstance(step, PortalsGuarded))
    assert hosts.needs(step) == [False]
    told(hosts, "nft", "flush", "ruleset", name="h2")
    assert hosts.needs(step) == [True]
    hosts.run([step])
    others = replace(step, users=())
    hosts.there_and_back(others)
    hosts.run([step])
    told(hosts, "systemctl", "stop", f"cloudstore-guard-{nas.label_on_hosts}", name="h2")
    assert hosts.needs(step) == [True]
    told(hosts, "systemctl", "start", f"cloudstore-guard-{nas.label_on_hosts}", name="h2")
    assert (
        told(hosts, "systemctl", "is-enabled", f"cloudstore-guard-{nas.label_on_hosts}", name="h2").strip() == "enabled"
    )
    assert hosts.needs(step, PortalsOpen("h2", step.label)) == [False, True]
