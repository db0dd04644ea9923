"""A host looks at directories of others: what is wrong with one is told, and none holds up the others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import Output
from datastores.hosts import sights
from datastores.hosts.sights import AT_ONCE, SECONDS, Sight, look_at, unseen
from tests.fakes import said
from tests.unit.local import LocalShell


def looked(*wanted: Sight) -> list[str | None]:
    return unseen(wanted, LocalShell("kvm1").run(look_at(wanted)), "kvm1")


def test_a_directory_that_is_there_is_seen(tmp_path: Path) -> None:
    odd = tmp_path / "two words"
    odd.mkdir()
    assert looked(Sight(str(tmp_path)), Sight(str(odd)), Sight("/proc", "/proc")) == ["", "", ""]


def test_what_is_not_there_or_no_directory_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    gone, plain = looked(Sight(f"{tmp_path}/gone"), Sight(str(file)))
    assert gone == f"{tmp_path}/gone cannot be looked at: No such file or directory."
    assert plain == f"{file} is no directory."


def test_a_bare_directory_is_not_what_should_be_mounted_there(tmp_path: Path) -> None:
    [why] = looked(Sight(str(tmp_path), str(tmp_path)))
    assert why is not None and why.startswith(f"Nothing is mounted at {tmp_path}: {tmp_path} is a bare directory on /")


def test_a_mount_point_may_have_any_letter() -> None:
    wanted = [Sight("/mnt/Donn\u00e9es/gold", "/mnt/Donn\u00e9es")]
    assert unseen(wanted, said(r"1 0 41ed" "\n" r"/mnt/Donn\xc3\xa9es" "\0")) == [""]


def test_a_stale_handle_is_told_in_the_words_of_the_host() -> None:
    wanted = [Sight("/srv/gold")]
    answer = said("1 1 stat: cannot stat '/srv/gold': Stale file handle\0")
    assert unseen(wanted, answer) == ["/srv/gold cannot be looked at: Stale file handle."]


def test_one_that_hangs_is_given_up_and_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging ``stat`` stands before the real one on the path; it is what a server that is away comes to."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "stat").write_text('#!/bin/sh\ncase "$*" in *hangs*) sleep 60;; esac\nexec /usr/bin/stat "$@"\n')
    (tools / "stat").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(sights, "SECONDS", 1)
    start = time.monotonic()
    wanted = [Sight(f"/srv/hangs{number}") for number in range(5)] + [Sight("/")]
    *hung, well = looked(*wanted)
    assert time.monotonic() - start < 5
    assert well == ""
    assert all("did not answer within 1 s" in (why or "") for why in hung)


def test_where_the_account_may_not_look_nothing_is_claimed() -> None:
    answer = said("1 1 stat: cannot stat '/root/x': Permission denied\0")
    assert unseen([Sight("/root/x")], answer) == [None]


def test_the_time_for_all_of_them_grows_with_the_turns() -> None:
    few, many = (look_at([Sight(f"/srv/{number}") for number in range(count)]) for count in (1, 10 * AT_ONCE))
    assert few.timeout < 15
    assert many.timeout > 10 * (SECONDS + 1)
    assert not few.root


def test_more_than_fit_at_once_are_looked_at_all_the_same(tmp_path: Path) -> None:
    wanted = [Sight(str(tmp_path))] * (2 * AT_ONCE + 1)
    assert looked(*wanted) == [""] * len(wanted)


@pytest.mark.parametrize("answer", [said("1 0 what\0"), said("2 0 41ed\n/\0"), said(""), Output(127, b"", "no sh")])
def test_an_answer_that_cannot_be_understood_tells_nothing(answer: Output) -> None:
    with pytest.raises(CommandFailed):
        unseen([Sight("/srv/gold")], answer)


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput):
        Sight("srv/../gold")
