"""An NFS datastore on a disk of its server: h1 exports it, h2 mounts it, with an owner whose numbers were chosen."""

from __future__ import annotations

import pytest

from datastores.domain.errors import CommandFailed, Refused
from datastores.drivers.nfs import NfsDriver
from tests.lab.carrying import Hosts
from tests.lab.kinds import Rig, driver_of
from tests.lab.places import told

pytestmark = pytest.mark.vm

DISK = "/srv/disk"
OPTIONS = {"owner": "oned", "owner_id": 4071, "group": "cloud", "group_id": 4072, "mount_point": DISK}


@pytest.fixture(scope="module")
def server(machines: Hosts) -> Hosts:
    told(machines, "mkfs.ext4", "-q", "/dev/vdb")
    told(machines, "install", "-d", DISK)
    told(machines, "mount", "/dev/vdb", DISK)
    told(machines, "groupadd", "-g", "4072", "cloud", name="h2")
    told(machines, "useradd", "-u", "4071", "-g", "cloud", "-d", "/var/lib/one", "-s", "/bin/bash", "oned", name="h2")
    return machines


def store(hosts: Hosts, **options: object) -> NfsDriver:
    driver = driver_of(Rig("nfs", f"{DISK}/ds", ("h1", "h2"), OPTIONS | options), hosts)
    assert isinstance(driver, NfsDriver)
    return driver


def test_every_host_has_the_owner_and_the_client_writes_into_it(server: Hosts) -> None:
    driver, theirs = store(server), told(server, "getent", "passwd", "oned", name="h2")
    run = server.run((*driver.set_up(), *driver.same_directory("5e1f0a")))
    assert not any(server.needs(*(step for name in ("h1", "h2") for step in driver.keeps(name))))
    assert told(server, "stat", "-c", "%U:%G", driver.base, name="h2") == "oned:cloud\n"
    assert told(server, "getent", "passwd", "oned") == "oned:x:4071:4072::/nonexistent:/usr/sbin/nologin\n"
    assert told(server, "getent", "passwd", "oned", name="h2") == theirs
    assert told(server, "find", driver.base, "-mindepth", "1") == ""
    server.take_back(run)
    assert DISK not in told(server, "cat", "/etc/fstab", name="h2")


def test_what_the_client_takes_for_another_account_is_refused(server: Hosts) -> None:
    driver = store(server, owner_id=0)
    told(server, "useradd", "-u", "4099", "oned")
    with pytest.raises(Refused, match=r"belongs to 4099:cloud on h2, not to oned:cloud"):
        server.run((*driver.set_up(), *driver.same_directory("5e1f0b")))
    told(server, "userdel", "oned")


def test_a_server_without_its_disk_lets_nobody_mount_what_lies_below_it(server: Hosts) -> None:
    """mountd looks at the mount point whenever it is asked; exportfs lists the export all the same."""
    driver = store(server)
    server.run(driver.set_up())
    server.run(driver.deactivate("h2"))
    told(server, "sh", "-c", f"systemctl stop nfs-server && umount {DISK} && systemctl start nfs-server")
    told(server, "mkdir", driver.base)
    with pytest.raises(CommandFailed, match=r"mount.nfs4: .*(denied|No such file|Stale)"):
        server.run(driver.activate("h2"))
    with pytest.raises(Refused, match=f"Nothing is mounted at {DISK} on h1"):
        server.run(driver.guard("h1"))
    told(server, "rmdir", driver.base)
    told(server, "mount", "/dev/vdb", DISK)
    server.run(driver.set_up())
    server.run(driver.tear_down())
