"""What every ring of tests needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from datastores.models import audit_guard
from tests.lab.fixtures import debian11, debian13, host_factory, lab

# Playwright keeps an event loop in the main thread; tests beside it use the database all the same.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

__all__ = ["debian11", "debian13", "host_factory", "lab"]

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares hosts, or a server, runs in one process, in order, and first: it takes longest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_company(item)))
    items.sort(key=lambda item: _RINGS.index(item.path.relative_to(HERE).parts[0]))


_RINGS = ("lab", "faults", "browser", "unit")


def _company(item: pytest.Item) -> str:
    path = item.path.relative_to(HERE)
    if path.parts[0] in {"lab", "faults"}:
        return path.parts[0]
    return "lab" if "lab" in getattr(item, "fixturenames", ()) else str(path)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: Any) -> None:
    """Take the append-only triggers away: emptying the tables between tests is a DELETE."""
    with django_db_blocker.unblock():
        audit_guard.remove(connection)
