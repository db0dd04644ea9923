"""Carry out a plan. The only module that applies, verifies and undoes.

Inside a stage every host is a lane: lanes run side by side, the steps of a lane in order. All reads that a
lane needs go in one round trip; after a change the step is read again (that is the verification) together
with the next one.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, Protocol

from datastores.domain.errors import (
    Cancelled,
    CloudstoreError,
    CommandFailed,
    NotVerified,
    Refused,
    StalePlan,
    Unreachable,
)
from datastores.domain.plan import (
    Action,
    AnyStep,
    Change,
    Command,
    Detached,
    OnOutput,
    Output,
    Plan,
    Shell,
    WriteFile,
)
from datastores.domain.states import StepState

READ_AHEAD = 64
"""Steps of a lane that are read in one round trip."""
LANES = 64
"""Hosts that are worked on side by side."""
TAKEN_BACK = "What the job had done before was taken back."
LEFT = "Not all that the job had done could be taken back; its log says what is left."

Connect = Callable[[str], Shell]
Numbered = tuple[int, AnyStep]


class Recorder(Protocol):
    """Who is told what happens. All methods may be called from several threads."""

    def lane(self, host: str) -> AbstractContextManager[object]:
        """Surround the work of one lane in its thread."""

    def facts(self, host: str, reads: int, seconds: float) -> None: ...

    def step(self, index: int, state: StepState, message: str = "") -> None: ...

    def actions_started(self, index: int, first: int, actions: Sequence[Action]) -> None:
        """Return only when the actions and their undos are stored: they are the journal after a crash."""

    def action_ended(self, index: int, number: int, output: Output | None, error: str = "") -> None: ...

    def output(self, index: int, text: str) -> None: ...

    def progress(self, index: int, done: int, total: int) -> None: ...

    def undo(self, entry: Undoable, error: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Undoable:
    """An action that succeeded (or, for a scratch one, may have begun) and how to take it back."""

    index: int
    number: int
    host: str
    undo: Command | None
    scratch: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What one step would do now; ``refused`` says why it cannot."""

    change: Change | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """What earlier attempts of the same job left: actions done, and actions whose outcome is unknown."""

    done: tuple[Undoable, ...] = ()
    unknown: tuple[Undoable, ...] = ()
    told: Mapping[int, int] = field(default_factory=dict)
    """By step: lines of output, kept already, of a detached command that may run on."""

    @property
    def touched(self) -> frozenset[int]:
        """The steps that an earlier attempt began."""
        return frozenset(entry.index for entry in (*self.done, *self.unknown))

    @property
    def settled_before(self) -> int:
        """Steps below this number are past: something was destroyed after them, so they must not be judged again."""
        return max((entry.index for entry in (*self.done, *self.unknown) if entry.final), default=0)

    def next_number(self, index: int) -> int:
        """Return the number of a step's next action; none is ever used twice."""
        return max((entry.number for entry in (*self.done, *self.unknown) if entry.index == index), default=-1) + 1


def read(shell: Shell, steps: Iterable[AnyStep]) -> list[Any]:
    """Return the facts of ``steps``, all of one host, in one round trip."""
    steps = list(steps)
    wanted = [step.reads() for step in steps]
    outputs = iter(shell.run_many([command for commands in wanted for command in commands]))
    return [step.facts([next(outputs) for _ in commands]) for step, commands in zip(steps, wanted, strict=True)]


def number_plan(plan: Plan) -> list[list[Numbered]]:
    """Return the stages with each step's number in the whole plan."""
    counter = iter(range(sum(len(stage.steps) for stage in plan)))
    return [[(next(counter), step) for step in stage.steps] for stage in plan]


def lanes_of(steps: Iterable[Numbered]) -> dict[str, list[Numbered]]:
    """Group numbered steps by host; the order on each host is kept."""
    lanes: dict[str, list[Numbered]] = {}
    for index, step in steps:
        lanes.setdefault(step.host, []).append((index, step))
    return lanes


def side_by_side(work: Callable[[str, Any], None], lanes: dict[str, Any]) -> list[Exception]:
    """Call ``work(host, lane)`` for every lane; return what was raised. One lane stays in this thread."""
    errors: list[Exception] = []

    def guarded(host: str) -> None:
        try:
            work(host, lanes[host])
        except Exception as error:  # raised again by the caller, when every lane has come to rest
            errors.append(error)

    if len(lanes) < 2:
        for host in lanes:
            guarded(host)
    else:
        with ThreadPoolExecutor(min(LANES, len(lanes)), thread_name_prefix="lane") as pool:
            list(pool.map(guarded, lanes))
    return errors


