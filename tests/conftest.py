"""What every ring of tests needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.db import connection
from xdist.scheduler import LoadScopeScheduling

from datastores.models import audit_guard, audit_words
from tests.lab.fixtures import debian11, debian13, host_factory, lab

# Playwright keeps an event loop in the main thread; tests beside it use the database all the same.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
hypothesis.settings.register_profile("untimed", deadline=None)  # no test here says anything about time
hypothesis.settings.load_profile("untimed")

__all__ = ["debian11", "debian13", "host_factory", "lab"]

HERE = Path(__file__).parent


RINGS = ("lab", "faults", "browser", "unit")
STORY = "tests/browser/test_story_main_job.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: RINGS.index(item.path.relative_to(HERE).parts[0]))


class Companies(LoadScopeScheduling):  # type: ignore[misc]
    """Two processes share the tests out: what needs the same hosts or the same server stays together, in order."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path == STORY or path.startswith("tests/lab/"):
            return "lab"
        # Playwright leaves its event loop in the thread, so what needs one of its own comes where no browser was
        return "faults" if path.startswith(("tests/faults/", "tests/unit/live/")) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Companies:
    return Companies(config, log)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: Any) -> None:
    """Take the audit trail's triggers away: emptying the tables between tests is a DELETE, and no index is told."""
    with django_db_blocker.unblock():
        audit_guard.remove(connection)
        audit_words.remove(connection)
