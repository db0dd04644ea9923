"""How long a command may take: nothing is ended in the middle of what only a large disk makes long."""

from __future__ import annotations

import pytest

from datastores.domain.plan import Action, Command, Detached
from datastores.hosts import qemu_img
from datastores.hosts.actions import is_short
from datastores.hosts.inodes import Inode
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.snapshots import SnapshotAbsent, SnapshotExists, SnapshotFacts, SnapshotRestored, _OfSnapshot

GIB = 1 << 30
PATH = "/srv/ds/a.qcow2"


def a_file(path: str, allocated: int = GIB) -> Inode:
    return Inode(path, 0o100660, 25 * GIB, allocated, "1:2", 1, "root", "root", "0660", "1.000000000")


def clone_of(allocated: int) -> Command:
    source, directory = a_file("/srv/ds/a.raw", allocated), "/srv/ds"
    folder = Inode(directory, 0o040755, 0, 0, "1:1", 1, "root", "root", "0755", "1.000000000")
    change = ReflinkExists("h1", source.path, f"{directory}/b.raw").plan({source.path: source, directory: folder})
    assert change is not None
    (action,) = change.actions
    assert isinstance(action.do, Command)
    return action.do


def test_a_clone_shares_a_round_trip_with_what_is_read_after_it() -> None:
    assert is_short(Action(clone_of(10 * GIB)))


def test_the_clone_of_a_large_file_gets_ten_minutes() -> None:
    assert clone_of(100 * GIB).timeout == 600


@pytest.mark.parametrize(
    ("step", "there"),
    [(SnapshotExists("h1", PATH, "s"), ()), (SnapshotAbsent("h1", PATH, "s"), ("s",)),
     (SnapshotRestored("h1", PATH, "s"), ("s",))],
)  # fmt: skip
def test_a_snapshot_in_a_qcow2_file_outlasts_a_connection(step: _OfSnapshot, there: tuple[str, ...]) -> None:
    taken = tuple(qemu_img.InternalSnapshot(name, "5.000000000") for name in there)
    facts = SnapshotFacts({PATH: a_file(PATH)}, qemu_img.ImageInfo("qcow2", 25 * GIB, snapshots=taken))
    change = step.plan(facts)  # type: ignore[attr-defined]
    action = change.actions[0]
    assert isinstance(action.do, Detached)
    assert action.undo is None or action.undo.timeout == 3600
