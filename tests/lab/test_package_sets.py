"""Hosts with a set of packages: the tools are there, the daemons are off."""

from __future__ import annotations

import pytest

from tests.lab.lab import Lab
from tests.lab.machine import LabError
from tests.lab.test_lab import says

pytestmark = pytest.mark.lab


def test_daemons_of_a_package_set_are_there_and_off(storage_lab: Lab, lab: Lab) -> None:
    host, plain = storage_lab.host("h1"), lab.host("h1")
    assert host.record.packages == "storage"
    for tool in ("gluster", "glusterd", "mount.glusterfs", "ganesha.nfsd", "nfs-ls", "tgtadm", "iscsi-ls"):
        says(host, "which", tool)
    assert "iscsi" in says(host, "qemu-img", "--help")
    assert plain.run(["which", "gluster"]).returncode != 0
    assert says(host, "systemctl", "is-system-running", "--wait") == "running"
    running = ("systemctl", "list-units", "--type=service,socket", "--state=active", "--plain", "--no-legend")
    units = [{line.split()[0] for line in says(each, *running).splitlines()} for each in (host, plain)]
    assert units[0] == units[1]


def test_a_host_keeps_its_package_set(storage_lab: Lab, lab: Lab) -> None:
    with pytest.raises(LabError, match="h1 is base: take it down first to make it storage"):
        lab.up(1, packages="storage")
    with pytest.raises(LabError, match="there is no such"):
        lab.up(1, packages="such")
    h3 = storage_lab.host("h3")
    h3.power_off()
    storage_lab.up(3)
    says(h3, "which", "gluster")
