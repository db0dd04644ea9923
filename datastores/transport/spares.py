"""Shells that have started before they are needed.

On a warm connection a short command mostly waits for the host to fork a session and a login shell. So a connection
keeps a few shells that have done so and wait for a script. Each runs one, with its exit status, and is gone; one that
only read waits again. What changes something may leave a process behind that holds the outputs open, and whose words
would be taken for those of the next script.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from paramiko import Channel

from datastores.domain.errors import NotConnected, Unreachable
from datastores.transport.quoting import marked, whole
from datastores.transport.stream import LOST

SHELL = b"exec sh"
PING, PONG = b"echo\n", b"\n"


class SessionRefused(Exception):
    """The host opens no further session on this connection (MaxSessions)."""


class Stale(NotConnected):
    """The connection turned out to be dead before anything was sent on it."""


@dataclass(slots=True)
class Session:
    """A command line that runs on a channel.

    ``mark``: what ends both of its outputs, when the shell goes on after it; b"": the end of the channel does.
    ``lasts``: whoever took the outputs has seen that the shell can run another.
    """

    channel: Channel
    mark: bytes = b""
    lasts: bool = False


class Spares:
    """The waiting shells of one connection.

    ``start``: runs a command line and returns its channel. ``timeout``: seconds for an answer.
    """

    def __init__(self, start: Callable[[bytes], Channel], timeout: float) -> None:
        self._start, self._timeout = start, timeout
        self._waiting: deque[Channel] = deque()
        self._reading: set[Channel] = set()
        """Those that will wait again."""
        self._refused = False

    def fill(self, count: int) -> None:
        """Start shells until ``count`` wait, or will. A host that has too few sessions for that is not asked again."""
        while len(self._waiting) + len(self._reading) < count and not self._refused:
            try:
                self._waiting.append(self._start(SHELL))
            except SessionRefused:
                self._refused = True

    def give(self) -> None:
        """End one, so that the host has a session to spare."""
        with contextlib.suppress(IndexError):
            _end(self._waiting.popleft())

    def end(self, session: Session, most: int) -> None:
        """End what runs in a session, or let its shell wait again, unless ``most`` do."""
        if session.lasts and len(self._waiting) < most:
            self._waiting.append(session.channel)
        else:
            _end(session.channel)
        self._reading.discard(session.channel)

    def run(self, line: bytes, *, only_reads: bool = False) -> Session | None:
        """Let one of them run a command line that gets no input. None: none is there, and nothing was run.

        What only reads is sent along with the question whether the shell is there; it may have run then.

        :raises Stale: the connection is dead; nothing was run but what reads.
        """
        while True:
            try:
                channel = self._waiting.popleft()
            except IndexError:
                return None
            if only_reads:
                self._reading.add(channel)
            with contextlib.suppress(*LOST):  # it ended before it had all of the line, which it then does not run
                if session := self._begin(channel, line, only_reads):
                    return session
            self._reading.discard(channel)
            _end(channel)

    def _begin(self, channel: Channel, line: bytes, only_reads: bool) -> Session | None:
        """Give a shell its script. None: it is gone."""
        if only_reads:
            mark = secrets.token_hex(16).encode()
            return Session(channel, mark) if self._answers(channel, marked(line, mark)) else None
        if not self._answers(channel):
            return None
        channel.sendall(whole(line))
        return Session(channel)

    def _answers(self, channel: Channel, script: bytes = b"") -> bool:
        """Is it there, and the host? It may have died while nobody looked: then what is sent is lost."""
        channel.settimeout(self._timeout)
        channel.sendall(PING + script)
        try:
            return channel.recv(len(PONG)) == PONG
        except TimeoutError as error:
            raise Stale("The host has fallen silent; nothing was run.") from error


def _end(channel: Channel) -> None:
    with contextlib.suppress(*LOST):  # then it is closed already
        channel.close()


class Refillable(Protocol):
    spares: Spares


class Refiller:
    """A thread that starts shells for the connections that have used theirs, beside what runs."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._asked: SimpleQueue[Refillable | None] = SimpleQueue()
        if count:
            threading.Thread(target=self._work, name="ssh-spares", daemon=True).start()

    def refill(self, connection: Refillable) -> None:
        if self.count:
            self._asked.put(connection)

    def end(self) -> None:
        self._asked.put(None)

    def _work(self) -> None:
        while connection := self._asked.get():
            with contextlib.suppress(Unreachable):  # whoever uses the connection next is told
                connection.spares.fill(self.count)
