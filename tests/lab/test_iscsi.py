"""Targets of tgtd on h1, used from h2 by QEMU: who gets in, what stays after a restart, what is never taken away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from datastores.domain.errors import Refused
from datastores.domain.iscsi import Account, Lun, Portal
from datastores.hosts import tgt
from datastores.hosts.appliances import LunReached, ask_offers, offers
from datastores.hosts.services import ServiceRunning
from datastores.hosts.tgt_targets import TargetGone, TargetRenewed, TargetServed
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.machine import wait_until
from tests.lab.places import told

pytestmark = pytest.mark.lab

storage_hosts = places.storage_hosts
NAME, OTHER = (f"iqn.2013-10.org.opennebula:h1.test.{name}" for name in ("one", "two"))
PLACE = "/srv/plain/targets"
SIZE = 16 * MIB


@pytest.fixture(scope="module")
def hosts(storage_hosts: Hosts) -> Iterator[Hosts]:
    storage_hosts.run([ServiceRunning("h1", tgt.SERVICE)])
    told(storage_hosts, "mkdir", "-p", PLACE)
    told(storage_hosts, "truncate", "-s", str(SIZE), f"{PLACE}/one", f"{PLACE}/two")
    yield storage_hosts
    storage_hosts.run([TargetGone("h1", NAME), TargetGone("h1", OTHER)])
    told(storage_hosts, "rm", "-r", PLACE)


def served(hosts: Hosts, name: str, *users: str) -> TargetServed:
    addresses = tuple(str(hosts.lab.host(user).address) for user in users)
    return TargetServed("h1", name, f"{PLACE}/{name.rpartition('.')[2]}", SIZE, addresses)


def lun(hosts: Hosts, name: str) -> Lun:
    return Lun(Portal(str(hosts.lab.host("h1").address)), name)


def is_shut_out(hosts: Hosts, name: str, lun: Lun, account: Account | None = None) -> None:
    with pytest.raises(Refused, match=rf"{name} cannot use LUN 1 .*: shut out"):
        hosts.run([LunReached(name, lun, account=account)])


def found(hosts: Hosts) -> tgt.Targets:
    return tgt.targets("h1", hosts.shell("h1").run(tgt.ASK))


@contextmanager
def in_use(hosts: Hosts, name: str) -> Iterator[subprocess.Popen[str]]:
    """A program of h2 has the disk open."""
    words = [*hosts.lab.host("h2").ssh(), "qemu-io", "-f", "raw", lun(hosts, name).url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        wait_until(lambda: bool(found(hosts)[name].sessions), seconds=20, otherwise="It does not log in.")
        yield user
        assert user.stdin
        user.stdin.close()
    wait_until(lambda: not found(hosts)[name].sessions, seconds=20, otherwise="It does not log out.")


def test_a_target_lets_in_whom_it_is_for_and_nobody_else(hosts: Hosts) -> None:
    hosts.there_and_back(served(hosts, NAME, "h2"))
    hosts.run([LunReached("h2", lun(hosts, NAME), SIZE)])
    is_shut_out(hosts, "h3", lun(hosts, NAME))


def test_who_may_log_in_changes_under_a_session(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2")])
    with in_use(hosts, NAME):
        hosts.there_and_back(served(hosts, NAME, "h2", "h3"))
        hosts.run([LunReached("h3", lun(hosts, NAME), SIZE)])
        hosts.run([served(hosts, NAME, "h2")])
        is_shut_out(hosts, "h3", lun(hosts, NAME))
        assert len(found(hosts)[NAME].sessions) == 1


def test_what_is_in_use_is_neither_removed_nor_made_anew(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2")])
    with in_use(hosts, NAME):
        for step in (TargetGone("h1", NAME), TargetRenewed("h1", NAME, 2 * SIZE)):
            with pytest.raises(Refused, match="is in use by"):
                hosts.run([step])
        told(hosts, "tgt-admin", "--delete", NAME)  # also in the moment after the look, tgtd itself refuses
        assert NAME in found(hosts)
    hosts.there_and_back(TargetGone("h1", NAME))


def test_a_host_that_is_given_up_is_cut_off_and_not_let_in_again(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2")])
    lost = str(hosts.lab.host("h2").address)
    words = [*hosts.lab.host("h2").ssh(), "qemu-io", "-f", "raw", lun(hosts, NAME).url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        wait_until(lambda: bool(found(hosts)[NAME].sessions), seconds=20, otherwise="It does not log in.")
        hosts.run([TargetGone("h1", NAME, (lost,), forced=True), served(hosts, NAME, "h3")])
        hosts.run([LunReached("h3", lun(hosts, NAME), SIZE)])
        is_shut_out(hosts, "h2", lun(hosts, NAME))
        assert user.stdin
        user.stdin.write("write -P 9 0 1M\n")
        user.stdin.flush()
        time.sleep(3)  # it tries to come back, and is not let in
        told(hosts, "pkill", "-KILL", "-x", "qemu-io", name="h2")  # else it would go on trying when it is let in again
    assert told(hosts, "head", "-c", "1", f"{PLACE}/one") != "\x09"


def test_other_targets_come_and_go_beside_a_session(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2")])
    with in_use(hosts, NAME) as user:
        hosts.there_and_back(served(hosts, OTHER, "h2"))
        hosts.run([TargetGone("h1", OTHER)])
        assert user.stdin and user.stdout
        user.stdin.write("write -P 7 0 1M\n")
        user.stdin.flush()
        assert "wrote 1048576/1048576" in user.stdout.readline()
    assert told(hosts, "head", "-c", "1", f"{PLACE}/one") == "\x07"


def test_targets_are_there_after_a_restart(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2"), served(hosts, OTHER, "h3")])
    told(hosts, "systemctl", "restart", tgt.SERVICE)
    wait_until(lambda: {NAME, OTHER} <= found(hosts).keys(), seconds=20, otherwise="They do not come back.")
    assert hosts.needs(served(hosts, NAME, "h2"), served(hosts, OTHER, "h3")) == [False, False]


def test_targets_of_an_appliance_are_found_with_their_luns(hosts: Hosts) -> None:
    hosts.run([served(hosts, NAME, "h2"), served(hosts, OTHER, "h3")])
    command = ask_offers(Portal(str(hosts.lab.host("h1").address)))
    seen = {name: offers(name, command, hosts.shell(name).run(command)) for name in ("h1", "h2", "h3")}
    assert [offer.lun for offer in seen["h2"] if offer.is_disk and offer.lun.iqn in {NAME, OTHER}] == [lun(hosts, NAME)]
    assert [offer.lun for offer in seen["h3"] if offer.is_disk] == [lun(hosts, OTHER)]
    assert seen["h1"] == ()
