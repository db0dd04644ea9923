"""A host made of a dictionary: argv -> Output, recorded or written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import Command, Detached, OnNews, OnOutput, OnProgress, Output

Argv: TypeAlias = tuple[str, ...]
Answer: TypeAlias = Output | Exception
"""What a command says; an exception is raised instead (``Unreachable``: the connection is lost)."""


def said(text: str = "", *, exit_status: int = 0, stderr: str = "") -> Output:
    """Return the Output of a command that printed ``text``."""
    return Output(exit_status, text.encode(), stderr)


class FakeShell:
    """A ``Shell`` that answers from ``answers`` and remembers what it was asked.

    ``effects``: running that argv changes the answers, as a real host would after a writing command.
    ``run`` takes an unknown argv for a writing command that succeeds, unless ``strict``; ``run_many`` never
    does, because an unanswered read would look like an empty host. Input is refused where a real shell refuses it.
    """

    def __init__(
        self,
        host: str = "h1",
        answers: Mapping[Argv, Answer] | None = None,
        effects: Mapping[Argv, Mapping[Argv, Answer]] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.host = host
        self.answers: dict[Argv, Answer] = dict(answers or {})
        self.effects = dict(effects or {})
        self.strict = strict
        self.commands: list[Command] = []
        self.units: list[str] = []
        """The units that were started, or attached to."""
        self.round_trips = 0
        self.warm = True

    @property
    def ran(self) -> list[Argv]:
        """Every argv in the order of arrival, reads too."""
        return [command.argv for command in self.commands]

    def run(self, command: Command, *, on_output: OnOutput | None = None) -> Output:
        self.round_trips += 1
        return self._answer(command, on_output, strict=self.strict)

    def run_many(self, commands: Sequence[Command]) -> list[Output]:
        _check_input((), commands)
        self.round_trips += 1
        return [self._answer(command, None, strict=True) for command in commands]

    def run_in_order(
        self, commands: Sequence[Command], reads: Sequence[Command] = ()
    ) -> tuple[list[Output], list[Output]]:
        _check_input(commands, reads)
        self.round_trips += 1
        outputs: list[Output] = []
        for command in commands:
            outputs.append(self._answer(command, None, strict=self.strict))
            if not outputs[-1].ok:
                return outputs, []
        return outputs, [self._answer(command, None, strict=True) for command in reads]

    def run_detached(
        self,
        unit: str,
        detached: Detached,
        *,
        on_output: OnOutput,
        on_progress: OnProgress,
        on_news: OnNews,
        cancelled: Callable[[], bool],
    ) -> Output:
        self.units.append(unit)
        output = self.run(detached.command, on_output=on_output)
        if output.ok and detached.total:
            on_progress(detached.total, detached.total)
        return output

    def forget_unit(self, unit: str) -> None:
        """Stands in ``ran`` as ``("stop", unit)``."""
        output = self.run(Command(("stop", unit)))
        if not output.ok:
            raise CommandFailed(("stop", unit), output.exit_status, output.stderr, self.host)

    def _answer(self, command: Command, on_output: OnOutput | None, *, strict: bool) -> Output:
        self.commands.append(command)
        if strict and command.argv not in self.answers:
            raise AssertionError(f"{self.host} was asked something that the test did not expect: {command.argv}")
        answer = self.answers.get(command.argv, Output(0))
        if isinstance(answer, Exception):
            raise answer
        if answer.ok:
            self.answers.update(self.effects.get(command.argv, {}))
        if on_output and answer.stdout:
            on_output(answer.stdout)
        return answer


def _check_input(commands: Sequence[Command], reads: Sequence[Command]) -> None:
    if any(command.stdin and (command.secret or "\0" in command.stdin) for command in commands):
        raise BadInput("an input that cannot go into a script")
    if any(command.stdin for command in reads):
        raise BadInput("a read with input")
