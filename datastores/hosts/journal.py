"""What an attempt at a plan tells while it works, and what the next attempt finds written down."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from datastores.domain.plan import Action, Command, Output
from datastores.domain.states import StepState


@dataclass(frozen=True, slots=True)
class Undoable:
    """An action that succeeded (or, for a scratch one, may have begun) and how to take it back.

    ``unit``: the transient systemd unit in which it may still run; "" when there is none. ``refused``: it failed at
    once, so that hardly anything came of it.
    """

    index: int
    number: int
    host: str
    undo: Command | None
    scratch: bool = False
    final: bool = False
    harmless: bool = False
    unit: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """What attempts of a job left: actions done, and actions whose outcome is unknown."""

    done: tuple[Undoable, ...] = ()
    unknown: tuple[Undoable, ...] = ()
    told: Mapping[int, int] = field(default_factory=dict)
    """By step: lines of output, kept already, of a detached command that may run on."""

    @property
    def touched(self) -> frozenset[int]:
        """The steps that were begun."""
        return frozenset(entry.index for entry in (*self.done, *self.unknown))

    def touches(self, host: str) -> bool:
        """Tell whether something was begun on the host."""
        return any(entry.host == host for entry in (*self.done, *self.unknown))

    @property
    def can_be_undone(self) -> bool:
        """Tell whether everything that was done, as far as anybody misses it, has an undo."""
        return all(entry.harmless or (entry.undo and not entry.final) for entry in self.done)

    @property
    def is_final(self) -> bool:
        """Tell whether the destruction of something was begun: from then on nothing that came before is taken back."""
        return any(entry.final for entry in (*self.done, *self.unknown))

    @property
    def is_lossy(self) -> bool:
        """Tell whether something was destroyed, or may have been."""
        return any(entry.final and not entry.refused for entry in (*self.done, *self.unknown))

    @property
    def settled_before(self) -> int:
        """Steps below this number are past: something was destroyed after them, so they must not be judged again."""
        return max((entry.index for entry in (*self.done, *self.unknown) if entry.final), default=0)

    def next_number(self, index: int) -> int:
        """Return the number of a step's next action; none is ever used twice."""
        return max((entry.number for entry in (*self.done, *self.unknown) if entry.index == index), default=-1) + 1

    def happened(self, index: int, needed: Sequence[Action]) -> list[Undoable]:
        """Return the actions of a step, of unknown outcome, that are not ``needed`` any more: they were done."""
        again = {action.undo for action in needed}
        return [entry for entry in self.unknown if entry.index == index and entry.undo not in again]


class Ledger:
    """What an attempt would have to take back now: the journal's entries and its own. All lanes write in it at once."""

    def __init__(self, journal: Journal) -> None:
        self._lock = threading.Lock()
        self._done, self._unknown = list(journal.done), list(journal.unknown)

    def balance(self) -> Journal:
        with self._lock:
            return Journal(tuple(self._done), tuple(self._unknown))

    def add(self, entry: Undoable) -> None:
        """Note an action that has to be undone."""
        with self._lock:
            self._done.append(entry)

    def doubt(self, entries: Iterable[Undoable]) -> None:
        """Note actions of which nobody knows how they ended."""
        with self._lock:
            self._unknown.extend(entries)

    def settle(self, happened: Sequence[Undoable]) -> None:
        """Note that these actions of unknown outcome were done."""
        with self._lock:
            self._unknown = [entry for entry in self._unknown if entry not in happened]
            self._done.extend(happened)

    def start_again(self, entries: Sequence[Undoable], before: int) -> None:
        """Drop what earlier attempts, with numbers below ``before``, noted of these actions of one step.

        The host needs them anew, so nothing is left of what they did then.
        """
        undos = {(entry.index, entry.undo) for entry in entries}
        units = {entry.unit for entry in entries}

        def is_new(old: Undoable) -> bool:
            return old.number >= before or (old.index, old.undo) not in undos

        with self._lock:
            self._done = [old for old in self._done if is_new(old)]
            self._unknown = [old for old in self._unknown if is_new(old) or old.unit not in units]


class Recorder(Protocol):
    """Who is told what happens. All methods may be called from several threads."""

    def lane(self, host: str) -> AbstractContextManager[object]:
        """Surround the work of one lane in its thread."""

    def facts(self, host: str, reads: int, seconds: float) -> None: ...

    def step(self, index: int, state: StepState, message: str = "") -> None: ...

    def actions_started(self, index: int, first: int, actions: Sequence[Action], unit: str = "") -> None:
        """Return only when the actions and their undos are stored: they are the journal after a crash.

        ``unit``: the transient systemd unit of an action that is detached, which is always alone.
        """

    def action_ended(self, index: int, number: int, output: Output | None, error: str = "") -> None: ...

    def output(self, index: int, text: str) -> None: ...

    def progress(self, index: int, done: int, total: int) -> None: ...

    def news(self, index: int, text: str, answers: bool) -> None:
        """The host of a step is lost while something runs there, or is back."""

    def undo(self, entry: Undoable, error: str = "", kept: str = "") -> None:
        """An action was undone, or kept (it has no undo), or with ``error`` could not be undone.

        ``kept``: it stays as it is, and is nothing of this job any more, because of this.
        """
