"""Carry out actions on one host: short commands together in one round trip, everything else by itself."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from datastores.domain.errors import CloudstoreError, CommandFailed, LostTouch, Unreachable
from datastores.domain.plan import Action, Command, Detached, EditLines, OnOutput, Output, Shell, WriteFile, encode
from datastores.hosts.journal import Ledger, Recorder, Undoable

SHORT_SECONDS = 60.0
"""A command that may take longer is run by itself, so that its output can be followed."""

SMALL = 16 << 10
"""Bytes of a file that goes with other commands, all of which have to fit into one command line."""

OTHERS_READ = 0o004


@dataclass(frozen=True, slots=True)
class Executor:
    """Carries out the actions of steps on one host.

    ``unit`` and ``cancelled`` are those of ``Run``, ``told`` is that of ``Journal``. ``ledger`` gets what an undo has
    to look at.
    """

    shell: Shell
    recorder: Recorder
    unit: str
    cancelled: Callable[[], bool]
    told: Mapping[int, int]
    ledger: Ledger

    def carry_out(self, index: int, number: int, actions: Sequence[Action], reads: Sequence[Command]) -> list[Output]:
        """Carry out the actions of a step, numbered from ``number`` on. Return what ``reads`` say afterwards.

        :raises LostTouch: how far an action got is unknown.
        :raises CloudstoreError: an action failed; those after it were not begun.
        """
        found: list[Output] = []
        for first, group in together(actions, number):
            self.recorder.actions_started(index, first, group, self._unit(index, group[0]))
            self.ledger.start_again(self._entries(index, first, group), number)
            if is_short(group[0]):
                is_last = first + len(group) == number + len(actions)
                found = self._in_order(index, first, group, reads if is_last else ())
            else:
                self._by_itself(index, first, group[0])
                found = []
        return found if len(found) == len(reads) else self.shell.run_many(reads)

    def _by_itself(self, index: int, number: int, action: Action) -> None:
        """Carry out one action that may take long, or whose input is not for everybody on the host to see."""
        try:
            output = self._perform(index, number, action)
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        except CloudstoreError as error:
            self._keep(index, number, action, begun=True)
            self.recorder.action_ended(index, number, None, str(error))
            raise
        except Exception:
            self.ledger.doubt([self._entry(index, number, action)])
            raise
        self._keep(index, number, action)
        self.recorder.action_ended(index, number, output)

    def _in_order(self, index: int, first: int, actions: Sequence[Action], reads: Sequence[Command]) -> list[Output]:
        """Carry out short actions, and then ``reads``, in one round trip. Return what the reads said, if they came."""
        commands = [command for action in actions for command in short_commands(action)]
        try:
            outputs, found = self.shell.run_in_order(commands, reads)
        except Unreachable as error:
            raise LostTouch(str(error)) from error
        except Exception:
            self.ledger.doubt(self._entries(index, first, actions))
            raise
        ran = list(outcomes(actions, iter(outputs)))
        for number, (action, _, output) in enumerate(ran, first):
            self._keep(index, number, action, begun=not output.ok)
        for number, (_, command, output) in enumerate(ran, first):
            if output.stdout:
                self.recorder.output(index, output.stdout)
            try:
                self._checked(command, output)
            except CommandFailed as error:
                self.recorder.action_ended(index, number, None, str(error))
                raise
            self.recorder.action_ended(index, number, output)
        return found

    def _keep(self, index: int, number: int, action: Action, *, begun: bool = False) -> None:
        """Note an action for an undo. One that has only ``begun`` is noted when it is scratch, or final.

        The unit of one that has begun is noted too: what failed may have been the stopping of it.
        """
        entry = self._entry(index, number, action)
        if not begun:
            self.ledger.add(replace(entry, unit=""))
        elif action.scratch or action.final:
            self.ledger.add(replace(entry, refused=not entry.unit))

    def _entry(self, index: int, number: int, action: Action) -> Undoable:
        marks = action.scratch, action.final, action.harmless
        return Undoable(index, number, self.shell.host, action.undo, *marks, self._unit(index, action))

    def _entries(self, index: int, first: int, actions: Sequence[Action]) -> list[Undoable]:
        return [self._entry(index, number, action) for number, action in enumerate(actions, first)]

    def _unit(self, index: int, action: Action) -> str:
        return f"{self.unit}-{index}-{digest(action.do)}" if isinstance(action.do, Detached) else ""

    def _perform(self, index: int, number: int, action: Action) -> Output:
        operation = action.do
        if isinstance(operation, Detached):
            output = self.shell.run_detached(
                self._unit(index, action),
                operation,
                on_output=beyond(self.told.get(index, 0), partial(self.recorder.output, index)),
                on_progress=partial(self.recorder.progress, index),
                on_news=partial(self.recorder.news, index),
                cancelled=self.cancelled,
            )
            return self._checked(operation.command, output)
        if isinstance(operation, WriteFile):
            for command in operation.commands:
                output = self._checked(command, self.shell.run(command))
            return output
        if isinstance(operation, EditLines):
            operation = operation.command
        return self._checked(operation, self.shell.run(operation, on_output=partial(self.recorder.output, index)))

    def _checked(self, command: Command, output: Output) -> Output:
        if not output.ok:
            raise CommandFailed(command.argv, output.exit_status, output.stderr or output.stdout, self.shell.host)
        return output


def together(actions: Sequence[Action], number: int) -> Iterator[tuple[int, list[Action]]]:
    """Group neighbouring short actions, numbered from ``number`` on; yield each group with its first number."""
    for short, group in itertools.groupby(actions, key=is_short):
        members = list(group)
        for part in [members] if short else [[member] for member in members]:
            yield number, part
            number += len(part)


def is_short(action: Action) -> bool:
    """Tell whether the action can share a round trip with others."""
    return bool(short_commands(action))


def short_commands(action: Action) -> tuple[Command, ...]:
    """Return the commands of an action that can share a round trip with others; none when it goes by itself."""
    match action.do:
        case EditLines(command=Command(stdin="", timeout=seconds) as command) if seconds <= SHORT_SECONDS:
            return (command,)
        case Command(stdin="", timeout=seconds) as command if seconds <= SHORT_SECONDS:
            return (command,)
        case WriteFile() as file if may_be_seen(file):
            return file.commands
    return ()


def may_be_seen(file: WriteFile) -> bool:
    """Tell whether a small file may be in a script, which everybody on the host can see while it runs."""
    content = encode(file.content)
    return bool(int(file.mode, 8) & OTHERS_READ) and len(content) <= SMALL and "\0" not in content


def outcomes(actions: Sequence[Action], said: Iterator[Output]) -> Iterator[tuple[Action, Command, Output]]:
    """Yield each short action that was begun, with the last of its commands that ran, and what that one said.

    ``said``: what ``Shell.run_in_order`` says for the commands of all of them, so a command that failed is the last.
    """
    for action in actions:
        ran = list(zip(short_commands(action), said, strict=False))
        if not ran:
            return
        yield action, *ran[-1]


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
