"""Volumes of LVM served by tgt and by LIO on h1; the kernel of h2 is logged in to them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from datastores.domain.errors import Refused
from datastores.domain.iscsi import Lun, Portal
from datastores.domain.plan import AnyStep
from datastores.hosts import lio, tgt
from datastores.hosts.lio import LioTargetGone, LioTargetServed
from datastores.hosts.lvm_contents import VolumeFilled
from datastores.hosts.lvm_groups import GroupReady, PoolReady
from datastores.hosts.open_iscsi import InterfaceNamed, SessionClosed, SessionOpen
from datastores.hosts.services import ServiceRunning
from datastores.hosts.tgt_targets import TargetGone, TargetServed
from tests.lab.carrying import Hosts, connected
from tests.lab.disks import MIB
from tests.lab.machine import wait_until
from tests.lab.vm.lab import MachineLab

pytestmark = pytest.mark.vm

SIZE = 16 * MIB
INITIATOR = "iqn.2013-10.org.opennebula:h2"


def told(machines: Hosts, name: str, *argv: str) -> str:
    done = machines.lab.host(name).run(argv)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server(machines: Hosts) -> Hosts:
    """h1 has two volumes."""
    machines.there_and_back(GroupReady("h1", "vg-one", ("/dev/vdb",)), PoolReady("h1", "vg-one", "pool"))
    machines.run([VolumeFilled("h1", "vg-one", name, SIZE, "pool") for name in ("tgt", "lio")])
    return machines


def lun(machines: Hosts, name: str) -> Lun:
    address = str(machines.lab.host("h1").address)
    return Lun(Portal(address), f"iqn.2013-10.org.opennebula:h1.vg-one.{name}")


def by_tgt(machines: Hosts) -> Sequence[AnyStep]:
    found, address = lun(machines, "tgt"), str(machines.lab.host("h2").address)
    served = TargetServed("h1", found.iqn, "/dev/vg-one/tgt", SIZE, (address,))
    return ServiceRunning("h1", tgt.SERVICE), served, SessionOpen("h2", found)


def by_lio(machines: Hosts) -> Sequence[AnyStep]:
    found = lun(machines, "lio")
    served = LioTargetServed("h1", found.iqn, "/dev/vg-one/lio", (INITIATOR,))
    named = InterfaceNamed("h2", "cloudstore", INITIATOR)
    return ServiceRunning("h1", lio.SERVICE), served, named, SessionOpen("h2", found, "cloudstore")


def is_used(machines: Hosts, found: Lun) -> bool:
    """Write through the device of h2, and tell whether it has the size of the volume."""
    told(machines, "h2", "qemu-io", "-f", "raw", "-c", "write -P 7 1M 1M", found.device)
    said = told(machines, "h2", "qemu-io", "-r", "-f", "raw", "-c", "read -P 7 1M 1M", "-c", "length", found.device)
    return "Pattern verification failed" not in said and "16 MiB" in said


def test_a_host_logs_in_to_tgt_there_and_back(server: Hosts) -> None:
    service, *steps = by_tgt(server)
    server.run([service])
    server.there_and_back(*steps)
    assert is_used(server, lun(server, "tgt"))
    with pytest.raises(Refused, match="is in use by"):
        server.run([TargetGone("h1", lun(server, "tgt").iqn)])


def test_a_host_logs_in_to_lio_there_and_back(server: Hosts) -> None:
    service, *steps = by_lio(server)
    server.run(by_tgt(server)[:1])
    told(server, "h1", "systemctl", "stop", tgt.SERVICE)  # both listen at the same port
    server.run([service])
    server.there_and_back(*steps)
    assert is_used(server, lun(server, "lio"))
    with pytest.raises(Refused, match="is in use by"):
        server.run([LioTargetGone("h1", lun(server, "lio").iqn)])


def test_after_a_reboot_of_both_the_host_is_logged_in_again(server: Hosts, machine_lab: MachineLab) -> None:
    for name in ("h1", "h2"):
        machine_lab.host(name).reboot()
    with connected(machine_lab) as machines:
        steps = by_lio(machines)
        wait_until(lambda: machines.needs(*steps) == [False] * 4, seconds=120, otherwise="It is not logged in again.")
        assert is_used(machines, lun(machines, "lio"))
        machines.there_and_back(
            SessionClosed("h2", lun(machines, "lio"), "cloudstore"), LioTargetGone("h1", lun(machines, "lio").iqn)
        )
