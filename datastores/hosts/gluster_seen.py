"""A GlusterFS volume as its page shows it: bricks, peers, what waits to be healed, what moves, options and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree.ElementTree import Element

from datastores.domain.errors import CommandFailed
from datastores.domain.gluster import Brick, volume_name
from datastores.domain.plan import Change, Command, Output
from datastores.hosts.gluster import (
    POOL,
    VOLUMES,
    Peer,
    Status,
    VolumeInfo,
    ask,
    heard,
    inner,
    listed,
    number,
    pool,
    status,
    the_volume,
    volumes,
)
from datastores.hosts.gluster_balance import Balance, ask_balance, balance
from datastores.hosts.gluster_healing import Heal, ask_entries, ask_summary, heal
from datastores.hosts.gluster_quota import ask_limits, limits


@dataclass(frozen=True, slots=True)
class BrickSeen:
    """One brick. Bytes; ``size`` 0: not told. ``waiting``: entries, None: it does not answer.

    ``online``: None where nobody tells: glusterd of its host does not answer, but the brick may go on without it.
    """

    peer: str
    path: str
    set: int
    online: bool | None
    port: int = 0
    pid: int = 0
    size: int = 0
    free: int = 0
    waiting: int | None = None
    split_brain: int = 0


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """``problems``: sentences about what is wrong, the worst first."""

    name: str
    kind: str
    state: str
    form: str
    bricks: tuple[BrickSeen, ...]
    tasks: tuple[str, ...]
    balance: Balance | None
    options: dict[str, str]
    limits: dict[str, tuple[int, int]]
    """By directory, the bytes that it may hold and does hold."""
    torn: tuple[str, ...]
    """What is in split-brain: names, or gfids where no brick knows one."""
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, texts and numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Room:
    """What ``volume status detail`` says of a brick."""

    port: int
    pid: int
    size: int
    free: int


def rooms(host: str, command: Command, output: Output) -> dict[Brick, _Room]:
    """Return port, process and room of each brick that answers; {} when the volume is not started."""
    answer = heard(host, command, output)
    return {} if answer.why else dict(_room(node) for node in answer.tree.iter("node"))


def _room(node: Element) -> tuple[Brick, _Room]:
    figures = (number(node, name) for name in ("port", "pid", "sizeTotal", "sizeFree"))
    return Brick(inner(node, "hostname"), inner(node, "path")), _Room(*figures)


@dataclass(frozen=True, slots=True)
class VolumeKnown:
    """What is to be known of the volume was read. It only reads, so nothing is ever to be done."""

    host: str
    name: str

    def __post_init__(self) -> None:
        volume_name(self.name)

    @property
    def title(self) -> str:
        return f"the GlusterFS volume {self.name} is read"

    def reads(self) -> tuple[Command, ...]:
        name = self.name
        return (
            POOL, VOLUMES, ask("status", name), ask("status", name, "detail"), ask_summary(name),
            ask_entries(name, split_brain=True), ask_balance(name), ask_limits(name),
        )  # fmt: skip

    def facts(self, outputs: Sequence[Output]) -> VolumeSeen:
        """Return the volume.

        :raises CommandFailed: glusterd does not answer.
        :raises Refused: there is no such volume.
        """
        _, _, runs, detail, summary, split, moves, quota = self.reads()
        peers, found = pool(self.host, outputs[0]), volumes(self.host, outputs[1])
        volume = the_volume(self.host, found, self.name)
        running = status(self.host, runs, outputs[2])
        healing = heal(self.host, summary, outputs[4])
        torn = heal(self.host, split, outputs[5])
        bricks = _bricks(volume, running, rooms(self.host, detail, outputs[3]), healing)
        tasks = tuple(f"{task.kind}: {task.state}" for task in running.tasks) if running else ()
        return VolumeSeen(
            volume.name, volume.kind, volume.status, volume.layout.form, bricks, tasks,
            balance(self.host, moves, outputs[6]), dict(volume.options),
            _limits(self.host, quota, outputs[7]), torn.names if torn else (), tuple(_problems(volume, bricks, peers)),
        )  # fmt: skip

    def plan(self, facts: VolumeSeen) -> Change | None:
        return None


def _limits(host: str, command: Command, output: Output) -> dict[str, tuple[int, int]]:
    """Return the limits; none where they cannot be told: glusterd mounts the volume for that, and not always can."""
    try:
        found = limits(host, command, output)
    except CommandFailed:
        return {}
    return {path: (limit.hard, limit.used) for path, limit in found.items()}


def _bricks(
    volume: VolumeInfo, running: Status | None, rooms: dict[Brick, _Room], healing: Heal | None
) -> tuple[BrickSeen, ...]:
    told = {state.brick: state.online for state in running.bricks} if running else {}
    waits = {each.brick: each for each in healing.bricks} if healing else {}
    found = []
    for place, brick in enumerate(volume.bricks):
        room, wait = rooms.get(brick, _Room(0, 0, 0, 0)), waits.get(brick)
        known = wait is not None and wait.connected
        online = told.get(brick, None if running else False)
        found.append(
            BrickSeen(
                brick.peer, brick.path, place // volume.layout.set_size + 1, online, room.port, room.pid,
                room.size, room.free, wait.waiting if wait and known else None, wait.split_brain if wait else 0,
            )
        )  # fmt: skip
    return tuple(found)


def _problems(volume: VolumeInfo, bricks: Sequence[BrickSeen], peers: Sequence[Peer]) -> list[str]:
    """Return what is wrong, in sentences that say what is lost by it."""
    if not volume.started:
        return [f"The volume is {volume.status.lower()}: nobody can read or write. Start it."]
    found = [*_sets(volume, bricks), *_peers(volume, peers)]
    torn = max((each.split_brain for each in bricks), default=0)
    if torn:
        found.append(
            f"{torn} files are in split-brain: their copies contradict each other, and a person has to choose."
        )
    waiting = sum(max(each.waiting or 0 for each in bricks if each.set == place) for place in {b.set for b in bricks})
    if waiting and not torn:
        noun = "entry waits" if waiting == 1 else "entries wait"
        whose = "its" if waiting == 1 else "their"
        found.append(f"{waiting} {noun} to be healed: until then {whose} newest copies are on fewer bricks.")
    return found


def _sets(volume: VolumeInfo, bricks: Sequence[BrickSeen]) -> list[str]:
    found: list[str] = []
    for place in sorted({each.set for each in bricks if each.online is False}):
        down = [each for each in bricks if each.set == place and each.online is False]
        names = listed([Brick(each.peer, each.path) for each in down])
        verb = "does" if len(down) == 1 else "do"
        if len(down) > volume.layout.may_fail:
            what = f"the files of set {place} cannot be written, and perhaps not be read, until enough are back"
            found.insert(0, f"{names} {verb} not answer: {what}.")
        else:
            left = volume.layout.may_fail - len(down)
            more = "no more of them may fail" if not left else f"{left} more of them may fail"
            found.append(f"{names} {verb} not answer: the files of set {place} are there, and {more}.")
    return found


def _peers(volume: VolumeInfo, peers: Sequence[Peer]) -> list[str]:
    away = [peer for peer in peers if not peer.connected and peer.uuid in volume.brick_hosts]
    return [
        f"{peer.names[0]} does not answer the pool: its host is off or cut off, or glusterd does not run there. "
        "Whether its bricks run is not known, and no bricks or options can be changed until it is back."
        for peer in away
    ]
