"""Data sets on their way to another pool: ``zfs send | zfs receive``, from where an earlier attempt ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.domain.volumes import Format
from datastores.domain.zfs import FORMAT, dataset_name, snapshot_name
from datastores.hosts.parsing import canonical_path
from datastores.hosts.zfs import Datasets, ask, found
from datastores.hosts.zfs_volumes import check_place, mount

RECEIVE_SECONDS = 7 * 86400.0
RECEIVE = """
set -o pipefail
token=$(zfs get -H -o value receive_resume_token "$2" 2>/dev/null)
case $token in
"" | -) zfs send -c -L -- "$1" ;;
*) zfs send -t "$token" ;;
esac | zfs receive -s -u -- "$2"
"""
"""$1: the snapshot, $2: the new data set. Blocks stay compressed on the way (-c), and as large as they are (-L). With
``-s`` what came is kept when the rest does not, and the data set says from where on to send."""
DROP = """
zfs receive -A -- "$1" 2>/dev/null
for each in "$2" "$1"; do
    said=$(zfs destroy -- "$each" 2>&1) && continue
    case $said in *"dataset does not exist"* | *"could not find any snapshots to destroy"*) continue ;; esac
    printf '%s\\n' "$said" >&2
    exit 1
done
"""
"""$1: a data set that was received, or half of one; $2: the snapshot that came with it."""
ASKED = ("guid", "receive_resume_token", "referenced")


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """``told``: by name, what ``zfs get`` says of ``ASKED``; what is not there is left out."""

    there: Datasets
    told: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class StreamReceived:
    """``dataset`` holds what the ``snapshot`` of another data set of this host holds, and shares nothing with it.

    The snapshot comes along; that it has the same guid proves that all came. A check while it is not there yet: its
    change is empty, so that a plan can be shown that takes it first. The disk keeps its owner and mode.
    """

    host: str
    source: str
    name: str
    dataset: str
    mountpoint: str
    format: Format

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")
        snapshot_name(self.source, self.name)

    @property
    def title(self) -> str:
        return f"{self.dataset} has received {self.snapshot}"

    @property
    def snapshot(self) -> str:
        return snapshot_name(self.source, self.name)

    @property
    def received(self) -> str:
        return snapshot_name(self.dataset, self.name)

    def reads(self) -> tuple[Command, ...]:
        names = (self.snapshot, self.dataset, self.received)
        get = ("zfs", "get", "-H", "-p", "-o", "name,property,value", ",".join(ASKED))
        return ask(*names), read(*get, *names, root=True)

    def facts(self, outputs: Sequence[Output]) -> StreamFacts:
        command, get = self.reads()
        there = found(self.host, command, outputs[0])
        told: dict[str, dict[str, str]] = {}
        for line in outputs[1].stdout.splitlines():
            name, key, value = line.split("\t")
            told.setdefault(name, {})[key] = value
        if told.keys() != there.keys():
            raise CommandFailed(get.argv, outputs[1].exit_status, outputs[1].stderr, self.host)
        return StreamFacts(there, told)

    def plan(self, facts: StreamFacts) -> Change | None:
        if self.snapshot not in facts.there:
            return Change(f"receive {self.snapshot} when it is taken", ())
        source, came = facts.told[self.snapshot], facts.told.get(self.received)
        if came and came["guid"] == source["guid"]:
            actions = self._put_right(facts)
            return Change(f"mount {self.dataset}", actions) if actions else None
        token = facts.told.get(self.dataset, {}).get("receive_resume_token", "-")
        if self.dataset in facts.there and token == "-":  # noqa: S105  # no secret: how far it came
            raise Refused(
                f"{self.dataset} on {self.host} is there already, and it is not {self.snapshot}. Nothing was changed."
            )
        note = "" if token == "-" else "It goes on where an earlier attempt ended."  # noqa: S105
        made = (*self._receive(int(source["referenced"])), self._noted(), mount(self.dataset))
        return Change(self.title, made, note, follows=True)

    def _receive(self, total: int) -> tuple[Action, ...]:
        receive = Command(("bash", "-c", RECEIVE, "bash", self.snapshot, self.dataset), timeout=RECEIVE_SECONDS)
        meter = read("zfs", "get", "-H", "-p", "-o", "value", "used", self.dataset, root=True, timeout=5)
        drop = Command(("sh", "-c", DROP, "sh", self.dataset, self.received))
        return (Action(Detached(receive, total=total, meter=meter), undo=drop, scratch=True),)

    def _noted(self) -> Action:
        set_ = Command(("zfs", "set", f"{FORMAT}={self.format}", self.dataset))
        return Action(set_, Command(("zfs", "inherit", FORMAT, self.dataset)))

    def _put_right(self, facts: StreamFacts) -> tuple[Action, ...]:
        """Return what is left to do of one that came whole, after an attempt that was cut off."""
        there = facts.there[self.dataset]
        check_place(self.host, there, self.mountpoint)
        noted = () if there.format == self.format else (self._noted(),)
        return noted if there.mounted else (*noted, mount(self.dataset))
