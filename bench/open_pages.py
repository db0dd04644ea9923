"""Open lists: what ``static/js/feed.js`` and ``rows.js`` do in a browser, many times over in one process."""

from __future__ import annotations

import asyncio
import functools
import html
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import connect

from bench.readers import beat
from datastores.management.visitor import Visitor

QUIET, SLOWEST, SHARE, LONGEST = 0.3, 5.0, 5, 10.0
"""Seconds between two readings of rows, as in ``rows.js``."""
ROW = re.compile(r'<tr data-live="([^"]+)" data-row="(\d+)">(.*?)</tr>', re.DOTALL)
CHANGE = re.compile(r"change (\d+)\.")


@dataclass(slots=True)
class OpenList:
    """One list page in a browser.

    ``has``: the newest change that each of its rows shows. ``came``: (when, row, change before, change since), each
    time that a row was read and shows a newer one. ``news``: how many messages came. ``waits``: seconds of each answer.
    ``failed``: why rows could not be read; "": they could.
    """

    visitor: Visitor
    path: str
    has: dict[int, int] = field(default_factory=dict)
    came: list[tuple[int, int, int, int]] = field(default_factory=list)
    news: int = 0
    waits: list[float] = field(default_factory=list)
    failed: str = ""
    _rows_path: str = ""
    _keys: dict[str, int] = field(default_factory=dict)
    _stale: set[int] = field(default_factory=set)
    _pause: float = QUIET
    _last_read: float = 0.0
    _waiting: asyncio.TimerHandle | None = None
    _reading: asyncio.Task[None] | None = None
    _http: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be read."""
        return not (self._stale or self._waiting or (self._reading and not self._reading.done()))

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.visitor.cookies.items())

    async def follow(self, inside: asyncio.Barrier) -> None:
        """Open the page and its socket, and keep its rows as they are, until cancelled."""
        page = await self._fetch(self.path)
        self._rows_path = html.unescape(page.partition('data-rows="')[2].partition('"')[0])
        self._keys = {name: int(key) for name, key, _ in ROW.findall(page)}
        self.has = dict.fromkeys(self._keys.values(), 0)
        async with connect(
            f"ws://{self.visitor.host}/ws/feed/", origin=f"http://{self.visitor.host}",  # type: ignore[arg-type]
            additional_headers={"Cookie": self.cookie}, compression=None, max_size=None, ping_interval=None,
            open_timeout=60,
        ) as socket:  # fmt: skip
            beating = asyncio.create_task(beat(socket))
            try:
                await inside.wait()
                async for message in socket:
                    self._heard(parsed(str(message)))
            finally:
                beating.cancel()
                if self._http:
                    self._http[1].close()

    def _heard(self, jobs: Sequence[Sequence[str]]) -> None:
        self.news += len(jobs)
        self._stale.update(self._keys[name] for names in jobs for name in names if name in self._keys)
        if self._stale and not self._waiting:
            self._wait()

    def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().call_later(self._pause, self._due)

    def _due(self) -> None:
        self._waiting = None
        if self._reading and not self._reading.done():
            self._wait()
            return
        now = time.monotonic()
        self._pause = min(SLOWEST, 2 * self._pause) if now - self._last_read < 3 * self._pause else QUIET
        self._last_read = now
        keys, self._stale = self._stale, set()
        self._reading = asyncio.create_task(self._read(keys))

    async def _read(self, keys: Iterable[int]) -> None:
        started = time.monotonic()
        try:
            text = await self._fetch(self._rows_path + "".join(f"&row={key}" for key in keys))
        except (RuntimeError, OSError, asyncio.IncompleteReadError) as error:
            self.failed = f"Rows of {self.path} could not be read: {error}"
            return
        took = time.monotonic() - started
        self._pause = max(self._pause, min(LONGEST, SHARE * took))
        self.waits.append(took)
        now = time.time_ns()
        for row, change in changes_in(text):
            before = self.has[row]
            if change > before:
                self.came.append((now, row, before, change))
                self.has[row] = change

    async def _fetch(self, path: str) -> str:
        """Return what a GET is answered. Raises RuntimeError when that is no page."""
        asks_rows = "HX-Request: true\r\n" * bool(self._rows_path)
        request = f"GET {path} HTTP/1.1\r\nHost: {self.visitor.host}\r\nCookie: {self.cookie}\r\n{asks_rows}\r\n"
        try:
            return await self._answer(path, request)
        except (asyncio.IncompleteReadError, ConnectionError):  # the server closes what was quiet for five seconds
            self._http = None
            return await self._answer(path, request)

    async def _answer(self, path: str, request: str) -> str:
        if self._http is None:
            host, _, port = self.visitor.host.partition(":")
            self._http = await asyncio.open_connection(host, int(port), limit=1 << 22)
        reader, writer = self._http
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = re.search(r"content-length: (\d+)", head)
        if not head.startswith("http/1.1 200 ") or size is None:
            raise RuntimeError(f"{path} is answered {head.partition(chr(13))[0]}")
        return (await reader.readexactly(int(size[1]))).decode()


@functools.lru_cache(maxsize=512)  # most of them get the same messages
def parsed(message: str) -> Sequence[Sequence[str]]:
    """Return what each job that a message tells of has changed, as the rows of lists are called."""
    frames = json.loads(message)
    frames = frames if isinstance(frames, list) else [frames]
    return [[*frame["objects"], f"job:{frame['uuid']}"] for frame in frames if frame["type"] == "job"]


@functools.lru_cache(maxsize=512)
def changes_in(text: str) -> list[tuple[int, int]]:
    """Return each row of an answer that shows a change, and which."""
    return [(int(key), int(found[1])) for _, key, row in ROW.findall(text) if (found := CHANGE.search(row))]
