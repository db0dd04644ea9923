"""This process's warm SSH connections."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable

from django.db import Error, close_old_connections

from datastores.domain.errors import CloudstoreError
from datastores.domain.plan import Command, Shell
from datastores.domain.states import HostState, ObjectState
from datastores.jobs.background import Background
from datastores.jobs.steps import Machines
from datastores.models import DatastoreHost
from datastores.services.endpoints import endpoint_meant, endpoint_named
from datastores.transport.endpoint import Endpoint
from datastores.transport.pool import Pool

logger = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
"""How soon the storage host of a new datastore is connected to."""
FRESH_SECONDS = 240.0
"""A connection is used at least so often; the pool closes it after ten minutes without use."""
MOST_WARM = 200
"""Hosts that a process stays connected to for no other reason: each connection has a thread that looks for input ten
times a second."""
AT_ONCE = 4
"""Hosts that are spoken to side by side to stay connected."""
SPARES = 2
"""One for what a job reads, and one for what it does then."""


@functools.lru_cache(maxsize=1)
def pool() -> Pool:
    return Pool(spares=SPARES)


def connector(machines: Machines | None = None, *, passing: bool = False) -> Callable[[str], Shell]:
    """Return a function from a host's name to its shell; each row is read once for a job.

    ``machines``: which hosts the names mean; None: those that have them now. ``passing``: connections that have to be
    made are closed after each use.
    """

    @functools.cache
    def endpoint(name: str) -> Endpoint:
        return endpoint_named(name) if machines is None else endpoint_meant(name, machines.get(name))

    return lambda name: pool().shell(endpoint(name), passing=passing)


def keep_warm(ending: threading.Event) -> None:
    """Stay connected to the storage hosts of all datastores, so that the first clone is as quick as the others.

    One that does not answer holds up no other.
    """
    used: dict[str, float] = {}
    background = Background("warm", AT_ONCE)
    while not ending.wait(LOOK_SECONDS):
        close_old_connections()
        try:
            look(used, background)
        except Error:  # the next look comes soon
            logger.warning("storage hosts could not be looked up", exc_info=True)


def look(used: dict[str, float], background: Background) -> None:
    """Have every storage host spoken to that was not for a while; ``used`` says when each was."""
    connect = connector()
    for name in storage_hosts():
        if time.monotonic() - used.get(name, 0.0) > FRESH_SECONDS:
            used[name] = time.monotonic()
            try:
                background.give(functools.partial(warm, connect(name)))
            except CloudstoreError as error:
                logger.info("%s is not kept warm: %s", name, error)


def storage_hosts() -> list[str]:
    """Return the names of the hosts on which disks are made, of those that answer."""
    usable = {"host__state": HostState.READY, "host__maintenance": False}
    first = DatastoreHost.objects.filter(position=0, datastore__state=ObjectState.READY, **usable)
    return list(first.values_list("host__name", flat=True).distinct()[:MOST_WARM])


def warm(shell: Shell) -> None:
    try:
        shell.run(Command(("true",), root=False, timeout=10))
    except CloudstoreError as error:
        logger.info("%s is not kept warm: %s", shell.host, error)
