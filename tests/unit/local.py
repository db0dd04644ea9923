"""This machine as a host: reads and changes are real, below a directory of the test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from datastores.domain.errors import Unreachable
from datastores.domain.plan import Command, Detached, OnNews, OnOutput, OnProgress, Output


class LocalShell:
    """A ``Shell`` that runs commands here. ``before``: called before reads; ``away``: it does not answer."""

    def __init__(self, host: str, *, before: Callable[[], object] = lambda: None, away: bool = False) -> None:
        self.host, self.before, self.away = host, before, away
        self.ran: list[tuple[str, ...]] = []

    def run(self, command: Command, *, on_output: OnOutput | None = None) -> Output:
        if self.away:
            raise Unreachable(f"{self.host} does not answer.")
        self.ran.append(command.argv)
        done = subprocess.run(command.argv, input=command.stdin.encode("latin-1"), capture_output=True, check=False)
        return Output(done.returncode, done.stdout, done.stderr.decode())

    def run_many(self, commands: Sequence[Command]) -> list[Output]:
        self.before()
        return [self.run(command) for command in commands]

    def run_in_order(
        self, commands: Sequence[Command], reads: Sequence[Command] = ()
    ) -> tuple[list[Output], list[Output]]:
        outputs: list[Output] = []
        for command in commands:
            outputs.append(self.run(command))
            if not outputs[-1].ok:
                return outputs, []
        return outputs, self.run_many(reads)

    def run_detached(
        self, unit: str, detached: Detached, *, on_output: OnOutput, on_progress: OnProgress, on_news: OnNews,
        cancelled: Callable[[], bool],
    ) -> Output:  # fmt: skip
        return self.run(detached.command)

    def forget_unit(self, unit: str) -> None:
        """There is none."""