def preview(plan: Plan, connect: Connect, recorder: Recorder) -> list[Preview]:
    """Return what every step would do now. Reads hosts, writes nothing.

    :raises CloudstoreError: a host could not be read at all.
    """
    previews: dict[int, Preview] = {}

    def look(host: str, lane: list[Numbered]) -> None:
        with recorder.lane(host):
            shell = connect(host)
            started = time.monotonic()
            facts = read(shell, (step for _, step in lane))
            recorder.facts(host, len(lane), time.monotonic() - started)
            for (index, step), found in zip(lane, facts, strict=True):
                previews[index] = plan_or_refusal(step, found)

    for stage in number_plan(plan):
        errors = side_by_side(look, lanes_of(stage))
        if errors:
            raise errors[0]
    return [previews[index] for index in sorted(previews)]


def plan_or_refusal(step: AnyStep, facts: Any) -> Preview:
    try:
        return Preview(step.plan(facts))
    except Refused as refusal:
        return Preview(refused=str(refusal))


@dataclass(slots=True)
class Run:
    """One attempt at a plan.

    ``approves``: tells whether a person agreed to this change of the step with this number.
    ``unit``: prefix of the names of transient systemd units, the same in every attempt of a job.
    After :meth:`carry_out`, ``facts`` holds what was read last of every step.
    """

    plan: Plan
    connect: Connect
    recorder: Recorder
    unit: str
    approves: Callable[[int, Change], bool] = lambda index, change: True
    journal: Journal = field(default_factory=Journal)
    cancelled: Callable[[], bool] = lambda: False
    facts: dict[int, Any] = field(default_factory=dict)
    done: list[Undoable] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def carry_out(self) -> None:
        """Apply, stage by stage. On a failure undo in reverse what this job did, then raise.

        A host that stopped answering is different: what it did is unknown, so nothing is undone until it
        can be read again.

        :raises Unreachable: interrupted; facts will decide when the job is resumed.
        :raises CloudstoreError: failed, undone; a note says whether all of it.
        """
        self.done = list(self.journal.done)
        for stage in number_plan(self.plan):
            ahead = ((index, step) for index, step in stage if index >= self.journal.settled_before)
            errors = side_by_side(self._run_lane, lanes_of(ahead))
            if errors:
                self._give_up(errors)

    def _give_up(self, errors: list[Exception]) -> None:
        lost = [error for error in errors if isinstance(error, LostTouch)]
        if lost:
            raise lost[0]
        scratch = [entry for entry in self.journal.unknown if entry.scratch and entry not in self.done]
        begun = [*scratch, *self.done]
        taken_back = undo(begun, self.connect, self.recorder)
        worst = [error for error in errors if not isinstance(error, CloudstoreError)]
        asked = [error for error in errors if not isinstance(error, Cancelled)]
        error = (worst or asked or errors)[0]
        if begun:
            error.add_note(TAKEN_BACK if taken_back else LEFT)
        raise error

    def _run_lane(self, host: str, lane: list[Numbered]) -> None:
        with self.recorder.lane(host):
            try:
                Lane(self, self.connect(host), lane).work()
            except Unreachable as error:
                self._stop.set()
                if any(entry.host == host for entry in (*self.done, *self.journal.unknown)):
                    raise LostTouch(str(error)) from error
                raise
            except Exception:
                self._stop.set()
                raise

    def check(self, title: str) -> None:
        """Raise Cancelled when an operator asked for it or another lane has failed."""
        if self._stop.is_set():
            raise Cancelled(f"stopped before: {title}, because another host failed")
        if self.cancelled():
            raise Cancelled(f"cancelled before: {title}")


class LostTouch(Unreachable):
    """The host went away when something had been done on it: facts have to decide later."""


