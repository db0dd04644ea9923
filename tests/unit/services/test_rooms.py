"""Datastores of which every host has a file system of its own: what is measured, promised and told of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from datastores.domain.alert_facts import Facts
from datastores.domain.alert_rules import FILLING, FULL
from datastores.domain.alerts import findings
from datastores.domain.errors import Unreachable
from datastores.domain.states import HostState
from datastores.domain.volumes import Capacity
from datastores.drivers.ssh import SshDriver
from datastores.jobs import rooms
from datastores.models import Datastore, DatastoreHost, Disk, Host, Image, User
from datastores.services.alert_facts import rooms_of_late
from datastores.services.disk_hosts import host_for
from datastores.services.promises import add_space, promised
from tests.unit.conftest import GIB, a_datastore, a_disk, a_host, a_vm, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ssh(db: None) -> Datastore:
    return a_datastore("local", hosts=[a_host(name) for name in ("nas", "one", "two")], kind="ssh", total=90 * GIB,
                       used=60 * GIB, free=30 * GIB)  # fmt: skip


@pytest.fixture
def gold(alice: User, ssh: Datastore) -> Image:
    return an_image(alice, datastore=ssh, virtual_size=10 * GIB, real_size=10 * GIB)


def on(name: str) -> Host:
    return Host.objects.get(name=name)


def measured(name: str, free: int, total: int = 100) -> None:
    now = {"total": total * GIB, "used": (total - free) * GIB, "free": free * GIB, "measured_at": timezone.now()}
    DatastoreHost.objects.filter(host__name=name).update(**now)


def test_each_host_but_the_storage_host_is_measured(ssh: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    def capacity(driver: SshDriver, shell: Any) -> Capacity:
        if driver.host == "two":
            raise Unreachable("two does not answer")
        return Capacity(100, 40, 60)

    a_datastore(hosts=[a_host(), a_host()])
    monkeypatch.setattr(SshDriver, "capacity", capacity)
    monkeypatch.setattr(rooms, "connector", lambda: lambda name: name)
    assert rooms.measure_rooms() == 1
    known = DatastoreHost.objects.exclude(measured_at=None).get()
    assert (known.host.name, known.total, known.used, known.free) == ("one", 100, 40, 60)


def test_one_that_may_not_be_spoken_to_is_not_asked(ssh: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    Host.objects.exclude(name="nas").update(state=HostState.UNREACHABLE)
    monkeypatch.setattr(rooms, "connector", lambda: pytest.fail)
    assert rooms.measure_rooms() == 0


def test_a_disk_goes_where_there_is_room(alice: User, ssh: Datastore) -> None:
    measured("one", free=5)
    measured("two", free=50)
    assert host_for(ssh, a_vm(alice), size=40 * GIB) == on("two")
    assert host_for(ssh, a_vm(alice), size=20 * GIB) == on("nas")
    assert host_for(ssh, a_vm(alice), on("one").pk, size=40 * GIB) == on("one")  # the host itself says no
    assert host_for(ssh, a_vm(alice), size=80 * GIB) == on("nas")


def test_what_is_promised_elsewhere_is_not_promised_here(gold: Image, ssh: Datastore) -> None:
    a_disk(gold, kind=Disk.Kind.COPY, host=on("nas"), allocated=4 * GIB)
    a_disk(gold, kind=Disk.Kind.COPY, host=on("one"), allocated=1 * GIB)
    other = an_image(gold.owner, datastore=a_datastore(), virtual_size=3 * GIB)
    a_disk(other, virtual_size=2 * GIB)
    rows = list(Datastore.objects.order_by("pk"))
    add_space(rows)
    assert [row.promised for row in rows] == [6 * GIB, 5 * GIB]
    assert rows[0].disks_take == 5 * GIB
    assert promised() == {rows[0].pk: 6 * GIB, rows[1].pk: 5 * GIB}
    assert promised(ssh.pk) == {ssh.pk: 6 * GIB}


def test_a_host_that_is_full_is_told_of(ssh: Datastore) -> None:
    measured("one", free=1)
    measured("two", free=60)
    (found,) = findings(Facts(rooms=tuple(rooms_of_late(timezone.now()))))
    assert (found.rule, found.label) == (FULL, "local on one")
    assert (found.subject, found.text) == (f"mount:{ssh.pk}:{on('one').pk}", "99 % used, 1 GiB free.")
    measured("one", free=14)
    assert [each.rule for each in findings(Facts(rooms=tuple(rooms_of_late(timezone.now()))))] == [FILLING]
    assert rooms_of_late(timezone.now() + timedelta(hours=2)) == []


def test_the_page_shows_the_room_on_each_host(admin: User, gold: Image, ssh: Datastore) -> None:
    measured("one", free=25)
    a_disk(gold, kind=Disk.Kind.COPY, host=on("one"), allocated=1 * GIB)
    text = text_of(signed_in(admin).get(f"/datastores/{ssh.pk}/"))
    assert "Room on hosts" in text and "25 GiB" in text and "not measured yet" in text and "9 GiB" in text
    plain = text_of(signed_in(admin).get(f"/datastores/{a_datastore().pk}/"))
    assert "Room on hosts" not in plain
