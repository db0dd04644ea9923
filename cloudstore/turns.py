"""Who goes first when much is asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]


class PeopleFirst:
    """Lets in only a few at once of the requests that open pages make by themselves, which say so (``X-Live``).

    Two hundred lists read their rows again whenever these change. They wait here, where that costs no thread, so that a
    person who opens a page finds one free. Their turn ends when the answer begins: a slow reader holds up nobody.
    """

    def __init__(self, application: Application, at_once: int) -> None:
        self.application = application
        self.free = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not is_live(scope):
            await self.application(scope, receive, send)
            return
        await self.free.acquire()
        turn = Turn(self.free)

        async def answer(message: Any) -> None:
            turn.end()
            await send(message)

        try:
            await self.application(scope, receive, answer)
        finally:
            turn.end()


class Turn:
    """A place that was taken, to be given back once."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self.free: asyncio.Semaphore | None = free

    def end(self) -> None:
        if self.free:
            self.free.release()
        self.free = None


def is_live(scope: Any) -> bool:
    """Tell whether a page that is open reads a part of itself anew (``rows.js``, ``feed.js``)."""
    return scope["method"] == "GET" and (b"x-live", b"1") in scope["headers"]
