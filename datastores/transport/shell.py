"""Run commands on a host over warm connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from datastores.domain.errors import AuthenticationFailed, CommandFailed, TimedOut, Unreachable
from datastores.domain.plan import Command, Detached, OnNews, OnOutput, OnProgress, Output
from datastores.transport.batch import ENDED, Batch, fit_together, portions
from datastores.transport.detached import Unit
from datastores.transport.endpoint import Endpoint
from datastores.transport.quoting import (
    ENVIRONMENT,
    KILL_AFTER,
    STOPPED,
    encode_input,
    encode_line,
    shell_line,
    with_deadline,
)
from datastores.transport.stream import Follower, Said

if TYPE_CHECKING:
    from datastores.transport.pool import Pool

GRACE = 10.0
"""Seconds that an answer may be later than the host's own deadline."""

_NO_SUDO = re.compile(
    r"sudo: a (password|terminal) is required.*|sudo: .*account.*expired.*|\S+ is not in the sudoers file.*"
    r"|Sorry, user .* (is not allowed to|may not) .*|sudo: (command )?not found"
)
"""What sudo says when it runs nothing. It must not pass for the command's own exit status 1: ``test -e`` would
read it as "is not there"."""


class SSHShell:
    """A ``datastores.domain.plan.Shell`` over SSH. Cheap to make; may be shared by threads."""

    def __init__(self, pool: Pool, endpoint: Endpoint, *, passing: bool = False) -> None:
        self.host = endpoint.name
        self.endpoint = endpoint
        self._pool, self._passing = pool, passing
        self._sudo = () if endpoint.is_root else ("sudo", "-n", "--")

    def __repr__(self) -> str:
        return f"<SSHShell {self.endpoint.account}@{self.endpoint.where}>"

    @property
    def warm(self) -> bool:
        """Whether a command would find a connection that is there already."""
        return self._pool.is_warm(self.endpoint)

    def run(self, command: Command, *, on_output: OnOutput | None = None) -> Output:
        """Run one command. A non-zero exit is an Output, not an error; 128 + N: ended by signal N.

        ``on_output`` gets stdout and stderr as they come; the Output then holds only the last 64 KiB of each.

        :raises TimedOut: the host ended it because its time was up.
        :raises NotConnected: nothing was run; AuthenticationFailed when sudo refuses the account.
        :raises Unreachable: the connection was lost; the outcome is unknown.
        """
        argv = with_deadline(command.argv, command.timeout)
        line = f"{ENVIRONMENT}exec {shell_line((*self._sudo, *argv) if command.root else argv)}"
        said = self._say(line, command, command.timeout + KILL_AFTER, on_output)
        stderr = said.stderr.decode("utf-8", "replace")
        if said.was_stopped(command.timeout):
            raise TimedOut(command.argv, said.status, _why_stopped(command, stderr), self.host)
        if said.status > 128 and not stderr:
            stderr = f"ended by signal {said.status - 128}"
        return Output(said.status, said.stdout, stderr)

    def run_many(self, commands: Sequence[Command]) -> list[Output]:
        """Run commands that only read, in order, in one round trip. One whose time was up gives exit status 124.

        They may run twice: when one of them hangs, all are read again with a deadline for each.

        :raises NotConnected: nothing was run; AuthenticationFailed when sudo refuses the account.
        :raises Unreachable: the connection was lost, or the host is silent.
        :raises CommandFailed: reading broke off.
        :raises BadInput: one of them has input.
        """
        return [output for portion in portions(commands) for output in self._read(portion)]

    def run_in_order(
        self, commands: Sequence[Command], reads: Sequence[Command] = ()
    ) -> tuple[list[Output], list[Output]]:
        """Run short commands in order, then reads, all in one round trip; see ``plan.Shell``.

        Together they get the time that all of them may take; a command that was ended then gives exit status 124.
        What is too much for one command line is run one command at a time, and the reads are left out.

        :raises NotConnected: nothing was run; AuthenticationFailed when sudo refuses the account.
        :raises Unreachable: the connection was lost, or the script was ended: unknown what was run.
        :raises BadInput: the input of a command is secret, or holds a NUL, or a read has input; nothing was run.
        """
        together = [*commands, *reads]
        batch = Batch(together, sudo=self._sudo, needed=len(commands))
        if not fit_together(together):
            return self._run_apart(commands), []
        said = self._run_batch(batch)
        try:
            outputs = batch.outputs(said, self.host)
        except CommandFailed as error:
            raise Unreachable(f"{error}; how far it got is unknown.") from error
        return outputs[: len(commands)], outputs[len(commands) :]

    def _run_apart(self, commands: Sequence[Command]) -> list[Output]:
        outputs: list[Output] = []
        for command in commands:
            try:
                outputs.append(self.run(command))
            except TimedOut as error:
                outputs.append(Output(ENDED, stderr=str(error)))
            if not outputs[-1].ok:
                break
        return outputs

    def _read(self, commands: list[Command]) -> list[Output]:
        batch = Batch(commands, sudo=self._sudo)
        said = self._run_batch(batch, only_reads=not batch.one_by_one)
        if not batch.one_by_one and said.was_stopped(batch.shortest):
            batch = Batch(commands, one_by_one=True, sudo=self._sudo)
            said = self._run_batch(batch)
        outputs = batch.outputs(said, self.host)
        return _explained(outputs, commands, said) if batch.one_by_one else outputs

    def _run_batch(self, batch: Batch, *, only_reads: bool = False) -> Said:
        root = any(command.root for command in batch.commands)
        return self._say(batch.line, Command(("sh",), root=root), batch.patience, only_reads=only_reads)

    def _say(
        self,
        line: str,
        command: Command,
        patience: float,
        on_output: OnOutput | None = None,
        *,
        only_reads: bool = False,
    ) -> Said:
        """Run a command line that stands for ``command``."""
        stdin, ask = encode_input(command), encode_line(line)
        passing = self._passing
        with self._pool.session(
            self.endpoint, ask, has_input=bool(stdin), only_reads=only_reads, passing=passing
        ) as session:
            follower = Follower(
                session.channel, command.argv, host=self.host, patience=patience + GRACE, on_output=on_output,
                mark=session.mark,
            )  # fmt: skip
            said = follower.follow(stdin)
            session.lasts = follower.came_to_mark and said.status == 0
        if self._sudo and command.root and said.status:
            self._check_sudo(said.stderr.decode("utf-8", "replace"))
        return said

    def _check_sudo(self, stderr: str) -> None:
        if refusal := _NO_SUDO.search(stderr):
            raise AuthenticationFailed(
                f"The account {self.endpoint.account} may not run commands as root on {self.host} "
                f"({refusal[0].strip()}); this one was not run. Give it sudo without a password (NOPASSWD: ALL)."
            )

    def run_detached(
        self,
        unit: str,
        detached: Detached,
        *,
        on_output: OnOutput,
        on_progress: OnProgress,
        on_news: OnNews = lambda text, answers: None,
        cancelled: Callable[[], bool],
        patience: float = 900.0,
    ) -> Output:
        """Start the systemd unit, or attach to it when it is already there, and follow it to its end.

        ``on_output`` gets everything that the unit wrote, from its beginning, also when attaching; ``on_news`` is told
        when the host is lost, and when it is back. The Output's ``stderr`` holds the last lines. ``patience``: seconds
        for which a lost host is waited for. The command's ``timeout`` does not count here: what is detached takes as
        long as it takes.

        :raises Cancelled: it was asked to stop, and was seen gone.
        :raises NotConnected: the host could not be reached at the start; nothing was run.
        :raises Unreachable: the host did not come back within ``patience``; the unit may run on.
        :raises CommandFailed: the host could not start the unit.
        :raises BadInput: the unit's name or the command cannot be used.
        """
        return Unit(self, unit, detached, patience=patience, on_news=on_news).follow(on_output, on_progress, cancelled)

    def forget_unit(self, unit: str) -> None:
        """Stop a unit if it runs, see it gone, and remove it and its log. No error when there is none.

        :raises CommandFailed: it does not go.
        :raises Unreachable: the connection was lost, or systemd does not answer.
        """
        Unit(self, unit).remove()


def _explained(outputs: Sequence[Output], commands: Sequence[Command], said: Said) -> list[Output]:
    """Return the outputs; those of commands whose time was up with exit status 124 and a sentence that says so."""
    return [
        Output(124, output.raw, _why_stopped(command, output.stderr))
        if output.exit_status in STOPPED and said.seconds > 0.9 * command.timeout
        else output
        for output, command in zip(outputs, commands, strict=False)
    ]


def _why_stopped(command: Command, stderr: str) -> str:
    return f"{stderr}stopped because its {command.timeout:g} s were over"
