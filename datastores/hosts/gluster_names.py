"""The names that hosts of a GlusterFS pool have for each other, in the list of those who may mount a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.gluster import peer_name, volume_name
from datastores.domain.gluster_partitions import let_in, missing_in
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.gluster import (
    DEADLINE,
    POOL,
    VOLUMES,
    VolumeInfo,
    answered,
    not_running,
    peers_of,
    pool,
    tell,
    the_volume,
    volumes,
)

ALLOWED = "auth.allow"


def ask_pool(peer: str) -> Command:
    """Return the read of the pool as ``peer`` sees it."""
    words = ("gluster", f"--remote-host={peer}", "--mode=script", "--xml", "pool", "list")
    return read(*words, root=True, timeout=DEADLINE)


@dataclass(frozen=True, slots=True)
class NamesFacts:
    """``names``: by which a host of the pool is known to another; of each the one that glusterd goes by."""

    volumes: dict[str, VolumeInfo]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeersAllowed:
    """Where a volume says who may mount it, it names the hosts of its pool by all names that these have for each other.

    When bricks are added or replaced, glusterd adds on each host the names that it misses there: of the host that
    probed the others, these know the name, not the address. GlusterFS 9.2 then leaves memory in the list that it has
    given back, and from that moment nobody may mount the volume. What 10.3 adds to a list of directories makes it one
    that no brick takes; names that stand with the addresses of the whole volume count as being there. ``peers``: the
    others of the pool. One that does not answer changes nothing either.
    """

    host: str
    name: str
    peers: tuple[str, ...]

    def __post_init__(self) -> None:
        volume_name(self.name)
        for peer in self.peers:
            peer_name(peer)

    @property
    def title(self) -> str:
        return f"{self.name} lets in the hosts of its pool by the names that they have for each other"

    def reads(self) -> tuple[Command, ...]:
        return VOLUMES, POOL, *map(ask_pool, self.peers)

    def facts(self, outputs: Sequence[Output]) -> NamesFacts:
        known = [*pool(self.host, outputs[1])]
        for command, output in zip(self.reads()[2:], outputs[2:], strict=True):
            if not not_running(output):
                known += peers_of(answered(self.host, command, output))
        names = dict.fromkeys(peer.names[0] for peer in known if not peer.ours)
        return NamesFacts(volumes(self.host, outputs[0]), tuple(names))

    def plan(self, facts: NamesFacts) -> Change | None:
        allowed = the_volume(self.host, facts.volumes, self.name).options.get(ALLOWED)
        if allowed is None:
            return None
        missing = missing_in(allowed, facts.names)
        if not missing:
            return None
        do, undo = (tell("volume", "set", self.name, ALLOWED, value) for value in (let_in(allowed, missing), allowed))
        # how a host that comes calls the others is known only when it is in the pool
        return Change(f"{ALLOWED}: {', '.join(missing)} comes to {allowed}", (Action(do, undo),), follows=True)