@dataclass(slots=True)
class Lane:
    """The steps of one host in one stage."""

    run: Run
    shell: Shell
    steps: list[Numbered]
    known: dict[int, Any] = field(default_factory=dict)

    def work(self) -> None:
        for position, (index, step) in enumerate(self.steps):
            self.run.check(step.title)
            if index not in self.known:
                self._read(self.steps[position : position + READ_AHEAD], announce=True)
            try:
                self._satisfy(position, index, step)
            except Unreachable:
                self.run.recorder.step(index, StepState.UNKNOWN, "the connection was lost: outcome unknown")
                raise
            except CloudstoreError as error:
                self.run.recorder.step(index, StepState.FAILED, str(error))
                raise
            self.run.facts[index] = self.known[index]

    def _read(self, steps: list[Numbered], *, announce: bool = False) -> None:
        started = time.monotonic()
        facts = read(self.shell, (step for _, step in steps))
        self.known.update(zip((index for index, _ in steps), facts, strict=True))
        if announce:
            self.run.recorder.facts(self.shell.host, len(steps), time.monotonic() - started)

    def _satisfy(self, position: int, index: int, step: AnyStep) -> None:
        change = step.plan(self.known[index])
        self._settle(index, change.actions if change else ())
        if change is None:
            before = index in self.run.journal.touched
            self.run.recorder.step(index, StepState.CHANGED if before else StepState.UNCHANGED)
            return
        self._check_approval(index, step, change)
        self.run.recorder.step(index, StepState.RUNNING, change.summary)
        self.known.clear()
        ahead = self.steps[position : position + 2]
        number = self.run.journal.next_number(index)
        for first, actions in together(change.actions, number):
            self.run.recorder.actions_started(index, first, actions)
            if len(actions) > 1 or is_short(actions[0]):
                last = first + len(actions) == number + len(change.actions)
                self._act_in_order(index, first, actions, ahead if last else [])
            else:
                self._act(index, first, actions[0])
        if index not in self.known:
            self._read(ahead)
        if step.plan(self.known[index]) is not None:
            raise NotVerified(f"{step.title}: the commands succeeded, yet {self.shell.host} is not so.")
        self.run.recorder.step(index, StepState.CHANGED)

    def _settle(self, index: int, needed: Sequence[Action]) -> None:
        """What an earlier attempt began, and is not needed any more, was done by it, and can be undone."""
        again = {action.undo for action in needed}
        unknown = [entry for entry in self.run.journal.unknown if entry.index == index]
        self.run.done.extend(entry for entry in unknown if entry.undo not in again)

    def _check_approval(self, index: int, step: AnyStep, change: Change) -> None:
        if index in self.run.journal.touched or self.run.approves(index, change):
            return
        raise StalePlan(
            f"{step.title}: {self.shell.host} is not as it was when the plan was approved. "
            "Nothing of this step was done; plan again to see what has changed."
        )

    def _act(self, index: int, number: int, action: Action) -> None:
        """Perform one action that may take long, has input, or is more than a command."""
        try:
            output = self._perform(index, number, action)
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        except CloudstoreError as error:
            self._went_wrong(index, number, action, error)
        self._went_well(index, number, action, output)

    def _act_in_order(self, index: int, first: int, actions: Sequence[Action], ahead: list[Numbered]) -> None:
        """Run short commands, and then the reads of the steps ``ahead``, in one round trip."""
        commands = [action.do for action in actions if isinstance(action.do, Command)]
        wanted = [step.reads() for _, step in ahead]
        try:
            outputs, found = self.shell.run_in_order(commands, [command for reads in wanted for command in reads])
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        for number, (action, command, output) in enumerate(zip(actions, commands, outputs, strict=False), first):
            if output.stdout:
                self.run.recorder.output(index, output.stdout)
            try:
                self._checked(command, output)
            except CommandFailed as error:
                self._went_wrong(index, number, action, error)
            self._went_well(index, number, action, output)
        self._remember(ahead, wanted, found)

    def _remember(self, steps: list[Numbered], wanted: list[tuple[Command, ...]], found: list[Output]) -> None:
        outputs = iter(found)
        for (index, step), reads in zip(steps, wanted, strict=True):
            self.known[index] = step.facts([next(outputs) for _ in reads])

    def _went_well(self, index: int, number: int, action: Action, output: Output) -> None:
        entry = Undoable(index, number, self.shell.host, action.undo, action.scratch, action.final)
        self.run.done.append(entry)
        self.run.recorder.action_ended(index, number, output)

    def _went_wrong(self, index: int, number: int, action: Action, error: CloudstoreError) -> NoReturn:
        self.run.recorder.action_ended(index, number, None, str(error))
        if action.scratch or action.final:
            entry = Undoable(index, number, self.shell.host, action.undo, action.scratch, action.final)
            self.run.done.append(entry)
        raise error

    def _perform(self, index: int, number: int, action: Action) -> Output:
        operation = action.do
        if isinstance(operation, Detached):
            output = self.shell.run_detached(
                f"{self.run.unit}-{index}-{digest(operation)}",
                operation,
                on_output=beyond(self.run.journal.told.get(index, 0), partial(self.run.recorder.output, index)),
                on_progress=lambda done, total: self.run.recorder.progress(index, done, total),
                cancelled=self.run.cancelled,
            )
            return self._checked(operation.command, output)
        if isinstance(operation, WriteFile):
            for command in operation.commands:
                output = self._checked(command, self.shell.run(command))
            return output
        output = self.shell.run(operation, on_output=lambda text: self.run.recorder.output(index, text))
        return self._checked(operation, output)

    def _checked(self, command: Command, output: Output) -> Output:
        if not output.ok:
            raise CommandFailed(command.argv, output.exit_status, output.stderr or output.stdout, self.shell.host)
        return output


