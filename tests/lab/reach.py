"""How tests of the transport reach the lab's hosts; the fixtures are for those tests to import."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from datastores.transport import dial
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool
from datastores.transport.shell import SSHShell
from tests.lab.host import Host
from tests.lab.lab import Lab

PASSWORDS = {"ops": "ops-pass", "admin1": "admin-pass"}
HOSTILE = (
    ";id", "$(id)", "`id`", "a\nb", "a'b", 'a"b', "\\", "-rf", "--", "*", "~", "!!", "#", "", " ", "$HOME", "${IFS}",
    "|id", "&", ">x", "é", "\udcff", "\x01\x1b[31m",
)  # fmt: skip


@pytest.fixture(autouse=True)
def noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pulled cable is noticed after 3 s, not 30."""
    monkeypatch.setitem(dial.SOCKET_OPTIONS, "TCP_USER_TIMEOUT", 3000)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool() as pool:
        yield pool


def endpoint(lab: Lab, host: Host, **changes: Any) -> Endpoint:
    """Root by the lab's key, or another account by its password."""
    account = changes.get("account", "root")
    login = {"password": PASSWORDS[account]} if account in PASSWORDS else {"private_key": lab.key.read_text()}
    values = {"name": host.name, "address": host.address, "port": host.port, "host_keys": (host.host_key,), **login}
    return Endpoint(**{**values, **changes})


@pytest.fixture(params=["root", "admin1"])
def shell(request: pytest.FixtureRequest, lab: Lab, pool: Pool) -> SSHShell:
    """h2 as root, and as an account with sudo."""
    return pool.shell(endpoint(lab, lab.host("h2"), account=request.param))


def eventually(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
