"""Shared storage for the screenshots: a volume over three hosts that was measured, and that a host uses."""

from __future__ import annotations

import time
from typing import Any

from datastores.domain.states import JobState
from datastores.domain.throughput import MIB
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.models import Datastore, Host, Job, User
from docs.seeded import GIB

PATIENCE = 240.0
"""Seconds that a job may take."""


def main(name: str, directory: str) -> None:
    """Make a volume called ``name``, and move this directory of the second host onto it."""
    hosts = list(Host.objects.order_by("name"))
    bricks = [{"host": host.pk, "path": "/srv/xfs/brick"} for host in hosts]
    params = {"name": name, "kind": "gluster", "type": "image", "base": "/srv/vms", "bricks": bricks,
              "hosts": [host.pk for host in hosts], "options": {}}  # fmt: skip
    carry_out("datastore.create", params=params)
    volume = Datastore.objects.get(name=name)
    for store, places in ((Datastore.objects.get(name="lab-xfs"), hosts[:1]), (volume, hosts[:2])):
        measured = {"hosts": [host.pk for host in places], "size": 64 * MIB, "seconds": 2}
        carry_out("datastore.measure", params=measured, datastore=store)
    moved = {"path": directory, "name": "one", "services": []}
    carry_out("directory.move", params=moved, host=hosts[1], datastore=volume)
    carry_out("volume.option", params={"option": "network.ping-timeout", "value": "20"}, datastore=volume)
    carry_out("volume.quota", params={"size": 30 * GIB}, datastore=volume)


def carry_out(kind: str, **asked: Any) -> Job:
    """Ask for it as the admin, approve its plan, and wait until it has succeeded."""
    admin = User.objects.get(username="admin")
    job = submit(kind, user=admin, **asked)
    deadline = time.monotonic() + PATIENCE
    while not job.ended and time.monotonic() < deadline:
        if job.state == JobState.AWAITING:
            control.approve(job, admin)
        time.sleep(0.2)
        job.refresh_from_db()
    if job.state != JobState.SUCCEEDED:
        raise SystemExit(f"{job.title}: {job.state}. {job.error}")
    return job
