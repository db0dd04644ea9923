"""Lines of files that others write, too: the scripts that change them, on this machine's own files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datastores.domain.plan import Action, EditLines
from datastores.hosts import lines, mounts
from datastores.hosts.mounts import FstabLineAbsent, FstabLinePresent
from datastores.hosts.parsing import Entry, TextFile

ROOT = "UUID=1 / ext4 defaults 0 1\n"


def line(name: str) -> FstabLinePresent:
    return FstabLinePresent("h1", f"nas:/srv/{name}", f"/srv/{name}", "nfs4", "rw,_netdev")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A table of mounts of the account that runs the tests."""
    path = tmp_path / "fstab"
    path.write_text(ROOT)
    monkeypatch.setattr(mounts, "FSTAB", str(path))
    monkeypatch.setattr(lines, "SWAP", lines.SWAP.replace("/run/cloudstore-lines.lock", f"{tmp_path}/lock"))
    return path


def facts(path: Path) -> TextFile:
    if not path.exists():
        return TextFile(None, None)
    return TextFile(Entry(str(path), "f", "0644", 0, 0, "root", "root", path.stat().st_size, 1), path.read_text())


def edit_of(step: FstabLinePresent | FstabLineAbsent, path: Path) -> Action:
    change = step.plan(facts(path))
    assert change
    return change.actions[0]


def carry_out(action: Action) -> None:
    assert isinstance(action.do, EditLines)
    subprocess.run(action.do.command.argv, check=True)


def take_back(action: Action) -> None:
    assert action.undo
    subprocess.run(action.undo.argv, check=True)


def test_two_jobs_that_have_read_the_same_table_keep_the_lines_of_both(table: Path) -> None:
    one, two = line("one"), line("two")
    edits = [edit_of(each, table) for each in (one, two)]
    for edit in edits:
        carry_out(edit)
    assert one.plan(facts(table)) is None and two.plan(facts(table)) is None


def test_many_at_once_lose_no_line_and_leave_nothing_beside_it(table: Path) -> None:
    steps = [line(str(number)) for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(carry_out, [edit_of(step, table) for step in steps]))
    assert not [step.title for step in steps if step.plan(facts(table))]
    assert {each.name for each in table.parent.iterdir()} == {"fstab", "lock"}


def test_what_was_approved_is_its_own_line_whatever_others_add_meanwhile(table: Path) -> None:
    before = edit_of(line("one"), table)
    table.write_text(f"{ROOT}# of somebody else\n")
    assert edit_of(line("one"), table) == before
    assert isinstance(before.do, EditLines)
    assert before.do.diff.splitlines()[3:] == ["+nas:/srv/one /srv/one nfs4 rw,_netdev 0 0"]


def test_a_table_that_was_not_there_goes_again_unless_others_wrote_into_it(table: Path) -> None:
    table.unlink()
    edit = edit_of(line("one"), table)
    carry_out(edit)
    take_back(edit)
    assert not table.exists()
    carry_out(edit)
    table.write_text(table.read_text() + ROOT)
    take_back(edit)
    assert table.read_text() == ROOT


def test_lines_that_are_there_twice_go_and_one_comes_back(table: Path) -> None:
    ours = "nas:/srv/one /srv/one nfs4 rw,_netdev 0 0\n"
    table.write_text(ours + ROOT + ours)
    edit = edit_of(FstabLineAbsent("h1", "nas:/srv/one", "/srv/one"), table)
    carry_out(edit)
    assert table.read_text() == ROOT
    take_back(edit)
    assert table.read_text() == ROOT + ours


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        ("a\nb\\\nc\nd\n", "b\\\nc", "x", "a\nx\nd\n"),
        ("a\nx\nd\n", "x", "b\\\nc", "a\nb\\\nc\nd\n"),
        ("b\nb\nc\n", "b\nc", "x", "b\nx\n"),
        ("b", "b\nc", "x", "b\n"),
        ("1.0\n1\n", "1", "2", "1.0\n2\n"),
        ("a", "", "b", "a\nb\n"),
        ("a\n\nb\n", "", "c", "a\n\nb\nc\n"),
        ("a\n", "a", "", ""),
    ],
)
def test_several_lines_are_found_as_they_stand(table: Path, before: str, old: str, new: str, after: str) -> None:
    table.write_text(before)
    subprocess.run(lines.swapped(str(table), old, new).argv, check=True)
    assert table.read_text() == after


def test_a_file_that_cannot_be_written_stays_as_it_is(table: Path) -> None:
    missing = str(table.parent / "missing" / "file")
    assert subprocess.run(lines.swapped(missing, "", "a").argv, check=False, capture_output=True).returncode
    assert not Path(missing).parent.exists()
