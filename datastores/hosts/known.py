"""Reading a host as a step, so that it is a job like any other: with its log, its retry and its audit entry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.plan import Change, Command, Output
from datastores.hosts.facts import HostFacts


@dataclass(frozen=True, slots=True)
class FactsKnown:
    """What is to be known of the host has been read. Changes nothing."""

    host: str

    @property
    def title(self) -> str:
        return f"facts of {self.host} are known"

    def reads(self) -> tuple[Command, ...]:
        return HostFacts.reads()

    def facts(self, outputs: Sequence[Output]) -> HostFacts:
        return HostFacts.parse(outputs, self.host, heard=time.time())

    def plan(self, facts: HostFacts) -> Change | None:
        return None
