"""The trusted pool of GlusterFS: which hosts are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import Refused
from datastores.domain.gluster import Brick, peer_name, volume_name
from datastores.domain.plan import Action, Change, Command, Output
from datastores.hosts.gluster import (
    IN_CLUSTER,
    POOL,
    REJECTED,
    VOLUMES,
    Peer,
    VolumeInfo,
    not_installed,
    pool,
    tell,
    volumes,
)

PEER_WAIT = """
tries=0
while [ $tries -lt 60 ]; do
    others=$(gluster --mode=script --xml pool list | awk -F'[<>]' -v peer="$1" '
        /<hostname>/ { name = $3 }
        /<connected>1</ { connected++; if (name != "localhost") names = names " " name }
        /<state>3</ && name == peer { found = 1 }
        END { if (found) print connected names }')
    if [ -n "$others" ]; then
        behind= ours=${others%% *}
        for each in ${others#* }; do
            theirs=$(gluster --remote-host="$each" --mode=script --xml pool list | grep -c "<connected>1<")
            [ "$theirs" -ge "$ours" ] || behind=$each
        done
        [ -n "$behind" ] || exit 0
    fi
    tries=$((tries + 1)); sleep 0.5
done
echo "$1 did not become part of the pool within 30 s${behind:+: $behind does not see all of it}" >&2
exit 1
"""
"""A probe returns before both sides know each other, and before the others know the new one. Until each host sees all
the others no volume can be made there, and no brick added."""


def named(peers: Sequence[Peer], name: str) -> Peer | None:
    return next((peer for peer in peers if name in peer.names), None)


@dataclass(frozen=True, slots=True)
class PeerProbed:
    """``peer`` is in the trusted pool of ``host``. glusterd has to run on both.

    ``coming``: an earlier step starts it.
    """

    host: str
    peer: str
    coming: bool = False

    def __post_init__(self) -> None:
        peer_name(self.peer)

    @property
    def title(self) -> str:
        return f"{self.peer} is in the GlusterFS pool of {self.host}"

    def reads(self) -> tuple[Command, ...]:
        return (POOL,)

    def facts(self, outputs: Sequence[Output]) -> tuple[Peer, ...]:
        return pool(self.host, outputs[0], coming=self.coming)

    def plan(self, facts: tuple[Peer, ...]) -> Change | None:
        there = named(facts, self.peer)
        if there is None:
            probe, detach = tell("peer", "probe", self.peer), tell("peer", "detach", self.peer)
            return Change(f"take {self.peer} into the pool", (Action(probe, detach), self._seen()))
        if there.state == REJECTED:
            raise Refused(
                f"{self.peer} and the pool of {self.host} do not agree about their volumes ({there.state_text}). "
                f"On {self.peer}, keep /var/lib/glusterd/glusterd.info, remove what else is in that directory, restart "
                "glusterd and probe again."
            )
        if there.state != IN_CLUSTER:
            return Change(f"wait until {self.peer} is in the pool", (self._seen(),))
        return None

    def _seen(self) -> Action:
        return Action(Command(("sh", "-c", PEER_WAIT, "sh", self.peer)), harmless=True)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    peers: tuple[Peer, ...]
    volumes: dict[str, VolumeInfo]


@dataclass(frozen=True, slots=True)
class PeerDetached:
    """``peer`` is not in the trusted pool of ``host``. One that holds bricks stays."""

    host: str
    peer: str

    def __post_init__(self) -> None:
        peer_name(self.peer)

    @property
    def title(self) -> str:
        return f"{self.peer} is not in the GlusterFS pool of {self.host}"

    def reads(self) -> tuple[Command, ...]:
        return POOL, VOLUMES

    def facts(self, outputs: Sequence[Output]) -> PoolFacts:
        return PoolFacts(pool(self.host, outputs[0]), volumes(self.host, outputs[1]))

    def plan(self, facts: PoolFacts) -> Change | None:
        there = named(facts.peers, self.peer)
        if there is None:
            return None
        holding = [volume.name for volume in facts.volumes.values() if there.uuid in volume.brick_hosts]
        if holding:
            raise Refused(
                f"{self.peer} has bricks of {', '.join(holding)}. Replace or remove them first; "
                "a peer that is gone takes what is on its bricks along."
            )
        if not there.connected:
            raise Refused(
                f"{self.peer} does not answer the pool of {self.host}: it would go on believing that it belongs there. "
                "Detach it when it is back."
            )
        detach = tell("peer", "detach", self.peer)
        return Change(f"let {self.peer} leave the pool", (Action(detach, tell("peer", "probe", self.peer)),))


@dataclass(frozen=True, slots=True)
class PeerUnneeded:
    """``peer`` is in the pool of ``host`` only as long as it has bricks of other volumes than ``volume``.

    Which an earlier step deletes; so what it had of that does not count. ``of``: the bricks of that volume; another one
    with its name counts. (): whatever has the name.
    """

    host: str
    peer: str
    volume: str
    of: tuple[Brick, ...] = ()

    def __post_init__(self) -> None:
        peer_name(self.peer)
        volume_name(self.volume)

    @property
    def title(self) -> str:
        return f"{self.peer} is in the GlusterFS pool of {self.host} for nothing but other volumes than {self.volume}"

    def reads(self) -> tuple[Command, ...]:
        return POOL, VOLUMES

    def facts(self, outputs: Sequence[Output]) -> PoolFacts:
        if not_installed(outputs[0]):
            return PoolFacts((), {})
        return PoolFacts(pool(self.host, outputs[0]), volumes(self.host, outputs[1]))

    def plan(self, facts: PoolFacts) -> Change | None:
        there = named(facts.peers, self.peer)
        others = [each for each in facts.volumes.values() if each.name != self.volume or not each.has_any(self.of)]
        if there is None or any(there.uuid in volume.brick_hosts for volume in others):
            return None
        return PeerDetached(self.host, self.peer).plan(PoolFacts(facts.peers, {each.name: each for each in others}))
