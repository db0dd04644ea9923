"""Onboard the hosts of a lab, make datastores and register an image, through jobs as a person's clicks would."""

from __future__ import annotations

import io
from collections.abc import Mapping

from datastores.domain.states import JobState
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.management.commands.demo import Command
from datastores.models import Datastore, Host, Image, Job, User
from tests.lab.lab import Lab

SOURCE = "/var/tmp/golden-25g.raw"


def furnish(lab: Lab, places: Mapping[str, str]) -> dict[str, Image]:
    """Return a 25 GiB sparse image holding 800 MiB, registered in a datastore of each kind at its place on h1."""
    lab.make_image("h1", SOURCE)
    demonstration = Command(stdout=io.StringIO())
    demonstration.admin = User.objects.get(username="admin")
    rows = [
        {"name": host.name, "address": host.address, "port": host.port, "host_key": host.host_key}
        for host in lab.hosts()
    ]
    public = lab.key.with_suffix(".pub").read_text()
    storage = demonstration.onboard({"hosts": rows, "private_key": lab.key.read_text(), "public_key": public})[0]
    return {
        kind: demonstration.register(make_datastore(demonstration, kind, base, storage), SOURCE)
        for kind, base in places.items()
    }


def make_datastore(demonstration: Command, kind: str, base: str, host: Host) -> Datastore:
    params = {"name": f"bench-{kind}", "kind": kind, "type": "image", "base": base, "hosts": [host.pk],
              "cluster": host.cluster_id}  # fmt: skip
    job = submit("datastore.create", user=demonstration.admin, params=params)
    demonstration.wait(job, JobState.AWAITING)
    control.approve(job, demonstration.admin)
    demonstration.finish([job])
    return Datastore.objects.get(name=params["name"])


def job_for_log(title: str) -> Job:
    """Return a running job that no worker has: something else writes its log."""
    return Job.objects.create(
        kind="host.read", title=title, state=JobState.RUNNING, attempts=1, user=User.objects.get(username="admin"),
        worker="bench",
    )  # fmt: skip
