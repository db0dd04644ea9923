"""A small server for the browser tests: the pages under ``tests/browser``, the project's static files under the
policy the product has, and the addresses of one job's log. Runs in a thread of the test process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import mimetypes
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from tests.browser.log_window.joblog import JobLog

HERE = Path(__file__).resolve().parent
STATIC = HERE.parents[2] / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class LogServer:
    """Serves ``log``; the methods may be called from the test's thread."""

    def __init__(self) -> None:
        self.log = JobLog()
        self.live = False
        self.delay = 0.0  # seconds by which lines are late
        self.broken = False  # the lines cannot be read
        self.mute = False  # pings are not answered
        self.connections = 0  # sockets opened so far
        self.asked_after: list[int] = []  # the ?after= of each job socket
        self.asked_first: list[int] = []  # the ?first= of each request for lines
        self._sockets: set[ServerConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._bell = asyncio.Event()
        self._started = threading.Event()
        self._stop: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def start(self) -> LogServer:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set_result, None)
        self._thread.join(10)

    def reset(self, log: JobLog, *, live: bool = False) -> None:
        self.log, self.live, self.delay, self.broken = log, live, 0.0, False
        self.mute = False
        self.connections, self.asked_after, self.asked_first = 0, [], []

    @property
    def open_sockets(self) -> list[ServerConnection]:
        return [socket for socket in list(self._sockets) if socket.state is State.OPEN]

    def start_call(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's loop and wait for it."""
        return self.start_call(work).result(120)

    async def ring(self, change: Callable[[], object]) -> None:
        """Change the log and wake everybody who follows it."""
        change()
        self._bell.set()
        self._bell = asyncio.Event()

    async def pour(self, lines: int, per_second: int) -> None:
        """Let the log grow steadily, fifty times a second."""
        beat, end = self._loop.time(), self.log.total + lines
        while self.log.total < end:
            await self.ring(lambda: self.log.grow(min(end - self.log.total, per_second // 50), of=25))
            beat += 0.02
            await asyncio.sleep(max(0.0, beat - self._loop.time()))

    async def drop(self) -> None:
        """Cut every socket, as a proxy that restarts does: no close frame."""
        for socket in self.open_sockets:
            socket.transport.abort()

    async def send(self, message: Any) -> None:
        for socket in self.open_sockets:
            await socket.send(json.dumps(message))

    async def close(self, code: int) -> None:
        for socket in self.open_sockets:
            await socket.close(code)

    async def _serve(self) -> None:
        quiet = logging.getLogger(__name__)
        quiet.setLevel(logging.WARNING)
        async with serve(
            self._socket, "127.0.0.1", 0, process_request=self._request, compression=None, logger=quiet
        ) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._started.set()
            await self._stop

    async def _request(self, _: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path.startswith("/ws/"):
            return None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in ("/lines/", "/search/"):
            await asyncio.sleep(self.delay)
            if self.broken:
                return answer(HTTPStatus.BAD_GATEWAY, b"", "text/plain")
            return answer(HTTPStatus.OK, json.dumps(self._data(parts.path, query)).encode(), "application/json")
        return self._file(parts.path)

    def _data(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        wanted = tuple((name, query[name]) for name in ("host", "step", "level") if name in query)
        if path == "/search/":
            return self.log.search(query["q"], wanted)
        self.asked_first.append(int(query["first"]))
        return self.log.lines(int(query["first"]), int(query["count"]), wanted)

    def _file(self, path: str) -> Response:
        if path == "/job/":
            return answer(HTTPStatus.OK, self._page().encode(), "text/html; charset=utf-8")
        root = STATIC if path.startswith("/static/") else HERE.parent
        file = (root / path.removeprefix("/static/").lstrip("/")).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            return answer(HTTPStatus.NOT_FOUND, b"no such page", "text/plain")
        return answer(HTTPStatus.OK, file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain")

    def _page(self) -> str:
        page = (HERE / "job.html").read_text()
        values = {
            "TOTAL": self.log.total,
            "SEQ": len(self.log.events),
            "FOLLOW": "data-follow" if self.live else "",
            "SOCKET": 'data-socket-url="/ws/job/"' if self.live else "",
        }
        for name, value in values.items():
            page = page.replace(f"%{name}%", str(value))
        return page

    async def _socket(self, socket: ServerConnection) -> None:
        assert socket.request
        address = urlsplit(socket.request.path)
        self.connections += 1
        self._sockets.add(socket)
        pongs = asyncio.create_task(self._answer_pings(socket))
        try:
            if address.path == "/ws/job/":
                await self._follow(socket, int(parse_qs(address.query)["after"][0]))
            await pongs
        except ConnectionClosed:
            pass  # the test cut it, or the page is gone
        finally:
            pongs.cancel()
            self._sockets.discard(socket)

    async def _answer_pings(self, socket: ServerConnection) -> None:
        async for message in socket:
            if json.loads(message)["type"] == "ping" and not self.mute:
                await socket.send('{"type": "pong"}')

    async def _follow(self, socket: ServerConnection, sent: int) -> None:
        self.asked_after.append(sent)
        while socket.state is State.OPEN:
            bell = self._bell
            while events := self.log.after(sent):
                sent = events[-1].seq
                message = {"type": "events", "events": [event.frame() for event in events]}
                await socket.send(json.dumps(message | {"seq": sent, "total": self.log.total}))
            waits = [asyncio.ensure_future(bell.wait()), asyncio.ensure_future(socket.wait_closed())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()


def answer(status: HTTPStatus, body: bytes, kind: str) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)
