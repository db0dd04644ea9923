"""What the instant clone costs: processes on the host, and round trips to it."""

from __future__ import annotations

from datastores.domain.plan import Command, Output, Stage
from datastores.domain.states import StepState
from datastores.domain.volumes import Format, Volume
from datastores.drivers.registry import make_driver
from datastores.hosts.runner import Run
from tests.fakes import FakeShell
from tests.lab.carrying import Diary

BASE = "/srv/ds"
IMAGE, DISK = f"{BASE}/0d5c.raw", f"{BASE}/7/disk.0"


def record(path: str, *, mode: int = 0o100660, inode: int = 1, size: int = 25 << 30) -> bytes:
    return f"{mode:x}/{size}/8/512/1:{inode}/1/root/root/{mode & 0o7777:o}/1.000000000/{path}\0".encode()


def test_a_clone_is_two_round_trips_and_four_processes() -> None:
    (step,) = make_driver("btrfs", host="h1", base=BASE).clone(Volume(IMAGE, Format.RAW), Volume(DISK, Format.RAW))
    (look,) = step.reads()
    missing = "".join(f"stat: cannot statx '{path}': No such file or directory\n" for path in (DISK, f"{BASE}/7"))
    there = record(IMAGE) + record(BASE, mode=0o40755, inode=2)
    made = there + record(DISK, inode=3) + record(f"{BASE}/7", mode=0o40755, inode=4)
    change = step.plan(step.facts([Output(1, there, missing)]))
    assert change is not None
    directory, clone = (action.do for action in change.actions)
    assert isinstance(directory, Command) and isinstance(clone, Command)
    shell = FakeShell(
        "h1",
        {look.argv: Output(1, there, missing)},
        {clone.argv: {look.argv: Output(0, made)}},
    )
    diary = Diary()
    Run((Stage("Clone", (step,)),), lambda _: shell, diary, unit="unit").carry_out()
    assert diary.states == [StepState.RUNNING, StepState.CHANGED]
    assert shell.round_trips == 2
    assert shell.ran == [look.argv, directory.argv, clone.argv, look.argv]
    assert not shell.units
