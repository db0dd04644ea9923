"""A time for all of a conversation: a timeout is for each answer, and who answers a byte at a time never meets it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Deadline:
    """Cuts off the connection that it was shown when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._held: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """Cut off this connection later, also when it speaks TLS by then. Raises TimeoutError when it is too late."""
        with self._lock:
            self._forget()
            if self.is_over:
                raise TimeoutError
            # of its own: TLS takes the descriptor away from the socket that is wrapped
            self._held = connection.dup()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            if self._held:
                with contextlib.suppress(OSError):  # it has just ended by itself
                    self._held.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        if self._held:
            self._held.close()
        self._held = None

    def start(self) -> None:
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._forget()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """Give what is done in the block so many seconds.

    :raises TimeoutError: they are over, whatever the block made of it: what was cut off may look like an answer.
    """
    deadline = Deadline(seconds)
    deadline.start()
    try:
        yield deadline
    except Exception as error:
        if deadline.is_over:
            raise TimeoutError from error
        raise
    finally:
        deadline.end()
    if deadline.is_over:
        raise TimeoutError
