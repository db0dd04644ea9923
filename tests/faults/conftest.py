"""The whole product, three real hosts, and the rule that after every test hosts and database agree."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from datastores.management.visitor import Visitor
from datastores.models import Datastore, Image, Job
from tests import stack
from tests.faults.agreement import disagreements
from tests.faults.installation import Installation, open_database
from tests.faults.points import SHARED, Points
from tests.lab.disks import MIB
from tests.lab.lab import Lab

PROMISED = 90.0
"""Seconds within which a job that lost its worker has been resumed or undone."""
GOLDEN = "/var/tmp/golden.raw"
USUAL = "/var/tmp/usual.raw"
BYTES = 96 * MIB
"""Virtual size of the golden image; a third of it is data."""

Abandoned = tuple[Installation, Job, float]
"""An installation, its job whose worker was killed, and when (seconds since 1970)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="package")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    return Points(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="package")
def lab(points: Points) -> Iterator[Lab]:
    """h1, h2 and h3 with fault points. Two runs at once need different labs, named by CLOUDSTORE_FAULTS_LAB."""
    name, subnet = os.environ.get("CLOUDSTORE_FAULTS_LAB", "faults 10.77.12.0/24").split()
    lab = Lab(name, subnet=subnet)
    with lab.taken():
        hosts = lab.up(3, with_disks=["h1"], binds={str(points.directory): SHARED})
        for host in hosts:
            points.install(host)
        lab.make_image("h1", GOLDEN, virtual=BYTES, data=BYTES // 3)
        yield lab


@pytest.fixture(scope="package")
def database(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let tests look into the product's own database, which no other test uses."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def site(lab: Lab, points: Points, database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The product with h1 and h2, and a worker for each fault that is tried at the same time."""
    slots = [*["interactive"] * 6, *["provision"] * 6, *["transfer"] * 12, "monitor+schedule"]
    env = {
        "CLOUDSTORE_WORKERS": " ".join(slots),
        "CLOUDSTORE_PATIENCE_SECONDS": "4",
        "CLOUDSTORE_MONITOR_SECONDS": "15",
    }
    with stack.running(tmp_path_factory.mktemp("product"), **env) as product:
        open_database("product", product)
        admin = Visitor(product.url, "admin", product.password)
        site = Installation(product, lab, points, admin)
        for name in ("h1", "h2"):
            site.onboard(name)
        yield site


@pytest.fixture(scope="package")
def xfs(site: Installation) -> Datastore:
    return site.datastore("xfs", "/srv/xfs/images")


@pytest.fixture(scope="package")
def golden(site: Installation, xfs: Datastore) -> Image:
    return site.image(xfs, "golden", GOLDEN)


@pytest.fixture(scope="package")
def usual(site: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Abandoned]]:
    """A second installation, with the patience of any: the worker of its copy is killed while other tests run."""
    site.lab.make_image("h2", USUAL, virtual=MIB, data=MIB)
    running, point = ExitStack(), site.points.set("cp", USUAL)

    def abandon() -> Abandoned:
        product = running.enter_context(stack.running(tmp_path_factory.mktemp("usual")))
        open_database("usual", product)
        other = Installation(product, site.lab, site.points, Visitor(product.url, "admin", product.password), "usual")
        other.onboard("h2")
        job = other.register(other.datastore("usual", "/srv/usual", kind="shared", host="h2"), "usual", USUAL)
        point.wait()
        other.kill_workers(job)
        point.open()
        connections["usual"].close()
        return other, job, time.time()

    with running, ThreadPoolExecutor(1) as pool:
        yield pool.submit(abandon)
        point.open()


@pytest.fixture(autouse=True)
def _agreement(site: Installation) -> Iterator[None]:
    """After every test: no lease, no half-done row, no file without a row, and an audit trail that verifies.

    Before it, a host that the last test took away for a while, and of which that was noticed, is found again.
    """
    site.wait_for_hosts()
    yield
    assert disagreements(site) == []
