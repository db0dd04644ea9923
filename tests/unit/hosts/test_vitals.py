"""How busy and how full a host is, from recorded output."""

from __future__ import annotations

import pytest

from datastores.domain.errors import CommandFailed
from datastores.domain.plan import Output
from datastores.hosts.vitals import Vitals
from tests.fakes import said

KIB = 1 << 10
LOADAVG = "0.52 0.58 0.59 1/389 21451\n"
MEMINFO = "MemTotal:       16308632 kB\nMemAvailable:    9876543 kB\n"
ROOT = "1000 5000 2000 4096 655360 600000 ext2/ext3\0/\0"


def outputs(load: str = LOADAVG, meminfo: str = MEMINFO, root: str = ROOT) -> list[Output]:
    return [said(load), said(meminfo), said(root)]


def test_a_host_as_it_is() -> None:
    found = Vitals.parse(outputs(), "h1")
    assert found == Vitals(
        load=0.52, memory_total=16308632 * KIB, memory_used=(16308632 - 9876543) * KIB,
        root_total=5000 * 4096, root_used=3000 * 4096,
    )  # fmt: skip


def test_a_root_file_system_that_makes_inodes_as_needed() -> None:
    assert Vitals.parse(outputs(root="9 9 9 512 0 0 btrfs\0/\0")).root_total == 9 * 512


def test_a_container_with_a_busy_host() -> None:
    assert Vitals.parse(outputs(load="131.07 99.00 64.10 88/12044 4194303\n")).load == 131.07


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (outputs(load=""), "cat on h1 failed: unreadable output"),
        (outputs(load="busy\n"), "cat on h1 failed: unreadable output"),
        (outputs(meminfo="MemTotal: 16308632 kB\n"), "grep on h1 failed: unreadable output"),
        (outputs(meminfo="MemTotal: lots\nMemAvailable: 1 kB\n"), "grep on h1 failed: unreadable output"),
        (outputs(root="1000 5000 many 4096 0 0 xfs\0/\0"), "stat on h1 failed: unreadable output"),
        (outputs(root="1000 5000\0/\0"), "stat on h1 failed: unreadable output"),
        (outputs(root=""), "stat failed"),
        ([said(LOADAVG), said(exit_status=1, stderr="grep: /proc/meminfo: Permission denied"), said(ROOT)],
         "Permission denied"),
        ([said(exit_status=124, stderr="stopped because its 15 s were over"), said(MEMINFO), said(ROOT)], "15 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_figure(broken: list[Output], words: str) -> None:
    with pytest.raises(CommandFailed) as error:
        Vitals.parse(broken, "h1")
    assert words in str(error.value)


def test_it_asks_for_no_rights_and_for_little_time() -> None:
    assert all(not command.root and command.timeout <= 15 and not command.stdin for command in Vitals.reads())
