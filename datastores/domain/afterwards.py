"""Statements that end what earlier steps of the same plan have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from datastores.domain.plan import AnyStep, Change, Command, Output


@dataclass(frozen=True, slots=True)
class Ended:
    """``step``, whose change follows from the plan: who approved the making of a thing for a while approved its end.

    Before the plan is carried out there is nothing to be ended, so that could not be shown.
    """

    step: AnyStep

    @property
    def host(self) -> str:
        return self.step.host

    @property
    def title(self) -> str:
        return self.step.title

    def reads(self) -> tuple[Command, ...]:
        return self.step.reads()

    def facts(self, outputs: Sequence[Output]) -> Any:
        return self.step.facts(outputs)

    def plan(self, facts: Any) -> Change | None:
        change = self.step.plan(facts)
        return replace(change, follows=True) if change else None
