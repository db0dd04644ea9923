"""Ceph: a host becomes a client of a cluster, and is told apart from one that cannot use it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from datastores.domain.ceph import Access, RbdImage
from datastores.domain.errors import CommandFailed, Refused
from datastores.domain.plan import Action, Command, WriteFile
from datastores.drivers.registry import make_driver
from datastores.hosts.ceph_client import ClusterUsable, PoolReady, QemuOpensRbd
from datastores.hosts.ceph_files import CephConfPresent, CephKeyringPresent
from datastores.hosts.libvirt_secrets import LibvirtSecretDefined, LibvirtSecretGone, of_ceph
from datastores.hosts.rbd_images import RbdImageAbsent, RbdImageExists
from datastores.hosts.services import ServiceRunning
from tests.lab import ceph
from tests.lab.carrying import Diary, Hosts
from tests.lab.disks import MIB
from tests.lab.places import told

pytestmark = pytest.mark.lab

SIZE = 64 * MIB
ACCESS = Access()
"""Of the cluster called ceph, as h1 has it."""
OTHER = Access("two")
"""Of the same cluster under another name, as h2 is given it."""
SECRET = "f3a1c9f0-6d7e-4c57-9d52-0f3c0a4b7d11"


def image(access: Access) -> RbdImage:
    return RbdImage(access, ceph.POOL, "one-0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b15")


@pytest.fixture(scope="module")
def hosts(ceph_hosts: Hosts) -> Hosts:
    """h1 has the key, h2 has nothing yet."""
    ceph_hosts.run([CephKeyringPresent("h1", ACCESS, key_of(ceph_hosts))])
    return ceph_hosts


def key_of(hosts: Hosts) -> str:
    return ceph.key(hosts.lab.host("h1"))


def client(hosts: Hosts, access: Access = OTHER) -> list[CephConfPresent | CephKeyringPresent]:
    monitors = str(hosts.lab.host("h1").address)
    files = CephConfPresent("h2", access.cluster, ceph.FSID, monitors)
    return [files, CephKeyringPresent("h2", access, key_of(hosts))]


def test_a_host_becomes_a_client_of_a_cluster_of_another_name(hosts: Hosts) -> None:
    hosts.there_and_back(*client(hosts))
    usable = ClusterUsable("h2", OTHER, ceph.FSID), PoolReady("h2", OTHER, ceph.POOL)
    assert hosts.needs(*usable, QemuOpensRbd("h2", OTHER, ceph.POOL)) == [False] * 3
    made = image(OTHER)
    hosts.run([RbdImageExists("h2", made, SIZE)])
    told(hosts, "qemu-io", "-f", "raw", "-c", f"write -P 7 0 {MIB}", made.qemu, name="h2")
    read = ("qemu-io", "-r", "-f", "raw", "-c", f"read -P 7 0 {MIB}", image(ACCESS).qemu)
    assert "Pattern verification failed" not in told(hosts, *read)
    hosts.run([RbdImageAbsent("h2", made)])


def test_the_key_is_shown_nowhere(hosts: Hosts) -> None:
    """Not in argv, titles, diffs or what steps and drivers look like; only root may read the file."""
    key = key_of(hosts)
    seen: list[Action] = []
    step = CephKeyringPresent("h2", Access("three"), key)
    diary = Diary(seen.append)
    hosts.run([step], diary=diary)
    assert seen and not diary.errors
    for action in seen:
        assert not isinstance(action.do, WriteFile)
        for command in (action.do, action.undo):
            assert key not in repr(command)
            assert not isinstance(command, Command) or key not in " ".join(command.argv)
    assert any(action.do.secret for action in seen)
    options, secret = ceph.fitted(hosts)
    driver = make_driver("ceph", host="h1", base="/srv/kind", hosts=("h1", "h2"), options=options, secret=secret)
    assert key not in repr((step, driver, driver.activate("h1")))
    assert told(hosts, "stat", "-c", "%U:%G %a", step.path, name="h2").strip() == "root:root 600"
    hosts.run([replace(step, group="daemon")])
    assert told(hosts, "stat", "-c", "%U:%G %a", step.path, name="h2").strip() == "root:daemon 640"
    told(hosts, "rm", step.path, name="h2")


def test_a_new_key_replaces_the_old_one_and_comes_back(hosts: Hosts) -> None:
    (_, step) = client(hosts, Access("four"))
    assert isinstance(step, CephKeyringPresent)
    hosts.run([step])
    other = told(hosts, "ceph-authtool", "--gen-print-key").strip()
    run = hosts.run([replace(step, key=other)])
    assert other in told(hosts, "cat", step.path, name="h2")
    hosts.take_back(run)
    assert hosts.needs(step) == [False]
    told(hosts, "rm", step.path, name="h2")


def test_a_cluster_that_does_not_answer_is_given_up_within_seconds(hosts: Hosts) -> None:
    """No host has the address, so nobody even refuses the connection."""
    away = Access("away")
    nobody = str(hosts.lab.host("h1").address).rpartition(".")[0] + ".250"
    files = CephConfPresent("h2", "away", ceph.FSID, nobody), CephKeyringPresent("h2", away, key_of(hosts))
    hosts.run(files)
    for step in (ClusterUsable("h2", away), RbdImageExists("h2", image(away), SIZE)):
        began = time.monotonic()
        with pytest.raises(CommandFailed, match="the cluster does not answer: no monitor in /etc/ceph/away"):
            hosts.needs(step)
        assert time.monotonic() - began < 20
    driver = make_driver("ceph", host="h2", base="/srv/kind", options={"cluster": "away", "pool": ceph.POOL})
    with pytest.raises(CommandFailed, match="does not answer"):
        driver.capacity(hosts.shell("h2"))
    told(hosts, "rm", away.conf, away.keyring, name="h2")


def test_a_full_cluster_and_another_one_are_refused(hosts: Hosts) -> None:
    usable = ClusterUsable("h1", ACCESS, ceph.FSID)
    told(hosts, "ceph", "osd", "set-nearfull-ratio", "0.0001")
    told(hosts, "ceph", "osd", "set-full-ratio", "0.001")
    try:
        for _ in range(60):
            if "HEALTH_ERR" in told(hosts, "ceph", "health"):
                break
            time.sleep(0.5)
        with pytest.raises(Refused, match=r"HEALTH_ERR, as h1 hears: .*full"):
            hosts.run([usable])
    finally:
        told(hosts, "ceph", "osd", "set-full-ratio", "0.95")
        told(hosts, "ceph", "osd", "set-nearfull-ratio", "0.85")
    with pytest.raises(Refused, match=f"leads to the cluster {ceph.FSID}, not to"):
        hosts.run([replace(usable, fsid="0d5c5e4e-6a0b-4f5c-9a69-6c1f6f0a7b11")])
    for _ in range(60):
        if "HEALTH_ERR" not in told(hosts, "ceph", "health"):
            break
        time.sleep(0.5)
    hosts.run([usable])


def test_a_missing_pool_is_made_when_that_is_wanted(hosts: Hosts) -> None:
    with pytest.raises(Refused, match="The pool more is not there"):
        hosts.run([PoolReady("h1", ACCESS, "more")])
    hosts.run([PoolReady("h1", ACCESS, "more", create=True)])
    assert hosts.needs(PoolReady("h1", ACCESS, "more")) == [False]
    assert "more" in told(hosts, "ceph", "osd", "pool", "ls").splitlines()
    told(hosts, "ceph", "osd", "pool", "rm", "more", "more", "--yes-i-really-really-mean-it")


def test_libvirt_knows_the_key_where_it_runs(hosts: Hosts) -> None:
    key = key_of(hosts)
    hosts.run([LibvirtSecretDefined("h2", of_ceph(ACCESS), SECRET, key)])  # it does not run there
    hosts.run([ServiceRunning("h1", "libvirtd.service")])
    step = LibvirtSecretDefined("h1", of_ceph(ACCESS), SECRET, key)
    hosts.there_and_back(step)
    virsh = ("virsh", "-q", "-c", "qemu:///system")
    assert told(hosts, *virsh, "secret-get-value", SECRET).strip() == key
    other = told(hosts, "ceph-authtool", "--gen-print-key").strip()
    hosts.run([replace(step, key=other)])
    assert told(hosts, *virsh, "secret-get-value", SECRET).strip() == other
    sockets = ("libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket")
    told(hosts, "systemctl", "stop", *sockets, "libvirtd.service")
    for stopped in (step, LibvirtSecretGone("h1", of_ceph(ACCESS), SECRET)):
        with pytest.raises(CommandFailed, match="failed to connect to the hypervisor"):
            hosts.needs(stopped)
    told(hosts, "systemctl", "start", "libvirtd.service")
    told(hosts, *virsh, "secret-undefine", SECRET)
