"""Routes between hosts of a lab, as a job makes them of its rows."""

from __future__ import annotations

import secrets

from datastores.domain.routes import Route
from datastores.transport.keys import generate_key
from tests.lab.carrying import Hosts


def route_between(hosts: Hosts, source: str, target: str, *, account: str = "root", limit: int = 0) -> Route:
    """Return the way on which ``target`` fetches from ``source``, with a key of its own."""
    private, public = generate_key()
    key = " ".join(hosts.lab.host(source).host_key.split()[:2])
    address = {name: str(hosts.lab.host(name).address) for name in (source, target)}
    return Route(
        token=secrets.token_hex(6), source=source, target=target, address=address[source], port=22, account=account,
        host_keys=(key,), seen_as=(address[target],), public_key=public, private_key=private, limit=limit,
    )  # fmt: skip
