"""Where the tests of storage work: an empty directory of h1 on a file system of their choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.carrying import Hosts, connected
from tests.lab.disks import MIB
from tests.lab.lab import Lab

PLACES = ("/srv/btrfs", "/srv/xfs", "/srv/plain")


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[Hosts]:
    with connected(lab) as found:
        yield found


@pytest.fixture(scope="module")
def storage_hosts(storage_lab: Lab) -> Iterator[Hosts]:
    with connected(storage_lab) as found:
        yield found


@pytest.fixture
def base(hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty directory of h1, on the file system that the test's parameter names."""
    path = f"{getattr(request, 'param', '/srv/plain')}/test"
    told(hosts, "rm", "-rf", "--", path)
    told(hosts, "mkdir", "--", path)
    yield path
    told(hosts, "rm", "-rf", "--", path)


def on(*places: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("base", places, indirect=True, ids=lambda place: place.rpartition("/")[2])


def told(hosts: Hosts, *argv: str, stdin: str = "", name: str = "h1") -> str:
    return hosts.lab.host(name).run(argv, stdin=stdin, check=True).stdout


def names_in(hosts: Hosts, base: str) -> set[str]:
    return set(told(hosts, "find", base, "-mindepth", "1", "-printf", "%P\n").splitlines())


def image(hosts: Hosts, path: str, *, virtual: int = 64 * MIB, data: int = 8 * MIB) -> str:
    """Make a raw disk image and return its path."""
    hosts.lab.make_image("h1", path, virtual=virtual, data=data)
    return path


def same(hosts: Hosts, one: str, other: str) -> bool:
    return hosts.lab.host("h1").run(["cmp", "--", one, other]).returncode == 0
