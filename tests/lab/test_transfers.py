"""Images that one host fetches from another over SSH: whole, sparse, in spite of cut cables, and leaving nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from datastores.domain.errors import Cancelled, CloudstoreError, CommandFailed, Refused
from datastores.domain.plan import Action, Detached
from datastores.domain.routes import Route
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.drivers.transfers import over_ssh
from datastores.hosts.receiving import SourceReachable
from tests.lab import places
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.places import told
from tests.lab.transfers import route_between

pytestmark = pytest.mark.lab
hosts = places.hosts
UUID = "0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a0001"
KEYS = "/root/.ssh/authorized_keys"
HERE, THERE = "/srv/xfs/sent", "/srv/fetched"


@pytest.fixture
def stores(hosts: Hosts) -> Iterator[tuple[StorageDriver, StorageDriver]]:
    """A datastore on h1 and one on h2, which no host sees both of; afterwards nothing is left on either host."""
    made = tuple(
        make_driver("xfs", host=host, base=base, hosts=(host,), options={"owner": "nobody", "group": "nogroup"})
        for host, base in (("h1", HERE), ("h2", THERE))
    )
    keys = [told(hosts, "cat", KEYS, name=name) for name in ("h1", "h2")]
    for driver in made:
        told(hosts, "rm", "-rf", "--", driver.base, name=driver.host)
        told(hosts, "mkdir", "-p", driver.base, name=driver.host)
    yield made[0], made[1]
    for driver in made:
        told(hosts, "rm", "-rf", "--", driver.base, name=driver.host)
    for name, before in zip(("h1", "h2"), keys, strict=True):
        assert told(hosts, "cat", KEYS, name=name) == before
        assert leftovers(hosts, name) == ""


def leftovers(hosts: Hosts, name: str) -> str:
    return told(hosts, "sh", "-c", "ls -A /var/lib/cloudstore/transfers 2>/dev/null || true", name=name)


def volumes(stores: tuple[StorageDriver, StorageDriver], to: Format = Format.RAW) -> tuple[Volume, Volume]:
    here, there = stores
    return Volume(here.image_path(UUID, Format.RAW), Format.RAW), Volume(there.image_path(UUID, to), to)


def digest(hosts: Hosts, name: str, path: str) -> str:
    return told(hosts, "sha256sum", "--", path, name=name).split()[0]


def gold(hosts: Hosts, path: str, *, virtual: int = 256 * MIB, data: int = 64 * MIB) -> str:
    hosts.lab.make_image("h1", path, virtual=virtual, data=data)
    return digest(hosts, "h1", path)


def test_an_image_is_fetched_byte_for_byte_and_stays_sparse(
    hosts: Hosts, stores: tuple[StorageDriver, StorageDriver]
) -> None:
    source, target = volumes(stores)
    known = gold(hosts, source.path)
    journey = over_ssh(stores[0], source, stores[1], target, route_between(hosts, "h1", "h2"))
    run = hosts.run([*journey.stages, *journey.after])
    assert digest(hosts, "h2", target.path) == known
    stat = ("stat", "-c", "%U:%G %a %s %.9Y %h", "--")
    there = told(hosts, *stat, target.path, name="h2")
    assert there.split()[:3] == ["nobody:nogroup", "660", str(256 * MIB)]
    assert there.split()[3] == told(hosts, *stat, source.path).split()[3]
    blocks = int(told(hosts, "stat", "-c", "%b", target.path, name="h2"))
    assert 64 * MIB <= blocks * 512 < 72 * MIB
    assert None not in hosts.take_back(run).undone
    assert told(hosts, "ls", "-A", THERE, name="h2") == ""
