"""The trash of a pool: deleted images that can be brought back for some days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.ceph import Access, pool_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.ceph import NOT_THERE, answered, ask_rbd
from datastores.hosts.ceph_client import client_reads, is_client

DAILY = "1d"


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
