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
THREADS = 4
"""That start shells, of a process: one host that has fallen silent holds up no other."""


class SessionRefused(Exception):
    """The host opens no further session on this connection (MaxSessions)."""


class Stale(NotConnected):
    """The connection turned out to be dead before anything that changes something was sent on it."""


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
        self._starting = 0
        self._refused = False
        self._lock = threading.Lock()
        """Held while the three above are changed or counted, never while the host is waited for."""

    def fill(self, count: int) -> None:
        """Start shells until ``count`` wait, or will. A host that has too few sessions for that is not asked again."""
        while self._lacks_one(count):
            fresh = []
            try:
                fresh.append(self._start(SHELL))
            except SessionRefused:
                self._refused = True
            finally:
                with self._lock:
                    self._starting -= 1
                    self._waiting.extend(fresh)

    def _lacks_one(self, count: int) -> bool:
        """Tell whether another is to be started; then it is counted in."""
        with self._lock:
            lacks = len(self._waiting) + len(self._reading) + self._starting < count and not self._refused
            self._starting += lacks
        return lacks

    def give(self) -> None:
        """End one, so that the host has a session to spare."""
        if channel := self._take(only_reads=False):
            _end(channel)

    def end(self, session: Session) -> None:
        """End what runs in a session, or let its shell wait again."""
        with self._lock:
            self._reading.discard(session.channel)
            if session.lasts:
                self._waiting.append(session.channel)
        if not session.lasts:
            _end(session.channel)

    def run(self, line: bytes, *, only_reads: bool = False) -> Session | None:
        """Let one of them run a command line that gets no input. None: none is there, and nothing was run.

        What only reads is sent along with the question whether the shell is there; it may have run then.

        :raises Stale: the connection is dead; nothing was run but what reads.
        """
        while channel := self._take(only_reads=only_reads):
            with contextlib.suppress(*LOST):  # it ended before it had all of the line, which it then does not run
                if session := self._begin(channel, line, only_reads):
                    return session
            self.end(Session(channel))
        return None

    def _take(self, *, only_reads: bool) -> Channel | None:
        with self._lock:
            channel = self._waiting.popleft() if self._waiting else None
            if channel and only_reads:
                self._reading.add(channel)
        return channel

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
        """Is it there, and the host? It may have died while nobody looked: then what is sent is lost.

        A shell from which anything else is heard is not used: something that it left behind would speak into ours.
        """
        word = secrets.token_hex(8).encode()
        channel.settimeout(self._timeout)
        channel.sendall(b"echo %s; echo %s >&2\n" % (word, word) + script)
        try:
            return all(_hear(receive, word + b"\n") for receive in (channel.recv, channel.recv_stderr))
        except TimeoutError as error:
            raise Stale("The host has fallen silent; nothing was changed.") from error


def _hear(receive: Callable[[int], bytes], wanted: bytes) -> bool:
    """Tell whether exactly this comes next."""
    heard = b""
    while len(heard) < len(wanted) and (piece := receive(len(wanted) - len(heard))):
        heard += piece
    return heard == wanted


def _end(channel: Channel) -> None:
    with contextlib.suppress(*LOST):  # then it is closed already
        channel.close()


class Refillable(Protocol):
    spares: Spares


class Refiller:
    """Threads that start shells for the connections that have used theirs, beside what runs."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._asked: SimpleQueue[Refillable | None] = SimpleQueue()
        for number in range(THREADS if count else 0):
            threading.Thread(target=self._work, name=f"ssh-spares-{number}", daemon=True).start()

    def refill(self, connection: Refillable) -> None:
        if self.count:
            self._asked.put(connection)

    def end(self) -> None:
        for _ in range(THREADS):
            self._asked.put(None)

    def _work(self) -> None:
        while connection := self._asked.get():
            with contextlib.suppress(Unreachable):  # whoever uses the connection next is told
                connection.spares.fill(self.count)
