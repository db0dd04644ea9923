"""The host that gets an image over SSH: it fetches the file, and sees by its checksums that it is whole."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from datastores.domain.errors import BadInput, CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Detached, Output, encode, read
from datastores.domain.routes import Route
from datastores.domain.values import format_size
from datastores.hosts import ssh_receive
from datastores.hosts.capacity import FileSystem, ask_room, check_room, rooms
from datastores.hosts.copies import PART, Ownership, check_part, renamed, scratch
from datastores.hosts.inodes import Files, around, gone, look, room_for, seen
from datastores.hosts.parsing import canonical_path
from datastores.hosts.sending import PYTHON, own_directory, require_python, swept, written

PROBE_SECONDS = 5
SSH_FAILED = 255
"""ssh(1): no command was run; without a key that is the only end there is."""
PROBE = """
known=$(mktemp) && trap 'rm -f -- "$known"' EXIT && printf %s "$1" >"$known" && shift || exit
exec 2>&1
ssh -o UserKnownHostsFile="$known" "$@" true
"""
"""$1: known_hosts. ssh reads that twice, so it has to be a file; it goes at once."""
NO_KEY = "IDENTIFICATION HAS CHANGED", "host key is known for", "Host key verification failed"
LET_IN = "Permission denied"
"""What ssh says when it offers no key to a host that it knows."""
NO_SUCH_FILE = "No such file or directory"
FILL = 'umask 077; exec cat >"$1"'


def known_hosts(route: Route) -> str:
    """Return the text of known_hosts(5); the source is called ``source`` in it, whatever its address and port."""
    return "".join(f"source {line}\n" for line in route.host_keys)


@dataclass(frozen=True, slots=True)
class SourceReachable:
    """The target of ``route`` reaches its source over SSH, and finds the pinned host key there.

    A check: it refuses what it finds wrong, and changes nothing. Nobody logs in: ssh offers no key.
    """

    route: Route

    @property
    def host(self) -> str:
        return self.route.target

    @property
    def title(self) -> str:
        return f"{self.route.source} is reached over SSH, and has the pinned host key"

    def reads(self) -> tuple[Command, ...]:
        options = (*ssh_receive.SSH[1:], "-o", f"ConnectTimeout={PROBE_SECONDS}", "-o", "PubkeyAuthentication=no")
        first = ("-o", f"ConnectTimeout={PROBE_SECONDS}", "-o", "HostKeyAlias=source", *options)
        where = ("-l", self.route.account, "-p", str(self.route.port), "--", self.route.address)
        return (read("sh", "-c", PROBE, "sh", known_hosts(self.route), *first, *where),)

    def facts(self, outputs: Sequence[Output]) -> str:
        """Return what ssh said.

        :raises CommandFailed: it could not be asked.
        """
        (output,), (command,) = outputs, self.reads()
        if output.exit_status != SSH_FAILED or not output.stdout.strip():
            raise CommandFailed(command.argv, output.exit_status, output.stderr or output.stdout, self.host)
        return output.stdout.strip()

    def plan(self, facts: str) -> Change | None:
        route = self.route
        if any(word in facts for word in NO_KEY):
            raise Refused(
                f"{route.target} finds another host key at {route.address} port {route.port} than the one that is "
                f"pinned for {route.source}. Either its key has changed, or another machine has this address there. "
                "Compare the fingerprints before anything is copied."
            )
        if LET_IN not in facts:
            raise Refused(
                f"{route.target} does not reach {route.source} at {route.address} port {route.port}: "
                f"{facts.splitlines()[-1].removeprefix('ssh: ')}. Images are copied between the two hosts directly: "
                "let the one connect to the other."
            )
        return None


def fetching(route: Route, program: str) -> tuple[Action, ...]:
    """Return what is needed besides ssh: a key, the host keys to expect, and the program."""
    directory, key = route.directory, f"{route.directory}/key"
    fill = Command(("sh", "-c", FILL, "sh", key), stdin=encode(route.private_key), secret=True)
    return (
        own_directory(directory),
        written(f"{directory}/known_hosts", known_hosts(route), None),
        written(f"{directory}/receive.py", program, None),
        Action(fill, undo=gone(key), scratch=True),
    )


def unkeyed(route: Route) -> Action:
    """Return the end of what ``fetching`` made, once all has come."""
    names = ("key", "known_hosts", "receive.py")
    return Action(Command(("rm", "-f", "--", *(f"{route.directory}/{name}" for name in names))), harmless=True)


def pace(route: Route) -> str:
    return f", at most {format_size(route.limit)} in a second" if route.limit else ""


def ask_received(route: Route) -> Command:
    """Return the read of what the receiving program has noted when all had come."""
    return read("cat", "--", f"{route.directory}/received", root=True)


def received(host: str, command: Command, output: Output) -> str:
    """Return that; "" before. :raises CommandFailed: it could not be read."""
    if not output.ok and not output.stderr.strip().endswith(NO_SUCH_FILE):
        raise CommandFailed(command.argv, output.exit_status, output.stderr, host)
    return output.stdout.strip()


@dataclass(frozen=True, slots=True)
class ReceivedFacts:
    """``whole``: device and inode of the file that has arrived; "" for none."""

    files: Files
    room: dict[str, FileSystem]
    whole: str


@dataclass(frozen=True, slots=True)
class FileReceived:
    """``target`` holds, byte for byte, what the source of ``route`` lets this host fetch; holes stay holes.

    ``data``: bytes that are going to come, as far as they are known; 0: unknown. The receiving program is sure of the
    room that is needed. It writes down which file it completed, so that the target is known for this transfer's own.
    ``coming``: a step before this one makes the directory.
    """

    route: Route
    target: str
    ownership: Ownership
    with_directory: bool = False
    data: int = 0
    coming: bool = False

    def __post_init__(self) -> None:
        canonical_path(self.target)
        if not (self.ownership.owner and self.ownership.group and self.ownership.mode):
            raise BadInput(f"It is not said who owns {self.target}.")

    @property
    def host(self) -> str:
        return self.route.target

    @property
    def title(self) -> str:
        return f"{self.target} has arrived from {self.route.source}"

    @property
    def part(self) -> str:
        return self.target + PART

    def reads(self) -> tuple[Command, ...]:
        target, parent, above = around(self.target)
        return look(target, self.part, parent, above), ask_room(parent, above), ask_received(self.route), PYTHON

    def facts(self, outputs: Sequence[Output]) -> ReceivedFacts:
        stat, room, whole, _ = self.reads()
        require_python(self.host, outputs[3])
        noted = received(self.host, whole, outputs[2])
        return ReceivedFacts(seen(stat, outputs[0]), dict(rooms(room, outputs[1])), noted)

    def plan(self, facts: ReceivedFacts) -> Change | None:
        target = facts.files.get(self.target)
        if target is not None:
            if target.is_file and facts.whole == target.identity:
                return None
            raise Refused(
                f"{self.target} on {self.host} is there already ({target.noun}), and it was not made by this transfer. "
                "Nothing was overwritten."
            )
        check_part(self.host, facts.files, self.part)
        how = {"with_directory": self.with_directory, "coming": self.coming}
        directory = room_for(self.host, facts.files, self.target, **how)
        check_room(self.host, around(self.target)[1], facts.room, self.data)
        owned = scratch(self.part, *self.ownership.commands(self.part))
        tools, fetch = fetching(self.route, inspect.getsource(ssh_receive)), self._fetch()
        actions = (*directory, *tools, fetch, *owned, renamed(self.part, self.target), unkeyed(self.route))
        return Change(f"fetch {self.target} from {self.route.source}{pace(self.route)}", actions)

    def _fetch(self) -> Action:
        route = self.route
        where = (route.account, route.address, str(route.port), str(route.limit))
        program = Command(("python3", "-I", f"{route.directory}/receive.py", self.part, *where))
        return Action(Detached(program, growing=self.part, total=self.data), undo=gone(self.part), scratch=True)


@dataclass(frozen=True, slots=True)
class ReceivingForgotten:
    """Nothing but the image itself is left of a transfer on the host that it came to. The last step of its plan."""

    route: Route

    @property
    def host(self) -> str:
        return self.route.target

    @property
    def title(self) -> str:
        return f"nothing else is left of the transfer on {self.host}"

    def reads(self) -> tuple[Command, ...]:
        return (look(self.route.directory),)

    def facts(self, outputs: Sequence[Output]) -> bool:
        return bool(seen(self.reads()[0], outputs[0]))

    def plan(self, facts: bool) -> Change | None:
        if not facts:
            return None
        sweep = Action(swept(self.route.directory), harmless=True)
        return Change("remove what the transfer needed", (sweep,), follows=True)
