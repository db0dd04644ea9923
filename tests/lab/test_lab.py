"""The lab is what it says it is."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.disks import GIB, MIB
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import LabError, cgroup_root, state_directory, wait_until

pytestmark = pytest.mark.lab


@pytest.fixture
def other(lab: Lab) -> Iterator[Lab]:
    """A second lab, next to the session's."""
    other = Lab("other", subnet="10.77.9.0/24")
    yield other
    other.down()


def says(host: Host, *argv: str) -> str:
    done = host.run(argv)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def boot_time(host: Host) -> str:
    """When its systemd started: another one for each boot."""
    return says(host, "systemctl", "show", "--property=UserspaceTimestampMonotonic")


def wait_for_next_boot(host: Host, before: str) -> None:
    def booted() -> bool:
        return host.answers() and host.run(["true"]).returncode == 0 and boot_time(host) != before

    wait_until(booted, seconds=30, otherwise=f"{host.name} does not come back")


def traces(name: str) -> list[str]:
    """Everything on this machine that carries the name of a lab."""
    words = [f"lab-{name}-", f"lab-{name}0", f"/lab-{name}", f"/labs/{name}/"]
    commands = [
        "ip netns list",
        "ip -brief link",
        "cat /proc/mounts",
        "losetup --list --output BACK-FILE",
        "ps -eo args",
    ]
    found = "".join(subprocess.check_output(line.split(), text=True) for line in commands).splitlines()
    found += map(str, [*cgroup_root().glob("lab-*"), *state_directory().glob("labs/*")])
    return [line for line in found if any(word in f"{line}/" for word in words)]


def reflink(host: Host, folder: str) -> subprocess.CompletedProcess[str]:
    host.run(["dd", "if=/dev/urandom", f"of={folder}/a", "bs=1M", "count=1"])
    return host.run(["cp", "--reflink=always", f"{folder}/a", f"{folder}/b"])


def test_every_host_runs_systemd(lab: Lab) -> None:
    for host in lab.hosts()[:3]:
        assert says(host, "systemctl", "is-system-running", "--wait") == "running"
        assert says(host, "hostname") == host.name
        assert says(host, "cat", "/proc/1/comm") == "systemd"


def test_hosts_reach_each_other_and_nothing_else(lab: Lab) -> None:
    h1, h2, *_ = lab.hosts()
    assert h1.run(["ping", "-c1", "-W2", h2.name]).returncode == 0
    assert h1.run(["ping", "-c1", "-W2", lab.controller]).returncode == 0
    assert "unreachable" in h1.run(["ping", "-c1", "-W2", "192.0.2.1"]).stderr


def test_each_word_of_a_command_arrives_as_it_is(lab: Lab) -> None:
    host = lab.host("h1")
    assert host.run(["printf", "%s|", "a b", "$HOME", "it's", ""]).stdout == "a b|$HOME|it's||"
    assert host.run(["cat"], stdin="from here").stdout == "from here"
    assert host.run(["false"]).returncode == 1


