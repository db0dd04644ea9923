"""A Ceph cluster in one host of the lab, in some twenty seconds: the product connects to clusters, it makes none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.carrying import Hosts
from tests.lab.host import Host
from tests.lab.machine import LabError

POOL = "vms"
FSID = "5e1f0a5e-7d1c-4c1e-9a69-6c1f6f0ace9b"
SCRIPT = Path(__file__).with_name("ceph_cluster.sh")


def run_cluster(host: Host) -> None:
    """Make a cluster with the pool "vms" and the account client.libvirt, unless the host has one."""
    if host.run(["ceph", "--connect-timeout", "5", "osd", "pool", "stats", POOL]).returncode == 0:
        return
    done = host.run(["sh", "-s", FSID], stdin=SCRIPT.read_text(), seconds=180)
    if done.returncode:
        raise LabError(f"No cluster in {host.name}: {done.stderr.strip().splitlines()[-1]}")


def key(host: Host, entity: str = "client.libvirt") -> str:
    return host.run(["ceph", "auth", "print-key", entity], check=True).stdout.strip()


def fitted(hosts: Hosts) -> tuple[Mapping[str, Any], str]:
    """Return the options of a datastore that lead to the cluster in h1, and the key that lets it in."""
    host = hosts.lab.host("h1")
    return {"fsid": FSID, "monitors": str(host.address)}, key(host)
