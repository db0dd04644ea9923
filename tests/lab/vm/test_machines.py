"""The virtual machines themselves: a kernel of their own, a state to go back to, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.carrying import Hosts
from tests.lab.machine import state_directory, wait_until
from tests.lab.vm.guest import Guest
from tests.lab.vm.lab import MachineLab

pytestmark = pytest.mark.vm

ENDED = """
import os, signal, sys
from tests.lab.vm import image
from tests.lab.vm.guest import Record
from tests.lab.vm.lab import MachineLab
lab = MachineLab("bound")
lab._prepare()
guest = lab.node(lab.site, 1)
guest.make(Record(str(image.build()), memory=128, disks=(), bound=True))
guest.start()
os.kill(os.getpid(), signal.SIGKILL)
"""
KERNEL = "modprobe -a nfsd zfs 8021q dm_thin_pool iscsi_tcp target_core_mod br_netfilter && cat /proc/filesystems"


def says(guest: Guest, *argv: str) -> str:
    return guest.run(argv, check=True).stdout.strip()


@pytest.fixture
def guests(machines: Hosts) -> list[Guest]:
    return machines.lab.hosts()


def test_each_has_a_kernel_and_an_identity_of_its_own(guests: list[Guest]) -> None:
    assert [says(guest, "uname", "-n") for guest in guests] == ["h1", "h2"]
    assert {says(guest, "uname", "-r") for guest in guests} != {os.uname().release}
    assert len({says(guest, "cat", "/etc/machine-id") for guest in guests}) == 2
    assert len({guest.host_key for guest in guests}) == 2
    assert [says(guest, "systemctl", "is-system-running") for guest in guests] == ["running", "running"]
    assert says(guests[0], "ping", "-c", "1", "-W", "5", "h2")


def test_the_kernel_has_what_storage_is_made_of(guests: list[Guest]) -> None:
    assert {"nfsd", "zfs"} <= set(says(guests[0], "sh", "-c", KERNEL).split())
    for line in ("link add link eth0 name eth0.219 type vlan id 219", "address add 192.168.219.{}/24 dev eth0.219"):
        for guest in guests:
            says(guest, "ip", *line.format(guest.number).split())
    for guest in guests:
        says(guest, "ip", "link", "set", "eth0.219", "up")
    assert says(guests[0], "ping", "-c", "1", "-W", "5", "192.168.219.2")


def test_they_go_back_to_the_state_in_which_they_were_saved(machine_lab: MachineLab) -> None:
    h1 = machine_lab.host("h1")
    boot = says(h1, "cat", "/proc/sys/kernel/random/boot_id")
    says(h1, "sh", "-c", "touch /root/later /run/later && vgcreate -q later /dev/vdb && sync")
    h1.power_off()
    machine_lab.restore()
    assert says(h1, "cat", "/proc/sys/kernel/random/boot_id") == boot
    assert says(h1, "sh", "-c", "ls /root/later /run/later; vgs --noheadings; :") == ""
    assert abs(float(says(h1, "date", "+%s.%N")) - time.time()) < 5


def test_power_and_cable_can_be_pulled(machine_lab: MachineLab) -> None:
    h2 = machine_lab.host("h2")
    says(h2, "sh", "-c", "touch /root/kept && sync /root/kept")
    h2.cut()
    assert not h2.answers()
    h2.power_off()
    assert not h2.running
    h2.power_on()
    h2.heal()
    h2.wait_ready(seconds=240)
    says(h2, "ls", "/root/kept")


def test_a_machine_ends_with_the_process_that_started_it(machine_lab: MachineLab) -> None:
    other = MachineLab("bound")
    try:
        root = Path(__file__).parents[3]
        done = subprocess.run([sys.executable, "-c", ENDED], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        guest = other.host("h1")
        wait_until(lambda: not guest.running, seconds=10, otherwise="It lives on.")
    finally:
        other.down()
    assert not (state_directory() / "vms/bound").exists()
    assert not other.site.cgroup.exists()
