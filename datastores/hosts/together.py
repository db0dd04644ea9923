"""Steps of several jobs on one host: one round trip reads them all, one more carries them out and verifies.

That is for the usual case, short commands that succeed: what is different is left to a ``Run`` of its own, which goes
on from what the journal and the host say. Steps are known by their places in the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datastores.domain.errors import CloudstoreError, LostTouch, Unreachable
from datastores.domain.plan import AnyStep, Change, Command, Output, Shell
from datastores.hosts.actions import is_short, outcomes, short_commands

MOMENT = 2.0
"""Seconds that a short command usually needs at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of a step, what it needs, and what each action said by which it came to that."""

    facts: Any
    change: Change | None
    outputs: tuple[Output, ...] = ()


def look(shell: Shell, steps: Sequence[AnyStep]) -> dict[int, Found]:
    """Return what was found of those steps that need nothing, or a row of short actions.

    :raises CloudstoreError: the host could not be read.
    """
    places = range(len(steps))
    reads = _reads(steps, places)
    found = dict(_found(steps, places, dict(zip(reads, shell.run_many(reads), strict=True))))
    return {place: it for place, it in found.items() if it.change is None or is_plain(it.change)}


def apply(shell: Shell, steps: Sequence[AnyStep], changes: Mapping[int, Change]) -> dict[int, Found]:
    """Carry out changes that ``look`` found. Return those that are so now; what became of the others is not known.

    :raises LostTouch: how far the commands got is unknown.
    """
    reads = _reads(steps, changes)
    try:
        outputs, said = shell.run_in_order(_commands(changes.values()), reads)
    except Unreachable as error:
        raise LostTouch(str(error)) from error
    if len(said) < len(reads):  # a command failed, or all this was too much for one round trip
        return {}
    each = iter(outputs)
    told = {place: tuple(last for *_, last in outcomes(it.actions, each)) for place, it in changes.items()}
    found = _found(steps, changes, dict(zip(reads, said, strict=True)))
    return {place: Found(it.facts, None, told[place]) for place, it in found if it.change is None}


def is_plain(change: Change) -> bool:
    """Tell whether the change is a row of short actions."""
    return bool(change.actions) and all(map(is_short, change.actions))


def _commands(changes: Iterable[Change]) -> list[Command]:
    """Return the commands of all changes. Together they get little more time than the longest may take.

    One that hangs keeps the others waiting; alone it gets all of its time.
    """
    commands = [command for change in changes for action in change.actions for command in short_commands(action)]
    share = max(command.timeout for command in commands) / len(commands) + MOMENT
    return [replace(command, timeout=share) for command in commands]


def _reads(steps: Sequence[AnyStep], places: Iterable[int]) -> list[Command]:
    """Return the reads of the steps. What several of them read, such as a volume group, is read once."""
    return list(dict.fromkeys(command for place in places for command in steps[place].reads()))


def _found(
    steps: Sequence[AnyStep], places: Iterable[int], said: Mapping[Command, Output]
) -> Iterator[tuple[int, Found]]:
    """Yield what was found of each step, unless it cannot be read, or is refused: its own Run finds that, and tells."""
    for place in places:
        step = steps[place]
        try:
            facts = step.facts([said[command] for command in step.reads()])
            found = Found(facts, step.plan(facts))
        except CloudstoreError:
            continue
        yield place, found
