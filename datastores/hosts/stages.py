"""The stages of a plan: their steps are numbered, and grouped by host into lanes that are worked on side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from datastores.domain.errors import Unreachable
from datastores.domain.plan import AnyStep, Plan

LANES = 64
"""Hosts that are worked on side by side."""

T = TypeVar("T")  # what there is to do on one host
Numbered: TypeAlias = tuple[int, AnyStep]


def number_plan(plan: Plan) -> list[list[Numbered]]:
    """Return the stages with each step's number in the whole plan."""
    counter = itertools.count()
    return [[(next(counter), step) for step in stage.steps] for stage in plan]


def steps_of(plan: Plan) -> list[AnyStep]:
    """Return the steps of all stages, by their numbers."""
    return [step for stage in plan for step in stage.steps]


def stages_of(plan: Plan) -> list[int]:
    """Return for each step, by its number, the number of its stage."""
    return [number for number, stage in enumerate(plan) for _ in stage.steps]


def lanes_of(steps: Iterable[Numbered]) -> dict[str, list[Numbered]]:
    """Group numbered steps by host; the order on each host is kept."""
    lanes: dict[str, list[Numbered]] = {}
    for index, step in steps:
        lanes.setdefault(step.host, []).append((index, step))
    return lanes


def side_by_side(work: Callable[[str, T], None], lanes: Mapping[str, T]) -> list[Exception]:
    """Call ``work(host, lane)`` for every lane; return what was raised. A lane that is alone stays in this thread."""
    errors: list[Exception] = []

    def guarded(host: str) -> None:
        try:
            work(host, lanes[host])
        except Unreachable as error:
            error.host = host
            errors.append(error)
        except Exception as error:  # raised again by the caller, when every lane has come to rest
            errors.append(error)

    if len(lanes) < 2:
        for host in lanes:
            guarded(host)
    else:
        with ThreadPoolExecutor(min(LANES, len(lanes)), thread_name_prefix="lane") as pool:
            list(pool.map(guarded, lanes))
    return errors
