"""Every word reaches the program byte for byte."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.domain.errors import BadInput
from datastores.domain.plan import Command
from datastores.transport.quoting import LONGEST, encode_input, encode_line, piped_line, shell_line, with_deadline

HOSTILE = (
    ";id", "$(id)", "`id`", "a\nb", "a'b", 'a"b', "'\"'\"'", "\\", "\\'; id; '\\", "-rf", "--", "*", "~", "!!", "#x",
    "", " ", "a b", "\t", "$HOME", "${IFS}", "|id", "&id", ">x", "<x", "\r", "é", "\udcff", "{a,b}", "%s", "=x",
    "%%d\\n", "\\0101\\c", "-n", "\n", "a\n\n", "'" * 40, "\udc80\udcfe",
)  # fmt: skip


def received(words: tuple[str, ...]) -> list[bytes]:
    line = encode_line(shell_line(("printf", "%s\\0", *words)))
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True).stdout.split(b"\0")[:-1]


def test_hostile_words_arrive_as_they_are() -> None:
    assert received(HOSTILE) == [word.encode("utf-8", "surrogateescape") for word in HOSTILE]


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), min_size=1))
def test_any_word_arrives_as_it_is(words: list[str]) -> None:
    assert received(tuple(words)) == [word.encode() for word in words]


@pytest.mark.parametrize("argv", [(), ("",), ("cat", "a\0b"), ("a\0", "b")])
def test_what_no_program_can_receive_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        shell_line(argv)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(BadInput, match=r"U\+D800"):
        encode_line(shell_line(("cat", "\ud800")))


def test_a_line_that_the_host_could_not_take_is_refused() -> None:
    assert encode_line("x" * LONGEST)
    with pytest.raises(BadInput, match="at most"):
        encode_line("é" * (LONGEST // 2 + 1))


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_command_without_end_is_refused(seconds: float) -> None:
    with pytest.raises(BadInput, match="time for cp"):
        with_deadline(("cp",), seconds)


def piped(data: bytes) -> bytes:
    line = encode_line(piped_line(("cat",), data))
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True).stdout


@settings(max_examples=60)
@given(st.binary().map(lambda data: data.replace(b"\0", b"")))
def test_any_input_without_nul_arrives_as_it_is(data: bytes) -> None:
    assert piped(data) == data


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_input_arrives_as_it_is(word: str) -> None:
    data = word.encode("utf-8", "surrogateescape")
    assert piped(data) == data


def test_the_status_of_a_line_with_input_is_that_of_the_command() -> None:
    line = encode_line(piped_line(("sh", "-c", "exec <&-; echo why >&2; exit 3"), b"x" * 100_000))
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"why\n")


def test_input_with_a_nul_is_refused() -> None:
    with pytest.raises(BadInput, match="NUL"):
        piped_line(("cat",), b"a\0b")


def test_input_that_is_no_bytes_is_refused_and_not_told() -> None:
    with pytest.raises(BadInput) as caught:
        encode_input(Command(("cat",), stdin="password €"))
    assert "password" not in str(caught.value)
    assert caught.value.__suppress_context__
