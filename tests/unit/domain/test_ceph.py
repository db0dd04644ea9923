"""What may be called what in Ceph, and its files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastores.domain import ceph
from datastores.domain.ceph import Access, RbdImage, image_at
from datastores.domain.errors import BadInput

KEY = "AQBzWmJlAAAAABAAcT4xcn9gkQe3FwE2l0y3LA=="
FSID = "5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b"


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (ceph.pool_name, "one.images-2"),
        (ceph.cephx_key, KEY),
        (ceph.cluster_id, FSID),
        (ceph.monitors, "10.0.0.1,mon2:6789,[v2:10.0.0.3:3300/0,v1:10.0.0.3:6789/0]"),
    ],
)
def test_what_ceph_prints_is_taken_as_it_is(check: Callable[[str], str], value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (ceph.pool_name, "-p"),
        (ceph.pool_name, "one/two"),
        (ceph.pool_name, "one@snap"),
        (ceph.pool_name, "one:id=admin"),
        (ceph.pool_name, ""),
        (ceph.cephx_key, ""),
        (ceph.cephx_key, "c2VjcmV0"),
        (ceph.cephx_key, f"{KEY}\n[client.admin]"),
        (ceph.cluster_id, "ceph"),
        (ceph.cluster_id, FSID.upper()),
        (ceph.monitors, "10.0.0.1, 10.0.0.2"),
        (ceph.monitors, "10.0.0.1\nkeyring = /etc/shadow"),
        (ceph.monitors, ""),
        (Access, "../x"),
        (lambda value: Access("ceph", value), "-libvirt"),
        (lambda value: image_at(Access(), value), "one"),
        (lambda value: image_at(Access(), value), "one/two/three"),
        (lambda value: image_at(Access(), value), "one/a@snap"),
    ],
)
def test_anything_else_is_refused(check: Callable[[str], object], value: str) -> None:
    with pytest.raises(BadInput):
        check(value)


def test_a_wrong_key_is_not_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        ceph.cephx_key("hunter2hunter2")
    assert "hunter2" not in str(caught.value)


def test_qemu_is_told_account_configuration_and_the_keyring_of_another_cluster() -> None:
    assert RbdImage(Access(), "one", "one-7-0").qemu == "rbd:one/one-7-0:id=libvirt:conf=/etc/ceph/ceph.conf"
    other = RbdImage(Access("east", "kvm"), "one", "one-7-0").qemu
    assert other == "rbd:one/one-7-0:id=kvm:conf=/etc/ceph/east.conf:keyring=/etc/ceph/east.client.kvm.keyring"


def test_settings_are_found_however_their_keys_are_written() -> None:
    text = "[global]\n  fsid = x ; a comment\nmon host = 10.0.0.1\n[osd]\nfsid = y\n[client.kvm]\n\tkey = AQ==\n"
    assert ceph.settings(text, "global") == {"fsid": "x", "mon_host": "10.0.0.1"}
    assert ceph.settings(text, "client.kvm") == {"key": "AQ=="}
    assert ceph.settings("", "global") == {}


def test_what_is_written_is_read_again() -> None:
    assert ceph.settings(ceph.conf(FSID, "10.0.0.1,10.0.0.2"), "global") == {
        "fsid": FSID,
        "mon_host": "10.0.0.1,10.0.0.2",
    }
    assert ceph.settings(ceph.keyring("client.kvm", KEY), "client.kvm") == {"key": KEY}
