"""A master that is replaced by what a machine made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.inodes import Files, look, seen, the_file
from datastores.hosts.parsing import canonical_path


@dataclass(frozen=True, slots=True)
class FileReplaced:
    """The bytes of ``by`` are those of ``path``: it was renamed over it, and has its own name no more.

    A step before it makes ``by``; what ``path`` held before is lost.
    """

    host: str
    path: str
    by: str

    def __post_init__(self) -> None:
        canonical_path(self.path)
        canonical_path(self.by)

    @property
    def title(self) -> str:
        return f"{self.path} is what came back"

    def reads(self) -> tuple[Command, ...]:
        return (look(self.path, self.by),)

    def facts(self, outputs: Sequence[Output]) -> Files:
        return seen(self.reads()[0], outputs[0])

    def plan(self, facts: Files) -> Change | None:
        the_file(self.host, facts, self.path)
        if self.by not in facts:
            return None
        the_file(self.host, facts, self.by)
        replace = Action(Command(("mv", "-fT", "--", self.by, self.path)), final=True)
        return Change(f"replace {self.path} by {self.by}", (replace,), "What it held before is lost.", follows=True)
