"""What every ring of tests needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.db import connection
from xdist.scheduler import LoadScopeScheduling

from datastores.models import audit_guard, words
from tests.lab.fixtures import ceph_hosts, ceph_lab, debian11, debian13, host_factory, lab, storage_lab
from tests.lab.vm.fixtures import machine_lab, machines

# Playwright keeps an event loop in the main thread; tests beside it use the database all the same.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
hypothesis.settings.register_profile("untimed", deadline=None)  # no test here says anything about time
hypothesis.settings.load_profile("untimed")

__all__ = [
    "ceph_hosts", "ceph_lab", "debian11", "debian13", "host_factory", "lab", "machine_lab", "machines", "storage_lab",
]  # fmt: skip

HERE = Path(__file__).parent


RINGS = ("lab", "faults", "browser", "unit")
NETWORKS = (
    "test_lab.py", "test_package_sets.py", "test_gluster.py", "test_gluster_store.py", "test_ceph.py",
    "test_ceph_client.py", "test_kinds_conform.py",
)  # fmt: skip
"""They make networks: Chromium drops what it is loading when an address of this machine comes or goes."""
KINDS = "tests/lab/test_kinds_conform.py"
"""The longest of all: each kind is a company of its own."""
NAMES = {
    "sqlite": "SELECT name FROM sqlite_master",
    "postgresql": "SELECT indexname FROM pg_indexes UNION SELECT tgname FROM pg_trigger",
}
"""What asks each database for its indexes and triggers."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, and what makes networks before browsers do."""
    items.sort(key=lambda item: (RINGS.index(item.path.relative_to(HERE).parts[0]), item.path.name not in NETWORKS))


class Companies(LoadScopeScheduling):  # type: ignore[misc]
    """Processes share the tests out by files: what needs the same server stays together, in order.

    Each process has labs of its own. Of Ceph clusters, which take long to begin, there is one.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, name = nodeid.partition("::")
        if path.startswith("tests/lab/test_ceph") or (path == KINDS and name.endswith("[ceph]")):
            return "ceph"
        if path == KINDS:
            return f"{path} {name.partition('[')[2]}"
        # Playwright leaves its event loop in the thread, so what needs one of its own comes where no browser was
        return "faults" if path.startswith(("tests/faults/", "tests/unit/live/")) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Companies:
    return Companies(config, log)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: Any) -> set[str]:
    """Take the audit trail's triggers away: emptying the tables between tests is a DELETE, and no index is told.

    Returns the names of the indexes and triggers that were there after the migrations.
    """
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(NAMES[connection.vendor])
            migrated = {name for (name,) in cursor.fetchall()}
        audit_guard.remove(connection)
        for index in words.ALL:
            index.remove(connection)
    return migrated
