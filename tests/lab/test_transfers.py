"""Images that one host fetches from another over SSH: whole, sparse, in spite of cut cables, and leaving nothing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import pytest

from datastores.domain.errors import Cancelled, CommandFailed, Refused
from datastores.domain.plan import Stage
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import over_ssh
from datastores.hosts.receiving import SourceReachable
from datastores.hosts.runner import Run
from datastores.hosts.sending import DAYS
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.places import told
from tests.lab.test_approved_plans import approved
from tests.lab.transfers import route_between

Pair: TypeAlias = tuple[StorageDriver, StorageDriver]
pytestmark = pytest.mark.lab
hosts = places.hosts
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a0001"
KEYS = "/root/.ssh/authorized_keys"
HERE, THERE = "/srv/xfs/sent", "/srv/fetched"


@pytest.fixture
def stores(hosts: Hosts) -> Iterator[Pair]:
    """A datastore on h1 and one on h2, which no host sees both of; afterwards nothing is left on either host."""
    made = tuple(
        make_driver("xfs", host=host, base=base, hosts=(host,), options={"owner": "nobody", "group": "nogroup"})
        for host, base in (("h1", HERE), ("h2", THERE))
    )
    keys = [told(hosts, "cat", KEYS, name=name) for name in ("h1", "h2")]
    for driver in made:
        told(hosts, "rm", "-rf", "--", driver.base, name=driver.host)
        told(hosts, "mkdir", "-p", driver.base, name=driver.host)
    yield made[0], made[1]
    for driver in made:
        told(hosts, "rm", "-rf", "--", driver.base, name=driver.host)
    for name, before in zip(("h1", "h2"), keys, strict=True):
        assert told(hosts, "cat", KEYS, name=name) == before
        assert leftovers(hosts, name) == ""


def leftovers(hosts: Hosts, name: str) -> str:
    return told(hosts, "sh", "-c", "ls -A /var/lib/cloudstore/transfers 2>/dev/null || true", name=name)


def volumes(stores: Pair, to: Format = Format.RAW) -> tuple[Volume, Volume]:
    here, there = stores
    return Volume(here.image_path(UUID, Format.RAW), Format.RAW), Volume(there.image_path(UUID, to), to)


def digest(hosts: Hosts, name: str, path: str) -> str:
    return told(hosts, "sha256sum", "--", path, name=name).split()[0]


def gold(hosts: Hosts, path: str, *, virtual: int = 256 * MIB, data: int = 64 * MIB) -> str:
    hosts.lab.make_image("h1", path, virtual=virtual, data=data)
    return digest(hosts, "h1", path)


def test_an_image_is_fetched_byte_for_byte_and_stays_sparse(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2"))
    run = hosts.run([*journey.stages, *journey.after])
    assert digest(hosts, "h2", target.path) == known
    stat = ("stat", "-c", "%U:%G %a %s %.9Y %h", "--")
    there = told(hosts, *stat, target.path, name="h2")
    assert there.split()[:3] == ["nobody:nogroup", "660", str(256 * MIB)]
    assert there.split()[3] == told(hosts, *stat, source.path).split()[3]
    blocks = int(told(hosts, "stat", "-c", "%b", target.path, name="h2"))
    assert 64 * MIB <= blocks * 512 < 72 * MIB
    assert None not in hosts.take_back(run).undone
    assert told(hosts, "ls", "-A", THERE, name="h2") == ""


class Listener(Diary):
    """A diary that remembers what the hosts said, and calls ``on_progress`` with the bytes that have arrived."""

    def __init__(self, on_progress: Callable[[int], None] = lambda done: None) -> None:
        super().__init__()
        self.said, self.on_progress = "", on_progress

    def output(self, index: int, text: str) -> None:
        self.said += text

    def progress(self, index: int, done: int, total: int) -> None:
        super().progress(index, done, total)
        self.on_progress(done)

    @property
    def received(self) -> list[str]:
        return re.findall(r"(\d+) MiB were received", self.said)


class WorkerGone(BaseException):
    """The worker is gone, at once: nobody takes anything back."""


def once(work: Callable[[], None], *, at: int) -> Callable[[int], None]:
    """Return what does the work when so many bytes have arrived, the first time."""
    left = [work]

    def look(done: int) -> None:
        if done >= at and left:
            left.pop()()

    return look


def fetched(hosts: Hosts, stores: Pair, listener: Listener, **how: int) -> tuple[str, str]:
    """Fetch 64 MiB of data; return the checksum of both files."""
    source, target = volumes(stores)
    known = gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", **how))
    hosts.run([*journey.stages, *journey.after], diary=listener)
    return known, digest(hosts, "h2", target.path)


def test_a_cable_that_is_pulled_in_the_middle_is_waited_for(hosts: Hosts, stores: Pair) -> None:
    def pull() -> None:
        hosts.lab.host("h1").cut()
        threading.Timer(25, hosts.lab.host("h1").heal).start()

    listener = Listener(once(pull, at=20 * MIB))
    known, arrived = fetched(hosts, stores, listener, limit=8 * MIB)
    assert known == arrived
    assert "the connection was cut" in listener.said
    assert "it goes on at 0 MiB" not in listener.said
    assert int(listener.received[0]) <= 64 + 16  # what was not covered by a checksum yet came twice, no more


def test_a_connection_that_is_ended_goes_on_where_the_last_checksum_held(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path, virtual=1024 * MIB, data=256 * MIB)
    route = route_between(hosts, "h1", "h2", limit=64 * MIB)
    end = once(lambda: told(hosts, "pkill", "-f", f"{route.directory}/send.py") and None, at=150 * MIB)
    listener = Listener(end)
    journey = over_ssh(stores[0], source, stores[1], target, route)
    hosts.run([*journey.stages, *journey.after], diary=listener)
    assert digest(hosts, "h2", target.path) == known
    (received,) = listener.received
    assert 256 <= int(received) <= 256 + 16
    (at,) = re.findall(r"it goes on at (\d+) MiB", listener.said)
    assert int(at) >= 256  # of the 1024 MiB that the image is long


def test_a_worker_that_dies_in_the_middle_is_followed_by_one_that_attaches(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", limit=16 * MIB))

    def die() -> None:
        raise WorkerGone

    plan, unit, second = (*journey.stages, *journey.after), f"cloudstore-test-{time.time_ns()}", Listener()
    with pytest.raises(WorkerGone):
        Run(plan, hosts.shell, Listener(once(die, at=20 * MIB)), unit=unit).carry_out()
    time.sleep(1)  # it goes on meanwhile
    Run(plan, hosts.shell, second, unit=unit).carry_out()
    assert second.received == ["64"]  # all over one connection
    assert digest(hosts, "h2", target.path) == known


def test_a_receiving_host_that_is_started_anew_goes_on_where_it_had_noted_to_be(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path, virtual=640 * MIB, data=448 * MIB)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", limit=160 * MIB))

    def die() -> None:
        raise WorkerGone

    plan, unit, second = (*journey.stages, *journey.after), f"cloudstore-test-{time.time_ns()}", Listener()
    with pytest.raises(WorkerGone):
        Run(plan, hosts.shell, Listener(once(die, at=330 * MIB)), unit=unit).carry_out()
    running = told(hosts, "systemctl", "list-units", "--plain", "--no-legend", f"{unit}-*", name="h2").split()[0]
    told(hosts, "systemctl", "kill", "-s", "KILL", running, name="h2")
    hosts.shell("h2").forget_unit(running.removesuffix(".service"))  # as after a restart
    Run(plan, hosts.shell, second, unit=unit).carry_out()
    assert "as was noted before this host or program was started anew" in second.said
    assert int(second.received[0]) <= 448 - 192
    assert digest(hosts, "h2", target.path) == known


def test_a_cancelled_transfer_leaves_nothing_on_either_host(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    gold(hosts, source.path)
    begun = threading.Event()
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", limit=4 * MIB))
    with pytest.raises(Cancelled):
        hosts.run(journey.stages, diary=Listener(once(begun.set, at=4 * MIB)), cancelled=begun.is_set)
    assert told(hosts, "ls", "-A", THERE, name="h2") == ""
    # the fixture sees that keys and directories are as before


def test_an_image_that_is_written_to_meanwhile_does_not_arrive(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    gold(hosts, source.path)
    write = once(lambda: told(hosts, "touch", "--", source.path) and None, at=8 * MIB)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", limit=32 * MIB))
    with pytest.raises(CommandFailed, match="written to while it was copied"):
        hosts.run(journey.stages, diary=Listener(write))
    assert told(hosts, "ls", "-A", THERE, name="h2") == ""


def test_the_limit_is_kept(hosts: Hosts, stores: Pair) -> None:
    began = time.monotonic()
    known, arrived = fetched(hosts, stores, Listener(), limit=16 * MIB)
    assert known == arrived
    assert time.monotonic() - began > 3.5


def test_an_account_that_is_not_root_sends_through_sudo(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path)
    told(hosts, "chmod", "0600", "--", source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2", account="admin1"))
    hosts.run([*journey.stages, *journey.after])
    assert digest(hosts, "h2", target.path) == known
    assert told(hosts, "ls", "-A", "/home/admin1/.ssh") == ""


def test_another_format_is_made_before_it_is_sent(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores, Format.QCOW2)
    gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2"))
    run = hosts.run([*journey.stages, *journey.after])
    assert '"format": "qcow2"' in told(hosts, "qemu-img", "info", "--output=json", target.path, name="h2")
    told(hosts, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", target.path, f"{THERE}/flat", name="h2")
    assert digest(hosts, "h2", f"{THERE}/flat") == digest(hosts, "h1", source.path)
    assert told(hosts, "ls", HERE).split() == [f"{UUID}.raw"]
    hosts.take_back(run)


def test_the_key_can_do_nothing_but_fetch_that_file(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    gold(hosts, source.path)
    route = route_between(hosts, "h1", "h2")
    allow = over_ssh(stores[0], source, stores[1], target, route).stages[1]
    run = hosts.run([allow])
    told(hosts, "sh", "-c", "umask 077; cat >/root/stolen", stdin=route.private_key, name="h2")
    told(hosts, "sh", "-c", "umask 077; cat >/root/stolen", stdin=route.private_key, name="h3")
    ssh = ("ssh", "-F", "none", "-i", "/root/stolen", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
    where = f"root@{route.address}"
    try:
        said = hosts.lab.host("h2").run([*ssh, where, "cat", "/etc/shadow"], stdin="0\n")
        assert "root:" not in said.stdout and said.stdout.startswith("cloudstore image 1")
        said = hosts.lab.host("h2").run([*ssh, where], stdin="/etc/shadow\n")
        assert said.returncode == 3 and "is not an offset" in said.stderr
        refused = hosts.lab.host("h2").run([*ssh, "-W", "127.0.0.1:22", where])
        assert refused.returncode and "forwarding failed" in refused.stderr
        other = hosts.lab.host("h3").run([*ssh, "-o", "BatchMode=yes", where], stdin="0\n")
        assert "Permission denied" in other.stderr
    finally:
        for name in ("h2", "h3"):
            told(hosts, "rm", "-f", "/root/stolen", "/root/.ssh/known_hosts", name=name)
        hosts.take_back(run)


def test_a_key_is_void_after_some_days(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2"))
    reach, allow, *fetch = journey.stages
    run = hosts.run([reach, allow])
    keys = "/root/.ssh/authorized_keys"
    week = told(hosts, "date", "-d", f"{DAYS} days", "+%Y%m%d").strip()
    assert f'expiry-time="{week}' in told(hosts, "cat", keys)
    told(hosts, "sed", "-i", 's/^expiry-time=.2[0-9]*/expiry-time="20200101/', keys)
    with pytest.raises(CommandFailed, match="Permission denied"):
        hosts.run(fetch)
    hosts.take_back(run)
    assert "cloudstore-transfer" not in told(hosts, "cat", keys)


def test_the_keys_of_an_account_are_changed_with_its_own_rights(hosts: Hosts, stores: Pair) -> None:
    source, target = volumes(stores)
    gold(hosts, source.path)
    route = route_between(hosts, "h1", "h2", account="admin1")
    allow = over_ssh(stores[0], source, stores[1], target, route).stages[1]
    told(hosts, "sh", "-c", "echo precious >/root/victim; chmod 600 /root/victim")
    ssh = "/home/admin1/.ssh"
    plant = f"mkdir -p {ssh} && ln -sf /root/victim {ssh}/authorized_keys.cloudstore-new && chown -Rh admin1 {ssh}"
    told(hosts, "sh", "-c", plant)
    run = hosts.run([allow])
    assert told(hosts, "stat", "-c", "%U %a", f"{ssh}/authorized_keys").split() == ["admin1", "600"]
    hosts.take_back(run)
    assert told(hosts, "cat", "/root/victim") == "precious\n"
    assert told(hosts, "ls", "-A", ssh).split() == ["authorized_keys.cloudstore-new"]
    told(hosts, "rm", "-r", "/root/victim", f"{ssh}/authorized_keys.cloudstore-new")


def test_a_host_that_is_not_reached_is_said_before_anything_is_done(hosts: Hosts, stores: Pair) -> None:
    route = route_between(hosts, "h1", "h2")
    other = " ".join(hosts.lab.host("h3").host_key.split()[:2])
    wrong = {
        "another host key": replace(route, host_keys=(other,)),
        "port 2222: connect to host .* Connection refused": replace(route, port=2222),
        "(No route to host|timed out)": replace(route, address=route.address.rpartition(".")[0] + ".250"),
    }
    for reason, each in wrong.items():
        with pytest.raises(Refused, match=reason):
            hosts.run([SourceReachable(each)])
    assert hosts.needs(SourceReachable(route)) == [False]


@pytest.mark.parametrize("format", [Format.RAW, Format.QCOW2])
def test_what_the_plan_shows_is_what_is_done(hosts: Hosts, stores: Pair, format: Format) -> None:
    source, target = volumes(stores, format)
    gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2"))
    remove = Stage("remove the old one", stores[0].delete_image(source))
    approved(hosts, *journey.stages, remove, *journey.after)
    assert told(hosts, "ls", "-A", HERE) == ""
    assert told(hosts, "ls", "-A", THERE, name="h2").split() == [f"{UUID}.{format}"]
