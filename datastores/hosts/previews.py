"""What steps find on their hosts, and what they would do there now. Nothing here changes a host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datastores.domain.errors import Refused
from datastores.domain.plan import AnyStep, Change, Command, Connect, Output, Plan, Shell
from datastores.hosts.journal import Recorder
from datastores.hosts.stages import Numbered, lanes_of, number_plan, side_by_side, steps_of


@dataclass(frozen=True, slots=True)
class Preview:
    """What one step would do now; ``refused`` says why it cannot."""

    change: Change | None = None
    refused: str = ""


def preview(plan: Plan, connect: Connect, recorder: Recorder) -> list[Preview]:
    """Return what every step would do now. Reads hosts, writes nothing.

    :raises CloudstoreError: a host could not be read at all.
    """
    previews: dict[int, Preview] = {}

    def look(host: str, lane: list[Numbered]) -> None:
        with recorder.lane(host):
            shell = connect(host)
            started = time.monotonic()
            facts = read(shell, lane)
            recorder.facts(host, len(lane), time.monotonic() - started)
            previews.update({index: plan_or_refusal(step, facts[index]) for index, step in lane})

    for stage, numbered in zip(plan, number_plan(plan), strict=True):
        errors = side_by_side(look, lanes_of(numbered))
        if errors:
            raise errors[0]
        if stage.gate and any(previews[index].refused for index, _ in numbered):
            break
    steps = steps_of(plan)
    seen = refuse_what_never_comes([previews[index] for index in sorted(previews)], steps[: len(previews)])
    return seen + [not_looked_at(step) for step in steps[len(previews) :]]


def not_looked_at(step: AnyStep) -> Preview:
    """Return the preview of a step behind a gate that is shut."""
    return Preview(Change(f"{step.title}: looked at when the steps before it can be taken", ()))


def refuse_what_never_comes(previews: Sequence[Preview], steps: Sequence[AnyStep]) -> list[Preview]:
    """Refuse checks that do not hold, and that nothing before them in the plan could make come true."""
    judged, changes = [], False
    for step, found in zip(steps, previews, strict=True):
        waits = found.change is not None and not found.change.actions
        judged.append(Preview(refused=never_comes(step)) if waits and not changes else found)
        changes = changes or bool(found.change and found.change.actions)
    return judged


def never_comes(step: AnyStep) -> str:
    return (
        f"{step.title}: that is not so on {step.host}, and nothing in this plan makes it so. Do that there, then try "
        "again."
    )


def plan_or_refusal(step: AnyStep, facts: Any) -> Preview:
    try:
        return Preview(step.plan(facts))
    except Refused as refusal:
        return Preview(refused=str(refusal))


def read(shell: Shell, steps: Sequence[Numbered]) -> dict[int, Any]:
    """Return the facts of ``steps``, all of one host, by their numbers. One round trip."""
    return facts_of(steps, shell.run_many(reads_of(steps)))


def reads_of(steps: Sequence[Numbered]) -> list[Command]:
    """Return the reads of all ``steps``, in order."""
    return [command for _, step in steps for command in step.reads()]


def facts_of(steps: Sequence[Numbered], outputs: Sequence[Output]) -> dict[int, Any]:
    """Return the facts of ``steps``, by their numbers, from the outputs of ``reads_of(steps)``."""
    said = iter(outputs)
    return {index: step.facts([next(said) for _ in step.reads()]) for index, step in steps}
