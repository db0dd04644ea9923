"""A browser's sockets, without a server between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.backends.db import SessionStore

from datastores.live.routing import websocket_urlpatterns
from datastores.models import User

Open = Callable[[str], WebsocketCommunicator]


@pytest.fixture
async def open_socket(admin: User) -> AsyncIterator[Open]:
    """A function that makes a socket of the admin's browser."""
    session = SessionStore()
    await sync_to_async(session.create)()
    made: list[WebsocketCommunicator] = []

    def opened(path: str) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), path)
        socket.scope |= {"user": admin, "session": session}
        made.append(socket)
        return socket

    yield opened
    for socket in made:
        await socket.disconnect()
