"""Who listens at the port of an iSCSI target: two servers on one host cannot have the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Command, Output, read
from datastores.domain.values import port_number
from datastores.hosts.parsing import expect

EVERYWHERE = frozenset({"0.0.0.0", "[::]", "*"})  # noqa: S104 - what ss says of a socket that was opened so
_PROCESS = re.compile(r"\(\"([^\"]*)\",pid=")
_FIELDS = 5
"""State, two queues, and the two ends, of which the first is ours; then the processes, if it has any."""


class Listener(StrEnum):
    """Who serves targets, as ss (iproute2) names the owner of its socket; the kernel has no process."""

    TGTD = "tgtd"
    KERNEL = ""

    @property
    def words(self) -> str:
        return self.value or "LIO (the kernel)"


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket. ``processes``: names, () for one of the kernel."""

    address: str
    processes: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        return ", ".join(self.processes) or Listener.KERNEL.words


@dataclass(frozen=True, slots=True)
class PortalFree:
    """Nobody but ``server`` listens at this port of the host. A check: it changes nothing.

    ``address``: where the server will listen, when not everywhere.
    """

    host: str
    port: int
    server: Listener
    address: str = ""

    def __post_init__(self) -> None:
        port_number(self.port)

    @property
    def title(self) -> str:
        return f"nobody but {self.server.words} listens at port {self.port} of {self.host}"

    def reads(self) -> tuple[Command, ...]:
        return (read("ss", "-H", "-O", "-l", "-t", "-n", "-p", "sport", "=", f":{self.port}", root=True),)

    def facts(self, outputs: Sequence[Output]) -> tuple[Socket, ...]:
        """Return who listens there.

        :raises CommandFailed: it could not be read.
        """
        [ask] = self.reads()
        lines = [line.split(maxsplit=_FIELDS) for line in expect(self.host, ask, outputs[0]).splitlines()]
        if unread := [words for words in lines if len(words) < _FIELDS]:
            raise CommandFailed(ask.argv, 0, f"unreadable output {unread[0]!r}", self.host)
        return tuple(
            Socket(words[3].rpartition(":")[0], tuple(_PROCESS.findall(" ".join(words[5:])))) for words in lines
        )

    def plan(self, facts: tuple[Socket, ...]) -> None:
        for socket in facts:
            ours = set(socket.processes) == ({self.server.value} - {""})
            if not ours and self._meets(socket.address):
                raise Refused(
                    f"{socket.owner} listens at {socket.address}:{self.port} on {self.host}, so {self.server.words} "
                    "cannot serve anything at that port. Let all datastores of one storage host be served in the same "
                    "way, or stop what listens there if nobody needs it."
                )

    def _meets(self, address: str) -> bool:
        ours = f"[{self.address}]" if ":" in self.address else self.address
        return not ours or ours in EVERYWHERE or address in EVERYWHERE or address == ours