def test_a_host_proves_itself_with_its_own_key(lab: Lab) -> None:
    keys = {host.host_key for host in lab.hosts()}
    assert len(keys) == len(lab.hosts())
    h1 = lab.host("h1")
    assert says(h1, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").startswith(h1.host_key)
    assert not h1.run(["ls", "/root/.ssh"]).stdout.replace("authorized_keys", "").strip()


def login(host: Host, user: str, password: str, command: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Log in with a password, as a person would."""
    asker = folder / "asker"
    asker.write_text(f"#!/bin/sh\necho {password}\n")
    asker.chmod(0o700)
    argv = ["ssh", "-F", "none", f"-oUserKnownHostsFile={host.site.known_hosts}", "-oPubkeyAuthentication=no"]
    argv += ["-oNumberOfPasswordPrompts=1", f"{user}@{host.address}", command]
    asking = os.environ | {"SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force"}
    return subprocess.run(argv, env=asking, capture_output=True, text=True, check=False, timeout=30)


def test_people_log_in_with_passwords(lab: Lab, tmp_path: Path) -> None:
    host = lab.host("h2")
    assert login(host, "ops", "ops-pass", "id -un", folder=tmp_path).stdout == "ops\n"
    assert login(host, "ops", "wrong", "id -un", folder=tmp_path).returncode == 255
    assert login(host, "ops", "ops-pass", "sudo -n id -un", folder=tmp_path).returncode != 0
    assert login(host, "admin1", "admin-pass", "sudo -n id -un", folder=tmp_path).stdout == "root\n"


def test_reboot_starts_afresh_with_the_same_files(lab: Lab) -> None:
    h1 = lab.host("h1")
    for path in ("/root/kept", "/srv/btrfs/kept", "/srv/xfs/kept", "/srv/small/kept", "/run/gone"):
        says(h1, "touch", path)
    says(h1, "ip", "link", "add", "gone0", "type", "bridge")
    before, supervisor = boot_time(h1), h1.supervisor
    h1.run(["systemctl", "reboot"])
    wait_for_next_boot(h1, before)
    assert says(h1, "systemctl", "is-system-running", "--wait") == "running"
    says(h1, "ls", "/root/kept", "/srv/btrfs/kept", "/srv/xfs/kept", "/srv/small/kept")
    assert h1.run(["ls", "/run/gone"]).returncode != 0
    assert h1.run(["ip", "link", "show", "gone0"]).returncode != 0
    assert h1.supervisor == supervisor


def test_power_cut_keeps_the_files(lab: Lab) -> None:
    h1 = lab.host("h1")
    says(h1, "touch", "/root/survives", "/srv/xfs/survives")
    key = h1.host_key
    h1.power_off()
    assert not h1.running
    assert not h1.answers()
    assert lab.host("h2").run(["ping", "-c1", "-W1", h1.address]).returncode != 0
    h1.power_on()
    says(h1, "ls", "/root/survives", "/srv/xfs/survives", "/srv/btrfs", "/srv/small")
    assert h1.host_key == key


def test_a_host_that_switches_itself_off_stays_off(lab: Lab) -> None:
    h3 = lab.host("h3")
    h3.run(["systemctl", "poweroff"])
    wait_until(lambda: not h3.running, seconds=30, otherwise="h3 does not switch off")
    assert not h3.answers()
    h3.power_on()
    assert h3.answers()


def test_a_cut_cable_cuts_all_traffic_until_it_is_healed(lab: Lab) -> None:
    h1, h2 = lab.host("h1"), lab.host("h2")
    h2.cut()
    assert not h2.answers()
    assert h1.run(["ping", "-c1", "-W1", h2.address]).returncode != 0
    h2.heal()
    wait_until(h2.answers, seconds=10, otherwise="h2 does not come back")
    assert h1.run(["ping", "-c1", "-W2", h2.address]).returncode == 0


def test_a_command_under_way_ends_with_the_power(lab: Lab) -> None:
    h3 = lab.host("h3")
    command = subprocess.Popen([*h3.ssh(), "-oServerAliveInterval=1", "-oServerAliveCountMax=1", "sleep", "100"])
    time.sleep(0.5)
    h3.power_off()
    try:
        assert command.wait(timeout=20) == 255
    finally:
        command.kill()
        h3.power_on()


def test_disks_share_blocks_where_they_should(lab: Lab) -> None:
    h1 = lab.host("h1")
    assert reflink(h1, "/srv/btrfs").returncode == 0
    assert reflink(h1, "/srv/xfs").returncode == 0
    assert "not supported" in reflink(h1, "/srv/plain").stderr
    assert "not supported" in reflink(h1, "/srv/small").stderr


def test_the_small_disk_fills_up_and_turns_read_only(lab: Lab) -> None:
    h1 = lab.host("h1")
    full = h1.run(["dd", "if=/dev/zero", "of=/srv/small/big", "bs=1M", "count=100"])
    assert "No space left" in full.stderr
    says(h1, "rm", "/srv/small/big")
    says(h1, "mount", "-o", "remount,ro", "/srv/small")
    assert "Read-only" in h1.run(["touch", "/srv/small/x"]).stderr
    says(h1, "mount", "-o", "remount,rw", "/srv/small")


def test_an_image_is_large_and_sparse(lab: Lab) -> None:
    lab.make_image("h1", "/srv/btrfs/golden.raw", virtual=25 * GIB, data=800 * MIB)
    size, used = says(lab.host("h1"), "stat", "--format=%s %b", "/srv/btrfs/golden.raw").split()
    assert int(size) == 25 * GIB
    assert 800 * MIB <= int(used) * 512 < 810 * MIB
    says(lab.host("h1"), "rm", "/srv/btrfs/golden.raw")


def test_up_leaves_running_hosts_alone(lab: Lab) -> None:
    before = [boot_time(host) for host in lab.hosts()[:3]]
    lab.up(3, with_disks=["h1"])
    assert [boot_time(host) for host in lab.hosts()[:3]] == before


def test_up_repairs_a_host_whose_supervisor_was_killed(lab: Lab) -> None:
    h2 = lab.host("h2")
    says(h2, "touch", "/root/still-here")
    assert h2.supervisor
    os.kill(h2.supervisor, signal.SIGKILL)
    wait_until(lambda: not h2.answers(), seconds=10, otherwise="the host outlives its supervisor")
    lab.up(3)
    says(h2, "ls", "/root/still-here")


def test_up_repairs_a_lab_that_lost_its_switch(other: Lab) -> None:
    [host] = other.up(1)
    subprocess.run(["ip", "netns", "del", other.site.switch], check=True)
    other.up(1)
    assert says(host, "hostname") == "h1"


def test_two_labs_side_by_side_do_not_see_each_other(lab: Lab, other: Lab) -> None:
    [theirs] = other.up(1)
    ours = lab.host("h1")
    assert theirs.address == "10.77.9.11"
    assert says(theirs, "hostname") == says(ours, "hostname") == "h1"
    assert theirs.host_key != ours.host_key
    assert theirs.run(["ping", "-c1", "-W1", ours.address]).returncode != 0
    other.down()
    assert ours.answers()


def test_two_labs_do_not_share_a_network(lab: Lab) -> None:
    with pytest.raises(LabError, match="in use"):
        Lab("third", subnet=str(lab.site.network)).up(1)
    assert traces("third") == []


def test_down_leaves_nothing_behind(other: Lab) -> None:
    other.up(2, with_disks=["h2"])
    assert traces("other")
    other.down()
    assert traces("other") == []


def test_down_clears_a_lab_whose_supervisors_and_files_are_gone(other: Lab) -> None:
    other.up(2, with_disks=["h2"])
    for host in other.hosts():
        assert host.supervisor
        os.kill(host.supervisor, signal.SIGKILL)
        (host.directory / "record.json").unlink()
    other.down()
    assert traces("other") == []


def test_down_can_keep_the_files(other: Lab) -> None:
    other.up(1, with_disks=["h1"])
    says(other.host("h1"), "touch", "/root/kept", "/srv/btrfs/kept")
    other.down(keep=True)
    assert not other.host("h1").answers()
    [host] = other.up(1)
    says(host, "ls", "/root/kept", "/srv/btrfs/kept")


def test_an_interrupted_up_leaves_nothing_behind(other: Lab) -> None:
    up = ["python3", "tests/lab/lab.py", "up", "8", "--name", "other", "--subnet", "10.77.9.0/24"]
    tool = subprocess.Popen(["env", "--default-signal=INT", *up])  # tests in the background inherit that it is ignored
    wait_until((other.site.cgroup / "h4").exists, seconds=20, otherwise="no host starts")
    tool.send_signal(signal.SIGINT)
    assert tool.wait(timeout=30) == 130
    assert traces("other") == []


def test_directories_of_this_machine_show_in_a_host(host_factory: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    host = host_factory(binds={str(tmp_path): "/media/given"})
    assert says(host, "cat", "/media/given/note") == "hello"
    host.power_off()
    host.power_on()
    assert says(host, "cat", "/media/given/note") == "hello"


def test_other_releases(debian11: Host, debian13: Host, tmp_path: Path) -> None:
    for host, release in ((debian11, "11"), (debian13, "13")):
        assert f'VERSION_ID="{release}"' in says(host, "cat", "/etc/os-release")
        assert says(host, "systemctl", "is-system-running", "--wait") == "running"
        says(host, "qemu-img", "--version")
        assert login(host, "ops", "ops-pass", "id -un", folder=tmp_path).stdout == "ops\n"
        before = boot_time(host)
        host.run(["systemctl", "reboot"])
        wait_for_next_boot(host, before)


def test_unknown_hosts_and_names_are_refused(lab: Lab) -> None:
    for name in ("h0", "h999", "../h1", "H1", "h7"):
        with pytest.raises(LabError):
            lab.host(name)
    with pytest.raises(LabError):
        Lab("Too-Long-A-Name")
    with pytest.raises(LabError, match="h1 is bookworm"):
        lab.up(1, suite="trixie")
