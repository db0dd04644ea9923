"""Samples of real hosts, and the inodes of real file systems."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pytest

from datastores.hosts import capacity
from datastores.hosts.vitals import Vitals
from datastores.jobs import sampling
from datastores.models import Host
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.lab import Lab
from tests.lab.places import on, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base


def asked(shell: Any) -> Any:
    answers: SimpleQueue[sampling.Answer] = SimpleQueue()
    sampling.ask(Host(name=shell.host), shell, answers)
    return answers.get()[1]


def test_a_host_tells_how_it_is(hosts: Hosts) -> None:
    shell = hosts.shell("h2")
    first, second = asked(shell), asked(shell)
    assert first["latency"] is None, "the first time is for making the connection"
    assert 0 < second["latency"] < 5000
    total = int(told(hosts, "awk", "/^MemTotal:/ {print $2}", "/proc/meminfo", name="h2")) * 1024
    assert second["memory_total"] == total and 0 < second["memory_used"] < total
    blocks, unit = map(int, told(hosts, "stat", "-f", "-c", "%b %S", "/", name="h2").split())
    assert second["root_total"] == blocks * unit
    assert 0 < second["root_used"] < second["root_total"]
    assert second["load"] >= 0


def test_it_needs_no_rights_there(lab: Lab, hosts: Hosts) -> None:
    outputs = [lab.host("h1").run(["runuser", "-u", "nobody", "--", *each.argv]) for each in Vitals.reads()]
    assert [output.returncode for output in outputs] == [0, 0, 0]


@on("/srv/btrfs", "/srv/xfs")
def test_inodes_are_counted_where_there_is_a_number_of_them(hosts: Hosts, base: str) -> None:
    ask = capacity.ask_room(base)
    found = capacity.rooms(ask, hosts.shell("h1").run(ask))[base]
    if found.type == "btrfs":
        assert (found.capacity.inodes, found.capacity.used_inodes) == (None, None)
    else:
        total, free = map(int, told(hosts, "stat", "-f", "-c", "%c %d", base).split())
        assert (found.capacity.inodes, found.capacity.used_inodes) == (total, total - free)
