"""What goes to the host and what comes back."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from datastores.domain.errors import (
    AuthenticationFailed,
    BadInput,
    CommandFailed,
    NotConnected,
    TimedOut,
    Unreachable,
)
from datastores.domain.plan import Command, Output, encode, read
from datastores.transport import batch, stream
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.unit.transport.conftest import ServerFactory
from tests.unit.transport.server import Server
from tests.unit.transport.test_quoting import HOSTILE

SUDO = """#!/bin/sh
[ "$1 $2" = "-n --" ] || exit 99
shift 2
AS=root exec "$@"
"""


@pytest.fixture
def shell(server: Server, pool: Pool) -> SSHShell:
    return pool.shell(server.endpoint())


def sh(script: str, *words: str, timeout: float = 20.0) -> Command:
    return Command(("sh", "-c", script, "sh", *words), timeout=timeout)


@pytest.fixture
def with_sudo(make_server: ServerFactory, pool: Pool, tmp_path: Path) -> SSHShell:
    """An account that is not root, on a host whose ``sudo`` says who it is."""
    (tmp_path / "sudo").write_text(SUDO)
    (tmp_path / "sudo").chmod(0o755)
    server = make_server(env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    return pool.shell(server.endpoint(account="ops"))


def sudo_says(directory: Path, text: str, status: int = 1) -> None:
    (directory / "sudo").write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {status}\n")


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
        shell.run(sh("echo half way >&2; sleep 30", timeout=0.3))


def test_exit_status_124_alone_is_the_commands_own(shell: SSHShell) -> None:
    assert shell.run(sh("exit 124")).exit_status == 124


def test_a_command_that_leaves_something_behind_is_not_waited_for(
    shell: SSHShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SETTLED", 0.5)
    started = time.monotonic()
    assert shell.run(sh("sleep 20 & echo started")).stdout == "started\n"
    assert time.monotonic() - started < 10


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


# ---- many reads


def test_many_reads_are_one_round_trip(server: Server, shell: SSHShell) -> None:
    shell.run_many([read("true")])
    before = len(server.lines)
    outputs = shell.run_many([read("echo", str(number)) for number in range(50)])
    assert [output.stdout for output in outputs] == [f"{number}\n" for number in range(50)]
    assert len(server.lines) == before + 1
    assert shell.run_many([]) == []


def test_a_read_that_hangs_does_not_take_the_others_with_it(shell: SSHShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FIRST_TRY", 0.3)
    monkeypatch.setattr("datastores.transport.shell.FIRST_TRY", 0.3)
    outputs = shell.run_many([read("echo", "a"), read("sleep", "30", timeout=0.3), read("echo", "b")])
    assert [output.exit_status for output in outputs] == [0, 124, 0]
    assert [output.stdout for output in outputs] == ["a\n", "", "b\n"]
    assert outputs[1].stderr == "stopped because its 0.3 s were over"


def test_more_reads_than_fit_into_one_line(server: Server, shell: SSHShell) -> None:
    words = ["x" * 50_000 + str(number) for number in range(5)]
    outputs = shell.run_many([read("echo", word) for word in words])
    assert [output.stdout.strip() for output in outputs] == words


# ---- commands in order, then reads


def test_commands_and_reads_are_one_round_trip(server: Server, shell: SSHShell, tmp_path: Path) -> None:
    shell.run_many([read("true")])
    before = len(server.lines)
    path = str(tmp_path / "made")
    done, found = shell.run_in_order(
        [Command(("mkdir", path)), Command(("echo", "b"))], [read("stat", "-c", "%F", path)]
    )
    assert [output.stdout for output in (*done, *found)] == ["", "b\n", "directory\n"]
    assert len(server.lines) == before + 1


def test_nothing_is_run_after_a_command_that_failed(shell: SSHShell, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    done, found = shell.run_in_order(
        [Command(("true",)), sh("echo why >&2; exit 3"), Command(("touch", never))], [read("touch", never)]
    )
    assert done == [Output(0), Output(3, stderr="why\n")]
    assert found == []
    assert not Path(never).exists()


def test_a_failed_read_keeps_nobody_from_reading_on(shell: SSHShell) -> None:
    _, found = shell.run_in_order([Command(("true",))], [read("false"), read("echo", "on")])
    assert [output.exit_status for output in found] == [1, 0]


def test_a_command_in_a_row_has_its_own_deadline(shell: SSHShell) -> None:
    done, found = shell.run_in_order([Command(("sleep", "30"), timeout=0.3), Command(("true",))], [read("true")])
    assert [output.exit_status for output in done] == [124]
    assert "0.3 s were over" in done[0].stderr
    assert not found


def test_a_row_that_was_ended_in_the_middle_is_of_unknown_outcome(shell: SSHShell) -> None:
    # the second command ends the shell that runs them
    with pytest.raises(Unreachable, match="how far it got is unknown") as caught:
        shell.run_in_order([Command(("true",)), sh("kill -9 $(ps -o ppid= -p $PPID)")])
    assert not isinstance(caught.value, NotConnected)


def test_a_row_that_is_too_long_for_one_line_is_run_one_at_a_time(server: Server, shell: SSHShell) -> None:
    words = ["x" * 50_000 + str(number) for number in range(3)]
    done, found = shell.run_in_order([Command(("echo", word)) for word in words], [read("echo", "found")])
    assert [output.stdout.strip() for output in (*done, *found)] == [*words, "found"]
    done, found = shell.run_in_order([Command(("false", word)) for word in words], [read("echo", "found")])
    assert ([output.exit_status for output in done], found) == ([1], [])


# ---- root


def test_root_goes_through_sudo_and_only_root(with_sudo: SSHShell) -> None:
    who = ("sh", "-c", "echo ${AS-ops}")
    assert with_sudo.run(Command(who)).stdout == "root\n"
    assert with_sudo.run(Command(who, root=False)).stdout == "ops\n"
    outputs = with_sudo.run_many([read(*who), read(*who, root=True), read(*who, root=True), read(*who)])
    assert [output.stdout.strip() for output in outputs] == ["ops", "root", "root", "ops"]


def test_a_deadline_holds_for_root_too(with_sudo: SSHShell) -> None:
    with pytest.raises(TimedOut):
        with_sudo.run(Command(("sleep", "30"), timeout=0.3))


@pytest.mark.parametrize(
    "refusal",
    [
        "sudo: a password is required",
        "sudo: a terminal is required to read the password; either use the -S option",
        "ops is not in the sudoers file.  This incident will be reported.",
        "Sorry, user ops is not allowed to execute test as root on h1.",
        "Sorry, user ops may not run sudo on h1.",
    ],
)
def test_a_refusal_of_sudo_never_passes_for_the_commands_own_status(
    with_sudo: SSHShell, tmp_path: Path, refusal: str
) -> None:
    sudo_says(tmp_path, refusal)
    test = "test", "-e", "/nowhere"
    with pytest.raises(AuthenticationFailed, match="may not run commands as root on h1"):
        with_sudo.run(Command(test))
    with pytest.raises(AuthenticationFailed, match="NOPASSWD"):
        with_sudo.run_many([read("true"), read(*test, root=True)])
    assert with_sudo.run(Command(test, root=False)).exit_status == 1


def test_a_host_without_sudo_is_told(with_sudo: SSHShell, tmp_path: Path, server: Server) -> None:
    (tmp_path / "sudo").unlink()
    with_sudo.run(Command(("true",), root=False))
    with pytest.raises(AuthenticationFailed, match="not found"):
        with_sudo.run(Command(("/bin/true",)))


def test_a_warning_of_sudo_is_no_refusal(with_sudo: SSHShell, tmp_path: Path) -> None:
    warning = "echo 'sudo: unable to resolve host h1: Name or service not known' >&2\n"
    (tmp_path / "sudo").write_text(SUDO.replace("AS=root", warning + "AS=root"))
    assert with_sudo.run(Command(("test", "-e", "/nowhere"))).exit_status == 1
