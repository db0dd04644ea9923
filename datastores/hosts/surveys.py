"""What is true on a host of many statements that nobody is about to change. Nothing here changes a host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import AnyStep, Change, Command, Output, Shell

AT_ONCE = 64
"""Reads in one round trip."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one statement. All empty: it is true.

    ``unread``: its reads failed, or said what cannot be understood, so nothing is known of it.
    """

    facts: Any = None
    change: Change | None = None
    refused: Refused | None = None
    unread: str = ""


def survey(shell: Shell, steps: Sequence[AnyStep]) -> list[Verdict]:
    """Return what is true of the steps, all of one host. What several of them read is read once.

    :raises Unreachable: the host does not answer, or stopped answering.
    """
    wanted = iter(dict.fromkeys(command for step in steps for command in step.reads()))
    said: dict[Command, Output] = {}
    while portion := list(islice(wanted, AT_ONCE)):
        said.update(zip(portion, read_all(shell, portion), strict=True))
    return [verdict(step, [said[command] for command in step.reads()]) for step in steps]


def read_all(shell: Shell, commands: Sequence[Command]) -> list[Output]:
    """Return what the commands said. One that says more than can be kept fails by itself.

    :raises Unreachable: see ``survey``.
    """
    try:
        return shell.run_many(commands)
    except CommandFailed as error:
        if len(commands) == 1:
            return [Output(error.exit_status or 1, stderr=error.stderr)]
        return [output for command in commands for output in read_all(shell, [command])]


def verdict(step: AnyStep, outputs: Sequence[Output]) -> Verdict:
    """Return what the outputs of a step's reads tell."""
    try:
        facts = step.facts(outputs)
    except CommandFailed as error:
        return Verdict(unread=str(error))
    except (ValueError, LookupError) as error:  # a tool that says something unheard of must not hide the other steps
        return Verdict(unread=f"{step.title}: what {step.host} said of it cannot be read ({error!r})")
    try:
        return Verdict(facts, step.plan(facts))
    except Refused as refusal:
        return Verdict(facts, refused=refusal)
