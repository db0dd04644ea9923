"""Following a unit: nothing lost, nothing doubled, and every way it can end is told. The lab has the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.domain.errors import (
    BadInput,
    Cancelled,
    CommandFailed,
    HostKeyChanged,
    NotConnected,
    Unreachable,
)
from datastores.domain.plan import Command, Detached, Output
from datastores.transport.detached import BLOCK, GONE, START, State, Unit
from datastores.transport.endpoint import Endpoint
from datastores.transport.shell import SSHShell

COPY = Detached(Command(("cp", "--", "/a", "/b")), growing="/b", total=1000)


@dataclass
class FakeHost:
    """A host with one unit. ``script`` says what happens at each poll: bytes that the unit writes, or an error."""

    script: list[bytes | Exception]
    status: int = 0
    host: str = "h1"
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("h1", "192.0.2.1"))
    log: bytes = b""
    running: bool = False
    known: bool = False
    starts: list[tuple[str, ...]] = field(default_factory=list)
    start_errors: list[Exception] = field(default_factory=list)
    removed: int = 0
    sizes: list[int] = field(default_factory=list)
    size: bytes = b"%d 512\n"
    """How a file, or a meter, tells its size."""

    def run(self, command: Command) -> Output:
        if self.start_errors:
            raise self.start_errors.pop(0)
        if START in command.argv:
            if not self.known:
                self.starts.append(command.argv)
            self.known = self.running = True
        else:
            self.removed += 1
            self.known = self.running = False
        return Output(0)

    def run_many(self, commands: Sequence[Command]) -> list[Output]:
        if self.script:
            event = self.script.pop(0)
            if isinstance(event, Exception):
                raise event
            self.log += event
        self.running = self.running and bool(self.script)
        sub = "running" if self.running else ("failed" if self.status else "exited") if self.known else "dead"
        shown = (
            f"LoadState={'loaded' if self.known else 'not-found'}\nSubState={sub}\nResult=success\n"
            f"ExecMainCode={int(not self.running)}\nExecMainStatus={self.status}\n"
        )
        words = dict(word.split("=", 1) for word in commands[1].argv if "=" in word)
        start = int(words["skip"])
        size = Output(0, self.size % self.sizes.pop(0)) if self.sizes else Output(1)
        return [Output(0, shown.encode()), Output(0, self.log[start : start + int(words["count"])]), size]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def follow(
    host: FakeHost,
    *,
    detached: Detached = COPY,
    patience: float = 60,
    cancelled: Callable[[], bool] = lambda: False,
    progress: list[tuple[int, int]] | None = None,
) -> tuple[Output, str]:
    pieces: list[str] = []
    unit = Unit(cast("SSHShell", host), "job-1", detached, patience=patience)
    reported = [] if progress is None else progress
    output = unit.follow(pieces.append, lambda done, total: reported.append((done, total)), cancelled)
    return output, "".join(pieces)


def test_a_unit_is_started_followed_and_removed() -> None:
    host = FakeHost([b"one\n", b"", b"tw", b"o\n"])
    assert follow(host) == (Output(0, stderr="one\ntwo"), "one\ntwo\n")
    assert len(host.starts) == host.removed == 1


@given(st.lists(st.one_of(st.binary(max_size=8), st.just(None)), max_size=30))
def test_whenever_the_connection_is_lost_every_byte_arrives_once(events: list[bytes | None]) -> None:
    script: list[bytes | Exception] = [Unreachable("lost") if event is None else event for event in events]
    host = FakeHost([*script, b"end\n"])
    pieces: list[str] = []
    unit = Unit(cast("SSHShell", host), "job-1", COPY, patience=60)
    unit.follow(pieces.append, lambda *_: None, lambda: False)
    assert "".join(pieces) == host.log.decode("utf-8", "replace")
    assert len(host.starts) == 1


def test_a_log_longer_than_a_block_is_read_to_its_end_without_pausing(no_waiting: list[float]) -> None:
    host = FakeHost([b"0123456789\n" * (BLOCK // 4)])
    assert len(follow(host)[1]) == len(host.log) > 2 * BLOCK
    assert not no_waiting


def test_a_host_that_takes_long_to_answer_is_asked_less_often(
    monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    now, right, lasts = [0.0], FakeHost.run_many, iter([1.5, 90.0, 0.0])

    def slow(host: FakeHost, commands: Sequence[Command]) -> list[Output]:
        now[0] += next(lasts)
        return right(host, commands)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(FakeHost, "run_many", slow)
    assert follow(FakeHost([b"one\n", b"two\n", b"three\n"]))[0].ok
    assert no_waiting == [1.5, 2.0], "however long it took: it is not left alone for minutes"


def test_one_that_is_there_already_is_attached_to() -> None:
    host = FakeHost([b"more\n"], known=True, running=True, log=b"before\n")
    assert follow(host)[1] == "before\nmore\n"
    assert not host.starts


def test_one_that_ended_meanwhile_gives_its_outcome() -> None:
    host = FakeHost([], known=True, status=3, log=b"no space left\n")
    assert follow(host)[0] == Output(3, stderr="no space left")


def test_only_the_last_lines_are_kept() -> None:
    output, text = follow(FakeHost([b"".join(b"%d\n" % number for number in range(100))], status=1))
    assert output.stderr.split() == [str(number) for number in range(80, 100)]
    assert len(text.split()) == 100


def test_a_unit_that_vanished_is_a_failure_with_a_reason() -> None:
    host = FakeHost([b"half\n", b""])

    def vanish(_: int, __: int) -> None:
        host.known = host.running = False

    host.sizes = [1]
    unit = Unit(cast("SSHShell", host), "job-1", COPY, patience=60)
    output = unit.follow(lambda _: None, vanish, lambda: False)
    assert output.exit_status == GONE
    assert output.stderr.startswith("half\njob-1.service is not known to systemd on h1 any more")
    assert host.removed == 1


def test_progress_is_in_allocated_bytes_and_ends_full() -> None:
    progress: list[tuple[int, int]] = []
    follow(FakeHost([b"", b"", b"", b""], sizes=[0, 1, 99]), progress=progress)
    assert progress == [(0, 1000), (512, 1000), (1000, 1000), (1000, 1000)]


def test_a_meter_tells_bytes_where_no_file_grows() -> None:
    progress: list[tuple[int, int]] = []
    metered = Detached(COPY.command, total=1000, meter=Command(("zfs", "get", "used")))
    host = FakeHost([b"", b"", b""], sizes=[10, 700], size=b"%d\n")
    follow(host, detached=metered, progress=progress)
    assert progress == [(10, 1000), (700, 1000), (1000, 1000)]


def test_output_tells_bytes_of_a_total_that_may_change() -> None:
    progress: list[tuple[int, int]] = []
    told = Detached(COPY.command, tells=True)
    lines = [b"7 files, 10 of about 900 bytes\n", b"-\n", b"20 of 800 bytes\n30 of 800 bytes\n", b"9 of 8 bytes\n"]
    follow(FakeHost(lines), detached=told, progress=progress)
    assert progress == [(10, 900), (30, 800), (8, 8)]
    follow(FakeHost(lines), progress=progress)
    assert progress[3:] == [(1000, 1000)], "only where that was promised"


def test_a_failed_copy_is_not_reported_as_full() -> None:
    progress: list[tuple[int, int]] = []
    follow(FakeHost([b""], status=1, sizes=[1]), progress=progress)
    assert progress == [(512, 1000)]


def test_a_cancel_stops_the_unit_and_sees_it_gone() -> None:
    asked = iter([False, False, True])
    host = FakeHost([b"a\n"] * 10)
    with pytest.raises(Cancelled, match=r"Cancelled: what ran on .* was stopped and is gone"):
        follow(host, cancelled=lambda: next(asked))
    assert host.removed == 1
    assert not host.running


def test_a_cancel_before_the_start_starts_nothing() -> None:
    host = FakeHost([b"a\n"])
    with pytest.raises(Cancelled):
        follow(host, cancelled=lambda: True)
    assert not host.starts
    assert host.removed == 1


def test_a_host_that_cannot_be_reached_at_the_start_is_not_waited_for() -> None:
    with pytest.raises(NotConnected):
        follow(FakeHost([], start_errors=[NotConnected("down")]))


def test_a_start_that_was_cut_off_is_repeated() -> None:
    host = FakeHost([b"x\n"], start_errors=[Unreachable("cut"), NotConnected("down"), NotConnected("down")])
    assert follow(host)[0].ok
    assert len(host.starts) == 1


def test_a_host_that_does_not_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", sleep)
    host = FakeHost([b"x\n", *[Unreachable("no route")] * 1000])
    with pytest.raises(Unreachable, match=r"could not be reached for \d+ s \(no route\)"):
        follow(host, patience=60)
    assert 60 < now[0] < 75
    assert host.removed == 0


def test_a_changed_host_key_is_not_waited_for() -> None:
    host = FakeHost([b"x\n", HostKeyChanged("h1", "a", "b")])
    with pytest.raises(HostKeyChanged):
        follow(host)


def test_a_shell_that_a_shutdown_ended_is_a_lost_connection() -> None:
    host = FakeHost([CommandFailed(("sh",), 143, "reading broke off", "h1"), b"x\n"])
    assert follow(host)[0].ok


def test_what_stays_behind_on_a_lost_host_does_not_spoil_a_known_outcome() -> None:
    host = FakeHost([b"done\n"])
    host.removed = 0

    def lose(_: str) -> None:
        host.start_errors = [Unreachable("lost")]

    output = Unit(cast("SSHShell", host), "job-1", COPY).follow(lose, lambda *_: None, lambda: False)
    assert output.ok
    assert host.removed == 0


def test_a_dollar_sign_stays_one_and_an_account_stays_itself() -> None:
    host = FakeHost([b""], endpoint=Endpoint("h1", "192.0.2.1", account="ops"))
    follow(host, detached=Detached(Command(("echo", "$HOME", "a$$b"), root=False)))
    [argv] = host.starts
    assert argv[argv.index("--") :] == ("--", "echo", "$$HOME", "a$$$$b")
    assert "--uid=ops" in argv


@pytest.mark.parametrize("name", ["", "-x", "../x", "a/b", "a b", "a@b", "é", "x" * 201, "a\n", "$(id)"])
def test_a_name_that_systemd_would_read_differently_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="name of a unit"):
        Unit(cast("SSHShell", FakeHost([])), name, COPY)


def test_a_detached_command_has_no_input() -> None:
    with pytest.raises(BadInput, match="gets none"):
        Unit(cast("SSHShell", FakeHost([])), "job-1", Detached(Command(("cat",), stdin="x")))


def shown(**fields: Any) -> str:
    known = {"LoadState": "loaded", "SubState": "running", "Result": "success", "ExecMainCode": 0, "ExecMainStatus": 0}
    return "".join(f"{name}={value}\n" for name, value in {**known, **fields}.items())


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, State(True, False, 0)),
        ({"SubState": "start"}, State(True, False, 0)),
        ({"SubState": "exited", "ExecMainCode": 1}, State(True, True, 0)),
        ({"SubState": "failed", "Result": "exit-code", "ExecMainCode": 1, "ExecMainStatus": 3}, State(True, True, 3)),
        ({"SubState": "failed", "Result": "signal", "ExecMainCode": 2, "ExecMainStatus": 9}, State(True, True, 137)),
        (
            {"SubState": "failed", "Result": "core-dump", "ExecMainCode": 3, "ExecMainStatus": 11},
            State(True, True, 139),
        ),
        ({"SubState": "exited", "ExecMainCode": 2, "ExecMainStatus": 15}, State(True, True, 143)),
        ({"SubState": "failed", "Result": "resources"}, State(True, True, GONE)),
        ({"SubState": "stop-sigterm"}, State(True, False, 0)),
        ({"SubState": "dead", "LoadState": "not-found"}, State(False, True, 0)),
    ],
)
def test_what_systemd_shows_is_understood(fields: dict[str, Any], state: State) -> None:
    assert State.parse(shown(**fields)) == state
