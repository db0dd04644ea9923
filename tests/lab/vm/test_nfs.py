"""NFS by the kernel: h1 exports, h2 mounts. What happens when the server is away, or either of them reboots."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from datastores.domain.errors import CommandFailed, Refused, TimedOut
from datastores.domain.plan import AnyStep, Command
from datastores.domain.throughput import MIB
from datastores.hosts.copies import FileCopied
from datastores.hosts.facts import HostFacts
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.mounts import FstabLineAbsent, FstabLinePresent, MountAbsent, MountPresent
from datastores.hosts.sights import Sight, look_at, unseen
from datastores.hosts.throughput import ThroughputKnown
from datastores.hosts.trials import RootWrites, TrialsSwept
from tests.lab.carrying import Hosts, connected
from tests.lab.machine import wait_until
from tests.lab.vm.lab import MachineLab

pytestmark = pytest.mark.vm

OPTIONS = "rw,_netdev,vers=4.2,actimeo=3"
"""Without the last, a client answers for up to a minute from what it remembers, as if the server were there."""
FORGOTTEN = 4
"""Seconds after which it remembers nothing."""
EXPORTS = """\
/srv/open {network}(rw,sync,no_subtree_check,no_root_squash)
/srv/squashed {network}(rw,sync,no_subtree_check)
"""


def told(machines: Hosts, name: str, *argv: str, stdin: str = "") -> str:
    done = machines.lab.host(name).run(argv, stdin=stdin)
    assert not done.returncode, done.stderr
    return done.stdout


def mounting(source: str, target: str) -> tuple[AnyStep, ...]:
    return (
        DirectoryPresent("h2", target),
        FstabLinePresent("h2", source, target, "nfs4", OPTIONS),
        MountPresent("h2", source, target, "nfs4", OPTIONS),
    )


OPEN, SQUASHED = mounting("h1:/srv/open", "/mnt/open"), mounting("h1:/srv/squashed", "/mnt/squashed")


@pytest.fixture(scope="module")
def server(machines: Hosts) -> Hosts:
    """h1 exports two directories of root: one in which root of a client is root, and one in which it is nobody."""
    told(machines, "h1", "mkdir", "-p", "/srv/open", "/srv/squashed")
    network = str(machines.lab.site.network)
    told(machines, "h1", "dd", "of=/etc/exports", "status=none", stdin=EXPORTS.format(network=network))
    told(machines, "h1", "systemctl", "enable", "--quiet", "--now", "nfs-server")
    told(machines, "h2", "dd", "if=/dev/urandom", "of=/root/disk.raw", "bs=1M", "count=2", "status=none")
    return machines


@pytest.fixture(scope="module")
def mounted(server: Hosts) -> Hosts:
    server.run([*OPEN, *SQUASHED])
    return server


@pytest.fixture
def away(mounted: Hosts) -> Iterator[Hosts]:
    """The server does not answer any more."""
    told(mounted, "h2", "ls", "/mnt/open")
    h1 = mounted.lab.host("h1")
    h1.cut()
    time.sleep(FORGOTTEN)
    yield mounted
    h1.heal()
    wait_until(lambda: seen(mounted), seconds=180, otherwise="The mount does not answer again.")


def seen(machines: Hosts) -> bool:
    sights = [Sight("/mnt/open", "/mnt/open"), Sight("/root")]
    return unseen(sights, machines.shell("h2").run(look_at(sights)), "h2") == ["", ""]


def checksum(machines: Hosts, name: str, path: str) -> str:
    return told(machines, name, "sha256sum", path).split()[0]


def test_an_export_is_mounted_there_and_back(server: Hosts) -> None:
    server.there_and_back(*OPEN)
    kind, options = told(server, "h2", "findmnt", "-n", "-o", "FSTYPE,OPTIONS", "/mnt/open").split()
    assert kind == "nfs4"
    assert {"rw", "vers=4.2", "hard"} <= set(options.split(","))
    told(server, "h2", "touch", "/mnt/open/from a client")
    assert told(server, "h1", "ls", "/srv/open") == "from a client\n"
    told(server, "h1", "rm", "/srv/open/from a client")


def test_what_is_not_exported_is_not_mounted(server: Hosts) -> None:
    steps = mounting("h1:/srv/secret", "/mnt/secret")
    with pytest.raises(CommandFailed, match=r"No such file or directory|access denied"):
        server.run(steps)
    assert server.needs(*steps) == [True, True, True]


def test_root_of_a_client_makes_directories_and_copies(mounted: Hosts) -> None:
    mounted.there_and_back(DirectoryPresent("h2", "/mnt/open/images", "admin1", "ops", "2770"))
    assert told(mounted, "h1", "stat", "-c", "%U:%G %a", "/srv/open/images") == "admin1:ops 2770\n"
    mounted.there_and_back(FileCopied("h2", "/root/disk.raw", "/mnt/open/images/7.raw"))
    assert checksum(mounted, "h1", "/srv/open/images/7.raw") == checksum(mounted, "h2", "/root/disk.raw")
    assert told(mounted, "h1", "stat", "-c", "%U:%G", "/srv/open/images/7.raw") == "root:root\n"


def test_root_of_a_client_that_is_squashed_is_told_so(mounted: Hosts) -> None:
    with pytest.raises(CommandFailed, match="/mnt/squashed/images"):
        mounted.run([DirectoryPresent("h2", "/mnt/squashed/images")])
    with pytest.raises(CommandFailed, match="Permission denied"):
        mounted.run([FileCopied("h2", "/root/disk.raw", "/mnt/squashed/7.raw")])
    assert told(mounted, "h1", "ls", "/srv/squashed") == ""


def test_where_everybody_may_write_a_squashed_root_leaves_no_file_of_another_owner(mounted: Hosts) -> None:
    told(mounted, "h1", "chmod", "1777", "/srv/squashed")
    time.sleep(FORGOTTEN)
    # the new file is nobody's: either it may not be opened, or it may not be given to root
    with pytest.raises(CommandFailed, match=r"Operation not permitted|Permission denied"):
        mounted.run([FileCopied("h2", "/root/disk.raw", "/mnt/squashed/7.raw")])
    assert told(mounted, "h1", "ls", "/srv/squashed") == ""


def test_it_is_told_before_anything_else_whether_root_of_a_client_can_write(mounted: Hosts) -> None:
    told(mounted, "h1", "chmod", "0755", "/srv/squashed")
    time.sleep(FORGOTTEN)
    with pytest.raises(Refused, match=r"Permission denied.*no_root_squash"):
        mounted.run([RootWrites("h2", "/mnt/squashed", "5e1f0a", "admin1", "ops")])
    mounted.run([RootWrites("h2", "/mnt/open", "5e1f0a", "admin1", "ops"), TrialsSwept("h2", "/mnt/open", "5e1f0a")])
    told(mounted, "h1", "chmod", "0777", "/srv/squashed")
    time.sleep(FORGOTTEN)
    squashed = RootWrites("h2", "/mnt/squashed", "5e1f0a", "admin1", "ops")
    mounted.run([squashed, TrialsSwept("h2", "/mnt/squashed", "5e1f0a")])
    assert told(mounted, "h1", "find", "/srv/open", "/srv/squashed", "-name", ".cloudstore-*") == ""


def test_a_mount_is_measured_over_the_network(mounted: Hosts) -> None:
    step = ThroughputKnown("h2", "/mnt/open", "5e1f0a", 16 * MIB, 1)
    found = mounted.run([step, TrialsSwept("h2", "/mnt/open", "5e1f0a")]).facts[0]
    assert found.figures and found.figures.write_rate and found.ground.network
    assert told(mounted, "h1", "find", "/srv/open", "-name", ".cloudstore-*") == ""


def test_a_server_that_is_away_holds_up_no_read_of_facts(away: Hosts) -> None:
    began = time.monotonic()
    found = HostFacts.of(away.shell("h2"))
    assert time.monotonic() - began < 30
    assert any(line.startswith("sizes of network file systems: no answer") for line in found.problems), found.problems
    [share] = [system for system in found.file_systems if system.target == "/mnt/open"]
    assert (share.source, share.fstype, share.size) == ("h1:/srv/open", "nfs4", None)
    assert {system.target for system in found.file_systems if system.size} >= {"/"}


def test_a_server_that_is_away_holds_up_no_look_and_no_read(away: Hosts) -> None:
    shell = away.shell("h2")
    began = time.monotonic()
    sights = [Sight("/mnt/open", "/mnt/open"), Sight("/root")]
    gone, there = unseen(sights, shell.run(look_at(sights)), "h2")
    assert gone and "did not answer within 4 s" in gone
    assert there == ""
    assert time.monotonic() - began < 20
    began = time.monotonic()
    with pytest.raises(TimedOut, match="its 5 s were over"):
        shell.run(Command(("ls", "/mnt/open"), timeout=5))
    assert time.monotonic() - began < 15


def test_a_server_that_is_away_is_still_mounted_and_no_directory_is_concluded_to_be_missing(away: Hosts) -> None:
    began = time.monotonic()
    assert away.needs(OPEN[2]) == [False]
    with pytest.raises(CommandFailed):
        away.run([DirectoryPresent("h2", "/mnt/open/not there")])
    assert time.monotonic() - began < 60


def test_mounts_whose_server_is_gone_for_good_are_given_up_at_once(mounted: Hosts) -> None:
    """All of them first, then their lines: systemd looks at what is mounted when it reads fstab again."""
    h1, lost = mounted.lab.host("h1"), [("h2", f"h1:/srv/{name}", f"/mnt/{name}") for name in ("open", "squashed")]
    h1.cut()
    try:
        time.sleep(FORGOTTEN)
        began = time.monotonic()
        mounted.run([MountAbsent(*what, "nfs4", OPTIONS, lost=True) for what in lost])
        mounted.run([FstabLineAbsent(*what) for what in lost])
        assert time.monotonic() - began < 60
        assert told(mounted, "h2", "ls", "/mnt/open", "/mnt/squashed").split() == ["/mnt/open:", "/mnt/squashed:"]
    finally:
        h1.heal()
    mounted.run([*OPEN, *SQUASHED])
    wait_until(lambda: seen(mounted), seconds=180, otherwise="The mount does not answer again.")


def test_after_a_reboot_all_is_mounted_again(mounted: Hosts, machine_lab: MachineLab) -> None:
    told(mounted, "h1", "touch", "/srv/open/kept")
    machine_lab.host("h2").reboot()
    with connected(machine_lab) as machines:
        assert machines.needs(*OPEN, *SQUASHED[1:]) == [False] * 5
        assert "kept" in told(machines, "h2", "ls", "/mnt/open").split()
    machine_lab.host("h1").reboot()
    with connected(machine_lab) as machines:
        wait_until(lambda: seen(machines), seconds=180, otherwise="The mount does not answer again.")
        told(machines, "h2", "touch", "/mnt/open/afterwards")
        assert {"kept", "afterwards"} <= set(told(machines, "h1", "ls", "/srv/open").split())
