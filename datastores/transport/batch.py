"""Many short commands in one round trip: one small script, its output cut apart again by a marker.

The marker is 128 random bits, new for every script. Who can see the script run (``ps``) could still put the
marker into a file that is being read: then there are more markers than commands, and the whole output is refused.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

from datastores.domain.errors import BadInput, CommandFailed
from datastores.domain.plan import READ_DEADLINE, Command, Output
from datastores.transport.quoting import (
    ENVIRONMENT,
    KILL_AFTER,
    LONGEST,
    encode_input,
    piped_line,
    shell_line,
    with_deadline,
)
from datastores.transport.stream import Said

FIRST_TRY, PER_READ = 5.0, 0.05
"""Seconds that all reads together get, and more for each: a deadline of its own costs a command a second process,
and hardly any ever needs it. When they are over, all are read again, each with its own."""

BROKE_OFF = 77
"""Exit status of a script that ended at a needed command that failed."""

ENDED = 124
STAY = f"trap 'exit {ENDED}' TERM; "
"""The shell outlives the command that is ended with it, so that a command of which nothing is heard is gone."""

ROOM = LONGEST - 1000
"""Bytes of a command line that are left for commands."""

MARK = "m=%s; n() { printf '%%s%%s.' $m $1; printf %%s $m >&2; }\n"


class Batch:
    """Commands that go to the host as one line of shell, with one deadline for all.

    The first ``needed`` commands have to succeed: none is run after one that fails. Only they may have input.
    ``one_by_one``: each has its own deadline. ``sudo``: what comes before those that want root.

    :raises BadInput: a command that only reads has input.
    """

    def __init__(
        self, commands: Sequence[Command], *, one_by_one: bool = False, sudo: tuple[str, ...] = (), needed: int = 0
    ) -> None:
        for command in commands[needed:]:
            if command.stdin:
                raise BadInput(f"{command.argv[0]} has input; a command that only reads has none.")
        self.commands, self.needed = commands, needed
        long = not needed and any(command.timeout > READ_DEADLINE for command in commands)
        self.one_by_one = one_by_one or long
        self.marker = secrets.token_hex(16)
        self._sudo = sudo

    @property
    def line(self) -> str:
        """The command line: one script per run of commands with the same account.

        :raises BadInput: a command cannot be part of a script.
        """
        scripts = [self._script(run, self._sudo if root else ()) for root, run in self._runs()]
        if len(scripts) == 1:
            return f"{ENVIRONMENT}exec {scripts[0]}"
        return ENVIRONMENT + "; ".join(f"{script} || exit $?" for script in scripts)

    @property
    def patience(self) -> float:
        """Seconds after which the host must have ended it."""
        return self._patience(self.commands)

    @property
    def shortest(self) -> float:
        """Seconds after which the first of its scripts may have been ended: each has a deadline of its own."""
        return min(self._patience([self.commands[place] for place in run]) for _, run in self._runs())

    def _runs(self) -> Iterator[tuple[bool, list[int]]]:
        """Yield (as root?, the commands' numbers) of each script: what comes one after another with one account."""
        account = lambda place: self.commands[place].root and bool(self._sudo)  # noqa: E731
        for root, run in itertools.groupby(range(len(self.commands)), key=account):
            yield root, list(run)

    def _patience(self, commands: Sequence[Command]) -> float:
        if self.one_by_one:
            return sum(command.timeout + KILL_AFTER for command in commands)
        if self.needed:
            return sum(command.timeout for command in commands)
        return FIRST_TRY + PER_READ * len(commands)

    def _script(self, places: Sequence[int], sudo: tuple[str, ...]) -> str:
        lines = []
        for place in places:
            command = self.commands[place]
            if self.one_by_one:
                command = replace(command, argv=with_deadline(command.argv, command.timeout))
            after = f"s=$?; n $s; [ $s = 0 ] || exit {BROKE_OFF}" if place < self.needed else "n $?"
            lines.append(f"{_line(command)}; {after}\n")
        shell = ("sh", "-c", (STAY if self.needed else "") + MARK % self.marker + "".join(lines))
        if self.one_by_one:
            return shell_line((*sudo, *shell))
        return shell_line((*sudo, *with_deadline(shell, self._patience([self.commands[place] for place in places]))))

    def outputs(self, said: Said, host: str) -> list[Output]:
        """Cut apart what the script said: one Output a command, or up to a needed one that failed.

        A needed one that was ended because the time was over has exit status 124.

        :raises CommandFailed: it did not come to its end, or its output is not in order.
        """
        marker = self.marker.encode()
        stdout, stderr = said.stdout.split(marker), said.stderr.split(marker)
        ran = len(stdout) - 1
        if not self._is_whole(said.status, ran) or len(stdout) != len(stderr):
            reason = stderr[-1].decode("utf-8", "replace") or "its output is not in order"
            raise CommandFailed(("sh",), said.status, f"reading broke off: {reason}", host)
        statuses = [int(rest.partition(b".")[0]) for rest in stdout[1:]]
        bodies = stdout[:1] + [rest.partition(b".")[2] for rest in stdout[1:]]
        if said.status == ENDED and ran < self.needed:
            statuses.append(ENDED)
            stderr[-1] += f"stopped: these commands get {self.patience:g} s".encode()
        return [
            Output(status, body, error.decode("utf-8", "replace"))
            for status, body, error in zip(statuses, bodies, stderr, strict=False)
        ]

    def _is_whole(self, status: int, ran: int) -> bool:
        """Does the script's exit status fit to the number of commands that came to their end?"""
        if status == 0:
            return ran == len(self.commands)
        if status == BROKE_OFF:
            return 0 < ran <= self.needed
        return status == ENDED and self.needed > 0 and ran <= len(self.commands)


def portions(commands: Sequence[Command]) -> Iterator[list[Command]]:
    """Cut a long list so that each part fits into one command line.

    :raises BadInput: a command cannot be part of a script.
    """
    portion: list[Command] = []
    room = ROOM
    for command in commands:
        size = _size(command)
        if portion and size > room:
            yield portion
            portion, room = [], ROOM
        room -= size
        portion.append(command)
    if portion:
        yield portion


def fit_together(commands: Sequence[Command]) -> bool:
    """Tell whether all of them fit into one command line.

    :raises BadInput: a command cannot be part of a script.
    """
    return sum(map(_size, commands)) <= ROOM


def _size(command: Command) -> int:
    # quoted twice: as a command in the script, and the script as an argument
    return len(shell_line((_line(command),)).encode("utf-8", "surrogateescape")) + 80


def _line(command: Command) -> str:
    """Return a command as a script has it.

    :raises BadInput: its input is secret, and whoever lists the processes of the host sees the script; or it cannot be
        written in a script.
    """
    if not command.stdin:
        return f"{shell_line(command.argv)} </dev/null"
    if command.secret:
        raise BadInput(f"The input of {command.argv[0]} is secret; it does not go into a script.")
    return piped_line(command.argv, encode_input(command))
