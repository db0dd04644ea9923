"""What a scan for drift has found, before any of it is stored."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from datastores.hosts.stored import Footprint
from datastores.models import Drift
from datastores.services.drift_scope import Managed

FEW = 3
"""From so many files on, that all of a datastore are missing is told once, of the datastore."""
NOT_EMPTY = "the files of the datastore are there"
Place = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A statement that is not true. ``change``: what a step would do, encoded; None: ``text`` says what is wrong."""

    key: str
    managed: Managed
    title: str
    kind: Drift.Kind
    change: dict[str, Any] | None = None
    text: str = ""
    fingerprint: str = field(init=False)
    """What exactly this difference is known by."""

    def __post_init__(self) -> None:
        told = json.dumps([self.kind, self.change, self.text], sort_keys=True)
        object.__setattr__(self, "fingerprint", hashlib.sha256(told.encode()).hexdigest())


@dataclass
class Found:
    """What a scan has found, host by host. ``known``: every statement that is kept; ``judged``: those looked at."""

    since: datetime
    hosts: set[int] = field(default_factory=set)
    """Those whose statements are known."""
    blind: set[int] = field(default_factory=set)
    """Datastores whose statements are not known."""
    unsaid: set[str] = field(default_factory=set)
    """Single things whose statements are not known, such as "image:7"."""
    known: dict[str, Managed] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    differences: dict[str, Difference] = field(default_factory=dict)
    footprints: dict[str, Footprint] = field(default_factory=dict)
    """Of image files whose bytes are as they should be, by statement."""
    allocated: dict[str, int] = field(default_factory=dict)
    """Bytes that the files of disks take, by statement."""
    by_resource: dict[str, list[str]] = field(default_factory=dict)
    """What was judged, by what a job has to hold to change it."""
    files: dict[Place, set[str]] = field(default_factory=dict)
    """The files that were judged, by host and datastore."""

    def prepare(self) -> None:
        """Sort what was judged, when all is: what is left to do then takes as long as there are differences."""
        for key in self.judged:
            managed = self.known[key]
            for resource in managed.resources:
                self.by_resource.setdefault(resource, []).append(key)
            if managed.is_file:
                self.files.setdefault(place_of(managed), set()).add(key)

    def forget(self, busy: Busy) -> None:
        """Leave out what a job worked on meanwhile: it was read before, during or after that, nobody knows."""
        for resource in busy.resources:
            self.leave_out(self.by_resource.get(resource, ()))

    def leave_out(self, keys: Iterable[str]) -> None:
        """Have these not been judged."""
        for key in keys:
            self.judged.discard(key)
            self.differences.pop(key, None)
            self.footprints.pop(key, None)
            self.allocated.pop(key, None)
            self.files.get(place_of(self.known[key]), set()).discard(key)

    def fold(self) -> None:
        """Where nothing is left in a datastore, say that: a file system that is not mounted looks empty."""
        missing = Counter(
            place_of(each.managed)
            for each in self.differences.values()
            if each.managed.is_file and each.kind == Drift.Kind.MISSING
        )
        for place, keys in self.files.items():
            if not keys:
                continue
            about = self.known[next(iter(keys))].of_datastore()
            whole = about.key_of(NOT_EMPTY)
            self.judged.add(whole)
            if len(keys) >= FEW and missing[place] == len(keys):
                text = f"None of its {len(keys)} files is there. Look whether its file system is mounted."
                for key in keys:
                    del self.differences[key]
                self.judged.difference_update(keys)
                self.differences[whole] = Difference(whole, about, NOT_EMPTY, Drift.Kind.MISSING, text=text)


def place_of(managed: Managed) -> Place:
    return managed.host, managed.datastore


@dataclass(frozen=True, slots=True)
class Busy:
    """What jobs change now, or have changed since a moment."""

    resources: frozenset[str]

    def concerns(self, managed: Managed) -> bool:
        return not managed.settled or not self.resources.isdisjoint(managed.resources)
