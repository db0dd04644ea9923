"""Servers that end with their test, and a pool with short times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from datastores.transport.pool import Pool
from tests.unit.transport.server import Server

ServerFactory = Callable[..., Server]


@pytest.fixture
def make_server() -> Iterator[ServerFactory]:
    servers: list[Server] = []

    def make(**options: object) -> Server:
        servers.append(Server(**options))  # type: ignore[arg-type]
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def server(make_server: ServerFactory) -> Server:
    return make_server()


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(timeout=5) as pool:
        yield pool
