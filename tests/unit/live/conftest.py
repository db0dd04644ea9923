"""A browser's sockets, without a server between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.backends.db import SessionStore

from datastores.live import consumers, feed
from datastores.live.hub import Hub
from datastores.live.pages import Shared
from datastores.live.routing import websocket_urlpatterns
from datastores.models import User

Open = Callable[..., WebsocketCommunicator]


async def received(socket: WebsocketCommunicator, kind: str) -> Any:
    """Return the next frame of a kind."""
    return await anext(frames_of(socket, kind))


async def frames_of(socket: WebsocketCommunicator, kind: str) -> AsyncIterator[Any]:
    """Yield the frames of a kind as they come, alone or together with others."""
    while True:
        heard = await socket.receive_json_from(timeout=5)
        for frame in heard if isinstance(heard, list) else [heard]:
            if frame["type"] == kind:
                yield frame


@pytest.fixture(autouse=True)
def _own_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shared in a process belongs to its one loop; each test has a loop of its own."""
    monkeypatch.setattr(feed, "hub", Hub())
    for module, name in ((consumers, "job_states"), (feed, "shared_counts")):
        shared = getattr(module, name)
        monkeypatch.setattr(module, name, Shared(shared._read, apart=shared._apart))


@pytest.fixture
async def open_socket(admin: User) -> AsyncIterator[Open]:
    """A function that makes a socket of somebody's browser, of the admin's unless told."""
    session = SessionStore()
    await sync_to_async(session.create)()
    made: list[WebsocketCommunicator] = []

    def opened(path: str, user: User = admin) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
        socket.scope |= {"user": user, "session": session}
        made.append(socket)
        return socket

    yield opened
    for socket in made:
        if not socket.future.done():  # one that failed has said so
            await socket.disconnect()
