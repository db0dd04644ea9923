"""Real hosts for tests marked `lab`.

With CLOUDSTORE_LAB_KEEP=1 they stay up, and the next run finds them. Two runs at once need different labs:
CLOUDSTORE_LAB_NAME=mine CLOUDSTORE_LAB_SUBNET=10.77.8.0/24.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import ceph
from tests.lab.carrying import Hosts, connected
from tests.lab.host import Host
from tests.lab.lab import Lab

HostFactory = Callable[..., Host]
FIRST_MADE = 21  # hosts of host_factory, clear of the lab's own three


SUITE = os.environ.get("CLOUDSTORE_LAB_SUITE")
"""The release of Debian that the hosts have; None: the usual one."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw0").removeprefix("gw")
"""The number of this of several processes that test side by side, each in labs of its own; "" for the first."""


def _keep() -> bool:
    return os.environ.get("CLOUDSTORE_LAB_KEEP") == "1"


def _lab(more: str = "") -> Lab:
    """A lab of this process; ``more``: letters that tell it from its first one."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("the lab needs root on Linux")
    subnet = None if WORKER or more else os.environ.get("CLOUDSTORE_LAB_SUBNET")
    return Lab(f"{os.environ.get('CLOUDSTORE_LAB_NAME', 'test')[:7]}{WORKER}{more}", subnet=subnet)


@contextmanager
def _up(more: str = "", *, count: int = 3, **what: Any) -> Iterator[Lab]:
    lab = _lab(more)
    with lab.taken(keep=_keep()):
        lab.up(count, suite=SUITE, **what)
        yield lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """h1, h2 and h3 of lab `test` (or CLOUDSTORE_LAB_NAME); h1 with disks."""
    with _up(with_disks=["h1"]) as lab:
        yield lab


@pytest.fixture(scope="session")
def host_factory(lab: Lab) -> Iterator[HostFactory]:
    """Makes further hosts, until the end of the session: host_factory(suite=..., with_disks=True, binds={...})."""
    made: list[str] = []

    def make(suite: str | None = None, *, with_disks: bool = False, binds: Mapping[str, str] | None = None) -> Host:
        number = max([FIRST_MADE - 1, *(host.number for host in lab.hosts())]) + 1
        fitted = [f"h{number}"] if with_disks else []
        [host] = lab.up(1, first=number, suite=suite, with_disks=fitted, binds=binds)
        made.append(host.name)
        return host

    yield make
    for name in made:
        lab.down([name])


@pytest.fixture(scope="module")
def storage_lab() -> Iterator[Lab]:
    """h1, h2 and h3 of a lab of its own, each with the package set "storage" and with disks."""
    with _up("st", packages="storage", with_disks=["h1", "h2", "h3"]) as lab:
        yield lab


@pytest.fixture(scope="session")
def ceph_lab() -> Iterator[Lab]:
    """h1, in which a Ceph cluster runs, and h2 of a lab of its own, both with the package set "ceph"."""
    with _up("ce", count=2, packages="ceph") as lab:
        ceph.run_cluster(lab.host("h1"))
        yield lab


@pytest.fixture(scope="session")
def ceph_hosts(ceph_lab: Lab) -> Iterator[Hosts]:
    with connected(ceph_lab) as found:
        yield found


@pytest.fixture(scope="session")
def debian11(lab: Lab) -> Host:
    [host] = lab.up(1, first=11, suite="bullseye")
    return host


@pytest.fixture(scope="session")
def debian13(lab: Lab) -> Host:
    [host] = lab.up(1, first=13, suite="trixie")
    return host
