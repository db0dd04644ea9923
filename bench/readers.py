"""Viewers of a job's log: websocket clients that check each line and note how old it is when it comes."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from datastores.management.visitor import Visitor

HEARTBEAT = 5.0
"""Seconds between the signs of life that a browser gives; they make up for a lost bell."""
GROUP = 5_000_000
"""Nanoseconds; lines written within the same group count as old as its beginning."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines in one message: the number of the first, how many, and how many of each group of times.

    ``broken``: how many are not the line that their number says.
    """

    first: int
    lines: int
    written: tuple[tuple[int, int], ...]
    broken: int


@functools.lru_cache(maxsize=256)  # most viewers get the same messages
def read(message: str) -> Page | None:
    """Return the lines of a message, each of which begins with its number and the time in ns; None: it has none."""
    frame = json.loads(message)
    if frame["type"] != "events":
        return None
    events = frame["events"]
    first = events[0]["first"]
    lines = [line.split(" ", 2) for event in events for line in event["text"].split("\n")]
    broken = sum(line[0] != str(number) for number, line in enumerate(lines, first))
    broken += sum(event["lines"] != event["text"].count("\n") + 1 for event in events)
    groups = itertools.groupby(int(line[1]) // GROUP * GROUP for line in lines)
    return Page(first, len(lines), tuple((at, len(list(group))) for at, group in groups), broken)


@dataclass(slots=True)
class Viewers:
    """What ``count`` viewers of one job saw.

    ``ages``: how many lines came at which age, in ms. ``astray``: lines that were not the next one, lost or twice.
    ``seen``: lines for each viewer.
    """

    visitor: Visitor
    uuid: object
    count: int
    ages: Counter[int] = field(default_factory=Counter)
    astray: int = 0
    seen: list[int] = field(default_factory=list)

    async def watch(self, lines: int, started: asyncio.Event, seconds: float) -> None:
        """Follow until each viewer has seen so many lines, at most so long. ``started`` is set when all are in."""
        self.seen = [0] * self.count
        inside = asyncio.Barrier(self.count + 1)
        follow = [asyncio.create_task(self._follow(viewer, lines, inside)) for viewer in range(self.count)]
        await inside.wait()
        started.set()
        _, late = await asyncio.wait(follow, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*follow, return_exceptions=bool(late))

    async def _follow(self, viewer: int, lines: int, inside: asyncio.Barrier) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in self.visitor.cookies.items())
        async with connect(
            f"ws://{self.visitor.host}/ws/jobs/{self.uuid}/?after=0", origin=f"http://{self.visitor.host}",  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie}, compression=None, max_size=None, ping_interval=None, open_timeout=60,
        ) as socket:  # fmt: skip
            beating = asyncio.create_task(beat(socket))
            try:
                await socket.recv()  # the state of the job: it is followed from now on
                await inside.wait()
                while self.seen[viewer] < lines:
                    self._take(viewer, str(await socket.recv()), time.time_ns())
            finally:
                beating.cancel()

    def _take(self, viewer: int, message: str, now: int) -> None:
        page = read(message)
        if page is None:
            return
        self.astray += page.broken + abs(page.first - self.seen[viewer] - 1)
        self.seen[viewer] = page.first + page.lines - 1
        for written, lines in page.written:
            self.ages[(now - written) // 1_000_000] += lines

    def age(self, percent: float) -> int:
        """Return the age in ms that so many percent of the lines did not exceed; nearest rank."""
        rank = -(-sum(self.ages.values()) * percent // 100)
        ages = sorted(self.ages)
        return ages[sum(total < rank for total in itertools.accumulate(self.ages[age] for age in ages))]


async def beat(socket: ClientConnection) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT)
        await socket.send("{}")
