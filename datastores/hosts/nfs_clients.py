"""What clients of the kernel's NFS server have open, and what they remember of a file.

Since Linux 5.3 the server tells it in /proc/fs/nfsd/clients/<number>: ``info`` says who that is, ``states`` what it has
open or locked, and of what it holds a delegation (nfsd(7) of the kernel's documentation). A client with a delegation
answers from what it remembers, and the server keeps the file open for it: whoever puts another content under the file
(``zfs rollback``) or unmounts its file system has to ask for that back first. An open for writing on the server does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Change, Command, Output, read
from datastores.hosts.inodes import Inode, look, seen
from datastores.hosts.parsing import canonical_path

CLIENTS = "/proc/fs/nfsd/clients"
NOTHING, NOT_THERE = 1, 2
"""What grep exits with when no line matches, and when there is no such directory: no server runs."""
ASK = read(
    "grep", "-arsH", "--include=info", "--include=states", "-E", "^(address|name): |type: (open|lock),", CLIENTS,
    root=True,
)  # fmt: skip
_LINE = re.compile(rf"{CLIENTS}/(\d+)/(info|states):(.*)")
_OPENED = re.compile(r'superblock: "([0-9a-f]+:[0-9a-f]+:\d+)"')
RECALL_SECONDS = 200.0
"""A client that does not answer any more loses its delegation after the lease, 90 s as a rule (nfs.conf(5))."""


@dataclass(frozen=True, slots=True)
class NfsClient:
    """A client as the server knows it, with the files that it has open or locked: ``major:minor:inode`` of each."""

    number: int
    address: str = ""
    name: str = ""
    opened: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.address} ({self.name})" if self.name else self.address or f"client {self.number}"


def clients(host: str, output: Output) -> tuple[NfsClient, ...]:
    """Return the clients that ``ASK`` told of.

    :raises CommandFailed: it could not be read.
    """
    silent = output.exit_status in {NOTHING, NOT_THERE} and not output.raw and not output.stderr.strip()
    if not output.ok and not silent:
        raise CommandFailed(ASK.argv, output.exit_status, output.stderr, host)
    lines: dict[int, list[str]] = {}
    for line in output.stdout.splitlines():
        if said := _LINE.match(line):
            lines.setdefault(int(said[1]), []).append(said[3])
    return tuple(_client(number, said) for number, said in sorted(lines.items()))


def _client(number: int, said: Sequence[str]) -> NfsClient:
    words: Mapping[str, str] = {key: value.strip('"') for key, _, value in (line.partition(": ") for line in said)}
    opened = frozenset(found[1] for line in said if (found := _OPENED.search(line)))
    return NfsClient(number, words.get("address", "").rpartition(":")[0].strip("[]"), words.get("name", ""), opened)


def named(file: Inode) -> str:
    """Return what the server calls a file: device and inode, as in ``00:2a:2``."""
    device, _, inode = file.identity.partition(":")
    return f"{os.major(int(device)):02x}:{os.minor(int(device)):02x}:{inode}"


def recalled(path: str) -> Action:
    """Return what makes every client give back what it remembers of the file. Not a byte of it is changed."""
    written = ("if=/dev/null", f"of={path}", "conv=notrunc,nocreat", "count=0", "status=none")
    return Action(Command(("dd", *written), timeout=RECALL_SECONDS), harmless=True)


@dataclass(frozen=True, slots=True)
class ClosedByClients:
    """No client of the NFS server on ``host`` has the file ``path`` open. A check: it is closed where it is used."""

    host: str
    path: str

    def __post_init__(self) -> None:
        canonical_path(self.path)

    @property
    def title(self) -> str:
        return f"no NFS client of {self.host} has {self.path} open"

    def reads(self) -> tuple[Command, ...]:
        return look(self.path), ASK

    def facts(self, outputs: Sequence[Output]) -> tuple[NfsClient, ...]:
        """Return those that have it open."""
        file = seen(self.reads()[0], outputs[0]).get(self.path)
        known = clients(self.host, outputs[1])
        return tuple(each for each in known if file and named(file) in each.opened)

    def plan(self, facts: tuple[NfsClient, ...]) -> Change | None:
        if not facts:
            return None
        who = ", ".join(map(str, facts))
        expire = f"echo expire > {CLIENTS}/{facts[0].number}/ctl"
        raise Refused(
            f"{self.path} on {self.host} is open over NFS on {who}. Shut its machine down there first. A host that is "
            f"gone for good keeps it open until you say `{expire}` on {self.host}."
        )
