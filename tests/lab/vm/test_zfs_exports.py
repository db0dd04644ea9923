"""A ZFS datastore of h1 that h2 has mounted over NFS: what it sees of data sets that come, change and go."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.volumes import Format, Volume
from datastores.drivers.registry import make_driver
from datastores.drivers.zfs import ZfsDriver
from tests.lab.carrying import Hosts, connected
from tests.lab.machine import wait_until
from tests.lab.vm.lab import MachineLab

pytestmark = pytest.mark.vm
MIB = 1 << 20
BASE, SET = "/srv/zfs", "tank/cloud"
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a0001"
STATES = "cat /proc/fs/nfsd/clients/*/states"


def told(machines: Hosts, name: str, *argv: str) -> str:
    return machines.lab.host(name).run(argv, check=True).stdout


def store_on(machines: Hosts) -> ZfsDriver:
    addresses = {host.name: str(host.address) for host in machines.lab.hosts()}
    made = make_driver(
        "zfs", host="h1", base=BASE, hosts=("h1", "h2"), locate=addresses.__getitem__,
        options={"dataset": SET, "disks": "/dev/vdb", "exported": True},
    )  # fmt: skip
    assert isinstance(made, ZfsDriver)
    return made


@pytest.fixture(scope="module")
def store(machines: Hosts) -> ZfsDriver:
    made = store_on(machines)
    machines.run([*made.set_up(), *made.same_directory("5e1f0a")])
    return made


@pytest.fixture(scope="module")
def image(machines: Hosts, store: ZfsDriver) -> Volume:
    """An image of 8 MiB whose first bytes are known."""
    made = Volume(store.image_path(UUID, Format.RAW), Format.RAW, 8 * MIB)
    machines.run([*store.create(made)])
    write(machines, "h1", made.path, "gold")
    machines.run([*store.prepare(made)])
    return made


@pytest.fixture
def disk(machines: Hosts, store: ZfsDriver, image: Volume) -> Iterator[Volume]:
    made = Volume(store.disk_path(7, 0), Format.RAW, 8 * MIB)
    machines.run([*store.clone(image, made)])
    yield made
    machines.run([*store.delete(made)])


def write(machines: Hosts, name: str, path: str, word: str) -> None:
    machines.lab.host(name).run(["dd", f"of={path}", "conv=notrunc,fsync", "status=none"], stdin=word, check=True)


def head(machines: Hosts, name: str, path: str) -> str:
    return told(machines, name, "head", "-c", "4", path)


def mounts(machines: Hosts) -> list[str]:
    """Return what h2 has mounted of it."""
    return [line.split()[1] for line in told(machines, "h2", "cat", "/proc/mounts").splitlines() if BASE in line]


class Reader:
    """Something on h2 that has a file open."""

    def __init__(self, machines: Hosts, path: str) -> None:
        script = f"exec 3<>{path}; echo open; read -r end"
        ssh = machines.lab.host("h2").ssh()
        self.process = subprocess.Popen([*ssh, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stdout.readline() == "open\n"

    def close(self) -> None:
        self.process.communicate("end\n", timeout=60)


def test_what_was_set_up_stays_true_on_both_hosts(machines: Hosts, store: ZfsDriver) -> None:
    steps = [*store.keeps("h1"), *store.keeps("h2")]
    assert machines.needs(*steps) == [False] * len(steps)
    assert f"mountpoint={BASE}" in told(machines, "h1", "exportfs", "-s")


def test_a_disk_is_seen_at_once_also_by_a_host_that_looked_before(
    machines: Hosts, store: ZfsDriver, image: Volume
) -> None:
    disk = Volume(store.disk_path(8, 0), Format.RAW, 8 * MIB)
    assert machines.lab.host("h2").run(["cat", disk.path]).returncode == 1
    assert told(machines, "h2", "ls", f"{BASE}/var") == ""
    for word in ("one.", "two."):  # the second time the name leads to another data set than h2 may have mounted still
        machines.there_and_back(*store.clone(image, disk))
        assert head(machines, "h2", disk.path) == "gold"
        write(machines, "h2", disk.path, word)
        assert (head(machines, "h1", disk.path), head(machines, "h1", image.path)) == (word, "gold")
        machines.run([*store.delete(disk)])
        assert machines.lab.host("h2").run(["cat", disk.path]).returncode == 1
        assert told(machines, "h2", "ls", f"{BASE}/var") == ""


def test_what_a_host_has_open_is_not_deleted(machines: Hosts, store: ZfsDriver, image: Volume) -> None:
    disk = Volume(store.disk_path(9, 0), Format.RAW, 8 * MIB)
    machines.run([*store.clone(image, disk)])
    reader = Reader(machines, disk.path)
    who = machines.lab.host("h2").address
    with pytest.raises(Refused, match=rf"open over NFS on {who} \(.*h2\)\. Shut its machine down"):
        machines.run([*store.delete(disk)])
    assert head(machines, "h2", disk.path) == "gold"
    reader.close()
    machines.run([*store.delete(disk)])
    assert f"{SET}/var/9.0" not in told(machines, "h1", "zfs", "list", "-H", "-o", "name")


def test_what_a_host_remembers_is_not_what_it_goes_on_with(
    machines: Hosts, store: ZfsDriver, image: Volume, disk: Volume
) -> None:
    machines.run([*store.snapshot(disk, "one")])
    for word in ("new1", "new2"):
        write(machines, "h2", disk.path, word)
        assert head(machines, "h2", disk.path) == word
        machines.run([*store.revert(disk, "one")])
        assert (head(machines, "h1", disk.path), head(machines, "h2", disk.path)) == ("gold", "gold")
    write(machines, "h2", disk.path, "last")
    assert (head(machines, "h1", disk.path), head(machines, "h1", image.path)) == ("last", "gold")


def test_a_delegation_is_asked_back_before_a_data_set_goes(machines: Hosts, store: ZfsDriver, image: Volume) -> None:
    disk = Volume(store.disk_path(10, 0), Format.RAW, 8 * MIB)
    machines.run([*store.clone(image, disk), *store.snapshot(disk, "one")])

    def held() -> bool:
        head(machines, "h2", disk.path)  # a server gives none for a minute or so after it had to ask for one
        return "type: deleg" in told(machines, "h1", "sh", "-c", f"{STATES} | grep -a /disk.0 || true")

    wait_until(held, seconds=120, otherwise="h2 was never given a delegation.")
    assert machines.lab.host("h1").run(["zfs", "unmount", f"{SET}/var/10.0"]).returncode == 1
    machines.run([*store.delete(disk)])


def test_the_link_of_a_persistent_disk_leads_to_its_image_everywhere(
    machines: Hosts, store: ZfsDriver, image: Volume
) -> None:
    place = store.disk_path(11, 0)
    machines.there_and_back(*store.link(image, place))
    write(machines, "h2", place, "mine")
    assert head(machines, "h1", image.path) == "mine"
    machines.run([*store.unlink(image, place)])
    write(machines, "h1", image.path, "gold")
    machines.run([*store.prepare(image)])


def test_nothing_is_exported_as_long_as_the_data_set_is_not_mounted(machines: Hosts, store: ZfsDriver) -> None:
    machines.run([*store.deactivate("h2")])
    bare = f"systemctl stop nfs-server && zfs unmount -a && mkdir -p {BASE} && systemctl start nfs-server"
    told(machines, "h1", "sh", "-c", bare)
    with pytest.raises(CommandFailed, match=r"No such file or directory|access denied|not permitted"):
        machines.run([*store.activate("h2")])
    told(machines, "h1", "sh", "-c", "zfs mount -a && exportfs -f")
    machines.run([*store.activate("h2")])
    assert sorted(told(machines, "h2", "ls", BASE).split())[:2] == ["images", "var"]


def test_a_host_leaves_it_although_it_has_data_sets_mounted(
    machines: Hosts, store: ZfsDriver, image: Volume, disk: Volume
) -> None:
    assert head(machines, "h2", disk.path) == "gold"
    assert len(mounts(machines)) > 2
    machines.run(store.tear_down())
    assert mounts(machines) == [] and BASE not in told(machines, "h2", "cat", "/etc/fstab")
    assert BASE not in told(machines, "h1", "exportfs", "-s")
    assert head(machines, "h1", disk.path) == "gold"
    machines.run(store.set_up())
    assert head(machines, "h2", disk.path) == "gold"


def test_after_a_reboot_of_the_storage_host_disks_are_there_again(
    machines: Hosts, machine_lab: MachineLab, store: ZfsDriver, image: Volume
) -> None:
    disk = Volume(store.disk_path(12, 0), Format.RAW, 8 * MIB)
    machines.run([*store.clone(image, disk)])
    assert head(machines, "h2", disk.path) == "gold"
    machine_lab.host("h1").reboot()
    with connected(machine_lab) as again:
        wait_until(lambda: not any(again.needs(*store.keeps("h1"))), seconds=120, otherwise="It is not exported again.")
        time.sleep(12)  # the server waits for its old clients as long (image.py)
        assert head(again, "h2", disk.path) == "gold"
        write(again, "h2", disk.path, "more")
        assert head(again, "h1", disk.path) == "more"
        again.run([*store.delete(disk)])