SHORT_SECONDS = 60.0
"""A command that may take longer is run by itself, so that its output can be followed."""


def is_short(action: Action) -> bool:
    """Tell whether the action is a command that can share a round trip with others."""
    return isinstance(action.do, Command) and not action.do.stdin and action.do.timeout <= SHORT_SECONDS


def digest(operation: Detached) -> str:
    """Return what tells a detached command from others, so that the next attempt attaches to the same unit."""
    return hashlib.sha256("\0".join(operation.command.argv).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def beyond(lines: int, on_output: OnOutput) -> OnOutput:
    """Return ``on_output`` without the first so many lines: an earlier attempt has told them."""
    left = lines

    def tell(text: str) -> None:
        nonlocal left
        while left and text:
            _, newline, text = text.partition("\n")
            left -= len(newline)
        if text:
            on_output(text)

    return tell


def together(actions: Sequence[Action], number: int) -> Iterator[tuple[int, list[Action]]]:
    """Group neighbouring short actions, numbered from ``number`` on; yield each group with its first number."""
    for short, group in itertools.groupby(actions, key=is_short):
        members = list(group)
        for part in [members] if short else [[member] for member in members]:
            yield number, part
            number += len(part)


def settled(plan: Plan, unknown: Sequence[Undoable], connect: Connect) -> list[Undoable]:
    """Ask the hosts how the actions of unknown outcome ended; return those that have to be undone.

    An action whose step is true now was done; a scratch one may always be undone.

    :raises Unreachable: a host cannot be read yet.
    """
    steps = [step for stage in plan for step in stage.steps]

    def happened(entry: Undoable) -> bool:
        step = steps[entry.index]
        return entry.scratch or plan_or_refusal(step, read(connect(entry.host), [step])[0]) == Preview()

    return [entry for entry in unknown if happened(entry)]


def undo(done: Sequence[Undoable], connect: Connect, recorder: Recorder) -> bool:
    """Take back each action, last of the plan first; hosts side by side. Return whether all of it was taken back.

    What has no undo, and what came before an action that destroyed something, is reported and kept; an undo that
    fails is reported, and the others go on.

    :raises LostTouch: a host went away; what is left to undo there can be undone when it is back.
    """
    done = sorted(done, key=lambda entry: (entry.index, entry.number))
    kept = max((place for place, entry in enumerate(done) if entry.final), default=-1) + 1
    lanes: dict[str, list[Undoable]] = {}
    for entry in reversed(done[kept:]):
        lanes.setdefault(entry.host, []).append(entry)
    incomplete = threading.Event()

    def take_back(host: str, entries: list[Undoable]) -> None:
        with recorder.lane(host):
            for entry in entries:
                if not _undo_one(entry, connect, recorder):
                    incomplete.set()

    errors = side_by_side(take_back, lanes)
    if errors:
        raise errors[0]
    for entry in reversed(done[:kept]):
        recorder.undo(replace(entry, undo=None))
    return not incomplete.is_set() and not kept


def _undo_one(entry: Undoable, connect: Connect, recorder: Recorder) -> bool:
    if entry.undo is None:
        recorder.undo(entry)
        return True
    try:
        output = connect(entry.host).run(entry.undo)
    except Unreachable as error:
        raise LostTouch(str(error)) from error
    except CloudstoreError as error:
        recorder.undo(entry, str(error))
        return False
    said = (output.stderr or output.stdout).strip() or f"exit status {output.exit_status}"
    recorder.undo(entry, "" if output.ok else said)
    return output.ok
