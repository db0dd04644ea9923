"""Reading many statements of one host: once each, a failure tells nothing of the others, and nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datastores.domain.errors import CommandFailed, Unreachable
from datastores.domain.plan import Command, Output
from datastores.hosts.files import DirectoryPresent
from datastores.hosts.stored import Altered, FileStored, Foreign, Missing, OnlyKnownFiles, list_stored
from datastores.hosts.surveys import AT_ONCE, survey
from tests.fakes import FakeShell, said
from tests.unit.local import LocalShell


def file_of(base: Path, name: str, **fields: int) -> FileStored:
    return FileStored("h1", str(base), f"{base}/{name}", **fields)


class TestAListing:
    """By the real ``find``."""

    def test_tells_of_many_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.raw").write_bytes(bytes(100))
        (tmp_path / "7").mkdir()
        (tmp_path / "7" / "disk.0").write_bytes(b"x")
        (tmp_path / "7" / "disk.1").symlink_to("/etc/passwd")
        steps = [file_of(tmp_path, "a.raw", least=100), file_of(tmp_path, "a.raw", least=101),
                 file_of(tmp_path, "7/disk.0"), file_of(tmp_path, "7/disk.1"), file_of(tmp_path, "b.raw"),
                 OnlyKnownFiles("h1", str(tmp_path), ("a.raw",))]  # fmt: skip
        shell = LocalShell("h1")
        refusals = [type(verdict.refused) for verdict in survey(shell, steps)]
        assert refusals == [type(None), Altered, type(None), Altered, Missing, type(None)]
        assert len(shell.ran) == 1

    def test_shows_names_of_any_bytes(self, tmp_path: Path) -> None:
        for name in (b"\xff", b"-rf", b"two\nlines", b"$(id)"):
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
        [verdict] = survey(LocalShell("h1"), [OnlyKnownFiles("h1", str(tmp_path))])
        assert isinstance(verdict.refused, Foreign)
        names = str(verdict.refused).splitlines()
        assert names == ["$(id)", "-rf", r"two\nlines", r"\udcff"]
        assert str(verdict.refused).encode()

    def test_names_a_few_of_very_many(self, tmp_path: Path) -> None:
        for number in range(250):
            (tmp_path / f"{number:03}").touch()
        [verdict] = survey(LocalShell("h1"), [OnlyKnownFiles("h1", str(tmp_path))])
        assert str(verdict.refused).splitlines()[-2:] == ["199", "and 50 more"]

    def test_of_a_directory_that_is_not_there_is_no_empty_one(self, tmp_path: Path) -> None:
        [verdict] = survey(LocalShell("h1"), [file_of(tmp_path / "gone", "a.raw")])
        assert verdict.refused is None and "can't cd" in verdict.unread

    def test_tells_a_file_that_was_written_to_and_kept_its_size(self, tmp_path: Path) -> None:
        path = tmp_path / "a.raw"
        path.write_bytes(b"one")
        shell = LocalShell("h1")
        [seen] = survey(shell, [file_of(tmp_path, "a.raw")])
        step = FileStored("h1", str(tmp_path), str(path), before=seen.facts.footprint)
        assert survey(shell, [step])[0].refused is None
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1000))
        assert "written to by somebody else" in str(survey(shell, [step])[0].refused)


class TestASurvey:
    def test_takes_few_round_trips(self) -> None:
        steps = [DirectoryPresent("h1", f"/srv/{number}", "root", "root", "0755") for number in range(130)]
        answers = {command.argv: said(exit_status=5, stderr="no") for step in steps for command in step.reads()}
        shell = FakeShell("h1", answers, strict=True)
        assert all(verdict.unread for verdict in survey(shell, steps))
        assert shell.round_trips == 130 // AT_ONCE + 1

    def test_what_cannot_be_understood_hides_nothing_else(self) -> None:
        odd, plain = file_of(Path("/srv/odd"), "a"), file_of(Path("/srv/plain"), "a")
        answers = {odd.reads()[0].argv: said("what\0"), plain.reads()[0].argv: said("f 660 1 8 2.0 a\0\0")}
        shell = FakeShell("h1", answers)
        strange, fine = survey(shell, [odd, plain])
        assert "cannot be read" in strange.unread
        assert (fine.unread, fine.refused) == ("", None)

    def test_a_read_that_says_too_much_fails_alone(self) -> None:
        class Full(FakeShell):
            def run_many(self, commands: list[Command]) -> list[Output]:  # type: ignore[override]
                if list_stored("/srv/big") in commands:
                    raise CommandFailed(("find",), 1, "said more than can be kept")
                return super().run_many(commands)

        big, plain = file_of(Path("/srv/big"), "a"), file_of(Path("/srv/plain"), "a")
        too_much, fine = survey(Full("h1", {plain.reads()[0].argv: said("f 660 1 8 2.0 a\0\0")}), [big, plain])
        assert "more than can be kept" in too_much.unread
        assert (fine.unread, fine.refused) == ("", None)

    def test_a_host_that_is_away_tells_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(Unreachable):
            survey(LocalShell("h1", away=True), [file_of(tmp_path, "a.raw")])
