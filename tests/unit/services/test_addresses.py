"""A host gets another address: not while disks are attached by the one that it has, and mounts are told about."""

from __future__ import annotations

from typing import Any

import pytest

from datastores.domain.errors import Refused
from datastores.models import Datastore, Disk, Host, User
from datastores.services.hosts import change_host
from tests.unit.conftest import a_datastore, a_disk, a_host, a_vm, an_image, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts(db: None) -> list[Host]:
    """A storage host and two others."""
    return [a_host("nas", address="10.9.0.1"), a_host("node1", address="10.9.0.2"), a_host("node2", address="10.9.0.3")]


def a_store(hosts: list[Host], user: User, **options: Any) -> Datastore:
    """An iSCSI datastore with a disk that is attached to node1."""
    store = a_datastore("luns", hosts=hosts, kind="iscsi", options=options)
    a_disk(an_image(user, datastore=store), a_vm(user, "web"), host=hosts[1], kind="copy")
    return store


def given(host: Host, address: str) -> None:
    host = Host.objects.get(pk=host.pk)
    host.address = address
    change_host(host, host.version, ["address"])


def test_sessions_at_the_address_of_a_storage_host_keep_it(operator: User, hosts: list[Host]) -> None:
    a_store(hosts, operator, backing="files")
    with pytest.raises(Refused, match=r"disks of luns are attached by 10\.9\.0\.1 \(web disk\.0\), .* move them"):
        given(hosts[0], "10.9.0.99")
    assert Host.objects.get(name="nas").address == "10.9.0.1"
    Disk.objects.all().delete()
    given(hosts[0], "10.9.0.99")


def test_tgtd_lets_a_host_in_by_its_address_so_that_stays_as_long_as_it_has_disks(
    operator: User, hosts: list[Host]
) -> None:
    a_store(hosts, operator, backing="files")
    with pytest.raises(Refused, match=r"node1 cannot get another address now"):
        given(hosts[1], "10.9.0.99")
    given(hosts[2], "10.9.0.98")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"backing": "files", "portal": "10.77.0.5"}, "nas"),
        ({"backing": "files", "portal": "10.77.0.5", "clients": "10.77.0.0/24"}, "node1"),
        ({"backing": "files", "clients": "10.77.0.0/24"}, "node1"),
        ({"target": "lio"}, "node1"),
    ],
)
def test_what_names_the_address_of_nobody_does_not_hold_it(
    operator: User, hosts: list[Host], options: dict[str, Any], name: str
) -> None:
    a_store(hosts, operator, **options)
    given(next(host for host in hosts if host.name == name), "10.9.0.99")


def test_many_disks_are_counted_and_some_named(operator: User, hosts: list[Host]) -> None:
    store = a_store(hosts, operator, backing="files")
    for number in range(6):
        a_disk(an_image(operator, datastore=store), a_vm(operator, f"vm{number}"), host=hosts[2], kind="copy")
    with pytest.raises(Refused, match=r"web disk\.0, vm0 disk\.0, .* and 2 more"):
        given(hosts[0], "10.9.0.99")


def test_who_saves_another_address_is_told_what_is_mounted_from_the_old_one(admin: User, hosts: list[Host]) -> None:
    store = a_datastore("gold", hosts=hosts, kind="nfs", base="/srv/gold")
    store.members.filter(position=1).update(mounted_from="10.9.0.1:/srv/gold")
    store.members.filter(position=2).update(mounted_from="10.9.0.111:/srv/gold")
    host = hosts[0]
    sent = {"name": host.name, "address": "10.9.0.99", "port": host.port, "account": host.account, "how": "stored",
            "credential": host.credential_id, "version": host.version}  # fmt: skip
    page = text_of(signed_in(admin).post(f"/hosts/{host.pk}/edit/", sent, follow=True))
    assert "nas is saved." in page
    assert "Still mounted from 10.9.0.1: gold on node1. If nothing answers there" in page
