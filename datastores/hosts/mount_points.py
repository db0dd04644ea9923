"""Directories on which something is mounted that another host serves: theirs is what is mounted, not the directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.plan import Change, Command, Output
from datastores.hosts.files import Entries, MountedRootBelongs, ancestors, made_parents, make_directory
from datastores.hosts.parsing import Entry, canonical_path, entries, entries_read


@dataclass(frozen=True, slots=True)
class MountPointPresent:
    """``path`` is a directory on which something can be mounted. Whose it is, is up to what is mounted there."""

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"{self.path} is a directory to mount on"

    def reads(self) -> tuple[Command, ...]:
        return (entries_read(*ancestors(self.path), self.path),)

    def facts(self, outputs: Sequence[Output]) -> Entries:
        return entries(self.host, self.reads()[0], outputs[0])

    def plan(self, facts: Entries) -> Change | None:
        there = facts.get(self.path)
        if there is None:
            made = make_directory(self.path, "root", "root", "0755")
            return Change(f"make the directory {self.path}", (*made_parents(self.path, facts), made))
        if not there.is_directory:
            raise Refused(f"{self.path} on {self.host} is {there}, not a directory. Move it away first.")
        return None


@dataclass(frozen=True, slots=True)
class MountedRootSeen(MountedRootBelongs):
    """This host sees that owner, group and mode, too, in what another one has given them and serves; a check.

    Servers of files know accounts by their numbers: where a name has another number, it is another account.
    """

    @property
    def title(self) -> str:
        return f"{self.host} sees what is mounted at {self.path} as {self.owner}:{self.group}'s, with mode {self.mode}"

    def plan(self, facts: Entry | None) -> Change | None:
        if facts is None or not facts.is_directory:
            return MountedRootBelongs.plan(self, facts)
        seen, wanted = f"{facts.owner}:{facts.group}", f"{self.owner}:{self.group}"
        if seen != wanted:
            raise Refused(
                f"What is mounted at {self.path} belongs to {seen} on {self.host}, not to {wanted}: accounts have "
                "other numbers there than on the storage host, and files belong to numbers. Choose the numbers of "
                "owner and group among the options, or give both the same numbers on every host."
            )
        if facts.mode != self.mode:
            raise Refused(f"What is mounted at {self.path} has the mode {facts.mode} on {self.host}, not {self.mode}.")
        return None
