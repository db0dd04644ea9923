"""Onboard the hosts of a lab, make datastores and register an image, through jobs as a person's clicks would."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datastores.domain.states import JobState
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.management.commands.demo import Command
from datastores.models import Datastore, Host, Image, Job, User
from tests.lab.disks import GIB, MIB, image_script
from tests.lab.labs import LabOf

SOURCE = "/var/tmp/golden-25g.raw"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a datastore is made: its base path on h1, and what else its kind needs."""

    base: str
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str = ""


def furnish(
    lab: LabOf[Any], places: Mapping[str, Place], *, virtual: int = 25 * GIB, data: int = 800 * MIB
) -> dict[str, Image]:
    """Return a sparse image holding that much data, registered in a datastore of each kind at its place on h1."""
    lab.host("h1").run(image_script(SOURCE, virtual=virtual, data=data), seconds=300, check=True)
    demonstration = Command(stdout=io.StringIO())
    demonstration.admin = User.objects.get(username="admin")
    rows = [
        {"name": host.name, "address": host.address, "port": host.port, "host_key": host.host_key}
        for host in lab.hosts()
    ]
    public = lab.key.with_suffix(".pub").read_text()
    storage = demonstration.onboard({"hosts": rows, "private_key": lab.key.read_text(), "public_key": public})[0]
    return {
        kind: demonstration.register(make_datastore(demonstration, kind, place, storage), SOURCE)
        for kind, place in places.items()
    }


def make_datastore(demonstration: Command, kind: str, place: Place, host: Host) -> Datastore:
    params = {"name": f"bench-{kind}", "kind": kind, "type": "image", "base": place.base, "hosts": [host.pk],
              "cluster": host.cluster_id, "options": dict(place.options), "secret": place.secret}  # fmt: skip
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
