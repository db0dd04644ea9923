from __future__ import annotations

import argparse
import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from datastores.domain.figures import percentile
from datastores.domain.states import ObjectState
from datastores.domain.values import format_size
from datastores.jobs import control
from datastores.jobs.submit import submit
from datastores.management.visitor import Visitor
from datastores.models import Cluster, Credential, Datastore, Host, Image, Job, User, VirtualMachine
from datastores.services import hosts as host_services

IMAGE = "golden-25g"
CLONES = 10
PATIENCE = 180.0


class Command(BaseCommand):
    help = "Do the main job on the lab: onboard hosts, make a datastore, register an image, clone it ten times."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", required=True)
        parser.add_argument("--password", required=True)
        parser.add_argument("--lab", type=argparse.FileType("r"), default="-", help="JSON of the lab's hosts and key")

    def handle(self, url: str, password: str, lab: Any, **options: Any) -> None:
        self.admin = User.objects.get(username="admin")
        described = json.load(lab)
        hosts = self.onboard(described)
        datastore = self.make_datastore(hosts)
        image = self.register(datastore, described["source"])
        figures = self.clone(image, Visitor(url, "admin", password))
        milliseconds = [1000 * seconds for seconds in figures]
        for number, figure in enumerate(milliseconds, 1):
            self.stdout.write(f"  clone {number:2}   {figure:6.0f} ms")
        self.stdout.write(f"clone p50 {percentile(milliseconds, 50):.0f} ms p95 {percentile(milliseconds, 95):.0f} ms")

    def say(self, what: str, started: float) -> None:
        self.stdout.write(f"{what:70} {time.monotonic() - started:6.2f} s")

    def onboard(self, described: dict[str, Any]) -> list[Host]:
        started = time.monotonic()
        cluster, _ = Cluster.objects.get_or_create(name="lab", defaults={"description": "Three hosts on this machine"})
        credential, _ = Credential.objects.get_or_create(
            name="lab", defaults={"private_key": described["private_key"], "public_key": described["public_key"]}
        )
        for row in described["hosts"]:
            host, made = Host.objects.get_or_create(
                name=row["name"],
                defaults={"address": row["address"], "port": row["port"], "credential": credential, "cluster": cluster},
            )
            if made:
                self.pin(host, row["host_key"])
        wanted = Host.objects.filter(cluster=cluster).exclude(state="ready")
        self.finish([submit("host.onboard", user=self.admin, host=host) for host in wanted])
        hosts = list(Host.objects.filter(cluster=cluster).order_by("name"))
        self.say(f"{len(hosts)} hosts onboarded: {', '.join(host.name for host in hosts)}", started)
        return hosts

    def pin(self, host: Host, known: str) -> None:
        """Pin the key that the lab says the host has: the comparison that an admin makes on the console."""
        offered = {key.line.split()[1]: key for key in host_services.scan(host)}
        if known.split()[1] not in offered:
            raise CommandError(f"{host.name} offers another key than the lab made for it")
        host_services.pin(offered[known.split()[1]], self.admin)

    def make_datastore(self, hosts: list[Host]) -> Datastore:
        started = time.monotonic()
        datastore = Datastore.objects.filter(name="lab-xfs").first()
        if datastore is None:
            params = {"name": "lab-xfs", "kind": "xfs", "type": "image", "base": "/srv/xfs/images",
                      "hosts": [hosts[0].pk], "cluster": hosts[0].cluster_id}  # fmt: skip
            job = submit("datastore.create", user=self.admin, params=params)
            self.wait(job, "awaiting approval")
            control.approve(job, self.admin)
            self.finish([job])
            datastore = Datastore.objects.get(name="lab-xfs")
        self.say(f"datastore {datastore.name}: {datastore.kind} at {datastore.base} on {hosts[0].name}", started)
        return datastore

    def register(self, datastore: Datastore, source: str) -> Image:
        started = time.monotonic()
        image = Image.objects.filter(datastore=datastore, name=IMAGE, state=ObjectState.READY).first()
        if image is None:
            params = {"name": IMAGE, "source": source, "format": "raw", "type": "OS"}
            self.finish([submit("image.register", user=self.admin, datastore=datastore, params=params)])
            image = Image.objects.get(datastore=datastore, name=IMAGE)
        size = f"{format_size(image.virtual_size)}, {format_size(image.real_size)} real"
        self.say(f"image {image.name} registered: {size}", started)
        return image

    def clone(self, image: Image, visitor: Visitor) -> list[float]:
        first = VirtualMachine.objects.count() + 1
        with visitor.socket("/ws/feed/") as feed:
            return [visitor.clone(feed, image.pk, vm_name=f"vm-{number}") for number in range(first, first + CLONES)]

    def finish(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.wait(job, "succeeded")

    def wait(self, job: Job, state: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while job.state != state:
            if job.ended or time.monotonic() > deadline:
                raise CommandError(f"{job.title}: {job.state}. {job.error}")
            time.sleep(0.02)
            job.refresh_from_db()
