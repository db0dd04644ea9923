"""Data sets that one machine fetches from another over SSH: whole, in spite of cuts, and leaving nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from datastores.domain.errors import Cancelled
from datastores.domain.plan import Plan
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import over_ssh
from tests.lab.carrying import Diary, Hosts
from tests.lab.transfers import route_between

pytestmark = pytest.mark.vm
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a0001"
MIB = 1 << 20
KEYS = "/root/.ssh/authorized_keys"


def told(machines: Hosts, name: str, *argv: str) -> str:
    return machines.lab.host(name).run(argv, check=True).stdout


@pytest.fixture(scope="module")
def stores(machines: Hosts) -> tuple[StorageDriver, StorageDriver]:
    """A ZFS datastore on h1 and one on h2, with an image of 12 MiB of data in the first."""
    made = tuple(
        make_driver(
            "zfs", host=host, base=f"/srv/{pool}", hosts=(host,),
            options={"dataset": f"{pool}/cloud", "disks": "/dev/vdb", "owner": "nobody", "group": "nogroup"},
        )
        for host, pool in (("h1", "tank"), ("h2", "other"))
    )  # fmt: skip
    for driver in made:
        machines.run(driver.set_up())
    image = image_of(made[0])
    machines.run([*made[0].create(image)])
    told(machines, "h1", "dd", "if=/dev/urandom", f"of={image.path}", "bs=1M", "count=12", "conv=notrunc,fsync")
    machines.run([*made[0].prepare(image)])
    return made[0], made[1]


def image_of(driver: StorageDriver) -> Volume:
    return Volume(driver.image_path(UUID, Format.RAW), Format.RAW, 64 * MIB, 12 * MIB)


@pytest.fixture
def clean(machines: Hosts, stores: tuple[StorageDriver, StorageDriver]) -> Iterator[None]:
    """Afterwards nothing of a transfer is left on either machine, but what arrived, which goes then."""
    before = [told(machines, name, "cat", KEYS) for name in ("h1", "h2")]
    yield
    machines.run([*stores[1].delete(image_of(stores[1]))])
    for name, keys in zip(("h1", "h2"), before, strict=True):
        assert told(machines, name, "cat", KEYS) == keys
        assert told(machines, name, "sh", "-c", "ls -A /var/lib/cloudstore/transfers 2>/dev/null || true") == ""
    assert "images/" not in told(machines, "h2", "zfs", "list", "-H", "-o", "name", "-r", "other/cloud")


def journey(machines: Hosts, stores: tuple[StorageDriver, StorageDriver], limit: int = 0) -> Plan:
    here, there = stores
    route = route_between(machines, "h1", "h2", limit=limit)
    found = over_ssh(here, image_of(here), there, image_of(there), route)
    assert [stage.title for stage in found.stages][2] == "fetch it"
    return *found.stages, *found.after


def digest(machines: Hosts, name: str, driver: StorageDriver) -> str:
    return told(machines, name, "sha256sum", image_of(driver).path).split()[0]


class Listener(Diary):
    """A diary that keeps what the hosts said, and does something when so many bytes have arrived, once."""

    def __init__(self, at: int = 0, work: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.said, self.at, self.left = "", at, [work]

    def output(self, index: int, text: str) -> None:
        self.said += text

    def progress(self, index: int, done: int, total: int) -> None:
        super().progress(index, done, total)
        if done >= self.at and self.left:
            self.left.pop()()


def test_a_data_set_arrives_with_its_snapshot_and_is_taken_back(
    machines: Hosts, stores: tuple[StorageDriver, StorageDriver], clean: None
) -> None:
    plan, listener = journey(machines, stores), Listener()
    begun = time.monotonic()
    run = machines.run(plan, diary=listener)
    print(f"12 MiB in {time.monotonic() - begun:.1f} s")
    assert digest(machines, "h2", stores[1]) == digest(machines, "h1", stores[0])
    assert "the snapshot is the same" in listener.said
    path = image_of(stores[1]).path
    assert told(machines, "h2", "stat", "-c", "%U:%G %a %s", path) == f"nobody:nogroup 660 {64 * MIB}\n"
    machines.take_back(run)


def test_after_a_cut_the_sender_is_asked_for_the_rest(
    machines: Hosts, stores: tuple[StorageDriver, StorageDriver], clean: None
) -> None:
    cut = Listener(2 * MIB, lambda: machines.lab.host("h2").run(["pkill", "-x", "ssh"]))
    machines.run(journey(machines, stores, limit=MIB // 4), diary=cut)
    assert digest(machines, "h2", stores[1]) == digest(machines, "h1", stores[0])
    assert "the connection was cut" in cut.said and "it goes on at 0 MiB" not in cut.said
    assert cut.said.count("MiB are to come") == 2


def test_a_transfer_that_is_cancelled_leaves_nothing(
    machines: Hosts, stores: tuple[StorageDriver, StorageDriver], clean: None
) -> None:
    begun: list[bool] = []
    with pytest.raises(Cancelled):
        machines.run(
            journey(machines, stores, limit=MIB // 4),
            diary=Listener(4 * MIB, lambda: begun.append(True)),
            cancelled=lambda: bool(begun),
        )


class WorkerGone(BaseException):
    """The worker is gone, at once: nobody takes anything back."""


def test_what_had_come_when_worker_and_unit_died_is_not_sent_again(
    machines: Hosts, stores: tuple[StorageDriver, StorageDriver], clean: None
) -> None:
    def end() -> None:
        machines.lab.host("h2").run(["sh", "-c", "pkill -9 -f '[r]eceive.py'; pkill -f '^zfs [r]eceive'"])
        raise WorkerGone

    plan = journey(machines, stores, limit=MIB // 4)
    with pytest.raises(WorkerGone):
        machines.run(plan, diary=Listener(3 * MIB, end))
    rest = Listener()
    machines.run(plan, diary=rest)
    assert digest(machines, "h2", stores[1]) == digest(machines, "h1", stores[0])
    (left,) = re.findall(r"(\d+) MiB are to come", rest.said)
    assert 0 < int(left) < 10


def test_other_snapshots_are_not_sent_to_whoever_has_the_key(
    machines: Hosts, stores: tuple[StorageDriver, StorageDriver], clean: None
) -> None:
    """The token says what is sent, so one of another snapshot is refused."""
    told(machines, "h1", "zfs", "create", "-o", "mountpoint=/srv/secret", "tank/secret")
    told(machines, "h1", "dd", "if=/dev/urandom", "of=/srv/secret/x", "bs=1M", "count=8", "status=none", "conv=fsync")
    told(machines, "h1", "zfs", "snapshot", "tank/secret@gold")
    cut = "zfs send tank/secret@gold | head -c 4M | zfs receive -s -u tank/stolen"
    machines.lab.host("h1").run(["sh", "-c", cut])
    token = told(machines, "h1", "zfs", "get", "-H", "-o", "value", "receive_resume_token", "tank/stolen").strip()
    assert len(token) > 40
    plan = journey(machines, stores)
    run = machines.run(plan[:2])
    directory = told(machines, "h1", "sh", "-c", "echo /var/lib/cloudstore/transfers/*").strip()
    asked = machines.lab.host("h1").run(["sh", "-c", f"echo '{token}' | python3 -I {directory}/send.py"])
    assert asked.returncode == 3
    assert "is not one of tank/cloud/images" in asked.stderr
    machines.take_back(run)
    told(machines, "h1", "zfs", "receive", "-A", "tank/stolen")
    told(machines, "h1", "zfs", "destroy", "tank/secret@gold")
    told(machines, "h1", "zfs", "destroy", "tank/secret")
