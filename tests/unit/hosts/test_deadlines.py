"""How long a command may take: nothing is ended in the middle of what only a large disk makes long."""

from __future__ import annotations

import pytest

from datastores.domain.plan import Action, Command, Detached, WriteFile
from datastores.hosts import qemu_img
from datastores.hosts.actions import SMALL, is_short
from datastores.hosts.inodes import Inode
from datastores.hosts.mounts import FstabLinePresent
from datastores.hosts.parsing import TextFile
from datastores.hosts.reflinks import ReflinkExists
from datastores.hosts.services import ServiceRunning, Unit
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
    "file",
    [WriteFile("/etc/f", "text"), WriteFile("/etc/f", "text", "old", mode="604"), WriteFile("/etc/f", "x" * SMALL)],
)
def test_a_small_file_that_others_may_read_shares_a_round_trip(file: WriteFile) -> None:
    assert is_short(Action(file))


@pytest.mark.parametrize("mode", ["0640", "0600", "0440", "0711", "0002", "4750"])
def test_a_file_that_others_may_not_read_goes_by_itself(mode: str) -> None:
    assert not is_short(Action(WriteFile("/etc/f", "text", mode=mode)))


@pytest.mark.parametrize("content", ["x" * (SMALL + 1), "é" * (SMALL // 2 + 1), "a\0b"])
def test_a_file_that_is_no_small_text_goes_by_itself(content: str) -> None:
    assert not is_short(Action(WriteFile("/etc/f", content)))


def test_a_command_with_input_goes_by_itself() -> None:
    assert not is_short(Action(Command(("dd", "of=/f"), stdin="text")))
    assert not is_short(Action(Command(("dd", "of=/f"), stdin="text", secret=True)))


def test_systemd_reads_a_new_fstab_in_the_round_trip_that_writes_it() -> None:
    fstab = FstabLinePresent("h1", "s1:/srv", "/mnt", "nfs").plan(TextFile(None, None))
    assert fstab is not None
    assert [is_short(action) for action in fstab.actions] == [True, True]


def test_a_service_gets_two_minutes_to_start_and_is_enabled_in_one() -> None:
    change = ServiceRunning("h1", "a.service").plan(Unit("loaded", "inactive", "disabled"))
    assert change is not None
    enable, start = change.actions
    assert (is_short(enable), is_short(start)) == (True, False)
    for action, seconds in ((enable, 60), (start, 120)):
        assert isinstance(action.do, Command)
        assert action.undo is not None
        assert action.do.timeout == action.undo.timeout == seconds


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
