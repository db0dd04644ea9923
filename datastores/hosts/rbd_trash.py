"""The trash of a pool: deleted images that can be brought back for some days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.ceph import Access, RbdImage, pool_name
from datastores.domain.errors import Refused
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.ceph import NOT_THERE, answered, ask_info, ask_rbd, info, tell
from datastores.hosts.ceph_client import client_reads, is_client

DAILY = "1d"
AGAIN = "7 days"
"""How long what could not be brought back whole lies in the trash once more."""


@dataclass(frozen=True, slots=True)
class RbdTrashPurged:
    """The cluster removes from the pool's trash what has expired: once a day, unless somebody has set another time."""

    host: str
    access: Access
    pool: str

    def __post_init__(self) -> None:
        pool_name(self.pool)

    @property
    def title(self) -> str:
        return f"what has expired in the trash of {self.pool} is removed by the cluster"

    def reads(self) -> tuple[Command, ...]:
        words = ("trash", "purge", "schedule", "ls", "--format", "json", "--pool", self.pool)
        return client_reads(self.access, ask_rbd(self.access, *words))

    def facts(self, outputs: Sequence[Output]) -> tuple[str, ...]:
        """Return how often that is done, as Ceph writes it: ("1d",). A host that is no client yet knows of nothing."""
        if not is_client(self.host, self.access, outputs):
            return ()
        command, output = self.reads()[1], outputs[1]
        if output.exit_status == NOT_THERE and not output.stderr.strip():
            return ()
        return answered(self.host, command, output, lambda said: tuple(each["interval"] for each in said))

    def plan(self, facts: tuple[str, ...]) -> Change | None:
        if facts:
            return None
        add, remove = (
            Command(self.access.rbd("trash", "purge", "schedule", verb, "--pool", self.pool, DAILY))
            for verb in ("add", "remove")
        )
        return Change(f"have the trash of {self.pool} emptied of what has expired, each day", (Action(add, remove),))


@dataclass(frozen=True, slots=True)
class TrashFacts:
    """``there``: the pool has an image of the name. ``ids``: of those in the trash that had it."""

    there: bool
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RbdImageRestored:
    """``image`` is there; when it was put into the trash, it was taken out again."""

    host: str
    image: RbdImage

    @property
    def title(self) -> str:
        return f"{self.image.spec} is out of the trash"

    def reads(self) -> tuple[Command, ...]:
        return ask_info(self.image), ask_rbd(self.image.access, "trash", "ls", "--format", "json", self.image.pool)

    def facts(self, outputs: Sequence[Output]) -> TrashFacts:
        look, ask = self.reads()
        there = info(self.host, look, outputs[0]) is not None
        return TrashFacts(there, answered(self.host, ask, outputs[1], self._ids))

    def _ids(self, said: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
        return tuple(each["id"] for each in said if each["name"] == self.image.name)

    def plan(self, facts: TrashFacts) -> Change | None:
        if facts.there:
            return None
        if not facts.ids:
            raise Refused(f"{self.image.spec} is not in the trash of {self.image.pool} any more.")
        spec = f"{self.image.pool}/{facts.ids[-1]}"
        restore = tell(self.image, "trash", "restore", "--image", self.image.name, spec)
        again = tell(self.image, "trash", "mv", "--expires-at", AGAIN, self.image.spec)
        return Change(f"take {self.image.spec} out of the trash", (Action(restore, again),))
