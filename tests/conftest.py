"""What every ring of tests needs."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.db import connection

from datastores.models import audit_guard
from tests.lab.fixtures import debian11, debian13, host_factory, lab

# Playwright keeps an event loop in the main thread; tests beside it use the database all the same.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

__all__ = ["debian11", "debian13", "host_factory", "lab"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: Any) -> None:
    """Take the append-only triggers away: emptying the tables between tests is a DELETE."""
    with django_db_blocker.unblock():
        audit_guard.remove(connection)
