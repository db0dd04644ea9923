"""Who goes first when much is asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]


class PeopleFirst:
    """Lets in only a few at once of the requests that open lists make by themselves (``?row=``).

    Two hundred lists read their rows again whenever these change. They wait here, where that costs no thread, so that a
    person who opens a page finds one free.
    """

    def __init__(self, application: Application, at_once: int) -> None:
        self.application = application
        self.free = asyncio.Semaphore(at_once)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not is_rows(scope["query_string"]):
            await self.application(scope, receive, send)
            return
        async with self.free:
            await self.application(scope, receive, send)


def is_rows(query: bytes) -> bool:
    """Tell whether an address asks for single rows of a list."""
    return query.startswith(b"row=") or b"&row=" in query
