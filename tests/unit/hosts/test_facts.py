"""Facts from what real hosts said, and from what broken ones say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.fstab import Mount
from datastores.domain.plan import READ_DEADLINE, Output
from datastores.hosts import hardware, software, usage
from datastores.hosts.facts import READS, HostFacts
from datastores.hosts.hardware import Array, Disk, Nic
from datastores.hosts.mounts import mounts
from datastores.hosts.software import Rights, Tool
from datastores.hosts.usage import FileSystem
from tests.fakes import FakeShell, said

RECORDINGS = Path(__file__).parent / "recordings"


def recorded(release: str) -> dict[str, Output]:
    """Return what a host with that release of Debian said to each read."""
    plain = json.loads((RECORDINGS / f"debian-{release}.json").read_text())
    return {
        what: said(text if isinstance(text, str) else "\n".join([*text, ""]), exit_status=status, stderr=stderr)
        for what, (status, text, stderr) in plain.items()
    }


def facts(outputs: dict[str, Output]) -> HostFacts:
    return HostFacts.parse([outputs[what] for what in READS], "h1")


@pytest.mark.parametrize(
    ("release", "title", "qemu", "systemd"),
    [
        ("11", "Debian GNU/Linux 11 (bullseye)", "1:5.2+dfsg-11+deb11u3", "247.3-7+deb11u5"),
        ("12", "Debian GNU/Linux 12 (bookworm)", "1:7.2+dfsg-7+deb12u18+b3", "252.39-1~deb12u2"),
        ("13", "Debian GNU/Linux 13 (trixie)", "1:10.0.13+ds-0+deb13u1", "257.13-1~deb13u1"),
    ],
)
def test_every_release_is_understood_without_a_problem(release: str, title: str, qemu: str, systemd: str) -> None:
    found = facts(recorded(release))
    assert found.problems == ()
    assert (found.os, found.os_version, found.os_title) == ("debian", release, title)
    assert (found.kernel, found.architecture, found.rights) == ("6.1.0-49-cloud-amd64", "x86_64", Rights.ROOT)
    assert (found.cpu_model, found.cpu_count, found.memory) == ("AMD EPYC", 2, 24684092 * 1024)
    assert {"lm", "nx"} <= set(found.cpu_flags) <= hardware.KVM_FLAGS
    versions = {tool.name: tool.version for tool in found.tools}
    assert (versions["qemu-img"], versions["systemctl"]) == (qemu, systemd)
    assert "zfs" not in versions
    assert [disk.name for disk in found.disks] == ["vda"]
    assert [(nic.name, nic.speed, nic.state) for nic in found.nics] == [("eth0", 10000, "up")]
    assert {user.name: user.uid for user in found.accounts} == {"root": 0, "nobody": 65534, "ops": 1000, "admin1": 1001}
    assert "nogroup" in {group.name for group in found.groups}
    assert len(found.machine_id) == 32
    assert found.clock > found.booted > 1.7e9
    assert found.kvm


def test_file_systems_have_their_sizes_and_say_whether_they_clone() -> None:
    found = {system.target: system for system in facts(recorded("12")).file_systems}
    assert {target: (system.fstype, system.clones) for target, system in found.items()} == {
        "/": ("overlay", False),
        "/srv/btrfs": ("btrfs", True),
        "/srv/xfs": ("xfs", True),
        "/srv/small": ("ext4", False),
    }
    small = found["/srv/small"]
    assert (small.source, small.size, small.used, small.available) == ("/dev/loop8", 57381888, 14336, 56026112)


def test_facts_survive_storage() -> None:
    found = facts(recorded("12"))
    assert HostFacts.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_facts_of_another_version_are_not_taken_for_ours() -> None:
    plain = facts(recorded("12")).to_json()
    del plain["machine_id"]
    with pytest.raises(KeyError):
        HostFacts.from_json(plain)


def test_one_round_trip_and_no_root() -> None:
    outputs = recorded("12")
    shell = FakeShell("h1", {command.argv: outputs[what] for what, command in READS.items()})
    assert HostFacts.of(shell) == facts(outputs)
    assert shell.round_trips == 1
    assert not any(command.root for command in shell.commands)
    assert all(command.timeout <= READ_DEADLINE for command in shell.commands)


def test_nothing_but_the_system_itself_is_needed() -> None:
    silent = said(exit_status=127, stderr="not found")
    found = facts(dict.fromkeys(READS, silent) | {"system": said("Linux h1 6.1 x86_64\n")})
    assert (found.name, found.os, found.rights, found.tools) == ("h1", "linux", Rights.NO_SUDO, ())
    assert len(found.problems) == len(READS) - 4  # the system; sudo, kvm and XFS speak by their exit status
    assert "processor: not found" in found.problems


@pytest.mark.parametrize(
    "what",
    ["clock", "release", "account", "number of processors", "memory", "addresses", "links", "disks", "mounts",
     "accounts", "groups", "boot time"],
)  # fmt: skip
def test_garbage_is_a_problem_and_leaves_the_rest(what: str) -> None:
    outputs = recorded("12")
    found = facts(outputs | {what: said("} garbage ' : of\nno use\n")})
    good = facts(outputs)
    differing = [name for name in good.to_json() if getattr(found, name) != getattr(good, name)]
    assert differing[-1] == "problems"
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{what}: unreadable output")
    assert len(differing) <= 4


def test_another_system_is_refused() -> None:
    with pytest.raises(Refused, match=r"h1 is no Linux but 'FreeBSD h1 14\.1 amd64'"):
        facts(recorded("12") | {"system": said("FreeBSD h1 14.1 amd64\n")})
    with pytest.raises(CommandFailed, match="uname on h1 failed: Permission denied"):
        facts(recorded("12") | {"system": said(exit_status=126, stderr="Permission denied")})


@pytest.mark.parametrize(
    ("user", "sudo", "rights"),
    [
        ("0\n", said(exit_status=127), Rights.ROOT),
        ("1000\n", said(), Rights.SUDO),
        ("1000\n", said(exit_status=1, stderr="sudo: a password is required\n"), Rights.NONE),
        ("1000\n", said(exit_status=127, stderr="sh: 1: sudo: not found\n"), Rights.NO_SUDO),
    ],
)
def test_what_the_account_may_do(user: str, sudo: Output, rights: Rights) -> None:
    found = facts(recorded("12") | {"account": said(user), "sudo": sudo})
    assert (found.rights, found.problems) == (rights, ())


def test_a_dead_nfs_server_costs_only_its_own_sizes() -> None:
    outputs = recorded("12")
    table = json.loads(outputs["mounts"].stdout)
    table["filesystems"].append({"target": "/storage", "source": "nfs1:/s", "fstype": "nfs4", "options": "rw"})
    found = facts(outputs | {"mounts": said(json.dumps(table)), "sizes of network file systems": said(exit_status=124)})
    assert found.file_systems[-1] == FileSystem("/storage", "nfs1:/s", "nfs4", "rw", None, None, None, None)
    assert found.file_systems[:-1] == facts(outputs).file_systems
    assert found.problems == ("sizes of network file systems: no answer within 4 s",)


def test_df_tells_of_the_others_when_one_cannot_be_asked() -> None:
    outputs = recorded("12")
    text = outputs["sizes"].stdout + "           -           -           - /mnt/odd\n"
    complaint = "df: /mnt/odd: Transport endpoint is not connected"
    found = facts(outputs | {"sizes": said(text, exit_status=1, stderr=complaint)})
    assert found.problems == (f"sizes: {complaint}",)
    assert found.file_systems == facts(outputs).file_systems


MDSTAT = """\
Personalities : [raid1] [raid6] [raid5] [raid4] [raid10] [raid0]
md0 : active raid1 sdb1[1] sda1[0]
      1046528 blocks super 1.2 [2/2] [UU]

