"""What an attempt at a plan tells while it works, and what the next attempt finds written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from datastores.domain.plan import Action, Command, Output
from datastores.domain.states import StepState


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

    def happened(self, index: int, needed: Sequence[Action]) -> list[Undoable]:
        """Return the actions of a step, of unknown outcome, that are not ``needed`` any more: they were done."""
        again = {action.undo for action in needed}
        return [entry for entry in self.unknown if entry.index == index and entry.undo not in again]


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
