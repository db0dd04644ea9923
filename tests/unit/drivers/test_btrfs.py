"""What a limited btrfs datastore does on its storage host."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import BadInput
from datastores.domain.plan import Output
from datastores.domain.volumes import Capacity
from datastores.drivers.registry import make_driver
from datastores.hosts import capacity
from datastores.hosts.btrfs_limits import SubvolumeLimited, SubvolumePresent, ask_limit
from datastores.hosts.files import DirectoryPresent
from tests.fakes import FakeShell, said

BASE = "/srv/ds"
OWN = SubvolumePresent("h1", BASE, "one", "root", "0755")
TABLE = """Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive   Path
--------    ----------    ---------  --------------  -------------   ----
0/256            {used}        16384      {limit}           none   q
"""


def btrfs(**options: Any) -> Any:
    return make_driver("btrfs", host="h1", base=BASE, hosts=("h1", "h2"), options={"owner": "one", **options})


def test_with_a_quota_the_directory_is_a_subvolume_of_its_own() -> None:
    steps = btrfs(quota="2T").activate("h1")
    assert steps[0] == OWN and steps[-1] == SubvolumeLimited("h1", BASE, 2 << 40)
    assert not any(isinstance(step, DirectoryPresent) for step in steps)
    assert not any(isinstance(step, SubvolumePresent | SubvolumeLimited) for step in btrfs().activate("h1"))
    assert btrfs(quota="2T").activate("h2") == btrfs().activate("h2")


def test_a_quota_is_changed_and_lifted_of_a_subvolume_alone() -> None:
    assert btrfs(quota="1T").limited() == (OWN, SubvolumeLimited("h1", BASE, 1 << 40))
    assert btrfs().limited() == (OWN, SubvolumeLimited("h1", BASE, 0))
    assert btrfs(mounted="everywhere").limited() == (SubvolumeLimited("h1", BASE, 0, mounted=True),)
    with pytest.raises(BadInput):
        btrfs(quota="much")


@pytest.mark.parametrize(
    ("used", "limit", "found"),
    [
        (1 << 20, 4 << 20, Capacity(4 << 20, 1 << 20, 3 << 20)),
        (5 << 20, 4 << 20, Capacity(5 << 20, 5 << 20, 0)),
        (1 << 20, 1 << 40, Capacity((1 << 20) + 4096000, 1 << 20, 4096000)),
    ],
)
def test_capacity_is_what_the_quota_and_the_file_system_leave(used: int, limit: int, found: Capacity) -> None:
    ask = ask_limit(BASE)
    room = Output(0, b"1000 5000 2000 4096 0 0 btrfs\0/srv/ds\0")
    answers = {capacity.ask_room(BASE).argv: room, ask.argv: said(TABLE.format(used=used, limit=limit))}
    assert btrfs(quota="1T").capacity(FakeShell("h1", answers)) == found


def test_as_long_as_nothing_is_limited_capacity_is_that_of_the_file_system() -> None:
    ask = ask_limit(BASE)
    off = Output(1, b"", "ERROR: can't list qgroups: quotas not enabled\n")
    room = Output(0, b"1000 5000 2000 4096 0 0 btrfs\0/srv/ds\0")
    shell = FakeShell("h1", {capacity.ask_room(BASE).argv: room, ask.argv: off})
    assert btrfs(quota="1T").capacity(shell) == btrfs().capacity(shell)
