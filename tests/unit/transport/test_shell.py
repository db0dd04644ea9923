"""What goes to the host and what comes back."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import IO

import pytest

from datastores.domain.errors import (
    BadInput,
    CommandFailed,
    NotConnected,
    TimedOut,
    Unreachable,
)
from datastores.domain.plan import Command, Output, encode, read
from datastores.transport import stream
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.unit.transport import server as servers
from tests.unit.transport.server import Server
from tests.unit.transport.test_quoting import HOSTILE


@pytest.fixture
def shell(server: Server, pool: Pool) -> SSHShell:
    return pool.shell(server.endpoint())


def sh(script: str, *words: str, timeout: float = 20.0) -> Command:
    return Command(("sh", "-c", script, "sh", *words), timeout=timeout)


# ---- one command


def test_output_and_status_come_back(shell: SSHShell) -> None:
    output = shell.run(sh("printf 'o\\377ut'; echo err >&2; exit 7"))
    assert output == Output(7, b"o\xffut", "err\n")


def test_hostile_words_reach_the_program_as_they_are(shell: SSHShell) -> None:
    sent = b"\0".join(word.encode("utf-8", "surrogateescape") for word in HOSTILE) + b"\0"
    assert shell.run(Command(("printf", "%s\\0", *HOSTILE))).raw == sent
    assert shell.run_many([read("printf", "%s\\0", *HOSTILE)])[0].raw == sent


@pytest.mark.parametrize("argv", [(), ("",), ("cat", "a\0b")])
def test_a_command_that_no_host_can_run_is_refused_here(server: Server, shell: SSHShell, argv: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        shell.run(Command(argv))
    with pytest.raises(BadInput):
        shell.run_many([Command(argv)])
    assert server.connections == 0


def test_a_program_that_is_not_there_is_an_output(shell: SSHShell) -> None:
    output = shell.run(Command(("no-such-program",)))
    assert output.exit_status == 127
    assert "no-such-program" in output.stderr


def test_the_signal_that_ended_a_command_is_told(shell: SSHShell) -> None:
    output = shell.run(sh("kill -9 $$"))
    assert output.exit_status == 137
    assert output.stderr == "ended by signal 9"


def test_messages_are_in_english_and_administrators_programs_are_found(shell: SSHShell) -> None:
    found = shell.run(sh("echo $LC_ALL $PATH")).stdout.strip()
    assert found.startswith("C ")
    assert found.endswith(":/usr/sbin:/sbin")


def test_input_arrives_byte_for_byte(shell: SSHShell) -> None:
    everything = bytes(range(256)) * 20_000  # 5 MB, more than the window
    assert shell.run(Command(("cat",), stdin=everything.decode("latin-1"))).raw == everything
    assert shell.run(Command(("cat",), stdin=encode("größe\n"))).stdout == "größe\n"


def test_a_command_without_input_finds_its_end(shell: SSHShell) -> None:
    assert shell.run(Command(("cat",))).raw == b""


def test_a_command_may_leave_its_input(shell: SSHShell) -> None:
    assert shell.run(Command(("head", "-c", "3"), stdin="abc" + "x" * 8_000_000)).raw == b"abc"
    assert shell.run(Command(("false",), stdin="x" * 8_000_000)).exit_status == 1


def test_both_outputs_may_be_larger_than_the_window(shell: SSHShell) -> None:
    output = shell.run(sh("head -c 6000000 /dev/zero >&2; head -c 6000000 /dev/zero"))
    assert (len(output.raw), len(output.stderr)) == (6_000_000, 6_000_000)


def test_a_command_is_ended_on_the_host_when_its_time_is_up(shell: SSHShell) -> None:
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"sleep on h1 failed.*0\.3 s were over"):
        shell.run(Command(("sleep", "30"), timeout=0.3))
    assert time.monotonic() - started < 5


def test_what_a_stopped_command_said_is_kept(shell: SSHShell) -> None:
    with pytest.raises(TimedOut, match="half way"):
        shell.run(sh("echo half way >&2; sleep 30", timeout=1))


def test_exit_status_124_alone_is_the_commands_own(shell: SSHShell) -> None:
    assert shell.run(sh("exit 124")).exit_status == 124


def test_a_command_that_leaves_something_behind_is_not_waited_for(
    shell: SSHShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SETTLED", 0.5)
    started = time.monotonic()
    assert shell.run(sh("sleep 20 & echo started")).stdout == "started\n"
    assert time.monotonic() - started < 10


def test_output_that_comes_after_the_exit_status_is_not_lost(shell: SSHShell, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(source: IO[bytes], send: Callable[[bytes], object]) -> None:
        data = source.read()
        time.sleep(0.4)
        send(data)

    monkeypatch.setattr(servers, "_pump", late)
    monkeypatch.setattr(stream, "SETTLED", 1.0)
    assert shell.run(sh("sleep 1.2; echo at last")).stdout == "at last\n"


def test_a_command_that_closes_its_output_is_waited_for(shell: SSHShell) -> None:
    assert shell.run(sh("exec >&- 2>&-; sleep 0.5; exit 5")).exit_status == 5


def test_output_without_bounds_is_refused(shell: SSHShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LIMIT", 1 << 20)
    with pytest.raises(CommandFailed, match="yes on h1 failed: it says more than 1 MiB"):
        shell.run(Command(("yes",), timeout=5))


# ---- following


def test_output_is_passed_on_as_it_comes_in_whole_lines(shell: SSHShell) -> None:
    pieces: list[tuple[float, str]] = []
    started = time.monotonic()
    output = shell.run(
        sh("echo one; echo two >&2; sleep 1; echo three; printf four"),
        on_output=lambda text: pieces.append((time.monotonic() - started, text)),
    )
    assert "".join(text for _, text in pieces) == "one\ntwo\nthree\nfour"
    assert all(text.endswith("\n") for _, text in pieces[:-1])
    assert pieces[0][0] < 0.8 < pieces[-1][0]
    assert (output.raw, output.stderr) == (b"one\nthree\nfour", "two\n")


def test_every_line_of_many_comes_once_and_in_order(shell: SSHShell) -> None:
    pieces: list[str] = []
    shell.run(Command(("seq", "200000")), on_output=pieces.append)
    assert "".join(pieces).split() == [str(number) for number in range(1, 200_001)]


def test_a_slow_reader_slows_the_host_down_and_keeps_memory_bounded(shell: SSHShell) -> None:
    seen = 0

    def slow(text: str) -> None:
        nonlocal seen
        seen += len(text)
        time.sleep(0.001)

    shell.run(Command(("true",)))
    tracemalloc.start()
    output = shell.run(sh("head -c 20000000 /dev/zero; echo end"), on_output=slow)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 20_000_004
    assert output.raw.endswith(b"\0end\n")
    assert len(output.raw) <= stream.TAIL
    assert peak < 16 << 20


def test_an_error_while_following_goes_to_the_caller(shell: SSHShell) -> None:
    def full(text: str) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shell.run(Command(("yes",), timeout=10), on_output=full)
    assert shell.run(Command(("echo", "still there"))).ok


# ---- when the connection is lost


def test_a_lost_connection_is_not_an_outcome(server: Server, shell: SSHShell) -> None:
    cut = threading.Timer(0.5, server.drop)
    cut.start()
    with pytest.raises(Unreachable, match="what it did is unknown") as caught:
        shell.run(sh("echo begun; sleep 20"))
    cut.join()
    assert not isinstance(caught.value, NotConnected)


def test_a_host_that_is_silent_beyond_belief_is_unreachable(
    server: Server, shell: SSHShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datastores.transport.shell.GRACE", 0.3)
    monkeypatch.setattr("datastores.transport.shell.KILL_AFTER", 0.0)
    server.shell = ("/bin/sh", "-c", 'case $0 in *PROBE*|printf*) eval "$0" ;; *) sleep 20 ;; esac')
    with pytest.raises(Unreachable, match="silent"):
        shell.run(Command(("true",), timeout=0.2))


# ---- secrets


def test_secret_input_is_shown_nowhere(
    server: Server, shell: SSHShell, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    command = Command(("sh", "-c", "cat >/dev/null; sleep 30"), stdin="t0p-secret", secret=True, timeout=0.3)
    with pytest.raises(TimedOut) as stopped:
        shell.run(command)
    with pytest.raises(BadInput) as refused:
        shell.run(Command(("cat",), stdin="t0p-secret €", secret=True))
    shown = f"{command!r} {shell!r} {stopped.value!r} {refused.value!r} {caplog.text}"
    assert "t0p-secret" not in shown
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert not any(b"t0p-secret" in line for line in server.lines)
