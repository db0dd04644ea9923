"""Many reads in one script, run here by the shells that hosts have."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import Command, Output, read
from datastores.transport import batch as module
from datastores.transport.batch import Batch, fit_together, portions
from datastores.transport.quoting import LONGEST, encode_line
from datastores.transport.stream import Said

SHELLS = [shell for shell in ("dash", "bash", "ksh", "zsh") if shutil.which(shell)]


def said(batch: Batch, shell: str = "sh") -> Said:
    began = time.monotonic()
    done = subprocess.run([shell, "-c", encode_line(batch.line)], capture_output=True, check=False)
    return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def outputs(commands: Sequence[Command], *, shell: str = "sh", one_by_one: bool = False) -> list[Output]:
    batch = Batch(commands, one_by_one=one_by_one)
    return batch.outputs(said(batch, shell), "h1")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_command_gets_its_own_output_and_status(shell: str, one_by_one: bool) -> None:
    commands = [
        read("printf", "a\\n\\000\\377"),
        read("sh", "-c", "echo out; echo err >&2; exit 3"),
        read("true"),
        read("cat"),
        read("no-such-program"),
        read("sh", "-c", "exec >&-; exec 2>&-"),
        read("printf", "%s", "no newline at the end"),
        read("printenv", "LC_ALL"),
    ]
    assert [(one.exit_status, one.raw) for one in outputs(commands, shell=shell, one_by_one=one_by_one)] == [
        (0, b"a\n\x00\xff"), (3, b"out\n"), (0, b""), (0, b""), (127, b""), (0, b""),
        (0, b"no newline at the end"), (0, b"C\n"),
    ]  # fmt: skip
    assert outputs(commands, shell=shell, one_by_one=one_by_one)[1].stderr == "err\n"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255)), min_size=1, max_size=5), st.booleans())
def test_any_bytes_come_back_as_they_are(said: list[tuple[bytes, int]], one_by_one: bool) -> None:
    def command(data: bytes, status: int) -> Command:
        text = "".join(f"\\{byte:03o}" for byte in data)
        return read("sh", "-c", 'printf "$1"; printf "$1" >&2; exit "$2"', "sh", text, str(status))

    got = outputs([command(*one) for one in said], one_by_one=one_by_one)
    assert [(one.raw, one.exit_status) for one in got] == said
    assert [one.stderr for one in got] == [data.decode("utf-8", "replace") for data, _ in said]


def test_a_command_that_reads_the_script_cannot_pretend_to_be_another() -> None:
    """It finds the marker where ``ps`` finds it, and prints a second answer."""
    look = 'm=$(tr "\\0" "\\n" </proc/$PPID/cmdline | sed -n "s/^m=\\([0-9a-f]*\\);.*/\\1/p")'
    forge = f'{look}; printf "x%s0.y%s0." $m $m'
    with pytest.raises(CommandFailed, match="not in order"):
        outputs([read("sh", "-c", forge), read("echo", "true answer")])
    batch = Batch([read("true")])
    assert f"m={batch.marker};" in batch.line
    assert batch.marker != Batch([read("true")]).marker


def test_a_script_that_does_not_come_to_its_end_is_an_error() -> None:
    with pytest.raises(CommandFailed, match="reading broke off"):
        outputs([read("echo", "first"), read("sh", "-c", "kill -9 $PPID"), read("echo", "last")])


def test_a_command_that_hangs_is_ended_when_each_has_its_deadline() -> None:
    first, hung, last = outputs(
        [read("echo", "first"), read("sleep", "30", timeout=0.3), read("echo", "last")], one_by_one=True
    )
    assert (first.stdout, last.stdout) == ("first\n", "last\n")
    assert hung.exit_status == 124


def test_all_together_end_when_their_common_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_TRY", 0.3)
    ended = said(Batch([read("echo", "first"), read("sleep", "30")]))
    assert ended.was_stopped(0.3)
    assert not ended.was_stopped(5)


def test_each_account_has_a_deadline_of_its_own() -> None:
    """Forty reads of one account do not make believe that the one of root was ended by something else."""
    batch = Batch([read("true")] * 40 + [read("sleep", "30", root=True)], sudo=("sudo", "-n", "--"))
    assert batch.shortest < module.FIRST_TRY + 2 * module.PER_READ < batch.patience


def test_a_read_that_may_take_long_gets_its_own_time_at_once() -> None:
    assert Batch([read("sha256sum", "x", timeout=600)]).patience > 600
    assert Batch([read("stat", "x")]).patience < 10


def test_only_those_that_want_root_go_through_sudo() -> None:
    commands = [read("a"), read("b", root=True), read("c", root=True), read("d")]
    assert Batch(commands, sudo=("sudo", "-n", "--")).line.count("sudo -n -- ") == 1
    assert "sudo" not in Batch(commands).line


def test_long_lists_are_cut_into_lines_that_a_host_takes() -> None:
    commands = [read("stat", "--", f"/it's/{number}/" + "x'" * 200) for number in range(300)]
    parts = list(portions(commands))
    assert [command for part in parts for command in part] == commands
    assert len(parts) > 1
    for part in parts:
        assert len(encode_line(Batch(part, one_by_one=True, sudo=("sudo", "-n", "--")).line)) <= LONGEST


def test_nothing_to_read_is_no_round_trip() -> None:
    assert not list(portions([]))


EVERY_BYTE = bytes(range(1, 256)).decode("latin-1")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", [EVERY_BYTE, EVERY_BYTE[::-1], "-n %s\\n$(id)`id`", "\n\n", "'\"'\\"])
def test_a_needed_command_gets_its_input_byte_for_byte(shell: str, text: str) -> None:
    batch = Batch([Command(("cat",), stdin=text), Command(("cat",)), read("cat")], needed=2)
    assert [one.raw for one in batch.outputs(said(batch, shell), "h1")] == [text.encode("latin-1"), b"", b""]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_needed_command_that_leaves_its_input_fails_with_its_own_words(shell: str) -> None:
    fails = Command(("sh", "-c", "exec <&-; echo why >&2; exit 3"), stdin="x" * 60_000)
    batch = Batch([fails, Command(("echo", "never"))], needed=2)
    assert batch.outputs(said(batch, shell), "h1") == [Output(3, stderr="why\n")]


def test_input_is_not_for_reads() -> None:
    with pytest.raises(BadInput, match="only reads"):
        Batch([Command(("true",)), Command(("cat",), stdin="x")], needed=1)


def test_a_secret_does_not_come_into_a_script() -> None:
    row = [Command(("dd", "of=/x"), stdin="password", secret=True)]
    for build in (lambda: Batch(row, needed=1).line, lambda: fit_together(row), lambda: list(portions(row))):
        with pytest.raises(BadInput, match="dd is secret") as caught:
            build()
        assert "password" not in str(caught.value)


@pytest.mark.parametrize("text", ["x", "'", "\\", "\xff", "\n"])
def test_what_fits_together_is_a_line_that_a_host_takes(text: str) -> None:
    def row(count: int) -> list[Command]:
        return [Command(("cat",), stdin=text * count), read("cat")]

    fitting = max(count for count in range(1000, LONGEST, 1000) if fit_together(row(count)))
    assert len(encode_line(Batch(row(fitting), sudo=("sudo", "-n", "--"), needed=1).line)) <= LONGEST
    assert not fit_together(row(LONGEST))
