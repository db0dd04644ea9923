"""How a plan is carried out: order, approval, verification, undo, and what a lost connection means."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pytest

from datastores.domain.errors import (
    AuthenticationFailed,
    Cancelled,
    CloudstoreError,
    CommandFailed,
    HostKeyChanged,
    LostTouch,
    NotConnected,
    NotTakenBack,
    NotVerified,
    Refused,
    StalePlan,
    Unreachable,
)
from datastores.domain.plan import Action, AnyStep, Change, Command, Output, Stage, WriteFile, read
from datastores.domain.states import StepState
from datastores.hosts.journal import Journal, Undoable
from datastores.hosts.previews import Preview, preview
from datastores.hosts.runner import TAKEN_BACK, Run
from datastores.hosts.stages import side_by_side, stages_of, steps_of
from datastores.hosts.together import apply, look
from datastores.hosts.undo import Needed, nobody, take_back
from tests.fakes import FakeShell, said
from tests.unit.flags import FlagCopied, FlagForGood, FlagGone, FlagSeen, FlagSet, flag_host, ran


@dataclass
class Record:
    """A Recorder that keeps everything."""

    steps: list[tuple[int, StepState]]
    undone: list[tuple[int, str]]
    journal: list[tuple[str, int, int]]
    texts: list[str]

    @classmethod
    def empty(cls) -> Record:
        return cls([], [], [], [])

    def lane(self, host: str) -> Any:
        return contextlib.nullcontext()

    def facts(self, host: str, reads: int, seconds: float) -> None:
        self.texts.append(f"facts {host} {reads}")

    def step(self, index: int, state: StepState, message: str = "") -> None:
        self.steps.append((index, state))

    def actions_started(self, index: int, first: int, actions: Sequence[Action], unit: str = "") -> None:
        self.journal += [("started", index, number) for number, _ in enumerate(actions, first)]

    def action_ended(self, index: int, number: int, output: Output | None, error: str = "") -> None:
        self.journal.append(("failed" if error else "done", index, number))

    def output(self, index: int, text: str) -> None:
        self.texts.append(text)

    def progress(self, index: int, done: int, total: int) -> None:
        self.texts.append(f"{done}/{total}")

    def news(self, index: int, text: str, answers: bool) -> None:
        self.texts.append(text)

    def undo(self, entry: Undoable, error: str = "", kept: str = "") -> None:
        self.undone.append((entry.index, error or kept))


def run_of(*steps: AnyStep, on: dict[str, FakeShell], **options: Any) -> tuple[Run, Record]:
    record = Record.empty()
    return Run((Stage("all", steps),), on.__getitem__, record, unit="job", **options), record


def taken_back(
    journal: Journal, shell: FakeShell, *steps: AnyStep, needed: Needed = nobody
) -> tuple[bool, list[tuple[int, str]]]:
    """Take back what the journal holds. Return whether that was all, and what was told."""
    record, plan = Record.empty(), (Stage("all", steps),)
    complete = take_back(journal, lambda: steps_of(plan), stages_of(plan), lambda name: shell, record, needed)
    return complete, record.undone


def cleared(index: int, flag: str, **marks: Any) -> Undoable:
    """What the journal has of the setting of a flag."""
    return Undoable(index, 0, "h1", Command(("clear", flag)), **marks)


def test_a_plan_makes_every_statement_true_in_order() -> None:
    shell = flag_host(a="off", b="off")
    run, record = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell})
    run.carry_out()
    assert ran(shell, "set") == [("set", "a"), ("set", "b")]
    assert record.steps[-1] == (1, StepState.CHANGED)
    assert run.facts == {0: "on", 1: "on"}


def test_a_second_run_changes_nothing_and_reads_everything_in_one_round_trip() -> None:
    shell = flag_host(a="on", b="on", c="on")
    run, record = run_of(*(FlagSet("h1", name) for name in "abc"), on={"h1": shell})
    run.carry_out()
    assert shell.round_trips == 1
    assert [state for _, state in record.steps] == [StepState.UNCHANGED] * 3


def test_the_verification_of_a_step_reads_the_next_one_too() -> None:
    shell = flag_host(a="off", b="off")
    run, _ = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell})
    run.carry_out()
    assert shell.round_trips == 3  # read both; set a, verify it and read b; set b and verify it


def test_what_is_done_and_how_to_undo_it_is_written_down_before_it_runs() -> None:
    shell = flag_host(a="off")
    run, record = run_of(FlagSet("h1", "a"), on={"h1": shell})
    record.actions_started = lambda *_: (_ for _ in ()).throw(OSError("no journal"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no journal"):
        run.carry_out()
    assert ran(shell, "set") == []


def test_a_failure_undoes_what_was_done_newest_first() -> None:
    shell = flag_host(a="off", b="off", c="off")
    shell.answers["set", "c"] = said(exit_status=1, stderr="no space left")
    run, record = run_of(*(FlagSet("h1", name) for name in "abc"), on={"h1": shell})
    with pytest.raises(CommandFailed, match="no space left"):
        run.carry_out()
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]
    assert record.undone == [(1, ""), (0, "")]


def test_a_command_that_failed_is_not_undone() -> None:
    shell = flag_host(a="off")
    shell.answers["set", "a"] = said(exit_status=1, stderr="somebody else's")
    run, _ = run_of(FlagSet("h1", "a"), on={"h1": shell})
    with pytest.raises(CommandFailed):
        run.carry_out()
    assert ran(shell, "clear") == []


def test_a_command_that_lied_is_caught_and_undone() -> None:
    shell = flag_host(a="off")
    shell.effects.clear()
    run, _ = run_of(FlagSet("h1", "a"), on={"h1": shell})
    with pytest.raises(NotVerified, match="flag a is on"):
        run.carry_out()
    assert ran(shell, "clear") == [("clear", "a")]


def test_a_check_holds_when_what_comes_before_it_made_it_so() -> None:
    shell = flag_host(a="off")
    run, record = run_of(FlagSet("h1", "a"), FlagSeen("h1", "a"), on={"h1": shell})
    run.carry_out()
    assert record.steps[-1] == (1, StepState.UNCHANGED)


def test_a_check_that_does_not_hold_in_its_turn_says_that_nothing_makes_it_so() -> None:
    shell = flag_host(a="off", b="off")
    run, _ = run_of(FlagSet("h1", "a"), FlagSeen("h1", "b"), on={"h1": shell})
    with pytest.raises(Refused, match="flag b is on: that is not so on h1, and nothing in this plan makes it so"):
        run.carry_out()
    assert ran(shell, "clear") == [("clear", "a")]


def test_an_undo_that_fails_is_told_and_the_others_go_on() -> None:
    shell = flag_host(a="off", b="off", c="broken")
    shell.answers["clear", "b"] = said(exit_status=1, stderr="busy")
    run, record = run_of(*(FlagSet("h1", name) for name in "abc"), on={"h1": shell})
    with pytest.raises(Refused):
        run.carry_out()
    assert record.undone == [(1, "busy"), (0, "")]


BUSY = "rmdir: failed to remove '/y': Device or resource busy"
NO_X, NO_Y = (f"rmdir: failed to remove '{path}': No such file or directory" for path in ("/x", "/y"))


@pytest.mark.parametrize(
    ("command", "says", "left"),
    [
        ("rmdir -- /x", NO_X, ""),
        ("rm -r -- /x", "rm: cannot remove '/x': No such file or directory\n", ""),
        ("rmdir -- /x /y", f"{NO_X}\n{NO_Y}", ""),
        ("rmdir -- /x /y", f"{NO_X}\n{BUSY}", f"{NO_X}\n{BUSY}"),
        ("rmdir -- /x", "sh: rmdir: No such file or directory", "sh: rmdir: No such file or directory"),
        ("clear /x", "clear: /x: No such file or directory", "clear: /x: No such file or directory"),
        ("rmdir -- /x", "", "exit status 1"),
    ],
)
def test_what_should_be_removed_and_is_not_there_is_undone(command: str, says: str, left: str) -> None:
    undo = Command(tuple(command.split()))
    shell = flag_host(a="on")
    shell.answers[undo.argv] = said(exit_status=1, stderr=says)
    complete, undone = taken_back(Journal(done=(Undoable(0, 0, "h1", undo),)), shell, FlagSet("h1", "a"))
    assert (complete, undone) == (not left, [(0, left)])


def test_a_refused_step_stops_the_plan_before_it_touches_anything() -> None:
    shell = flag_host(a="broken")
    run, record = run_of(FlagSet("h1", "a"), on={"h1": shell})
    with pytest.raises(Refused, match="a is broken"):
        run.carry_out()
    assert record.steps == [(0, StepState.FAILED)]


def test_a_change_that_was_not_approved_is_not_made() -> None:
    shell = flag_host(a="off")
    run, _ = run_of(FlagSet("h1", "a"), on={"h1": shell}, approves=lambda index, change: False)
    with pytest.raises(StalePlan, match="planned anew"):
        run.carry_out()
    assert ran(shell, "set") == []


def test_a_lost_connection_during_a_command_undoes_nothing() -> None:
    shell = flag_host(a="off", b="off")
    shell.answers["set", "b"] = Unreachable("h1 went away")  # type: ignore[assignment]
    run, record = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell})
    with pytest.raises(LostTouch):
        run.carry_out()
    assert ran(shell, "clear") == []
    assert record.steps[-1] == (1, StepState.UNKNOWN)
    assert record.journal[-1] == ("started", 1, 0)


def test_a_host_that_was_never_reached_is_a_failure_not_a_mystery() -> None:
    reached = flag_host("h1", a="off")

    def connect(name: str) -> FakeShell:
        if name == "h2":
            raise NotConnected("h2: connection refused")
        return reached

    record = Record.empty()
    stages = (Stage("first", (FlagSet("h1", "a"),)), Stage("second", (FlagSet("h2", "a"),)))
    with pytest.raises(NotConnected) as caught:
        Run(stages, connect, record, unit="job").carry_out()
    assert not isinstance(caught.value, LostTouch)
    assert ran(reached, "clear") == [("clear", "a")]


def _some_off(*off: str) -> tuple[Run, Record]:
    """A run that leaves hosts out; flags of h1 and h2 in two stages each."""
    shells = {name: flag_host(name, a="off", b="off") for name in ("h1", "h2")}

    def connect(name: str) -> FakeShell:
        if name in off:
            raise NotConnected(f"{name} cannot be reached")
        return shells[name]

    record = Record.empty()
    stages = tuple(Stage(flag, (FlagSet("h1", flag), FlagSet("h2", flag))) for flag in ("a", "b"))
    return Run(stages, connect, record, unit="job", leaves_out={"h1": True, "h2": True}), record


def test_a_host_that_cannot_be_reached_may_be_left_out() -> None:
    run, record = _some_off("h2")
    run.carry_out()
    assert run.facts == {0: "on", 2: "on"}
    assert {host: str(why) for host, why in run.left_out.items()} == {"h2": "h2 cannot be reached"}
    assert [index for index, state in record.steps if state is StepState.FAILED] == [1, 3]


def test_where_no_host_can_be_reached_none_is_left_out() -> None:
    run, _ = _some_off("h1", "h2")
    with pytest.raises(NotConnected, match="cannot be reached"):
        run.carry_out()


def _made_by(stages: tuple[Stage, ...], off: str) -> Run:
    """A run in which nas makes what h1 and h2 are measured with."""
    shells = {name: flag_host(name, a="off", b="off") for name in ("nas", "h1", "h2")}
    shells["h2"].answers["get", "b"] = said("broken")

    def connect(name: str) -> FakeShell:
        if name == off:
            raise NotConnected(f"{name} cannot be reached")
        return shells[name]

    return Run(stages, connect, Record.empty(), unit="job", leaves_out={"h1": True, "h2": True})


def test_a_host_that_only_helps_does_not_count_among_those_that_may_be_left_out() -> None:
    run = _made_by((Stage("make", (FlagSet("nas", "a"),)), Stage("measure", (FlagSet("h1", "a"),))), "h1")
    run.leaves_out = {"h1": True}
    with pytest.raises(NotConnected, match="h1 cannot be reached") as caught:
        run.carry_out()
    assert caught.value.__notes__ == [TAKEN_BACK]


def test_the_host_that_the_others_need_is_never_left_out() -> None:
    run = _made_by((Stage("make", (FlagSet("nas", "a"),)), Stage("measure", (FlagSet("h1", "a"),))), "nas")
    with pytest.raises(NotConnected, match="nas cannot be reached"):
        run.carry_out()
    assert run.left_out == {}


def test_what_was_left_out_is_told_when_another_fails() -> None:
    run = _made_by((Stage("a", (FlagSet("h1", "a"), FlagSet("h2", "a"))), Stage("b", (FlagSet("h2", "b"),))), "h1")
    with pytest.raises(Refused) as caught:
        run.carry_out()
    assert caught.value.__notes__ == ["h1 was left out: h1 cannot be reached", TAKEN_BACK]


@pytest.mark.parametrize("error", [HostKeyChanged("h2", "a", "b"), AuthenticationFailed("h2 refused the key")])
def test_a_host_with_another_key_or_that_refuses_is_not_left_out(error: NotConnected) -> None:
    run, _ = _some_off()
    right = run.connect

    def connect(name: str) -> Any:
        if name == "h2":
            raise error
        return right(name)

    run.connect = connect
    with pytest.raises(type(error)):
        run.carry_out()
    assert run.left_out == {}


def test_a_host_on_which_something_was_done_is_not_left_out() -> None:
    run, _ = _some_off()
    shell = run.connect("h2")
    assert isinstance(shell, FakeShell)
    shell.answers["set", "b"] = Unreachable("h2 does not answer")
    with pytest.raises(LostTouch):
        run.carry_out()
    assert run.left_out == {}


def test_cancelling_undoes_what_was_done() -> None:
    shell = flag_host(a="off", b="off")
    asked = iter([False, True])
    run, _ = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, cancelled=lambda: next(asked))
    with pytest.raises(Cancelled, match="flag b is on"):
        run.carry_out()
    assert ran(shell, "clear") == [("clear", "a")]


def test_hosts_of_a_stage_run_side_by_side_and_one_failure_stops_the_others() -> None:
    good, bad = flag_host("h1", a="off"), flag_host("h2", a="broken")
    shells = {"h1": good, "h2": bad}
    record = Record.empty()
    stages = (Stage("one", (FlagSet("h1", "a"), FlagSet("h2", "a"))), Stage("two", (FlagSet("h1", "a"),)))
    with pytest.raises(Refused):
        Run(stages, shells.__getitem__, record, unit="job").carry_out()
    assert good.answers["get", "a"] == said("off")
    assert (2, StepState.RUNNING) not in record.steps


def test_all_hosts_that_failed_at_the_same_time_are_told() -> None:
    together = Barrier(3, timeout=10)

    def connect(name: str) -> FakeShell:
        together.wait()  # none has failed before all have begun
        return flag_host(name, a="off")

    class Lane(FlagSet):
        def plan(self, facts: str) -> Change | None:
            together.wait()
            raise Refused(f"a is broken on {self.host}")

    run = Run((Stage("all", tuple(Lane(f"h{n}", "a") for n in (1, 2, 3))),), connect, Record.empty(), unit="job")
    with pytest.raises(Refused) as caught:
        run.carry_out()
    told = sorted([str(caught.value), *caught.value.__notes__])
    assert told == [f"a is broken on h{n}" for n in (1, 2, 3)]


def test_a_resumed_job_finds_done_what_a_dead_worker_did_and_can_still_undo_it() -> None:
    shell = flag_host(a="on", b="broken")
    journal = Journal(unknown=(Undoable(0, 0, "h1", Command(("clear", "a"))),))
    run, record = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, journal=journal)
    with pytest.raises(Refused):
        run.carry_out()
    assert record.steps[0] == (0, StepState.CHANGED)
    assert ran(shell, "clear") == [("clear", "a")]


def test_a_resumed_step_may_differ_from_what_was_approved() -> None:
    shell = flag_host(a="off")
    journal = Journal(unknown=(Undoable(0, 0, "h1", None),))
    run, _ = run_of(FlagSet("h1", "a"), on={"h1": shell}, journal=journal, approves=lambda index, change: False)
    run.carry_out()
    assert ran(shell, "set") == [("set", "a")]


def test_what_is_unknown_is_settled_by_asking_the_host() -> None:
    shell = flag_host(a="on", b="off")
    journal = Journal(unknown=(cleared(0, "a"), cleared(1, "b")))
    assert taken_back(journal, shell, FlagSet("h1", "a"), FlagSet("h1", "b")) == (True, [(0, "")])
    assert ran(shell, "clear") == [("clear", "a")]


def test_what_others_need_stays_and_is_said_to() -> None:
    shell = flag_host(a="on", b="on")
    journal = Journal(done=(cleared(0, "a"), cleared(1, "b"), cleared(2, "scratch", scratch=True)))
    steps = FlagSet("h1", "a"), FlagSet("h1", "b"), FlagSet("h1", "scratch")
    who = {0: "the datastore two needs it", 2: "the datastore two needs it"}
    told = taken_back(journal, shell, *steps, needed=lambda entry: who.get(entry.index, ""))
    assert told == (True, [(0, "the datastore two needs it"), (2, ""), (1, "")])
    assert ran(shell, "clear") == [("clear", "scratch"), ("clear", "b")], "what is scratch is the job's alone"


def test_what_others_need_stays_when_a_later_step_fails() -> None:
    shell = flag_host(a="off", b="broken")
    run, record = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, needed=lambda entry: "two needs it")
    with pytest.raises(CloudstoreError) as failed:
        run.carry_out()
    assert (record.undone, ran(shell, "clear")) == ([(0, "two needs it")], [])
    assert failed.value.__notes__ == [TAKEN_BACK]


def test_a_preview_reads_and_changes_nothing() -> None:
    shell = flag_host(a="off", b="on", c="broken")
    plan = (Stage("all", tuple(FlagSet("h1", name) for name in "abc")),)
    found = preview(plan, lambda name: shell, Record.empty())
    assert [bool(item.change) for item in found] == [True, False, False]
    assert found[1] == Preview()
    assert found[2].refused == "c is broken"
    assert shell.round_trips == 1


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ((FlagSeen("h1", "a"),), {0}),
        ((FlagSeen("h1", "a"), FlagSet("h1", "a")), {0}),
        ((FlagSet("h1", "a"), FlagSeen("h1", "a")), set()),
        ((FlagSet("h1", "b"), FlagSeen("h1", "a")), {1}),
        ((FlagSeen("h1", "b"),), set()),
    ],
    ids=["alone", "before what would make it so", "after that", "after what is so already", "so already"],
)
def test_a_check_that_cannot_come_true_is_refused_in_the_plan(steps: tuple[AnyStep, ...], refused: set[int]) -> None:
    shell = flag_host(a="off", b="on")
    found = preview((Stage("all", steps),), lambda name: shell, Record.empty())
    assert {number for number, item in enumerate(found) if item.refused} == refused


def test_nothing_is_read_behind_a_gate_that_is_shut() -> None:
    shell = flag_host(c="broken", a="off")
    gate, behind = Stage("gate", (FlagSet("h1", "c"),), gate=True), Stage("behind", (FlagSet("h1", "a"),))
    found = preview((gate, behind), lambda name: shell, Record.empty())
    assert ran(shell, "get") == [("get", "c")]
    assert found[0].refused == "c is broken"
    assert found[1].change and not found[1].change.actions and not found[1].refused


def test_a_host_that_cannot_be_read_is_not_an_empty_host() -> None:
    shell = flag_host(a="off")
    shell.answers["get", "a"] = said(exit_status=5, stderr="I/O error")
    run, _ = run_of(FlagSet("h1", "a"), on={"h1": shell})
    with pytest.raises(CommandFailed, match="I/O error"):
        run.carry_out()
    assert ran(shell, "set") == []


def test_after_something_was_destroyed_nothing_before_it_is_undone() -> None:
    shell = flag_host(copy="off", original="on", last="broken")
    shell.effects["destroy", "original"] = {("get", "original"): said("gone")}
    run, record = run_of(FlagSet("h1", "copy"), FlagGone("h1", "original"), FlagSet("h1", "last"), on={"h1": shell})
    with pytest.raises(Refused):
        run.carry_out()
    assert ran(shell, "clear") == []
    assert [index for index, _ in record.undone] == [1, 1, 0]


def test_a_resumed_job_does_not_judge_again_what_came_before_a_destruction() -> None:
    shell = flag_host(copy="broken", original="gone")  # the copy cannot be compared: its original is gone
    journal = Journal(
        done=(Undoable(0, 0, "h1", Command(("clear", "copy"))),), unknown=(Undoable(1, 0, "h1", None, final=True),)
    )
    run, _ = run_of(FlagSet("h1", "copy"), FlagGone("h1", "original"), on={"h1": shell}, journal=journal)
    run.carry_out()
    assert ran(shell, "clear", "destroy") == []


# Files


RELOAD = Command(("systemctl", "daemon-reload"))


@dataclass(frozen=True, slots=True)
class FileIs:
    """A file holds this text, and systemd has read it."""

    host: str
    path: str
    mode: str = "0644"
    content: str = "new"
    title = "the file is new"

    @property
    def write(self) -> WriteFile:
        return WriteFile(self.path, self.content, "old", mode=self.mode)

    def reads(self) -> tuple[Command, ...]:
        return (read("cat", self.path),)

    def facts(self, outputs: Sequence[Output]) -> str:
        return outputs[0].stdout

    def plan(self, facts: str) -> Change | None:
        actions = Action(self.write, self.write.undo), Action(RELOAD, harmless=True)
        return Change(self.title, actions) if facts != self.content else None


def file_host(*steps: FileIs, **flags: str) -> FakeShell:
    """A host with files that really change when they are renamed."""
    shell = flag_host(**flags)
    for step in steps:
        here = step.reads()[0].argv
        shell.answers[here] = said("old")
        shell.effects[step.write.commands[-1].argv] = {here: said(step.content)}
        shell.effects[step.write.undo.argv] = {here: said("old")}
    return shell


def test_a_file_and_the_commands_and_reads_after_it_are_one_round_trip() -> None:
    step = FileIs("h1", "/etc/f")
    shell = file_host(step)
    run, record = run_of(step, on={"h1": shell})
    run.carry_out()
    assert shell.round_trips == 2  # read; write, reload and verify
    assert shell.commands[1:] == [*step.write.commands, RELOAD, *step.reads()]
    assert record.journal == [("started", 0, 0), ("started", 0, 1), ("done", 0, 0), ("done", 0, 1)]


@pytest.mark.parametrize("step", [FileIs("h1", "/etc/f", "0640"), FileIs("h1", "/etc/f", content="a\0b")])
def test_a_file_that_may_not_be_in_a_script_is_written_by_itself(step: FileIs, monkeypatch: pytest.MonkeyPatch) -> None:
    shell, rows = file_host(step), []
    right = shell.run_in_order

    def seen(commands: Sequence[Command], reads: Sequence[Command] = ()) -> Any:
        rows.extend(commands)
        return right(commands, reads)

    monkeypatch.setattr(shell, "run_in_order", seen)
    run, record = run_of(step, on={"h1": shell})
    run.carry_out()
    assert rows == [RELOAD]
    assert shell.commands[1:] == [*step.write.commands, RELOAD, *step.reads()]
    assert shell.round_trips == 2 + len(step.write.commands)
    assert record.journal == [("started", 0, 0), ("done", 0, 0), ("started", 0, 1), ("done", 0, 1)]


@pytest.mark.parametrize("mode", ["0644", "0640"])
def test_a_file_that_cannot_be_written_fails_its_step(mode: str) -> None:
    step = FileIs("h1", "/etc/f", mode)
    shell, (write,) = file_host(step, a="off"), step.write.commands
    shell.answers[write.argv] = said(exit_status=1, stderr="no space left on device")
    run, record = run_of(FlagSet("h1", "a"), step, on={"h1": shell})
    with pytest.raises(CommandFailed, match="no space left on device") as caught:
        run.carry_out()
    assert caught.value.argv == write.argv
    assert step.write.undo.argv not in shell.ran
    assert RELOAD.argv not in shell.ran
    assert ran(shell, "clear") == [("clear", "a")], "what came before it is undone, and the file is not"
    assert ("failed", 1, 0) in record.journal
    assert {kind for kind, *action in record.journal if action == [1, 1]} <= {"started"}


def test_a_file_that_was_written_is_undone_when_what_comes_after_it_fails() -> None:
    step = FileIs("h1", "/etc/f")
    shell = file_host(step)
    shell.answers[RELOAD.argv] = said(exit_status=1, stderr="bus is gone")
    run, record = run_of(step, on={"h1": shell})
    with pytest.raises(CommandFailed, match="bus is gone"):
        run.carry_out()
    assert shell.ran[-1] == step.write.undo.argv
    assert record.journal[2:] == [("done", 0, 0), ("failed", 0, 1)]
    assert shell.answers[step.reads()[0].argv] == said("old")


def test_a_scratch_file_that_was_begun_is_undone() -> None:
    class Scratch(FileIs):
        def plan(self, facts: str) -> Change | None:
            return Change(self.title, (Action(self.write, self.write.undo, scratch=True),))

    step = Scratch("h1", "/etc/f")
    shell = file_host(step)
    shell.answers[step.write.commands[0].argv] = said(exit_status=1, stderr="no space left on device")
    run, record = run_of(step, on={"h1": shell})
    with pytest.raises(CommandFailed):
        run.carry_out()
    assert record.undone == [(0, "")]


def test_a_connection_that_is_lost_while_a_file_is_written_undoes_nothing() -> None:
    step = FileIs("h1", "/etc/f")
    shell = file_host(step)
    shell.answers[step.write.commands[0].argv] = Unreachable("h1 went away")
    run, record = run_of(step, on={"h1": shell})
    with pytest.raises(LostTouch):
        run.carry_out()
    assert record.journal == [("started", 0, 0), ("started", 0, 1)]
    assert step.write.undo.argv not in shell.ran


def test_files_of_several_jobs_are_written_together() -> None:
    steps = [FileIs("h1", "/etc/f"), FlagSet("h1", "a"), FileIs("h1", "/etc/g")]
    shell = file_host(steps[0], steps[2], a="off")  # type: ignore[arg-type]
    shell.answers[RELOAD.argv] = said("reloaded")
    needed = {place: found.change for place, found in look(shell, steps).items() if found.change}
    found = apply(shell, steps, needed)
    assert shell.round_trips == 2
    assert {place: [one.stdout for one in it.outputs] for place, it in found.items()} == {
        0: ["", "reloaded"], 1: [""], 2: ["", "reloaded"]
    }  # fmt: skip


# Taking back


@dataclass(frozen=True, slots=True)
class BothFlags:
    """Two flags are on; facts are the names of those that are not."""

    host: str
    names: tuple[str, str]
    title = "both flags are on"

    def reads(self) -> tuple[Command, ...]:
        return tuple(Command(("get", name)) for name in self.names)

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        return tuple(name for name, output in zip(self.names, outputs, strict=True) if output.stdout != "on")

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        actions = (Action(Command(("set", name)), Command(("clear", name))) for name in facts)
        return Change(self.title, tuple(actions)) if facts else None


UNIT = "job-0-0a1b2c3d"
COPYING = Journal(unknown=(Undoable(0, 0, "h1", Command(("rm", "a")), scratch=True, unit=UNIT),))


def test_a_cancelled_job_stops_the_unit_of_an_earlier_attempt_and_then_undoes_it() -> None:
    shell = flag_host(a="off")
    run, _ = run_of(FlagCopied("h1", "a"), on={"h1": shell}, journal=COPYING, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        run.carry_out()
    assert shell.ran == [("stop", UNIT), ("rm", "a")]


def test_a_unit_that_does_not_go_is_left_and_nothing_is_undone_behind_its_back() -> None:
    shell = flag_host(a="off")
    shell.answers["stop", UNIT] = said(exit_status=1, stderr="the unit is still there")
    run, record = run_of(FlagCopied("h1", "a"), on={"h1": shell}, journal=COPYING, cancelled=lambda: True)
    with pytest.raises(NotTakenBack, match=r"cancelled before.*log says what is left"):
        run.carry_out()
    assert ran(shell, "rm") == []
    assert "still there" in record.undone[0][1]


def test_a_host_that_is_lost_while_its_unit_is_stopped_is_waited_for() -> None:
    shell = flag_host(a="off")
    shell.answers["stop", UNIT] = Unreachable("h1 went away")
    with pytest.raises(LostTouch):
        taken_back(COPYING, shell, FlagCopied("h1", "a"))
    assert ran(shell, "rm") == []


def test_a_defect_while_a_unit_is_followed_stops_it() -> None:
    shell = flag_host(a="off")
    shell.answers["copy", "a"] = said("a line")
    run, record = run_of(FlagCopied("h1", "a"), on={"h1": shell})
    record.output = lambda *_: (_ for _ in ()).throw(OSError("database is locked"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="database is locked"):
        run.carry_out()
    assert ran(shell, "stop", "rm") == [("stop", shell.units[0]), ("rm", "a")]


def test_a_copy_that_is_started_again_is_taken_back_once() -> None:
    shell, step = flag_host(a="off"), FlagCopied("h1", "a")
    shell.answers["copy", "a"] = Unreachable("h1 went away")
    with pytest.raises(LostTouch):
        run_of(step, on={"h1": shell})[0].carry_out()
    journal = Journal(unknown=(Undoable(0, 0, "h1", Command(("rm", "a")), scratch=True, unit=shell.units[0]),))
    shell.answers["copy", "a"] = said(exit_status=1, stderr="no space left")
    run, record = run_of(step, on={"h1": shell}, journal=journal)
    with pytest.raises(CommandFailed):
        run.carry_out()
    assert record.undone == [(0, "")]


def test_what_an_earlier_attempt_did_is_taken_back_although_no_lane_came_to_it() -> None:
    shell = flag_host(a="on", b="on")
    journal = Journal(done=(cleared(0, "a"),), unknown=(cleared(1, "b"),))
    run, _ = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, journal=journal, cancelled=lambda: True)
    with pytest.raises(Cancelled) as caught:
        run.carry_out()
    assert ran(shell, "clear") == [("clear", "b"), ("clear", "a")]
    assert "was taken back" in caught.value.__notes__[0]


def test_of_a_step_that_was_done_in_part_that_part_is_undone() -> None:
    shell = flag_host(a="on", b="off")
    journal = Journal(unknown=(cleared(0, "a"), Undoable(0, 1, "h1", Command(("clear", "b")))))
    assert taken_back(journal, shell, BothFlags("h1", ("a", "b"))) == (True, [(0, "")])
    assert ran(shell, "clear") == [("clear", "a")]


def test_what_nobody_can_judge_is_told_and_the_others_are_undone() -> None:
    shell = flag_host(a="on", b="broken")
    journal = Journal(done=(cleared(0, "a"),), unknown=(cleared(1, "b"),))
    complete, told = taken_back(journal, shell, FlagSet("h1", "a"), FlagSet("h1", "b"))
    assert not complete
    assert told == [(1, "whether it was done cannot be told: b is broken"), (0, "")]
    assert ran(shell, "clear") == [("clear", "a")]


def test_a_host_that_cannot_be_reached_for_judging_is_waited_for() -> None:
    shell = flag_host(a="on")
    shell.answers["get", "a"] = NotConnected("h1: connection refused")
    with pytest.raises(LostTouch):
        taken_back(Journal(unknown=(cleared(0, "a"),)), shell, FlagSet("h1", "a"))


def test_what_is_taken_back_already_is_not_a_failure() -> None:
    shell = flag_host(a="off", b="on")
    shell.answers["clear", "a"] = shell.answers["clear", "b"] = said(exit_status=1, stderr="cannot")
    done = Journal(done=(cleared(0, "a"), cleared(1, "b")))
    assert taken_back(done, shell, FlagSet("h1", "a"), FlagSet("h1", "b")) == (False, [(1, "cannot"), (0, "")])


def test_an_action_that_is_done_again_is_undone_once() -> None:
    shell = flag_host(a="off", b="broken")
    run, record = run_of(
        FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, journal=Journal(done=(cleared(0, "a"),))
    )
    with pytest.raises(Refused):
        run.carry_out()
    assert record.undone == [(0, "")]


@pytest.mark.parametrize(("harmless", "note"), [(False, "Not all"), (True, "was taken back")])
def test_what_has_no_undo_is_not_said_to_be_taken_back_unless_nobody_misses_that(harmless: bool, note: str) -> None:
    shell = flag_host(a="off", b="broken")
    run, record = run_of(FlagForGood("h1", "a", harmless), FlagSet("h1", "b"), on={"h1": shell})
    with pytest.raises(Refused) as caught:
        run.carry_out()
    assert note in caught.value.__notes__[0]
    assert record.undone == [(0, "")]


def test_it_is_told_before_anything_is_taken_back() -> None:
    shell = flag_host(a="off", b="broken")
    told: list[str] = []

    def giving_up(reason: Exception, done: Journal) -> None:
        assert ran(shell, "clear") == []
        told.append(str(reason))

    run, _ = run_of(FlagSet("h1", "a"), FlagSet("h1", "b"), on={"h1": shell}, giving_up=giving_up)
    with pytest.raises(Refused):
        run.carry_out()
    assert told == ["b is broken"]
    assert ran(shell, "clear") == [("clear", "a")]


@pytest.mark.parametrize("names", [("h1",), ("h1", "h2", "h3")])
def test_of_several_hosts_the_one_that_fell_silent_is_named(names: tuple[str, ...]) -> None:
    def work(host: str, lane: str) -> None:
        if host == "h1":
            raise Unreachable("it does not answer")

    (error,) = side_by_side(work, {name: name for name in names})
    assert isinstance(error, Unreachable) and error.host == "h1"
