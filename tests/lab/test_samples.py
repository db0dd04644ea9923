"""Samples of real hosts, and the inodes of real file systems."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.states import HostState
from datastores.hosts import capacity
from datastores.hosts.vitals import Vitals
from datastores.jobs import periodic, sampling, submit
from datastores.models import Credential, Host, HostKey, Job
from datastores.transport.hostkeys import fingerprint
from tests.lab import places
from tests.lab.carrying import Hosts
from tests.lab.lab import Lab
from tests.lab.places import on, told

pytestmark = pytest.mark.lab
hosts, base = places.hosts, places.base


def asked(shell: Any) -> Any:
    return sampling.ask(shell, {}).figures


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


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """No queue and no browsers: jobs wait in their rows."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    monkeypatch.setattr(submit, "hand_over", lambda jobs: None)


@pytest.mark.django_db(transaction=True)
def test_the_duty_samples_those_that_answer_and_reads_those_that_do_not(lab: Lab, enqueued: None) -> None:
    key = Credential.objects.create(name="lab", private_key=lab.key.read_text())
    for name, port in (("h1", 22), ("h2", 22), ("h3", 9)):
        known = lab.host(name)
        host = Host.objects.create(
            name=name, address=known.address, port=port, credential=key, state=HostState.READY, facts_at=timezone.now()
        )
        HostKey.objects.create(
            host=host, line=known.host_key, fingerprint=fingerprint(known.host_key), pinned_at=timezone.now()
        )
    assert periodic.sample_hosts() == 2
    assert periodic.sample_hosts() == 2
    first, second = Host.objects.get(name="h1").samples.order_by("at")
    assert first.latency is None and second.latency > 0
    assert second.root_total >= second.root_used > 0
    assert [(job.kind, job.host.name) for job in Job.objects.all()] == [("host.read", "h3")]


@on("/srv/btrfs", "/srv/xfs")
def test_inodes_are_counted_where_there_is_a_number_of_them(hosts: Hosts, base: str) -> None:
    ask = capacity.ask_room(base)
    found = capacity.rooms(ask, hosts.shell("h1").run(ask))[base]
    if found.type == "btrfs":
        assert (found.capacity.inodes, found.capacity.used_inodes) == (None, None)
    else:
        total, free = map(int, told(hosts, "stat", "-f", "-c", "%c %d", base).split())
        assert (found.capacity.inodes, found.capacity.used_inodes) == (total, total - free)
