"""Shells that wait: used once each unless they only read, never half, and never missed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import CommandFailed, TimedOut, Unreachable
from datastores.domain.plan import Command, read
from datastores.transport.pool import Pool
from datastores.transport.quoting import marked, shell_line, whole
from datastores.transport.shell import SSHShell
from datastores.transport.spares import SHELL
from tests.unit.transport.conftest import ServerFactory
from tests.unit.transport.server import Server
from tests.unit.transport.test_batch import SHELLS
from tests.unit.transport.test_pool import eventually


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(spares=2, timeout=5) as pool:
        yield pool


@pytest.fixture
def shell(server: Server, pool: Pool) -> SSHShell:
    """A shell on a connection on which two spares wait."""
    shell = pool.shell(server.endpoint())
    shell.run(Command(("true",)))
    waiting(server, 2)
    return shell


def waiting(server: Server, count: int) -> None:
    eventually(lambda: server.lines.count(SHELL) >= count)
    time.sleep(0.05)  # the answer to the last one


def asked(server: Server) -> int:
    """Return how many commands were asked for in the ordinary way."""
    return sum(line != SHELL for line in server.lines)


def test_a_command_runs_in_a_shell_that_waits(server: Server, shell: SSHShell) -> None:
    before = asked(server)
    output = shell.run(Command(("sh", "-c", "cat; echo out; echo err >&2; exit 3")))
    assert (output.exit_status, output.stdout, output.stderr) == (3, "out\n", "err\n")
    assert shell.run_many([read("echo", "a"), read("echo", "b")])[1].stdout == "b\n"
    assert asked(server) == before


def test_one_that_waits_gives_a_row_its_input_byte_for_byte(server: Server, shell: SSHShell) -> None:
    before, content = asked(server), bytes(range(1, 256)) * 64 + b"'\\\n}\n"
    done, found = shell.run_in_order([Command(("cat",), stdin=content.decode("latin-1"))], [read("echo", "on")])
    assert [output.raw for output in (*done, *found)] == [content, b"on\n"]
    assert asked(server) == before


def test_each_serves_once_and_is_replaced(server: Server, shell: SSHShell) -> None:
    for number in range(1, 4):
        assert shell.run(Command(("sh", "-c", "echo ${kept-fresh}; kept=stale"))).stdout == "fresh\n"
        waiting(server, 2 + number)


class TestAShellThatOnlyRead:
    """It waits again, and no script sees anything of the one before."""

    def test_serves_many_times(self, server: Server, shell: SSHShell) -> None:
        for number in range(20):
            assert shell.run_many([read("echo", str(number))])[0].stdout == f"{number}\n"
        assert server.lines.count(SHELL) == 2
        assert asked(server) == 2, "the probe of the login shell, and the command before"

    def test_keeps_nothing(self, shell: SSHShell) -> None:
        odd = read("sh", "-c", "cd /; kept=1; printf 'no newline'; echo word >&2")
        assert shell.run_many([odd])[0].raw == b"no newline"
        [there] = shell.run_many([read("sh", "-c", "echo ${kept-fresh}; pwd")])
        assert (there.stdout.splitlines()[0], there.stderr) == ("fresh", "")
        assert there.stdout.splitlines()[1] != "/"

    def test_gives_back_all_of_both_outputs(self, server: Server, shell: SSHShell) -> None:
        flood = read(
            "sh", "-c", "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2"
        )
        output = shell.run_many([flood])[0]
        assert (len(output.raw), len(output.stderr)) == (5_000_000, 8_000_000)
        assert server.lines.count(SHELL) == 2

    def test_has_no_input_that_a_command_could_take(self, shell: SSHShell) -> None:
        for _ in range(3):
            assert shell.run_many([read("cat")])[0].raw == b""

    @pytest.mark.parametrize("noise", ["echo NOISE >&2", "echo NOISE", "echo; echo NOISE"])
    def test_is_not_used_again_when_something_speaks_that_it_left_behind(
        self, server: Server, shell: SSHShell, noise: str
    ) -> None:
        assert shell.run_many([read("sh", "-c", f"(sleep 0.3; {noise}) & echo a")])[0].stdout == "a\n"
        time.sleep(0.6)
        for _ in range(4):
            there = shell.run_many([read("sh", "-c", "echo b; exit 1")])[0]
            assert (there.raw, there.stderr, there.exit_status) == (b"b\n", "", 1)

    def test_is_one_of_few_however_many_ask(self, server: Server, shell: SSHShell) -> None:
        def ask(number: int) -> object:
            return shell.run_many([read("echo", str(number))]) if number % 2 else shell.run(Command(("true",)))

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(ask, range(200)))
        time.sleep(0.5)
        waiting_now = [process for process in server.processes if process.poll() is None]
        assert len(waiting_now) <= 2 * server.connections

    def test_is_given_up_when_its_time_was_over(self, server: Server, shell: SSHShell) -> None:
        hangs = read("sleep", "20", timeout=0.3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("datastores.transport.batch.FIRST_TRY", 0.3)
            assert shell.run_many([hangs])[0].exit_status == 124
        waiting(server, 4)

    def test_that_is_killed_loses_only_its_own_reading(self, server: Server, shell: SSHShell) -> None:
        with pytest.raises((Unreachable, CommandFailed)), ThreadPoolExecutor(1) as thread:
            running = thread.submit(shell.run_many, [read("sleep", "3")])
            time.sleep(0.3)
            for process in server.processes[1:]:
                process.kill()
            running.result()
        assert shell.run_many([read("echo", "hello")])[0].stdout == "hello\n"

    def test_serves_many_at_once(self, server: Server, shell: SSHShell) -> None:
        def ask(number: int) -> str:
            return shell.run_many([read("echo", str(number))])[0].stdout

        with ThreadPoolExecutor(12) as threads:
            assert list(threads.map(ask, range(200))) == [f"{number}\n" for number in range(200)]

    @given(
        words=st.lists(st.binary(max_size=300).filter(lambda word: b"\0" not in word), min_size=1, max_size=4),
        name=st.sampled_from(SHELLS),
    )
    def test_any_bytes_come_before_the_mark(self, words: list[bytes], name: str) -> None:
        line = shell_line(("printf", "%s", *(word.decode("latin-1") for word in words))).encode("latin-1")
        done = subprocess.run([name], input=marked(line, b"MARK") + marked(b"exit 3", b"NEXT"), capture_output=True,
                              check=True)  # fmt: skip
        assert done.stdout == b"".join(words) + b"MARK0.NEXT3."
        assert done.stderr == b"MARKNEXT"


def test_one_that_is_gone_is_not_missed(server: Server, shell: SSHShell, tmp_path: Path) -> None:
    for process in server.processes[1:]:
        process.kill()
    time.sleep(0.1)
    marks = tmp_path / "marks"
    assert shell.run(Command(("sh", "-c", 'echo x >>"$1"', "sh", str(marks)))).ok
    assert marks.read_text() == "x\n"


def test_a_command_that_loses_its_shell_is_of_unknown_outcome(server: Server, shell: SSHShell) -> None:
    with pytest.raises(Unreachable, match="what it did is unknown"), ThreadPoolExecutor(1) as thread:
        running = thread.submit(shell.run, Command(("sleep", "20")))
        time.sleep(0.3)
        server.drop()
        running.result()


def test_a_deadline_holds_there_too(shell: SSHShell) -> None:
    with pytest.raises(TimedOut):
        shell.run(Command(("sleep", "20"), timeout=0.3))


def test_a_command_with_input_gets_its_input(shell: SSHShell) -> None:
    assert shell.run(Command(("cat",), stdin="echo not a script\n")).stdout == "echo not a script\n"


def test_many_at_once_are_all_served(server: Server, shell: SSHShell) -> None:
    with ThreadPoolExecutor(12) as threads:
        outputs = threads.map(lambda number: shell.run(Command(("echo", str(number)))).stdout, range(60))
    assert list(outputs) == [f"{number}\n" for number in range(60)]


def test_a_host_without_sessions_to_spare_is_asked_once(make_server: ServerFactory, pool: Pool) -> None:
    server = make_server(sessions=1)
    shell = pool.shell(server.endpoint())
    for number in range(5):
        assert shell.run(Command(("echo", str(number)))).stdout == f"{number}\n"
        time.sleep(0.05)
    with ThreadPoolExecutor(4) as threads:
        assert all(output.ok for output in threads.map(lambda _: shell.run(Command(("true",))), range(8)))


def test_a_pool_without_spares_starts_none(server: Server) -> None:
    with Pool(timeout=5) as pool:
        pool.shell(server.endpoint()).run(Command(("true",)))
        assert SHELL not in server.lines


@pytest.mark.parametrize("name", SHELLS)
@given(cut=st.integers(0, 10_000), word=st.text("ab'\"\\\n}{;$ ", max_size=30))
def test_a_script_that_does_not_arrive_whole_does_nothing(name: str, cut: int, word: str) -> None:
    script = whole(f"echo ran; exec {shell_line(('echo', 'ran', word))}".encode())
    part = script[: cut % len(script)]
    done = subprocess.run([name], input=part, capture_output=True, check=False)
    assert b"ran" not in done.stdout or part.rstrip() == script.rstrip()


def test_a_connection_that_died_idle_is_replaced_and_so_are_its_shells(server: Server, shell: SSHShell) -> None:
    server.drop()
    assert shell.run(Command(("echo", "hello"))).stdout == "hello\n"
    assert server.connections == 2


def test_a_host_that_fell_silent_is_found_out_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    with Pool(spares=2, timeout=1) as pool:
        shell = pool.shell(server.endpoint())
        shell.run(Command(("true",)))
        waiting(server, 2)
        server.hold()
        marks = tmp_path / "marks"
        assert shell.run(Command(("sh", "-c", 'echo x >>"$1"', "sh", str(marks)))).ok
    assert marks.read_text() == "x\n"
    assert server.connections == 2