md1 : active raid5 sde1[4] sdd1[3](S) sdc1[2](F) sdb2[1] sda2[0]
      2093056 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [UU_]
      [=>...................]  recovery =  7.2% (75776/1046528) finish=0.2min speed=75776K/sec

md2 : active (auto-read-only) raid10 sdf[0] sdg[1] sdh[2](S)
      1046528 blocks super 1.2 2 near-copies [2/2] [UU]
        resync=PENDING

md3 : active raid0 sdi[1] sdj[0]
      2093056 blocks super 1.2 512k chunks

md127 : inactive sdk[1](S) sdl[0](S)
      2093056 blocks super 1.2

unused devices: <none>
"""


def test_arrays() -> None:
    assert hardware.arrays(MDSTAT) == (
        Array("md0", "raid1", "active", degraded=False, spares=0),
        Array("md1", "raid5", "recovery", degraded=True, spares=1),
        Array("md2", "raid10", "resync", degraded=False, spares=1),
        Array("md3", "raid0", "active", degraded=False, spares=0),
        Array("md127", "", "inactive", degraded=True, spares=0),
    )
    assert hardware.arrays("Personalities : \nunused devices: <none>\n") == ()


def test_network_interfaces() -> None:
    address = {"family": "inet", "local": "10.0.0.1", "prefixlen": 24, "scope": "global"}
    link_local = {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}
    text = json.dumps(
        [
            {"ifname": "lo", "operstate": "UNKNOWN", "link_type": "loopback", "addr_info": [address]},
            {"ifname": "eno1", "operstate": "UP", "link_type": "ether", "address": "02:00:0a:00:00:01",
             "addr_info": [address, link_local]},
            {"ifname": "tun0", "operstate": "DOWN", "link_type": "none", "addr_info": []},
        ]
    )  # fmt: skip
    known = hardware.links("eno1 physical 25000\nlo virtual -1\ntun0 virtual -1\n")
    assert hardware.nics(text, known) == (
        Nic("eno1", "02:00:0a:00:00:01", "up", physical=True, speed=25000, addresses=("10.0.0.1/24",)),
        Nic("tun0", "", "down", physical=False, speed=0, addresses=()),
    )
    assert hardware.nics(text, {})[0].speed == 0


def test_disks() -> None:
    plain = {"model": None, "tran": None, "fstype": None, "mountpoint": None, "rota": False, "type": "disk"}
    text = json.dumps(
        {
            "blockdevices": [
                {**plain, "name": "sda", "size": 4000787030016, "model": "ST4000NM  ", "tran": "sas", "rota": True,
                 "children": [{**plain, "name": "sda1", "type": "part", "size": 1}]},
                {**plain, "name": "nvme0n1", "size": 1000204886016, "tran": "nvme"},
                {**plain, "name": "sdb", "size": "1000", "rota": "1", "fstype": "LVM2_member"},
                {**plain, "name": "sdc", "size": 0},
                {**plain, "name": "zram0", "size": 1000},
                {**plain, "name": "sr0", "size": 1000, "type": "rom"},
            ]
        }
    )  # fmt: skip
    assert hardware.disks(text) == (
        Disk("sda", 4000787030016, "ST4000NM", "sas", rotational=True, in_use=True),
        Disk("nvme0n1", 1000204886016, "", "nvme", rotational=False, in_use=False),
        Disk("sdb", 1000, "", "", rotational=True, in_use=True),
    )


def test_xfs_without_reflinks_and_from_before_them() -> None:
    text = (
        "meta-data=/dev/sdb isize=512\n  = crc=1\n  = reflink=0    bigtime=1\n"
        "meta-data=/dev/mapper/vg-x isize=512\n  = reflink=1\nmeta-data=/dev/sdd isize=256\n"
    )
    reflinking = usage.reflinks(text)
    assert reflinking == {"/dev/sdb": False, "/dev/mapper/vg-x": True, "/dev/sdd": False}
    table = [Mount(source, f"/{number}", "xfs") for number, source in enumerate(("/dev/mapper/vg-x[/a]", "/dev/sde"))]
    assert [system.clones for system in usage.file_systems(table, {}, reflinking)] == [True, None]


def test_of_several_mounts_on_one_directory_the_last_is_seen() -> None:
    table = [Mount("/dev/sda1", "/srv", "ext4"), Mount("nfs1:/s", "/srv", "nfs4"), Mount("proc", "/proc", "proc")]
    assert [system.source for system in usage.file_systems(table, {}, {})] == ["nfs1:/s"]


def test_mount_points_with_blanks() -> None:
    assert usage.sizes("1B-blocks Used Avail Mounted on\n 30 10 20 /srv/my disks\n") == {"/srv/my disks": (30, 10, 20)}
    assert mounts("") == []


def test_programs_and_their_versions() -> None:
    versions = software.versions("rsync 3.2.7-1 ii \nsudo  un \ntgt 1:1.0.85-1 rc \n")
    assert software.tools("/usr/bin/rsync\n/opt/bin/zfs\nalias x=y\n", versions) == (
        Tool("rsync", "3.2.7-1"),
        Tool("zfs", ""),
    )


def test_release_files_are_read_as_a_shell_would() -> None:
    text = '# no shell\nNAME=\'Arch Linux\'\nID=arch\n\nPRETTY_NAME="A \\"B\\""\n'
    assert software.release(text) == {"NAME": "Arch Linux", "ID": "arch", "PRETTY_NAME": 'A "B"'}


def test_accounts_of_people_and_clouds_are_kept() -> None:
    names = [user.name for user in facts(recorded("12")).accounts]
    assert names == ["root", "nobody", "ops", "admin1"]
