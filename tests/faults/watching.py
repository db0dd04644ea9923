"""Somebody who watches a job's log in a browser whose connection breaks again and again."""

from __future__ import annotations

import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from socket import SHUT_RDWR
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection

from datastores.management.visitor import Visitor
from datastores.models import Job


@dataclass
class Watcher:
    """Keeps what a browser would show: entries in the order in which they came, asked for after the last one."""

    visitor: Visitor
    job: Job
    random: random.Random = field(default_factory=lambda: random.Random(7))
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    refusals: int = 0
    ended: bool = False

    @property
    def seq(self) -> int:
        return self.events[-1]["seq"] if self.events else 0

    def watch(self, *, seconds: float) -> None:
        """Watch for about so long, then lose the connection without a word."""
        until = time.monotonic() + seconds * self.random.uniform(0.2, 1.8)
        try:
            with self.visitor.socket(f"/ws/jobs/{self.job.uuid}/?after={self.seq}") as socket:
                self.connections += 1
                with contextlib.suppress(OSError, WebSocketException):
                    self._listen(socket, until)
                drop(socket)
        except (OSError, WebSocketException):
            self.refusals += 1  # the web process is being started again
            time.sleep(0.1)

    def _listen(self, socket: ClientConnection, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            frame = json.loads(socket.recv(timeout=left))
            if frame["type"] == "events":
                self.events += frame["events"]
            self.ended = self.ended or frame.get("ended", False)

    @property
    def lines(self) -> list[str]:
        return [line for event in self.events if event["kind"] == "output" for line in event["text"].split("\n")]


def drop(socket: ClientConnection) -> None:
    """Break a connection as a lost network does: no closing handshake."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(SHUT_RDWR)


def close_code(socket: ClientConnection, *, seconds: float) -> int | None:
    """Return the code with which the server closes the socket, None if it does not within so long."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        while True:
            try:
                socket.recv(timeout=max(0.0, deadline - time.monotonic()))
            except WebSocketException:
                return socket.close_code
    return None
