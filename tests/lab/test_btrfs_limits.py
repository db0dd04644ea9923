"""A datastore on btrfs that may hold no more than it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datastores.domain.errors import Refused
from datastores.domain.volumes import Format, Volume
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import make_driver
from datastores.hosts.btrfs_limits import SubvolumeLimited, SubvolumePresent
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.disks import MIB
from tests.lab.places import told

pytestmark = pytest.mark.lab
hosts = places.hosts
BASE, OTHER = "/srv/btrfs/limited/here", "/srv/btrfs/limited/there"


def store(quota: str) -> StorageDriver:
    return make_driver("btrfs", host="h1", base=BASE, options={"quota": quota})


@pytest.fixture(autouse=True)
def _nothing_left(hosts: Hosts) -> Iterator[None]:
    yield
    told(hosts, "sh", "-c", f"rm -rf {BASE} {OTHER}; rmdir --ignore-fail-on-non-empty /srv/btrfs/limited; true")
    hosts.lab.host("h1").run(["btrfs", "quota", "disable", "/srv/btrfs"])


def test_a_subvolume_is_made_and_limited_and_all_of_it_taken_back(hosts: Hosts) -> None:
    steps = (SubvolumePresent("h1", BASE, "nobody", "nogroup"), SubvolumeLimited("h1", BASE, 64 * MIB))
    hosts.there_and_back(*steps)
    assert told(hosts, "stat", "-c", "%i %U:%G %a", BASE) == "256 nobody:nogroup 755\n"
    hosts.there_and_back(SubvolumeLimited("h1", BASE, 0))


def test_limits_of_others_outlast_the_undo_of_the_first(hosts: Hosts) -> None:
    for path in (BASE, OTHER):
        hosts.run([SubvolumePresent("h1", path)])
    first, second = (hosts.run([SubvolumeLimited("h1", path, 64 * MIB)]) for path in (BASE, OTHER))
    disable = next(action.undo for action in SubvolumeLimited("h1", BASE, 1)._count() if action.undo)
    assert "it goes on counting, for the limits of 0/" in hosts.shell("h1").run(disable).stdout
    hosts.take_back(first)
    limited = SubvolumeLimited("h1", OTHER, 64 * MIB), SubvolumeLimited("h1", BASE, 64 * MIB)
    assert hosts.needs(*limited) == [False, True]
    hosts.take_back(second)
    assert hosts.shell("h1").run(disable).ok
    assert "quotas not enabled" in hosts.lab.host("h1").run(["btrfs", "qgroup", "show", "/srv/btrfs"]).stderr
    assert hosts.shell("h1").run(disable).ok, "nothing counts any more"


def test_no_more_comes_in_than_the_quota_lets_and_that_is_its_capacity(hosts: Hosts) -> None:
    driver = store("64M")
    hosts.run(driver.set_up())
    image = Volume(driver.image_path("0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a0001", Format.RAW), Format.RAW, 256 * MIB)
    hosts.run([*driver.create(image)])
    told(hosts, "dd", "if=/dev/urandom", f"of={image.path}", "bs=1M", "count=24", "conv=notrunc,fsync", "status=none")
    for number in range(10):  # they share their blocks, which count once
        hosts.run([*driver.clone(image, Volume(driver.disk_path(7, number), Format.RAW))])
    told(hosts, "sync")
    found = driver.capacity(hosts.shell("h1"))
    assert found.total == 64 * MIB and 24 * MIB <= found.used < 26 * MIB
    more = ("dd", "if=/dev/urandom", f"of={driver.disk_path(7, 0)}", "bs=1M", "count=60", "conv=notrunc,fsync")
    assert "Disk quota exceeded" in hosts.lab.host("h1").run(more).stderr
    hosts.run([*store("128M").limited()])
    assert driver.capacity(hosts.shell("h1")).total == 128 * MIB
    with pytest.raises(Refused, match="cannot be limited to 16 MiB"):
        hosts.run([*store("16M").limited()])


def test_a_directory_is_not_limited_with_what_lies_beside_it(hosts: Hosts) -> None:
    told(hosts, "mkdir", "-p", BASE)
    with pytest.raises(Refused, match="no subvolume of btrfs of its own"):
        hosts.run([*store("1G").limited()])
