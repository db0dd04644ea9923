"""Data sets on their way to another pool: ``zfs send | zfs receive``, from where an earlier attempt ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.domain.volumes import Format
from datastores.domain.zfs import FORMAT, dataset_name, snapshot_name
from datastores.hosts.parsing import canonical_path
from datastores.hosts.zfs import Dataset, Datasets, ask, found
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
    change is empty, so that a plan can be shown that takes it first. The disk keeps its owner and mode. ``reserved``:
    bytes that are kept for it; 0 for none.
    """

    host: str
    source: str
    name: str
    dataset: str
    mountpoint: str
    format: Format
    reserved: int = 0

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
            actions = put_right(self.host, facts.there[self.dataset], self.mountpoint, self.format, self.reserved)
            return Change(f"mount {self.dataset}", actions) if actions else None
        token = facts.told.get(self.dataset, {}).get("receive_resume_token", "-")
        if self.dataset in facts.there and token == "-":  # noqa: S105  # no secret: how far it came
            raise Refused(
                f"{self.dataset} on {self.host} is there already, and it is not {self.snapshot}. Nothing was changed."
            )
        note = "" if token == "-" else "It goes on where an earlier attempt ended."  # noqa: S105
        kept = noted(self.dataset, self.format, self.reserved)
        made = (*self._receive(int(source["referenced"])), kept, mount(self.dataset))
        return Change(self.title, made, note, follows=True)

    def _receive(self, total: int) -> tuple[Action, ...]:
        receive = Command(("bash", "-c", RECEIVE, "bash", self.snapshot, self.dataset), timeout=RECEIVE_SECONDS)
        detached = Detached(receive, total=total, meter=meter(self.dataset))
        return (Action(detached, undo=dropped(self.dataset, self.received), scratch=True),)


def meter(dataset: str) -> Command:
    """Return what tells how much of a data set has come."""
    return read("zfs", "get", "-H", "-p", "-o", "value", "used", dataset, root=True, timeout=5)


def dropped(dataset: str, received: str) -> Command:
    """Return the undo of a receipt, whole or not."""
    return Command(("sh", "-c", DROP, "sh", dataset, received))


def noted(dataset: str, format: Format, reserved: int) -> Action:
    room = (f"refreservation={reserved}",) if reserved else ()
    set_ = Command(("zfs", "set", f"{FORMAT}={format}", *room, dataset))
    return Action(set_, Command(("zfs", "inherit", FORMAT, dataset)))


def put_right(host: str, there: Dataset, mountpoint: str, format: Format, reserved: int) -> tuple[Action, ...]:
    """Return what is left to do of a data set that came whole, after an attempt that was cut off."""
    check_place(host, there, mountpoint)
    first = () if there.format == format else (noted(there.name, format, reserved),)
    return first if there.mounted else (*first, mount(there.name))
