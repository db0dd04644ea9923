"""Carry steps out on real hosts, as a job does, without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from datastores.domain.plan import Action, AnyStep, Command, Output, Plan, Shell, Stage
from datastores.domain.states import StepState
from datastores.hosts.journal import Undoable
from datastores.hosts.previews import preview
from datastores.hosts.runner import Run
from datastores.hosts.stages import stages_of, steps_of
from datastores.hosts.undo import take_back
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.lab.labs import LabOf

_UNITS = count()


@dataclass
class Diary:
    """A recorder that remembers; ``before_action`` is called before each action."""

    before_action: Callable[[Action], None] = lambda _: None
    states: list[StepState] = field(default_factory=list)
    undone: list[Command | None] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reached: list[tuple[int, int]] = field(default_factory=list)
    """Progress of detached actions: (bytes done, bytes in all)."""

    def lane(self, host: str) -> AbstractContextManager[object]:
        return nullcontext()

    def facts(self, host: str, reads: int, seconds: float) -> None:
        """Nobody asks for it."""

    def step(self, index: int, state: StepState, message: str = "") -> None:
        self.states.append(state)

    def actions_started(self, index: int, first: int, actions: Sequence[Action], unit: str = "") -> None:
        for action in actions:
            self.before_action(action)

    def action_ended(self, index: int, number: int, output: Output | None, error: str = "") -> None:
        self.errors += [error] if error else []

    def output(self, index: int, text: str) -> None:
        """Nobody asks for it."""

    def progress(self, index: int, done: int, total: int) -> None:
        self.reached.append((done, total))

    def news(self, index: int, text: str) -> None:
        """Nobody asks for it."""

    def undo(self, entry: Undoable, error: str = "", kept: str = "") -> None:
        if entry.undo or not entry.harmless:
            self.undone.append(entry.undo)
        self.errors += [error] if error else []


@dataclass(frozen=True)
class Hosts:
    """Shells to the hosts of a lab."""

    lab: LabOf[Any]
    pool: Pool

    def shell(self, name: str, account: str = "root", password: str = "") -> SSHShell:
        host = self.lab.host(name)
        key = "" if password else self.lab.key.read_text()
        where = Endpoint(
            name, host.address, account=account, host_keys=(host.host_key,), private_key=key, password=password
        )
        return self.pool.shell(where)

    def run(
        self,
        plan: Plan | Sequence[AnyStep],
        *,
        diary: Diary | None = None,
        connect: Callable[[str], Shell] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Run:
        """Carry a plan, or the steps of one stage, out."""
        stages = tuple(each if isinstance(each, Stage) else Stage("work", (each,)) for each in plan)
        run = Run(
            stages, connect or self.shell, diary or Diary(), unit=f"cloudstore-test-{next(_UNITS)}", cancelled=cancelled
        )
        run.carry_out()
        return run

    def needs(self, *steps: AnyStep) -> list[bool]:
        """Return for each step whether something would have to be done."""
        found = preview((Stage("look", steps),), self.shell, Diary())
        assert not [each.refused for each in found if each.refused]
        return [each.change is not None for each in found]

    def there_and_back(self, *steps: AnyStep) -> Run:
        """Make the steps true, see that a second time changes nothing, take all back, and make them true again."""
        first = next(step for step in steps if self.needs(step) == [True])  # those before it are guards, which hold
        run = self.run(steps)
        again = Diary()
        self.run(steps, diary=again)
        assert set(again.states) == {StepState.UNCHANGED}
        assert None not in self.take_back(run).undone
        assert self.needs(first) == [True]
        return self.run(steps)

    def take_back(self, run: Run) -> Diary:
        """Undo all that was done, and see that nothing is left of it but what is harmless."""
        back = Diary()
        begun, plan = run.ledger.balance(), run.plan
        assert take_back(begun, lambda: steps_of(plan), stages_of(plan), self.shell, back), back.errors
        return back


@contextmanager
def connected(lab: LabOf[Any]) -> Iterator[Hosts]:
    with Pool() as pool:
        yield Hosts(lab, pool)
