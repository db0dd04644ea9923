"""Warm connections, kept from one job to the next and shared by threads."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from datastores.domain.errors import CloudstoreError, NotConnected
from datastores.transport.connection import Connection, connect
from datastores.transport.dial import JumpLost
from datastores.transport.endpoint import Endpoint
from datastores.transport.shell import SSHShell
from datastores.transport.spares import Refiller, Session, SessionRefused, Stale

LAG = 0.02
"""Seconds for which a host may still count a session that has ended."""
FORGIVEN = 5.0
"""Seconds after which a connection that refused a session is tried with one more."""


class Pool:
    """Connections by endpoint. Thread-safe.

    A connection carries ``sessions`` commands at once (sshd allows 10 unless MaxSessions says otherwise); above
    that a further one is opened, at most ``connections`` to one endpoint; above that, callers queue. An endpoint
    that differs in anything, a pinned key or a credential, is another endpoint and never finds an old connection.

    ``spares``: so many shells wait on each connection that was used, beside its sessions (see ``spares.py``).
    ``idle`` is the time in seconds after which an unused connection is closed, ``timeout`` that for each of:
    connecting, exchanging keys, logging in, opening a session.

    A shell that is ``passing`` closes the connection that had to be made for it, unless another shell uses it as well;
    one that it found stays as idle as it was.
    """

    def __init__(
        self, *, sessions: int = 8, connections: int = 4, spares: int = 0, idle: float = 600.0, timeout: float = 15.0
    ) -> None:
        self.sessions, self.connections, self.idle, self.timeout = sessions, connections, idle, timeout
        self._changed = threading.Condition()
        self._open: dict[Endpoint, list[Connection]] = {}
        self._attempts: dict[Endpoint, Future[None]] = {}
        self._closed = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._refiller = Refiller(spares)

    def shell(self, endpoint: Endpoint, *, passing: bool = False) -> SSHShell:
        """Return where commands for this endpoint run. Nothing is connected yet."""
        return SSHShell(self, endpoint, passing=passing)

    @contextlib.contextmanager
    def session(
        self,
        endpoint: Endpoint,
        line: bytes,
        *,
        has_input: bool = False,
        only_reads: bool = False,
        passing: bool = False,
    ) -> Iterator[Session]:
        """Start a command line on a warm or new connection. One that ``only_reads`` may be started twice.

        :raises NotConnected: nothing was run.
        :raises Unreachable: the connection was lost while the command was being started.
        """
        connection, session = self._execute(endpoint, line, has_input, only_reads, passing)
        try:
            yield session
        finally:
            connection.spares.end(session)
            self._release(connection, passing)

    def connection(self, endpoint: Endpoint) -> Connection:
        """Return a live connection, to forward through: that takes none of its sessions."""
        while True:
            with self._changed:
                if connections := self._alive(endpoint):
                    connections[0].idle_since = time.monotonic()
                    connections[0].passing = False
                    return connections[0]
            self._add(endpoint)

    def is_warm(self, endpoint: Endpoint) -> bool:
        """Tell whether there is a live connection to the endpoint."""
        with self._changed:
            return any(connection.alive for connection in self._open.get(endpoint, []))

    def drop(self, endpoint: Endpoint) -> None:
        """Close every connection to the endpoint; commands that run on them end with Unreachable."""
        with self._changed:
            dropped = self._open.pop(endpoint, [])
            self._changed.notify_all()
        for connection in dropped:
            connection.close()

    def close(self) -> None:
        """Close everything. The pool cannot be used again."""
        with self._changed:
            self._closed.set()
            self._refiller.end()
            dropped = [connection for connections in self._open.values() for connection in connections]
            self._open.clear()
            self._changed.notify_all()
        for connection in dropped:
            connection.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- finding a connection

    def _execute(
        self, endpoint: Endpoint, line: bytes, has_input: bool, only_reads: bool, passing: bool
    ) -> tuple[Connection, Session]:
        deadline = time.monotonic() + self.timeout
        stale = 0
        while True:
            connection = self._acquire(endpoint, passing)
            try:
                waiting = None if has_input else connection.spares.run(line, only_reads=only_reads)
                return connection, waiting or Session(connection.execute(line))
            except SessionRefused:
                connection.spares.give()
                self._lower_limit(connection)
                if time.monotonic() > deadline:
                    raise NotConnected(f"{endpoint.where} opens no session (MaxSessions); nothing was run.") from None
            except Stale:
                self._release(connection, passing)
                connection.close()
                stale += 1
                if stale > self.connections:  # all that were warm, and a new one as well
                    raise
            except BaseException:
                self._release(connection, passing)
                raise

    def _acquire(self, endpoint: Endpoint, passing: bool) -> Connection:
        """Return a connection with room for one more command, counted in."""
        while True:
            with self._changed:
                connections = self._alive(endpoint)
                if roomy := [connection for connection in connections if connection.users < connection.limit]:
                    chosen = min(roomy, key=lambda connection: connection.users)
                    chosen.users += 1
                    chosen.passing = chosen.passing and passing
                    return chosen
                if len(connections) >= self.connections:
                    self._changed.wait(self.timeout)
                    continue
            self._add(endpoint, passing)

    def _alive(self, endpoint: Endpoint) -> list[Connection]:
        """Return the live connections and forget the dead ones. The lock is held."""
        if self._closed.is_set():
            raise NotConnected("The connections are being closed: this process is ending.")
        connections = [connection for connection in self._open.get(endpoint, []) if connection.alive]
        self._open[endpoint] = connections
        return connections

    def _release(self, connection: Connection, passing: bool) -> None:
        with self._changed:
            connection.users -= 1
            now = time.monotonic()
            if not passing:
                connection.idle_since = now
            if now - connection.refused_at > FORGIVEN:
                connection.limit = min(connection.limit + 1, self.sessions)
            if leaves := connection.passing and not connection.users:
                others = [each for each in self._open.get(connection.endpoint, []) if each is not connection]
                self._open[connection.endpoint] = others
            self._changed.notify_all()
        if leaves:
            connection.close()
        else:
            self._refiller.refill(connection)

    def _lower_limit(self, connection: Connection) -> None:
        """Learn how many sessions the host allows: as many as there are beside the one it refused.

        It may still have counted a command that ended just now, so this is not for ever.
        """
        with self._changed:
            connection.users -= 1
            connection.limit = max(1, connection.users)
            connection.refused_at = time.monotonic()
        time.sleep(LAG)

    # ---- making and ending connections

    def _add(self, endpoint: Endpoint, passing: bool = False) -> None:
        """Open one more connection, or wait for the one that another thread is opening and share its fate."""
        with self._changed:
            attempt = self._attempts.get(endpoint)
            if not attempt:
                mine = self._attempts[endpoint] = Future()
        if attempt:
            attempt.result()
            return
        try:
            self._connect(endpoint, passing)
        except CloudstoreError as error:
            self._attempts.pop(endpoint)
            mine.set_exception(error)
            raise
        except BaseException:  # this thread's own affair: let the others try
            self._attempts.pop(endpoint)
            mine.set_result(None)
            raise
        self._attempts.pop(endpoint)
        mine.set_result(None)

    def _connect(self, endpoint: Endpoint, passing: bool) -> None:
        jump = self.connection(endpoint.jump) if endpoint.jump else None
        try:
            connection = connect(endpoint, timeout=self.timeout, jump=jump)
        except JumpLost:
            if not endpoint.jump or not jump:
                raise
            jump.close()  # it died while it was idle
            jump = self.connection(endpoint.jump)
            connection = connect(endpoint, timeout=self.timeout, jump=jump)
        connection.limit, connection.passing = self.sessions, passing
        with self._changed:
            if self._closed.is_set():
                connection.close()
                return
            self._open.setdefault(endpoint, []).append(connection)
            self._changed.notify_all()
            if not self._sweeper:
                self._sweeper = threading.Thread(target=self._sweep, name="ssh-sweeper", daemon=True)
                self._sweeper.start()

    def _sweep(self) -> None:
        """Close, every few seconds, what is dead, stuck or idle for too long."""
        while not self._closed.wait(min(5.0, self.idle / 4)):
            with self._changed:
                useless = self._useless()
                for endpoint, connections in list(self._open.items()):
                    self._open[endpoint] = [each for each in connections if each not in useless]
                    if not self._open[endpoint]:
                        del self._open[endpoint]
            for connection in useless:
                connection.close()

    def _useless(self) -> set[Connection]:
        every = [connection for connections in self._open.values() for connection in connections]
        jumps = {connection.jump for connection in every if connection.alive}
        long_ago = time.monotonic() - self.idle
        return {
            each
            for each in every
            if not each.alive or each.stuck
            or (not each.users and each.idle_since < long_ago and each not in jumps)
        }  # fmt: skip
