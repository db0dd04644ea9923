"""This process's warm SSH connections."""

from __future__ import annotations

import functools
from collections.abc import Callable

from datastores.domain.plan import Shell
from datastores.services.endpoints import endpoint_named
from datastores.transport.pool import Pool


@functools.lru_cache(maxsize=1)
def pool() -> Pool:
    return Pool()


def connector() -> Callable[[str], Shell]:
    """Return a function from a host's name to its shell; each row is read once for a job."""
    endpoints = functools.cache(endpoint_named)
    return lambda name: pool().shell(endpoints(name))
