"""The words that differ in a changed pair of lines."""

from __future__ import annotations

import difflib
import time

import pytest

from datastores.domain.plan import Action, Change, WriteFile
from datastores.domain.states import JobState
from datastores.jobs.codec import encode_change
from datastores.models import User
from datastores.web.diffs import MOST_PAIRS, MOST_WORDS, Line, diff_lines
from tests.unit.conftest import a_drift, a_job, a_step, signed_in, text_of


def of(before: str, after: str) -> tuple[Line, ...]:
    return diff_lines(WriteFile("/etc/x", after, before).diff)


def marked(before: str, after: str) -> list[tuple[str, list[str]]]:
    """Return the changed lines, each with what is marked in it."""
    return [
        (line.text, [text for text, differs in line.pieces if differs])
        for line in of(before, after)
        if line.tone in {"a", "r"}
    ]


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ("dynamic_ownership = 1", "dynamic_ownership = 0", ["1"], ["0"]),
        ("#dynamic_ownership = 1", "dynamic_ownership = 0", ["#", "1"], ["0"]),
        ("/srv 10.0.0.0/24 (rw)", "/srv 10.0.0.0/24(rw)", [" "], []),
        ("/srv 10.0.0.0/24(rw,sync)", "/srv 10.0.8.0/24(ro,sync)", ["10.0.0.0", "rw"], ["10.0.8.0", "ro"]),
        ("one line", "an other thing altogether", [], []),
    ],
)
def test_only_the_words_that_differ_are_marked(before: str, after: str, old: list[str], new: list[str]) -> None:
    assert marked(before, after) == [(f"-{before}", old), (f"+{after}", new)]


def test_a_removed_line_finds_the_one_that_it_became_among_new_ones() -> None:
    before = "user = root\ngroup = root\n"
    after = "# set by cloudstore\nuser = oneadmin\n# and its group\ngroup = cloud\n"
    assert marked(before, after) == [
        ("-user = root", ["root"]),
        ("-group = root", ["root"]),
        ("+# set by cloudstore", []),
        ("+user = oneadmin", ["oneadmin"]),
        ("+# and its group", []),
        ("+group = cloud", ["cloud"]),
    ]


def test_what_is_only_added_or_only_removed_has_no_marks() -> None:
    assert marked("", "a = 1\n") == [("+a = 1", [])]
    assert marked("a = 1\n", "") == [("-a = 1", [])]


def test_no_diff_has_no_lines() -> None:
    assert diff_lines("") == ()


def test_pieces_make_up_the_line_again() -> None:
    before = "x = 1\n\ty: [a, b]  \n-- z\n"
    after = "x = 2\n\ty: [a, c]\n++ z\n"
    for line in of(before, after):
        assert "".join(text for text, _ in line.pieces) == line.text


def test_lines_that_look_like_the_head_of_a_diff_are_lines() -> None:
    tones = {line.text: line.tone for line in of("-- old\n", "++ new\n")}
    assert (tones["--- old"], tones["+++ new"]) == ("r", "a")
    assert (tones["--- /etc/x"], tones["+++ /etc/x"]) == ("c", "c")


def test_where_many_words_differ_all_between_is_one_piece() -> None:
    many = [f"word{n}" for n in range(MOST_WORDS)]
    ((_, old), (_, new)) = marked(f"list = {' '.join(many)} end", f"list = {' '.join(reversed(many))} end")
    assert len(old) == len(new) == 1
    assert old[0].startswith("word0 ") and new[0].endswith(" word0")


def test_what_was_made_to_take_long_does_not() -> None:
    lines = [" ".join("ab"[(n * k) % 3 % 2] for k in range(MOST_WORDS // 2)) for n in range(900)]
    before = "\n".join(lines) + "\n" + "x " * 500_000
    after = "\n".join(f"{line[::-1]} a" for line in lines) + "\n" + "x " * 500_000 + "y"
    texts = [f"-{line}" for line in before.splitlines()], [f"+{line}" for line in after.splitlines()]
    begun = time.perf_counter()
    found = diff_lines("\n".join(["--- a", "+++ a", "@@ -1 +1 @@", *texts[0], *texts[1]]))
    assert time.perf_counter() - begun < 5
    assert len(found) == 3 + 2 * 901
    assert sum(any(differs for _, differs in line.pieces) for line in found) <= 2 * MOST_PAIRS


def test_of_many_changes_the_first_are_marked() -> None:
    before, after = ("".join(f"key{n} = {word}\nthe end of {n}\n" for n in range(300)) for word in ("old", "new"))
    words = [bool(pieces) for _, pieces in marked(before, after)]
    assert words == [True] * 2 * MOST_PAIRS + [False] * 2 * (300 - MOST_PAIRS)


def test_the_diff_of_a_library_is_read_as_well() -> None:
    lines = difflib.unified_diff(["a = 1"], ["a = 2"], lineterm="")
    assert [line.tone for line in diff_lines("\n".join(lines))] == ["c", "c", "c", "r", "a"]


def test_hostile_text_stays_text_on_both_pages(admin: User) -> None:
    write = WriteFile("/etc/x", "a = <img src=x onerror=alert(1)>\n", "a = <img src=x onerror=alert(2)>\n")
    change = encode_change(Change("write", (Action(write, write.undo),)))
    job = a_job(admin, "datastore.create", state=JobState.AWAITING)
    a_step(job, "it is written", change=change)
    drift = a_drift(change=change)
    for path in (f"/jobs/{job.uuid}/plan/", f"/drift/{drift.pk}/"):
        page = text_of(signed_in(admin).get(path))
        assert "<img" not in page
        assert "onerror=alert(<del>2</del>)&gt;" in page, path
        assert "onerror=alert(<ins>1</ins>)&gt;" in page, path
