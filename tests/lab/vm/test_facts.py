"""What the product reads of a host, on a machine with a kernel and disks of its own."""

from __future__ import annotations

import pytest

from datastores.hosts.facts import HostFacts
from datastores.hosts.software import Rights
from datastores.hosts.vitals import Vitals
from tests.lab.carrying import Hosts
from tests.lab.disks import GIB, MIB

pytestmark = pytest.mark.vm


def facts(machines: Hosts, name: str = "h1") -> HostFacts:
    return HostFacts.of(machines.shell(name))


def in_use(machines: Hosts) -> dict[str, bool]:
    return {disk.name: disk.in_use for disk in facts(machines).disks}


def test_facts_are_those_of_the_machine(machines: Hosts) -> None:
    found = facts(machines)
    host = machines.lab.host("h1")
    assert found.problems == ()
    assert (found.name, found.os, found.os_version, found.rights) == ("h1", "debian", "12", Rights.ROOT)
    assert found.kernel == host.run(["uname", "-r"]).stdout.strip()
    assert found.machine_id == host.run(["cat", "/etc/machine-id"]).stdout.strip()
    assert 600 * MIB < found.memory < 768 * MIB
    assert found.cpu_count == 1
    assert HostFacts.from_json(found.to_json()) == found
    assert {"zfs", "exportfs", "lvm"} <= {tool.name for tool in found.tools}


def test_network_interfaces_are_those_of_the_machine(machines: Hosts) -> None:
    host = machines.lab.host("h1")
    host.run(["ip", "link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7"], check=True)
    host.run(["ip", "address", "add", "192.168.7.1/24", "dev", "eth0.7"], check=True)
    nics = {nic.name: nic for nic in facts(machines).nics}
    assert (nics["eth0"].mac, nics["eth0"].physical, nics["eth0"].state) == (host.mac, True, "up")
    assert f"{host.address}/24" in nics["eth0"].addresses
    assert (nics["eth0.7"].physical, nics["eth0.7"].addresses) == (False, ("192.168.7.1/24",))


def test_disks_are_those_of_the_machine_and_whether_they_are_in_use(machines: Hosts) -> None:
    disks = facts(machines).disks
    assert [(disk.name, disk.size) for disk in disks] == [(f"vd{letter}", 4 * GIB) for letter in "abcd"]
    assert in_use(machines) == {"vda": True, "vdb": False, "vdc": False, "vdd": False}
    host = machines.lab.host("h1")
    host.run(["pvcreate", "-q", "/dev/vdb"], check=True)
    host.run(["zpool", "create", "tank", "/dev/vdc"], check=True)
    host.run(["udevadm", "settle"], check=True)
    assert in_use(machines) == {"vda": True, "vdb": True, "vdc": True, "vdd": False}
    [tank] = [system for system in facts(machines).file_systems if system.target == "/tank"]
    assert (tank.source, tank.fstype) == ("tank", "zfs")
    assert tank.size and 3 * GIB < tank.size < 4 * GIB


def test_an_account_with_sudo_reads_the_same(machines: Hosts) -> None:
    theirs = HostFacts.of(machines.shell("h2", "admin1", "admin-pass"))
    mine = facts(machines, "h2")
    assert theirs.rights is Rights.SUDO
    assert theirs.problems == ()
    assert (theirs.disks, theirs.nics, theirs.machine_id) == (mine.disks, mine.nics, mine.machine_id)


def test_vitals_are_those_of_the_machine(machines: Hosts) -> None:
    vitals = Vitals.parse(machines.shell("h2").run_many(Vitals.reads()), "h2")
    assert 0 < vitals.memory_used < vitals.memory_total < 768 * MIB
    assert 0 < vitals.root_used < vitals.root_total < 4 * GIB
