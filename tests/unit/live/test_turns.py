"""Open pages read parts of themselves again without taking the threads that people need."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudstore.turns import PeopleFirst, is_live

LIVE = [(b"accept", b"*/*"), (b"x-live", b"1")]


def asking(path: str = "/images/", method: str = "GET", *, live: bool = True) -> dict[str, Any]:
    return {"path": path, "method": method, "headers": LIVE if live else LIVE[:1], "query_string": b"row=1"}


def test_an_open_page_says_that_it_asks_by_itself() -> None:
    assert is_live(asking())


def test_anything_else_is_what_a_person_asks_for() -> None:
    assert not is_live(asking(live=False))
    assert not is_live(asking(method="POST"))


async def test_open_pages_wait_for_each_other_and_people_do_not_wait_for_them() -> None:
    inside, over = [], asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        inside.append(scope["path"])
        await over.wait()

    gate = PeopleFirst(application, at_once=2)
    scopes = [asking("/a/"), asking("/b/"), asking("/c/"), asking("/person/", live=False)]
    asked = [asyncio.create_task(gate(scope, None, None)) for scope in scopes]
    await asyncio.sleep(0.01)
    assert inside == ["/a/", "/b/", "/person/"]
    over.set()
    await asyncio.gather(*asked)
    assert inside[-1] == "/c/"


async def test_who_fails_makes_room_for_the_next() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise OSError("away")

    gate = PeopleFirst(application, at_once=1)
    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await asyncio.wait_for(gate(asking(), None, None), 1)


async def test_who_reads_the_answer_slowly_holds_up_nobody() -> None:
    read = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        await send({"type": "http.response.body"})

    async def slowly(message: Any) -> None:
        await read.wait()

    async def at_once(message: Any) -> None:
        pass

    gate = PeopleFirst(application, at_once=1)
    slow = asyncio.create_task(gate(asking(), None, slowly))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(gate(asking(), None, at_once), 1)
    read.set()
    await slow
    await asyncio.wait_for(gate(asking(), None, at_once), 1)
    assert gate.free._value == 1, "each place was given back once"
