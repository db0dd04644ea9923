"""A data set that one host fetches from another over SSH: a stream that goes on where it was cut off."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, read
from datastores.domain.routes import Route
from datastores.domain.volumes import Format
from datastores.domain.zfs import dataset_name, snapshot_name
from datastores.hosts import ssh_receive, zfs_receive
from datastores.hosts.copies import Ownership
from datastores.hosts.inodes import look, seen
from datastores.hosts.parsing import canonical_path
from datastores.hosts.receiving import ask_received, fetching, pace, received, unkeyed
from datastores.hosts.sending import PYTHON, require_python
from datastores.hosts.zfs import Datasets, ask, found
from datastores.hosts.zfs_streams import dropped, meter, noted, put_right
from datastores.hosts.zfs_volumes import disk_in, mount

OWNED = '[ "$(stat -c %U:%G -- "$1")" = "$2" ] || exec chown --no-dereference "$2" -- "$1"'
"""$1: a file, $2: who is to own it. A stream says numbers, which may be those of others on this host. A change of the
owner to what it is already would count as a change of the file."""


@dataclass(frozen=True, slots=True)
class FetchFacts:
    """``token``: from where on to send a half-received data set; "" for none. ``guid``: of the snapshot that came.

    ``whole``: the guid of the snapshot that was sent, once all has come. ``begun``: this transfer has begun here.
    """

    there: Datasets
    token: str
    guid: str
    whole: str
    begun: bool


@dataclass(frozen=True, slots=True)
class StreamFetched:
    """``dataset`` holds what the snapshot ``name`` of a data set at the source of ``route`` holds.

    The snapshot comes along. The receiving program notes its guid as the sender says it: where it is the same here, all
    came, for zfs checks every block of a stream by its checksum. ``data``: bytes that are going to come, as far as they
    are known; 0: unknown. ``reserved``: bytes that are kept for it; 0 for none.
    """

    route: Route
    name: str
    dataset: str
    mountpoint: str
    format: Format
    ownership: Ownership
    reserved: int = 0
    data: int = 0

    def __post_init__(self) -> None:
        dataset_name(self.dataset)
        canonical_path(self.mountpoint, "The mount point")
        snapshot_name(self.dataset, self.name)

    @property
    def host(self) -> str:
        return self.route.target

    @property
    def title(self) -> str:
        return f"the data set {self.dataset} has arrived from {self.route.source}"

    @property
    def received(self) -> str:
        return snapshot_name(self.dataset, self.name)

    def reads(self) -> tuple[Command, ...]:
        get = ("zfs", "get", "-H", "-p", "-o", "name,property,value", "guid,receive_resume_token")
        both = (self.dataset, self.received)
        return ask(*both), read(*get, *both, root=True), ask_received(self.route), look(self.route.directory), PYTHON

    def facts(self, outputs: Sequence[Output]) -> FetchFacts:
        command, get, note, directory, _ = self.reads()
        require_python(self.host, outputs[4])
        there = found(self.host, command, outputs[0])
        told = dict(_told(line) for line in outputs[1].stdout.splitlines())
        if {name for name, _ in told} != there.keys():
            raise CommandFailed(get.argv, outputs[1].exit_status, outputs[1].stderr, self.host)
        return FetchFacts(
            there,
            _value(told, self.dataset, "receive_resume_token"),
            _value(told, self.received, "guid"),
            received(self.host, note, outputs[2]),
            bool(seen(directory, outputs[3])),
        )

    def plan(self, facts: FetchFacts) -> Change | None:
        there = facts.there.get(self.dataset)
        if there and facts.whole and facts.whole == facts.guid:
            actions = put_right(self.host, there, self.mountpoint, self.format, self.reserved)
            return Change(f"mount {self.dataset}", (*actions, *self._owned())) if actions else None
        if there and not facts.token and not facts.begun:
            raise Refused(f"{self.dataset} on {self.host} is there already. Nothing was changed.")
        note = "It goes on where an earlier attempt ended." if there else ""
        actions = (
            *fetching(self.route, inspect.getsource(zfs_receive)),
            self._fetch(),
            noted(self.dataset, self.format, self.reserved),
            mount(self.dataset),
            *self._owned(),
            unkeyed(self.route),
        )
        return Change(f"fetch {self.dataset} from {self.route.source}{pace(self.route)}", actions, note)

    def _fetch(self) -> Action:
        route = self.route
        keys = ("-i", f"{route.directory}/key", "-o", f"UserKnownHostsFile={route.directory}/known_hosts")
        where = ("-o", "HostKeyAlias=source", "-l", route.account, "-p", str(route.port), "--", route.address)
        program = ("python3", "-I", f"{route.directory}/receive.py", self.dataset, self.name, str(route.limit))
        command = Command((*program, *ssh_receive.SSH, *keys, *where))
        detached = Detached(command, total=self.data, meter=meter(self.dataset))
        return Action(detached, undo=dropped(self.dataset, self.received), scratch=True)

    def _owned(self) -> tuple[Action, ...]:
        who = f"{self.ownership.owner}:{self.ownership.group}"
        return (Action(Command(("sh", "-c", OWNED, "sh", disk_in(self.mountpoint), who)), harmless=True),)


def _told(line: str) -> tuple[tuple[str, str], str]:
    name, key, value = line.split("\t")
    return (name, key), value


def _value(told: Mapping[tuple[str, str], str], name: str, key: str) -> str:
    value = told.get((name, key), "-")
    return "" if value == "-" else value
