"""Copies that a job kept beside files of hosts for the way back, and that go when it needs no way back any more.

What removes a file moves it aside, and ``WriteFile`` keeps the text before, both as ``<name>.cloudstore~``. Nobody is
to find an old export, or a secret, under that name later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import Command, Shell
from datastores.domain.states import EventKind, JobState
from datastores.hosts.runner import TAKEN_BACK
from datastores.models import Job, JobEvent

logger = logging.getLogger(__name__)
ASIDE = ".cloudstore~"
NOW = Command(("date", "+%s.%N"), root=False, timeout=15)
"""By the host's own clock."""


def sweeping(job: Job, connect: Callable[[str], Shell]) -> Callable[[], None]:
    """Return what removes the copies that the job has kept so far. To be called when it has ended.

    What another job has kept since under the same name stays: only what was there by now is removed. A host that does
    not answer keeps its copies.
    """
    begun: dict[str, tuple[str, list[str]]] = {}
    for host, paths in kept_by(job).items():
        try:
            now = connect(host).run(NOW).stdout.strip()
        except CloudstoreError as error:
            logger.info("what %s kept on %s stays there: %s", job, host, error)
        else:
            begun[host] = now, paths

    def sweep() -> None:
        for host, (now, paths) in begun.items():
            try:
                connect(host).run(removal(now, paths))
            except CloudstoreError as error:
                logger.info("what %s kept on %s stays there: %s", job, host, error)

    return sweep


def is_over(state: JobState, message: str, *, can_undo: bool) -> bool:
    """Tell whether the job, as it ends, needs no way back: it was taken back, or never will be."""
    if state is JobState.SUCCEEDED:
        return not can_undo
    return state is JobState.CANCELLED or (state is JobState.FAILED and TAKEN_BACK in message)


def kept_by(job: Job) -> dict[str, list[str]]:
    """Return, by host, the copies that the job may have made. They are on hosts that it has changed."""
    events = JobEvent.objects.filter(job=job, kind=EventKind.ACTION_STARTED).exclude(data=None).order_by("seq")
    found: dict[str, dict[str, None]] = {}
    for event in events:
        for path in named(event.data or {}):
            found.setdefault(event.host, {})[path] = None
    return {host: list(paths) for host, paths in found.items()}


def named(data: dict[str, Any]) -> Iterator[str]:
    """Yield the names of copies in the journal's entry of one action."""
    do, undo = data.get("do") or {}, data.get("undo") or {}
    if do.get("type") == "write":
        yield f"{do['path']}{ASIDE}"
    for word in (*do.get("argv", ()), *undo.get("argv", ())):
        if word.startswith("/") and word.endswith(ASIDE):
            yield word


def removal(now: str, paths: list[str]) -> Command:
    """Return what removes those of the files that have not changed since ``now``, seconds since 1970."""
    return Command(("find", *paths, "-maxdepth", "0", "-type", "f", "!", "-newerct", f"@{now}", "-delete"))
