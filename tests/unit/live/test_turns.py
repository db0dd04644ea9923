"""Open lists read their rows again without taking the threads that people need."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudstore.turns import PeopleFirst, is_rows


@pytest.mark.parametrize("query", [b"row=1", b"row=1&row=2", b"columns=&row=7"])
def test_rows_are_asked_for(query: bytes) -> None:
    assert is_rows(query)


@pytest.mark.parametrize("query", [b"", b"q=row", b"arrow=1", b"q=a&borrow=2", b"q=row%3D1"])
def test_anything_else_is_what_a_person_asks_for(query: bytes) -> None:
    assert not is_rows(query)


async def test_rows_wait_for_each_other_and_pages_do_not_wait_for_them() -> None:
    inside, over = [], asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        inside.append(scope["query_string"])
        await over.wait()

    gate = PeopleFirst(application, at_once=2)
    queries = [b"row=1", b"row=2", b"row=3", b"q=debian"]
    asked = [asyncio.create_task(gate({"query_string": query}, None, None)) for query in queries]
    await asyncio.sleep(0.01)
    assert inside == [b"row=1", b"row=2", b"q=debian"]
    over.set()
    await asyncio.gather(*asked)
    assert inside[-1] == b"row=3"


async def test_who_fails_makes_room_for_the_next() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise OSError("away")

    gate = PeopleFirst(application, at_once=1)
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await asyncio.wait_for(gate({"query_string": b"row=1"}, None, None), 1)
